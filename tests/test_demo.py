import json
import shlex
from dataclasses import replace

import pytest

import synthset
from synthset.core.errors import ConfigChangedError, UsageError
from synthset.demo import REFERENCE, STRATEGIES, comparison_config
from synthset.images.decoding import decode


def short_config(seeds):
    config = comparison_config(seeds)
    return replace(config, training=replace(config.training, epochs=2))


@pytest.fixture(scope="module")
def small_demo(tmp_path_factory):
    import sys

    folder = tmp_path_factory.mktemp("demo") / "demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["synthset.demo"], "STEPS", 4)
        patch.setattr(sys.modules["synthset.demo"], "comparison_config", short_config)
        yield synthset.demo(folder, images_per_class=20), folder


def test_the_demo_makes_its_table_and_results(small_demo):
    result, folder = small_demo
    assert [row.view for row in result.rows] == [*STRATEGIES, REFERENCE]
    assert [row.images for row in result.rows] == [200, 200, 200, 200, 800, 200, 898]
    saved = json.loads((folder / "results.json").read_text())
    assert saved["test_set"] == {"name": "digits", "images": 1797}
    assert len(saved["rows"]) == 7
    for row in saved["rows"]:
        assert 0 <= row["low"] <= row["score"] <= row["high"] <= 1
    assert decode((folder / "strategies.png").read_bytes()).width > 400
    assert all(path.exists() for path in result.paths().values())
    assert "over the test images" in result.footnote()


def weights_of(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}


def test_a_second_run_trains_and_draws_nothing(small_demo):
    result, folder = small_demo
    weights = weights_of(folder)
    assert synthset.demo(folder, images_per_class=20).rows == result.rows
    assert weights_of(folder) == weights


def test_its_commands_by_hand_are_the_same_job(small_demo, tmp_path, monkeypatch, run):
    result, folder = small_demo
    monkeypatch.chdir(tmp_path)
    weights = weights_of(folder)
    for command in result.commands:
        words = shlex.split(command)[1:]
        code, out, _ = run(*words, *(["--epochs", "2"] if words[0] == "compare" else []))
        assert code == 0
    assert weights_of(folder) == weights
    assert f"{result.rows[0].score:.1%}" in out


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
