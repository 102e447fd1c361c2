from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synthset.classifiers.scoring import count
from synthset.cli import main
from synthset.cli.create_tables import print_cleared
from synthset.cli.model_tables import print_curve, print_evaluation
from synthset.cli.printing import say
from synthset.tuning.curve_results import CurvePoint, CurveResult, summarise

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


def test_a_curve_of_the_classes_mean_has_the_papers_metric_beside_it(capsys, tmp_path):
    points = tuple(CurvePoint("real", 1, seed, score=0.5, accuracy=0.7 + 0.2 * seed, n=9) for seed in range(2))
    curve = CurveResult(tmp_path, "pets", "mean_per_class", 0.4, points, summarise(points))
    print_curve(curve)
    first, second = capsys.readouterr().out.split("top-1 accuracy, which the papers report:")
    assert "mean accuracy of the classes on the test part of pets; zero-shot CLIP: 40.0%" in first
    assert "50.0%" in first
    assert "80.0%" in second
    print_curve(replace(curve, metric="accuracy"))
    assert "top-1" not in capsys.readouterr().out
