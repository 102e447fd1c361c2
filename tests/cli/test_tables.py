from pathlib import Path

import numpy as np
import pytest

from synthset.classifiers.scoring import count
from synthset.cli import main
from synthset.cli.tables import print_cleared, print_evaluation, say

HOSTILE = "<img onerror=alert(1)>\x1b[31m\x1b]0;title\x07"


def test_names_from_files_do_nothing_to_a_terminal(capsys):
    names = (HOSTILE, "[/dog]")
    result = count(np.array([0, 1]), np.array([1, 0]), names, f"real{HOSTILE}")
    print_evaluation(result, Path(f"out{HOSTILE}"))
    print_cleared([HOSTILE], Path("pets"))
    say(Path("undecodable-\udce9"))
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert out.count("<img onerror=alert(1)>") == 5
    assert "[/dog]" in out
    assert "undecodable-\ufffd" in out


@pytest.mark.parametrize("words", [("report",), ("export",), ("eval", "--real", "x")])
def test_nor_do_those_in_an_error(words, capsys, tmp_path):
    folder = str(tmp_path / HOSTILE.replace("/", "-"))
    assert main([words[0], folder, *words[1:], *(["--output-dir", folder] if words[0] == "export" else [])]) in (1, 2)
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "<img onerror" in err
