"""What is printed holds no secret and nothing that a terminal would act on; see also security/test_secrets.py."""

import logging

import pytest

from synthset.core.redaction import SECRET_VARIABLES, DiscreetFormatter, printable, without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07cat", "cat"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bcgone", "gone"),
        ("\x1b", ""),
        ("a\x08\x00\x9b1m\rb", "a1mb"),
        ("cat\u202egnp.exe", "catgnp.exe"),
        ("no text: \udce9", "no text: \ufffd"),
        ("a\tb\nc", "a\tb\nc"),
        ("🐈\u200d⬛ קצת Größe [bold]", "🐈\u200d⬛ קצת Größe [bold]"),
    ],
)
def test_what_a_terminal_would_act_on_is_taken_out(text, shown):
    assert printable(text) == shown


def test_log_lines_are_plain(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "a plain passphrase")
    record = logging.LogRecord("synthset", 30, "", 0, "%s, %s", ("a plain passphrase", "\x1b[2Jcat"), None)
    assert DiscreetFormatter("%(message)s").format(record) == "…, cat"


def test_a_value_is_gone_wherever_it_stands_unless_it_is_too_short_to_tell(monkeypatch):
    for name in SECRET_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN", " swordfish-1 ")
    monkeypatch.setenv("OPENAI_API_KEY", "the")
    monkeypatch.setenv("EDITOR", "a plain editor")
    assert without_secrets("the=swordfish-1&swordfish-1z, a plain editor") == "the=…&…z, a plain editor"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("with hf_abcdefghijklmnopqr.", "with …."),
        ("https://me:secret@host/v1 and s3://key:word@bucket", "https://…@host/v1 and s3://…@bucket"),
        ("shelf_abcdefghijklmnopqr, hf_short, https://host/a:b@c", None),
    ],
)
def test_tokens_and_passwords_are_known_by_their_form(text, shown):
    assert without_secrets(text) == (shown or text)
