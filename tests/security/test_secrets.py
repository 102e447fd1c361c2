"""Tokens and keys are taken out of errors and log lines; that a whole job holds none is in test_whole_job.py."""

import logging

import huggingface_hub
import pytest

from synthset.cli import main
from synthset.core.redaction import SECRET_VARIABLES, without_secrets

TOKEN = "hf_" + "SecretOfTheHub" * 2


def test_an_error_of_the_hub_that_quotes_the_request_is_printed_without_it(tmp_path, monkeypatch, capsys):
    def refuse(*_, **__):
        raise OSError(f"401 for https://me:hunter2@hub.example/x with headers {{'authorization': 'Bearer {TOKEN}'}}")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    assert main(["create", "--classes", "cat", "--generator", "owner/name", "--output-dir", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "Bearer …" in said
    assert "hunter2" not in said
    assert TOKEN not in said


def test_log_lines_are_written_without_it(monkeypatch, capsys):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as in a process of its own
    main(["eval", "nothing", "--real", "nothing"])
    capsys.readouterr()
    logging.getLogger("synthset").warning("the hub said %s", TOKEN)
    assert capsys.readouterr().err == "WARNING: the hub said …\n"


@pytest.mark.parametrize("name", SECRET_VARIABLES)
def test_the_value_of_each_variable_is_taken_out(name, monkeypatch):
    monkeypatch.setenv(name, "a plain passphrase")
    assert without_secrets("it is: a plain passphrase.") == "it is: …."


@pytest.mark.parametrize("text", ["", "a plain text", "hf_short", "https://host/path", "https://host:8000/v1", "a@b:c"])
def test_what_is_no_secret_stays(text):
    assert without_secrets(text) == text
