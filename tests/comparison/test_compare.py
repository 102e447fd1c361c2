"""Comparisons: every cell once, paired differences, equal budgets, and a rerun that only adds."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bars import CONFIG, make_set
from outcomes import contents
from synthset.classifiers.scoring import seed_interval
from synthset.comparison import stage, trials
from synthset.comparison.config import CompareConfig
from synthset.comparison.results import as_csv
from synthset.comparison.stage import compare
from synthset.comparison.summary import ComparisonRow
from synthset.comparison.views import take, views_of
from synthset.core.errors import ConfigChangedError, DataError, ModelError, UnknownNameError, UsageError
from synthset.core.files import CHECKSUM, write_json

TRAINING = replace(CONFIG, augmentation="none", seed=0, epochs=5)


@pytest.fixture(scope="module")
def sets():
    few, many = make_set((8, 8, 8), seed=1), make_set((20, 22, 24), seed=2)
    return replace(few, name="few"), replace(many, name="many"), replace(make_set(seed=3), name="real")


@pytest.fixture(scope="module")
def compared(sets, tmp_path_factory):
    few, many, real = sets
    folder = tmp_path_factory.mktemp("comparison") / "out"
    result = compare([few, many], folder, real=real, seeds=2, images_per_class=(4,), grow=6, training=TRAINING)
    return folder, result


def test_every_cell_is_trained_once_and_tested(compared):
    folder, result = compared
    cells = [(trial.view, trial.budget, trial.seed) for trial in result.trials]
    expected = {(view, budget, seed) for view in ("few", "many") for budget in (4, 0) for seed in (0, 1)}
    expected |= {("many", 8, seed) for seed in (0, 1)} | {("few", 8, seed) for seed in (0, 1)}
    assert len(cells) == len(set(cells))
    assert set(cells) <= expected
    assert {(view, budget) for view, budget, _ in cells} >= {("few", 0), ("many", 0), ("many", 8)}
    assert all(trial.n == 60 for trial in result.trials)
    # nothing is cut from the smallest, so all of it is its equal budget too
    assert sorted(path.name for path in (folder / "models" / "few").iterdir()) == ["4-a-class", "all"]


def test_differences_are_paired_over_seeds(compared):
    _, result = compared
    scores = {(trial.view, trial.budget, trial.seed): trial.score for trial in result.trials}
    row = next(row for row in result.rows if (row.view, row.budget) == ("many", 0))
    paired = [scores["many", 0, seed] - scores["few", 0, seed] for seed in (0, 1)]
    assert row.minus == pytest.approx(np.mean(paired))
    assert (row.minus_low, row.minus_high) == pytest.approx(seed_interval(paired))
    assert next(row for row in result.rows if row.view == "few").minus is None


def test_files_hold_all_of_it(compared):
    folder, result = compared
    note = json.loads((folder / "results.json").read_text())
    assert len(note["trials"]) == len(result.trials)
    with (folder / "results.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(result.rows)
    for name in ("comparison.png", "curves.png"):
        with Image.open(folder / name) as picture:
            assert picture.size[0] == 1520


def test_growth_compares_two_rules_at_the_same_number(compared):
    _, result = compared
    assert {(growth.view, growth.rule, growth.images) for growth in result.growth} == {
        (view, rule, 6) for view in ("few", "many") for rule in ("confused classes", "all alike")
    }


def test_forecasts_are_held_to_later_points(compared):
    _, result = compared
    curve = next(curve for curve in result.forecasts if curve.view == "many")
    assert [one.images_per_class for one in curve.further] == [40, 80]
    assert all(0 <= one.low <= one.score <= one.high <= 1 for one in curve.further)


def test_a_rerun_trains_nothing_and_says_the_same(compared, sets, monkeypatch):
    folder, result = compared
    few, many, real = sets
    before = contents(folder)
    monkeypatch.setattr("synthset.classifiers.train.train_epoch", lambda *_: pytest.fail("trained again"))
    again = compare([few, many], folder, real=real, seeds=2, images_per_class=(4,), grow=6, training=TRAINING)
    assert again == result
    assert contents(folder) == before


def test_interrupted_anywhere_it_ends_the_same(sets, compared, tmp_path, monkeypatch):
    few, many, real = sets
    original, calls = trials.train_and_test, []
    options = {"seeds": 2, "images_per_class": (4,), "grow": 6, "training": TRAINING}
    for stop in (2, 5):
        calls.clear()

        def interrupted(*arguments, stop=stop):
            calls.append(1)
            if len(calls) == stop:
                raise KeyboardInterrupt
            return original(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(trials, "train_and_test", interrupted)
            with pytest.raises(KeyboardInterrupt):
                compare([few, many], tmp_path / "out", real=real, **options)
    result = compare([few, many], tmp_path / "out", real=real, **options)
    assert (result.rows, result.forecasts, result.growth) == (
        compared[1].rows,
        compared[1].forecasts,
        compared[1].growth,
    )


def test_more_seeds_go_on_in_the_folder_and_other_training_does_not(sets, tmp_path):
    few, _, real = sets
    first = compare(few, tmp_path / "out", real=real, seeds=1, training=TRAINING)
    second = compare(few, tmp_path / "out", real=real, seeds=2, training=TRAINING)
    assert second.trials[: len(first.trials)] == first.trials
    with pytest.raises(ConfigChangedError, match="epochs: 5 there, 2 here"):
        compare(few, tmp_path / "out", real=real, seeds=1, training=replace(TRAINING, epochs=2))


@pytest.fixture(scope="module")
def folders(sets, tmp_path_factory):
    """The two sets as image folders."""
    root = tmp_path_factory.mktemp("folders")
    for images in sets[:2]:
        for i, label in enumerate(images.labels):
            path = root / images.name / images.class_names[label] / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(images.read(i))
    return [str(root / images.name) for images in sets[:2]]


def test_several_processes_come_to_what_one_does(folders, sets, tmp_path, monkeypatch):
    monkeypatch.setattr(trials, "WORTH_PROCESSES", 0)
    options = {"real": sets[2], "seeds": 2, "training": TRAINING}
    alone = compare(folders, tmp_path / "alone", workers=1, **options)
    with monkeypatch.context() as patch:  # all is trained by others
        patch.setattr("synthset.classifiers.train.train_epoch", lambda *_: pytest.fail("trained here"))
        together = compare(folders, tmp_path / "together", workers=2, **options)
    assert together.rows == alone.rows
    assert contents(tmp_path / "together" / "models").keys() == contents(tmp_path / "alone" / "models").keys()


def test_a_training_that_fails_apart_says_why_here(folders, sets, tmp_path, monkeypatch):
    monkeypatch.setattr(trials, "WORTH_PROCESSES", 0)
    training = replace(TRAINING, optimizer="sgd", learning_rate=1e30, max_grad_norm=None)
    with pytest.raises(ModelError, match="finite loss") as caught:
        compare(folders, tmp_path / "out", real=sets[2], seeds=1, workers=2, training=training)
    assert any("models" in note for note in caught.value.__notes__)


def test_small_images_are_trained_on_by_a_process_a_core(folders, monkeypatch):
    views = views_of(folders, ())
    monkeypatch.setattr("synthset.core.crew.default_workers", lambda device: 4)
    assert stage._workers(CompareConfig(), views) == 4
    assert stage._workers(CompareConfig(workers=3), views) == 3
    assert stage._workers(CompareConfig(training=replace(TRAINING, image_size_px=128)), views) == 1


def test_subsets_are_nested_and_by_class():
    images = make_set()
    small, large = take(images, 3, seed=1), take(images, 7, seed=1)
    assert np.bincount(small.labels).tolist() == [3, 3, 3]
    files = {large.read(i) for i in range(len(large))}
    assert {small.read(i) for i in range(len(small))} < files
    assert take(images, [1, 2, 99], seed=1).labels.tolist() == [0, 1, 1, *[2] * 20]


def test_names_tell_views_apart(sets):
    few, many, _ = sets
    assert [view.name for view in views_of([few, many], ())] == ["few", "many"]
    assert [view.name for view in views_of([few], ("base", "all_combined"))] == ["base", "all_combined"]
    assert views_of([few, many], ("base",))[1].name == "many: base"
    with pytest.raises(UsageError, match="got 'few' twice"):
        views_of([few, few], ())


def test_growing_beyond_what_there_is_is_refused(sets, tmp_path):
    few, _, real = sets
    with pytest.raises(DataError, match="Expected 99 images of 'few' beyond 4 a class, got 12"):
        compare(few, tmp_path / "out", real=real, seeds=1, images_per_class=(4,), grow=99, training=TRAINING)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Expected synthetic images to compare"),
        (["photos"], "Expected real images to test on"),
        (["photos", "--real", "digits", "--grow", "5"], "--images-per-class with --grow"),
        (
            [*("photos", "--real", "digits", "--images-per-class", "4", "--grow", "5", "--validation-fraction", "0")],
            "--validation-fraction above 0 with --grow",
        ),
        (["photos", "--real", "digits", "--images-per-class", "1"], "--images-per-class"),
        (["photos", "--real", "digits", "--seeds", "0"], "--seeds"),
        (["photos", "--real", "digit"], "digit"),
        (["nothing", "--real", "digits"], "nothing"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(words, message, own_folder, run):
    for label in ("one", "two"):
        folder = Path("photos", label)
        folder.mkdir(parents=True)
        for i in range(3):
            (folder / f"{i}.png").write_bytes(make_set().read(i))
    code, out, err = run("compare", *words)
    assert code in (1, 2)
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert not Path("comparison").exists()


def test_no_name_of_a_comparison_runs_in_a_spreadsheet():
    row = ComparisonRow("=1+1/base", 0, "small_cnn", "@photos", 10, 1, 0.5, 0.4, 0.6, -0.1)
    (told,) = csv.DictReader(as_csv([row]).splitlines())
    assert (told["view"], told["real"], told["minus"], told["same_noise"]) == ("'=1+1/base", "'@photos", "-0.1", "")


def test_a_real_set_with_other_images_is_tested_on_anew_and_others_are_not(sets, tmp_path, monkeypatch, caplog):
    few, _, real = sets
    options = {"seeds": 1, "training": TRAINING}
    first = compare(few, tmp_path / "out", real=[real, replace(real, name="other")], **options)
    monkeypatch.setattr("synthset.classifiers.train.train_epoch", lambda *_: pytest.fail("trained again"))
    assert compare(few, tmp_path / "out", real=replace(real, name="other"), **options).trials == first.trials[1:]
    smaller = replace(make_set((9, 9, 9), seed=4), name="real")  # while another set alone was named in between
    again = compare(few, tmp_path / "out", real=[smaller, replace(real, name="other")], **options)
    assert [trial.n for trial in again.trials] == [27, 60]
    assert again.trials[1] == first.trials[1]
    assert "'real' has other images or labels than were tested on before" in caplog.text
    assert "'other' has" not in caplog.text
    assert again.trials == compare(few, tmp_path / "out", real=[smaller, replace(real, name="other")], **options).trials


def test_a_marker_of_before_real_sets_were_hashed_goes_on(sets, tmp_path):
    few, _, real = sets
    first = compare(few, tmp_path / "out", real=real, seeds=1, training=TRAINING)
    marker = json.loads((tmp_path / "out" / "comparison.json").read_text())
    del marker["real_images"]
    write_json(tmp_path / "out" / "comparison.json", {key: value for key, value in marker.items() if key != CHECKSUM})
    assert compare(few, tmp_path / "out", real=real, seeds=1, training=TRAINING) == first


def test_strict_refuses_what_does_not_decode_before_anything_is_trained(sets, tmp_path):
    few, _, real = sets
    broken = replace(real, read=lambda index: b"junk" if index == 7 else real.read(index))
    with pytest.raises(DataError, match="Image 7 of 'real'"):
        compare(few, tmp_path / "out", real=broken, strict=True, training=TRAINING)
    assert not (tmp_path / "out" / "models").exists()


def test_numbers_of_images_that_nothing_has_are_refused(sets, tmp_path, caplog):
    few, many, real = sets
    with pytest.raises(UsageError, match="images_per_class of at most 20, as many as the smallest class has, got 21"):
        compare([few, many], tmp_path / "out", real=real, images_per_class=(4, 21), training=TRAINING)
    assert not (tmp_path / "out" / "comparison.json").exists()
    options = {"seeds": 1, "training": replace(TRAINING, epochs=1)}
    compare([few, many], tmp_path / "out", real=real, images_per_class=(9,), **options)
    assert "No row of 9 images a class for what has fewer: 'few' (8)." in caplog.text


def test_what_cannot_be_begun_leaves_no_folder(sets, folders, tmp_path):
    few, _, real = sets
    with pytest.raises(UnknownNameError, match="nopenet"):
        compare(few, tmp_path / "out", real=real, architectures=("nopenet",))
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="holds something else; nothing was changed"):
        compare(folders[0], folders[0], real=real)
