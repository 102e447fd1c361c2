"""The demo, end to end and small; and its own arithmetic."""

import json

import pytest

import synthset
from synthset.core.errors import ConfigChangedError, UsageError
from synthset.demo import REFERENCE, STRATEGIES, DemoResult, DemoRow
from synthset.images.decoding import decode


@pytest.fixture(scope="module")
def small_demo(tmp_path_factory):
    import sys

    folder = tmp_path_factory.mktemp("demo") / "demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["synthset.demo"], "STEPS", 4)
        patch.setattr(sys.modules["synthset.demo"], "EPOCHS", 2)
        yield synthset.demo(folder, images_per_class=20), folder


def test_the_demo_makes_its_table_and_results(small_demo):
    result, folder = small_demo
    assert [row.strategy for row in result.rows] == [*STRATEGIES, REFERENCE]
    assert [row.images for row in result.rows] == [200, 200, 200, 200, 800, 200, 898]
    saved = json.loads((folder / "results.json").read_text())
    assert saved["test_set"] == {"name": "digits", "images": 1797}
    assert len(saved["rows"]) == 7
    for row in saved["rows"]:
        assert set(row) == {"strategy", "images", "seed", "accuracy", "low", "high", "seconds"}
        assert 0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1
        assert row["seconds"] > 0
    assert decode((folder / "strategies.png").read_bytes()).width > 400
    assert all(path.exists() for path in result.paths().values())


def test_a_second_run_trains_and_draws_nothing(small_demo):
    result, folder = small_demo
    weights = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    again = synthset.demo(folder, images_per_class=20)
    assert [row.accuracy for row in again.rows] == [row.accuracy for row in result.rows]
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")} == weights


def test_another_demo_or_something_else_in_the_folder_is_refused(small_demo, tmp_path):
    _, folder = small_demo
    another = r"another demo \(images_per_class: 20 there, 30 here\); nothing was changed\. Choose another output_dir\."
    with pytest.raises(ConfigChangedError, match=another):
        synthset.demo(folder, images_per_class=30)
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="something else; nothing was changed"):
        synthset.demo(tmp_path)
    with pytest.raises(UsageError, match="seeds of at least 1, got 0"):
        synthset.demo(tmp_path / "demo", seeds=0)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"synthset_demo": 1, "images_per_class": null}'])
def test_a_damaged_marker_is_another_demo(tmp_path, content):
    (tmp_path / "demo.json").write_text(content)
    with pytest.raises(ConfigChangedError, match=r"'.*demo\.json'.*another demo"):
        synthset.demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["demo.json"]


def test_the_summary_over_seeds_is_a_mean_with_students_interval(tmp_path):
    rows = [
        DemoRow(strategy, 10, seed, accuracy, 0.0, 1.0, 2.0)
        for seed, accuracy in enumerate([0.7, 0.8, 0.9])
        for strategy in (*STRATEGIES, REFERENCE)
    ]
    summary = DemoResult(tmp_path, tuple(rows), 1797).summary()
    assert len(summary) == 7
    assert summary[0].accuracy == pytest.approx(0.8)
    # t = 4.303 for two degrees of freedom, s = 0.1, n = 3
    assert summary[0].low == pytest.approx(0.8 - 4.303 * 0.1 / 3**0.5, abs=1e-3)
    assert summary[0].seed is None
    assert "over 3 seeds" in DemoResult(tmp_path, tuple(rows), 1797).footnote()
