import json
import os
import subprocess
import sys

import pytest
from PIL import Image
from tuning_bars import resnet

from synthset import cli
from synthset.create.stage import create
from synthset.real import class_names_of
from synthset.testing import FakeGenerator


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """Images of digits' names (noise, for speed), drawn plainly, and a random CLIP."""
    folder = tmp_path_factory.mktemp("tune")
    create(class_names_of("digits"), folder / "drawn", generator=FakeGenerator(), images_per_class=3)
    resnet(folder / "clip")
    return folder


@pytest.fixture
def run(workplace, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("SYNTHSET_CACHE", str(workplace / "cache"))

    def command(*words, clip="clip"):
        code = cli.main(
            ["tune", *words, "--clip", clip, "--epochs", "2", "--device", "cpu", "--output-dir", str(tmp_path / "m")]
        )
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command


def test_model_json_and_table(run, tmp_path, capsys):
    code, out, err = run("drawn", "--real", "digits", "--shots", "2", "--loss", "sce", "--mix")
    assert (code, err) == (0, "")
    assert "30 synthetic images and 20 real ones" in out
    names = ", ".join(class_names_of("digits"))
    first, second, *_ = out.splitlines()
    assert (first, second) == (
        f"30 images of drawn in 10 classes: {names}",
        f"20 images of digits in 10 classes: {names}",
    )
    assert "before, zero-shot CLIP:" in out
    evaluation = json.loads((tmp_path / "m/evaluation/digits.json").read_text())
    assert evaluation["n"] == 899  # not the half that shots are drawn from
    assert (tmp_path / "m/zero-shot/evaluation/digits.json").exists()
    # eval works on it, and tests on the same images
    assert cli.main(["eval", str(tmp_path / "m"), "--real", "digits", "--output-dir", str(tmp_path / "e")]) == 0
    assert json.loads((tmp_path / "e/digits.json").read_text()) == evaluation
    assert cli.main(["eval", str(tmp_path / "m"), "--real", "digits", "--model", "resnet50"]) == 2
    assert "found a tuned CLIP" in capsys.readouterr().err


def test_coop_from_the_command_line(run, tmp_path, capsys):
    code, out, err = run("--real", "digits", "--shots", "1", "--method", "coop", "--context-words", "a photo of a")
    assert (code, err) == (0, "")
    assert "10 real ones" in out
    assert json.loads((tmp_path / "m/training.json").read_text())["job"]["config"]["context_words"] == "a photo of a"
    evaluation = json.loads((tmp_path / "m/evaluation/digits.json").read_text())
    assert cli.main(["eval", str(tmp_path / "m"), "--real", "digits", "--output-dir", str(tmp_path / "e")]) == 0
    assert json.loads((tmp_path / "e/digits.json").read_text()) == evaluation
    Image.new("L", (8, 8)).save(tmp_path / "one.png")
    assert (
        cli.main(["predict", *(str(tmp_path / name) for name in ("m", "one.png")), "--output", str(tmp_path / "p.csv")])
        == 0
    )
    assert (tmp_path / "p.csv").read_text().count("\n") == 2


def test_the_report_reads_its_evaluations(run, tmp_path):
    from synthset.diagnosis.saving import read_evaluations

    assert run("drawn", "--real", "digits")[0] == 0
    assert len(read_evaluations([tmp_path / "m"])) == 1
    assert len(read_evaluations([tmp_path / "m", tmp_path / "m/zero-shot"])) == 2


def test_a_curve(run, tmp_path):
    code, out, err = run("drawn", "--real", "digits", "--shots", "1", "2", "--seeds", "2")
    assert (code, err) == (0, "")
    assert "real + synthetic" in out
    assert out.startswith("30 images of drawn in 10 classes: ")
    assert out.count(" classes: ") == 2  # of the first tuning alone
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == [
        "curve.csv",
        "curve.json",
        "curve.png",
        "models",
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["drawn", "--real", "digits", "--shots", "300"], "300 images of every class"),
        (["drawn", "--real", "eurosat"], "eurosat"),
        (["drawn", "--template", "nope"], "Unknown template 'nope'"),
        (["drawn", "--shots", "2"], "Expected a real set to draw shots from"),
        (
            ["drawn", "--real", "digits", "--shots", "2", "--strategy", "real-guidance"],
            "--initial-images digits --shots 2 --shots-seed 0",
        ),
        (["drawn", "--real", "digits", "--shots", "2", "--order", "syn-then-real", "--mix"], "got both"),
        (["drawn", "--shots", "1", "2"], "Expected --real with several --shots"),
        (["drawn", "--compare", "tip_adapter"], "Expected several --shots or --seeds"),
        (["drawn", "--context-length", "8"], "Expected --method coop with --context-length 8"),
        (["drawn", "--method", "coop", "--random-start"], "Expected --method classifier with --random-start, got coop"),
        (["nowhere"], "found nothing there"),
        ([], "got neither"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(run, tmp_path, words, expected):
    code, out, err = run(*words)
    assert code in (1, 2)
    assert out == ""
    assert expected in err
    assert err.count("\n") == 1
    assert not (tmp_path / "m").exists()


def test_an_unknown_clip(run, tmp_path):
    code, _, err = run("drawn", clip="RN5000")
    assert code == 2
    assert "Did you mean 'RN50'" in err
    assert not (tmp_path / "m").exists()


def test_images_drawn_from_other_real_images_are_refused(workplace, run, tmp_path):
    class FakeFromImages(FakeGenerator):
        def generate_from(self, requests, initial_images):
            return self.generate(requests)

    names = class_names_of("digits")
    create(
        names,
        tmp_path / "rg",
        generator=FakeFromImages(),
        images_per_class=2,
        initial_images="digits",
        shots=2,
        shots_seed=1,
    )
    guided = ["--real", "digits", "--shots", "2", "--strategy", "real_guidance"]
    code, _, err = run(str(tmp_path / "rg"), *guided)  # the shots of seed 0
    assert code == 2
    assert "--shots-seed 0" in err
    assert run(str(tmp_path / "rg"), *guided, "--seed", "1")[0] == 0


def test_help_loads_nothing_heavy():
    code = (
        "import synthset.cli, sys; synthset.cli.main(['tune', '--help']); "
        "loaded = [m for m in ('torch', 'open_clip', 'timm', 'sklearn') if m in sys.modules]; assert not loaded, loaded"
    )
    # a page of that width is stored; of another one the names of losses and augmentations are looked up
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=os.environ | {"COLUMNS": "100"})
