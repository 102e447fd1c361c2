"""What goes with accuracy over sets: recomputed in numpy, saved, shown, and silent where there are too few sets."""

import csv
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

import synthset
from synthset.classifiers.scoring import count
from synthset.classifiers.training_set import fingerprint
from synthset.core.files import write_json
from synthset.diagnosis.correlations import accuracies_of, correlate_measures, correlate_sets
from synthset.diagnosis.inputs import DiagnosedSet
from synthset.diagnosis.rows import SetSummary
from synthset.images.decoding import encode
from synthset.images.imageset import ImageSet
from synthset.measures.registry import measures_of
from synthset.report import build_report
from synthset.testing import FakeEncoder

SET_MEASURES = [measure.name for measure in measures_of("set")]


def summarise(number, seed=0, lacking=()):
    """A real set, and synthetic ones with made-up values."""
    random = np.random.default_rng(seed)
    rows = [SetSummary("photos", "real", 9, dict.fromkeys(SET_MEASURES))]
    for i in range(number):
        values = {name: float(random.random()) for name in SET_MEASURES} | dict.fromkeys(lacking)
        rows.append(SetSummary(f"set {i}", "synthetic", 9, values | {"vendi_score": 2.0}))
    return rows


def draw(name, seed):
    random, labels = np.random.default_rng(seed), np.repeat([0, 1], 8)
    files = [encode(random.integers(0, 60 + 190 * label, (4, 4, 3), np.uint8)) for label in labels]
    return ImageSet(name, ("dark", "bright"), labels, files.__getitem__)


def test_each_measure_is_correlated_with_the_accuracy_by_centroids_as_scipy_does_it():
    summary = summarise(12)
    found = correlate_measures(summary, accuracies_of([], summary, {}))
    assert [row.measure for row in found] == [name for name in SET_MEASURES if name != "transfer_accuracy"]
    accuracy = [row.transfer_accuracy for row in summary[1:]]
    for row in found:
        values = [item.values[row.measure] for item in summary[1:]]
        if row.measure == "vendi_score":
            assert (row.found.n, row.found.pearson, row.found.spearman) == (12, None, None)  # it is a constant
            continue
        peer = stats.pearsonr(values, accuracy)
        assert row.found.pearson == pytest.approx(peer.statistic)
        assert (row.found.pearson_low, row.found.pearson_high) == pytest.approx(peer.confidence_interval(0.95))
        assert row.found.spearman == pytest.approx(stats.spearmanr(values, accuracy).statistic)
        assert row.found.n == 12


def test_sets_without_a_measure_are_not_counted():
    summary = [*summarise(5), *(replace(row, set=f"{row.set}b") for row in summarise(3, 1, ["prompt_accuracy"])[1:])]
    found = {row.measure: row.found for row in correlate_measures(summary, accuracies_of([], summary, {}))}
    assert (found["prompt_accuracy"].n, found["centroid_distance"].n) == (5, 8)
    values = [row.prompt_accuracy for row in summary[1:6]]
    expected = np.corrcoef(values, [row.transfer_accuracy for row in summary[1:6]])[0, 1]
    assert found["prompt_accuracy"].pearson == pytest.approx(expected)


def test_of_three_sets_there_is_no_table_and_a_line_says_so():
    assert correlate_sets([], summarise(4), {}) != (None, "")
    assert correlate_sets([], summarise(4), {})[1] == ""
    table, said = correlate_sets([], summarise(3), {})
    assert table is None
    assert said == (
        "A correlation of measures with accuracy takes at least 4 synthetic sets of which both are known; here are 3 "
        "with the share of real images that is right by them, so none is given."
    )


def evaluate(images, accuracy, *, real="digits", kind="real", architecture="small_cnn"):
    model = {"fingerprint": fingerprint(images), "settings": {"architecture": architecture}}
    return {"real": real, "kind": kind, "accuracy": accuracy, "model": model}


def test_classifiers_count_for_the_set_that_they_learned_from_and_for_no_other():
    drawn = [draw(f"set {i}", i) for i in range(5)]
    sets = [DiagnosedSet(images.name, "synthetic", images) for images in drawn]
    evaluations = {f"m{i}": evaluate(images, 0.1 * i) for i, images in enumerate(drawn)}
    evaluations["another seed"] = evaluate(drawn[2], 0.6)
    evaluations["of others"] = evaluate(draw("elsewhere", 99), 0.9)
    evaluations["on synthetic"] = evaluate(drawn[0], 1.0, kind="synthetic")
    evaluations["larger"] = evaluate(drawn[0], 0.7, architecture="resnet50")
    evaluations["unknown"] = {"real": "digits", "accuracy": 0.5}
    summary = summarise(5)
    accuracies = accuracies_of(sets, summary, evaluations)
    own = {"set 0": 0.0, "set 1": 0.1, "set 2": 0.4, "set 3": 0.3, "set 4": 0.4}
    assert accuracies["small_cnn on digits"] == pytest.approx(own)
    assert accuracies["resnet50 on digits"] == {"set 0": 0.7}
    found = {(row.accuracy, row.measure): row.found for row in correlate_measures(summary, accuracies)}
    values = [row.centroid_distance for row in summary[1:]]
    assert found["small_cnn on digits", "centroid_distance"].pearson == pytest.approx(
        np.corrcoef(values, list(own.values()))[0, 1]
    )
    assert {accuracy for accuracy, _ in found} == {"transfer_accuracy", "small_cnn on digits"}
    assert "1 with resnet50 on digits" in correlate_sets(sets, summary, evaluations)[1]


def test_they_are_saved_as_tables_and_shown(tmp_path):
    drawn = [draw(f"set {i}", i) for i in range(4)]
    real = draw("photos", 50)
    options = {"encoder": FakeEncoder(), "cache": tmp_path / "c", "tsne_images": 0, "real": real}
    for i, images in enumerate(drawn):
        tested = count(np.array([0, 1] * 5), np.array([0] * i + [0, 1] * 5)[:10], ("dark", "bright"), "photos")
        model = {
            "num_training": 16,
            "epoch": 1,
            "settings": {"architecture": "net"},
            "fingerprint": fingerprint(images),
        }
        write_json(tmp_path / f"e{i}.json", tested.to_json() | {"model": model})
    evaluations = [tmp_path / f"e{i}.json" for i in range(4)]
    result = synthset.diagnose(drawn, tmp_path / "out", evaluations=evaluations, **options)
    rows = pq.read_table(tmp_path / "out" / "correlations.parquet").to_pylist()
    assert {row["accuracy"] for row in rows} == {"transfer_accuracy", "net on photos"}
    written = list(csv.DictReader((tmp_path / "out" / "correlations.csv").read_text("utf-8").splitlines()))
    assert [row["measure"] for row in written] == [row["measure"] for row in rows]
    shown = next(row for row in rows if (row["accuracy"], row["measure"]) == ("net on photos", "centroid_distance"))
    page = result.report.read_text("utf-8")
    assert f'data-value="{shown["pearson"]}"' in page
    assert "What goes with accuracy" in page
    synthset.diagnose(drawn[:3], tmp_path / "out", **options)  # in its place
    assert not (tmp_path / "out" / "correlations.parquet").exists()
    assert "here are 3 with the share of real images that is right by them, so none is given" in build_report(
        tmp_path / "out"
    ).read_text("utf-8")
