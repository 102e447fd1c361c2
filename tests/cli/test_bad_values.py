"""A bad value is named in one line, as its reader knows the option: by flag, key, variable or field."""

from dataclasses import MISSING
from pathlib import Path

import pytest

import synthset
from synthset.cli import main
from synthset.cli.arguments import build_config, parameters_of
from synthset.cli.commands import NAMES, load_command
from synthset.core.errors import UsageError

CREATE = ("create", "--classes", "one", "two")


@pytest.fixture
def refused(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def line(*words):
        assert main(list(words)) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        assert "Traceback" not in err
        assert [path.name for path in tmp_path.iterdir() if path.name != "c.yaml"] == []
        return err

    return line


def in_file(text):
    Path("c.yaml").write_text(text, encoding="utf-8")
    return ("--config", "c.yaml")


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1", "of at least 4|in 4..4096"), ("many", "as an integer"), ("1e3", "as an integer")],
)
def test_one_value_four_ways(refused, monkeypatch, value, expected):
    def tells(message, name):
        assert name in message
        assert any(words in message for words in expected.split("|"))
        assert f"got {value}" in message or f"got '{value}'" in message

    tells(refused(*CREATE, "--resize", value), "--resize")
    tells(refused(*CREATE, *in_file(f"resize: {value}")), "'resize' in 'c.yaml'")
    tells(refused(*CREATE, *in_file(f"create:\n  resize: {value}")), "'resize' in 'c.yaml'")
    with monkeypatch.context() as patch:
        patch.setenv("SYNTHSET_CREATE_RESIZE", value)
        tells(refused(*CREATE), "SYNTHSET_CREATE_RESIZE")
    with pytest.raises(UsageError) as caught:
        synthset.create(["one", "two"], "d", resize_px=int(value) if value.isdigit() else value)
    tells(str(caught.value), "resize_px")


def test_unknown_names_four_ways(refused, monkeypatch):
    assert "Unknown flag '--resise'. Did you mean --resize?" in refused(*CREATE, "--resise", "3")
    assert "--learning-rate" in refused("train", "d", "--lr", "3")
    message = refused(*CREATE, *in_file("resise: 3"))
    assert "'c.yaml'" in message
    assert "'resise'" in message
    assert "'resize'" in message
    with monkeypatch.context() as patch:
        patch.setenv("SYNTHSET_CREATE_RESISE", "3")
        message = refused(*CREATE)
        assert "SYNTHSET_CREATE_RESISE" in message
        assert "SYNTHSET_CREATE_RESIZE" in message
    with pytest.raises(UsageError, match=r"Unknown option 'resise_px'\. Did you mean 'resize_px'"):
        synthset.create(["one", "two"], "d", resise_px=3)


def test_two_spellings_at_once(refused, monkeypatch):
    assert "--output-dir once" in refused(*CREATE, "--output-dir", "a", "--output_dir", "b")
    assert "--outdir" in refused(*CREATE, "--output-dir", "a", "--outdir", "b")
    for text in ("images_per_class: 3\nimages-per-class: 4", "create:\n  outdir: a\n  output_dir: b"):
        message = refused(*CREATE, *in_file(text))
        assert "which are the same, got both" in message
        assert "'c.yaml'" in message
    monkeypatch.setenv("SYNTHSET_CREATE_OUTDIR", "a")
    monkeypatch.setenv("SYNTHSET_CREATE_OUTPUT_DIR", "b")
    message = refused(*CREATE)
    assert "SYNTHSET_CREATE_OUTDIR" in message
    assert "SYNTHSET_CREATE_OUTPUT_DIR" in message


def test_what_is_above_a_command_gives_way_to_what_is_below_it_in_any_spelling(refused):
    message = refused(*CREATE, *in_file("images-per-class: 5\ncreate:\n  images_per_class: 0"))
    assert "'images_per_class' in 'c.yaml' of at least 1, got 0" in message


@pytest.mark.parametrize("text", ["steps: [1, 2]", "resize: [4, 8]", "resize: {a: 1}", "seed: true", "quality: 1:30"])
def test_values_of_another_shape(refused, text):
    assert text.partition(":")[0] in refused(*CREATE, *in_file(text))


@pytest.mark.parametrize("name", NAMES)
def test_every_bound_that_a_command_declares_is_held(name):
    command = load_command(name)
    for item in command.arguments:
        (option, *further), bounds = item.options, item.options[0].option
        least = bounds.at_least if bounds.at_least is not None else bounds.above
        if least is None or further or item.part is not None or option.switch:
            continue
        value = least / bounds.per_unit - 1
        value = value if "float" in str(item.type) else int(value)
        given = [value] if "list" in str(item.type) else (value, value) if "tuple" in str(item.type) else value
        of_config = [each for each in command.arguments if each.parameter == item.parameter]
        needed = {one.path: Path("x") for each in of_config for one in each.options if one.default is MISSING}
        config = parameters_of(command.function)[item.parameter]
        with pytest.raises(UsageError, match=r"of at least|above|in "):
            build_config(config, needed | item.values(given))


@pytest.mark.parametrize(("value", "words"), [("nan", "as a finite number, got nan"), ("-1", "of at least 0, got -1")])
def test_gigabytes_are_told_as_they_were_typed(refused, value, words):
    assert f"Expected --memory {words}." in refused("train", "d", "--memory", value)


def test_a_value_that_a_nested_option_cannot_have(refused):
    assert "--cads-mixing in 0..1, got 2" in refused(*CREATE, "--cads-noise", "1", "--cads-mixing", "2")
    assert "--sentences of at least 1" in refused(*CREATE, "--strategy", "language_enhancement", "--sentences", "0")
    assert "--threshold" in refused(*CREATE, "--refill", "clip", "--threshold", "7")
