"""Transfers, detectors and curves over shots have a page, each alone or several side by side."""

import json

import pytest
from PIL import Image

from report.make_example import HOSTILE
from report.test_report import Page, check_figures
from synthset.cli import main
from synthset.core.errors import DataError
from synthset.core.files import write_json
from synthset.report import build_report, results

TRIAL = {"num_training": 50, "held_out_accuracy": 0.8, "n": 899, "seconds": 1.5, "chosen": {"c": 0.1}, "low": 0.6}
TRIAL |= {"attempts": [{"settings": {"c": 0.1}, "accuracy": 0.8, "loss": 1.0}], "high": 0.75}


def write_transfer(folder, score=0.7, model="m-base", seeds=2):
    trials = [TRIAL | {"seed": seed, "score": score + 0.01 * seed} for seed in range(seeds)]
    note = {
        "model": model,
        "architecture": "small_cnn",
        "mode": "linear",
        "real": "digits",
        "shots": 5,
        "trials": trials,
    }
    note |= {"seen": "", "score": score, "low": score - 0.05, "high": score + 0.05}
    folder.mkdir(parents=True)
    write_json(folder / "transfer-job.json", {"synthset_transfer": 1, "job": {}})
    write_json(folder / "transfer.json", note)
    return folder


def write_detector(folder, precision=0.4, side_px=40):
    classes = [
        {"class_name": name, "num_objects": 3, "at_eleven": value, "area": value}
        for name, value in (("dog", precision), ("cat", precision / 2), ("cow", None))
    ]
    note = {"format": "synthset-detection-scores-1", "name": "VOC2007 test", "num_images": 4, "num_objects": 6}
    note |= {"difficult": 1, "at_eleven": precision, "area": 0.41, "classes": classes}
    folder.mkdir(parents=True)
    write_json(folder / "results.json", note | {"coco": {"ap": 0.2, "ap50": 0.4, "ap75": 0.1}})
    write_json(folder / "training.json", {})
    Image.new("RGB", (side_px, side_px)).save(folder / "detections.png")
    return folder


def write_curve(folder, seeds=2):
    ends = {"low": 0.7, "high": 0.9} if seeds > 1 else {"low": None, "high": None}
    means = [
        {"method": method, "shots": shots, "seeds": seeds, "mean": 0.8 + 0.01 * shots, **ends}
        for method in ("real", "real + synthetic")
        for shots in (1, 4)
    ]
    folder.mkdir(parents=True)
    note = {"format": "synthset-curve-1", "real": "digits", "metric": "accuracy", "zero_shot": 0.75, "means": means}
    note |= {"clip": {"name": "miniature", "fingerprint": "ab" * 32}, "config": {"epochs": 30}}
    note |= {"libraries": {"torch": "2.9"}}
    write_json(folder / "curve.json", note)
    return folder


def test_a_transfer_has_its_means_its_seeds_and_what_was_chosen(tmp_path, capsys):
    folder = write_transfer(tmp_path / "probe")
    assert main(["report", str(folder)]) == 0
    page = Page(folder / "report.html")
    assert page.sections() == ["transfer", "trials"]
    assert "m-base on digits , linear probe" in page.text()
    assert "probe m-base small_cnn linear probe digits 5 2 70.0% 65.0% to 75.0% 899" in page.text()
    assert "probe 1 50 inverse penalty 0.1 1 80.0% 71.0% 60.0% to 75.0% 1.5" in page.text()
    assert "Highest" not in page.text()
    check_figures(page)


def test_several_stand_side_by_side_and_the_best_is_said(tmp_path):
    write_transfer(tmp_path / "a", 0.5, "random")
    write_transfer(tmp_path / "b", 0.7)
    write_transfer(tmp_path / "c", 0.68)
    (write_transfer(tmp_path / "d") / "transfer.json").unlink()
    write_detector(tmp_path / "scratch", 0.3)
    write_detector(tmp_path / "pretrained", 0.4)
    write_curve(tmp_path / "tuned")
    page = Page(build_report(tmp_path))
    text = page.text()
    assert page.sections() == ["transfer", "trials", "curve", "detection", "detected", "tuned"]
    assert "3 transfers, 1 curve, 2 detectors" in text
    assert "Highest accuracy on digits, linear probe, 5 images a class: b , 70.0% (65.0% to 75.0%)" in text
    assert "Too near for chance to be ruled out: c ." in text
    assert "Left out, for they are not finished: d ." in text
    assert "pretrained VOC2007 test 40.0% 41.0% 20.0% 40.0% 10.0% 4 6 1" in text
    figures = page.figures()
    assert figures["precision"]["data"][0]["z"] == [[0.4, 0.3], [0.2, 0.15], [None, None]]
    assert [trace["name"] for trace in figures["curve-0"]["data"]] == ["real", "real + synthetic", "zero-shot CLIP"]
    assert len([image for image in page.all("img") if "VOC2007 test" in image["alt"]]) == 2
    check_figures(page)


def test_a_picture_that_is_large_or_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "MAX_PICTURE_BYTES", 10)
    page = Page(build_report(write_detector(tmp_path / "detector")))
    assert not page.all("img")
    assert "see detections.png in its folder" in page.text()


def test_a_curve_of_one_seed_has_no_interval(tmp_path):
    page = Page(build_report(write_curve(tmp_path / "tuned", seeds=1)))
    assert "zero-shot CLIP 0 – 75.0% –" in page.text()
    assert "real + synthetic 4 1 84.0% –" in page.text()
    assert page.sections() == ["curve", "tuned"]
    assert "Encoder miniature , fingerprint abababababababab . torch 2.9." in page.text()
    assert '"epochs": 30' in page.text()
    check_figures(page)


def test_hostile_names_are_only_text(tmp_path):
    plain = Page(build_report(write_transfer(tmp_path / "a")))
    hostile = Page(build_report(write_transfer(tmp_path / "b", model=HOSTILE[0])))
    assert len(hostile.tags) == len(plain.tags)
    assert HOSTILE[0] in hostile.text()


@pytest.mark.parametrize(
    ("write", "file", "command"),
    [
        (write_transfer, "transfer.json", "transfer"),
        (write_detector, "results.json", "detect"),
        (write_curve, "curve.json", "tune"),
    ],
)
def test_damage_is_one_line_that_names_the_file_and_the_remedy(tmp_path, write, file, command):
    path = write(tmp_path / "out") / file
    note = json.loads(path.read_text())
    write_json(path, {name: value for name, value in note.items() if name not in ("trials", "classes", "means")})
    with pytest.raises(DataError, match=rf"^Expected .*{file}.*Run 'synthset {command}' again\.$"):
        build_report(path.parent)
    assert not (path.parent / "report.html").exists()
