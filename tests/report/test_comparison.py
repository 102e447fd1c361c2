"""The report of a comparison holds the figures of its files, and no more than text of hostile names."""

from dataclasses import asdict, replace

import pytest

from report.make_example import HOSTILE
from report.test_report import Page, check_figures
from synthset.classifiers.models import ModelConfig
from synthset.cli import main
from synthset.comparison.config import CompareConfig
from synthset.comparison.forecast import Forecast
from synthset.comparison.results import MARKER, ComparisonResult, CurveForecast, Growth, write_results
from synthset.comparison.summary import ComparisonRow
from synthset.comparison.trials import ALL, Cell
from synthset.core.errors import DataError
from synthset.core.files import write_json
from synthset.core.options import job_of
from synthset.report import build_report
from synthset.report.comparison import read_comparison

FURTHER = (Forecast(40, 0.812, 0.79, 0.83), Forecast(80, 0.84, 0.8, 0.871))
PLACE = ("small_cnn", "digits")


def row(view, budget, images, score, *minus):
    return ComparisonRow(view, budget, *PLACE, images, 3, score, score - 0.013, score + 0.014, *minus)


ROWS = (
    *(row("few", 5, 50, 0.601), row("few", 20, 200, 0.777), row("few", ALL, 200, 0.777)),
    row("many", 5, 50, 0.611, 0.01, -0.01, 0.03),
    row("many", 20, 200, 0.788, 0.011, -0.004, 0.026),
    row("many", ALL, 400, 0.801, 0.0243, 0.0101, 0.0385),
)
CURVES = (CurveForecast("many", *PLACE, 40, 0.801, FURTHER, (Forecast(20, 0.7, 0.69, 0.75),)),)
GROWTH = (Growth("many", *PLACE, "confused classes", 30, 0.65, 0.0391, None, None),)
RESULT = ComparisonResult(None, "few", (), ROWS, CURVES, GROWTH)
EPOCH = {"epoch": 7, "train_loss": 1.0, "held_back_loss": 1.0, "held_back_accuracy": 0.5}
TRAINED = {"architecture": "small_cnn", "epochs": 9, "learning_rate": 0.00125, "weights": "sha256:" + "ab" * 32}


def write_comparison(folder, result=RESULT, seen="those that 'earlier' learned from"):
    folder.mkdir()
    write_json(folder / MARKER, {"synthset_comparison": 1})
    write_results(replace(result, folder=folder), job_of(CompareConfig()))
    home = folder / Cell(result.rows[0].view, ALL, "small_cnn", 0).folder
    home.mkdir(parents=True)
    note = {"job": {"config": TRAINED, "fingerprint": "ab"}, "num_training": 181}
    write_json(home / "training.json", note | {"chosen": EPOCH | {"learning_rate": 0.1, "seconds": 1.0}})
    config = asdict(ModelConfig("small_cnn", ("a", "b"), 8, seen=seen))
    write_json(home / "config.json", {"format": "synthset-classifier-1", "weights_sha256": "ab", **config})
    return folder


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return Page(build_report(write_comparison(tmp_path_factory.mktemp("comparison") / "out")))


def test_the_figures_of_the_files_are_in_the_page(page):
    text = page.text()
    assert page.sections() == ["scores", "curves", "growth", "compared"]
    assert "many 400 all 80.1% 78.8% to 81.5% +2.4 +1.0 to +3.9" in text
    assert "many 200 equal: 20 a class 78.8% 77.5% to 80.2% +1.1 -0.4 to +2.6" in text
    assert "60.1%" not in text  # of the curve alone
    assert "many 40 80.1% 40 84.0% 80.0% to 87.1% +3.9 -0.1 to +7.0" in text
    assert "0 of 1 measured means lie in the band" in text
    assert "many 20 69.0% to 75.0% 78.8% no" in text
    assert "confused classes 30 65.0% +3.9 –" in text


def test_the_headline_says_which_is_best_by_the_paired_difference(page, tmp_path):
    text = page.text()
    assert (
        "Highest accuracy with all its images: many , 80.1% (78.8% to 81.5%), +2.4 points over few (+1.0 to +3.9)."
        in text
    )
    assert "The 95 % intervals of the others lie below." in text  # though these of the means overlap
    rows = tuple(replace(one, minus_low=-0.01) if one.budget == ALL and one.minus else one for one in ROWS)
    found = Page(build_report(write_comparison(tmp_path / "out", replace(RESULT, rows=rows)))).text()
    assert "+2.4 points over few (-1.0 to +3.9). Too near for chance to be ruled out: few ." in found


def test_what_the_classifiers_learned_from_is_said(page):
    text = page.text()
    assert "Architecture small_cnn Synthetic images 181 Began with sha256:abababababab… Epoch 7 of 9" in text
    assert "few learned from other images too: those that 'earlier' learned from." in text


def test_each_chart_has_its_place_and_plotly_takes_it(page):
    check_figures(page)
    curves = page.figures()["curves"]
    assert curves["data"][0]["x"] == [5, 20, 40]
    assert curves["data"][0]["y"] == [0.611, 0.788, 0.801]


def test_hostile_names_are_only_text(tmp_path, page):
    views = dict(zip(("few", "many"), HOSTILE[:2], strict=True))
    rows = tuple(replace(one, view=views[one.view], architecture=HOSTILE[2]) for one in ROWS)
    rows += tuple(replace(one, real=HOSTILE[3]) for one in rows)
    hostile = ComparisonResult(None, views["few"], (), rows, (replace(CURVES[0], view=views["many"]),))
    hostile = replace(hostile, forecasts=(replace(hostile.forecasts[0], architecture=HOSTILE[2]),))
    found = Page(build_report(write_comparison(tmp_path / "out", hostile, HOSTILE[0])))
    assert found.sections() == ["scores", "curves", "compared"]
    assert {tag for tag, _ in found.tags} <= {tag for tag, _ in page.tags}
    assert len(found.all("script")) == len(page.all("script"))
    assert HOSTILE[0] in found.text()


def test_one_that_is_not_finished_is_one_line(tmp_path, capsys):
    folder = write_comparison(tmp_path / "out")
    (folder / "results.json").unlink()
    assert main(["report", str(folder)]) == 1
    error = capsys.readouterr().err
    assert "it is not finished. Run 'synthset compare' again" in error
    assert error.count("\n") == 1
    assert not (folder / "report.html").exists()


def test_damage_is_named(tmp_path):
    folder = write_comparison(tmp_path / "out")
    path = folder / "results.json"
    path.write_text(path.read_text().replace("0.801", "0.901"))
    with pytest.raises(DataError, match=r"results\.json.*was changed.*synthset compare"):
        build_report(folder)


def test_a_later_version_may_add(tmp_path):
    folder = write_comparison(tmp_path / "out", replace(RESULT, forecasts=(), growth=()))
    assert read_comparison(folder).seeds == 3
    assert Page(build_report(folder)).sections() == ["scores", "compared"]
