import json
import shlex

import pytest

import synthset
from synthset.core.errors import ConfigChangedError, UsageError
from synthset.dataset.reader import open_dataset
from synthset.demo import REFERENCE, STRATEGIES
from synthset.images.decoding import decode


@pytest.fixture(scope="module")
def small_demo(tmp_path_factory):
    import sys

    folder = tmp_path_factory.mktemp("demo") / "demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["synthset.demo"], "STEPS", 4)
        patch.setattr(sys.modules["synthset.demo"], "EPOCHS", 2)
        shown = []
        listeners = {"when_estimated": shown.append, "when_tested": shown.append}
        yield synthset.demo(folder, images_per_class=20, **listeners), folder, shown


def test_the_demo_makes_its_table_and_results(small_demo):
    result, folder, _ = small_demo
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


def test_it_says_what_it_takes_and_shows_a_first_row_at_once(small_demo):
    result, folder, (work, first) = small_demo
    assert (work.images, work.networks) == (800, 7)
    assert work.unet_rows == 800 * (4 + 3)  # the first of four steps is not guided
    assert work.learned_images == 2 * round(0.9 * (4 * 200 + 800 + 200 + 898))
    assert work.seconds > 0
    assert first == result.rows[0]
    drawn = open_dataset(folder / "seed-0" / "dataset").images("base")
    alone = open_dataset(folder / "seed-0" / "first").images("base")
    assert [drawn.read(i) for i in range(200)] == [alone.read(i) for i in range(200)]


def weights_of(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}


def test_a_second_run_trains_and_draws_nothing(small_demo):
    result, folder, _ = small_demo
    weights, shown = weights_of(folder), []
    listeners = {"when_estimated": shown.append, "when_tested": shown.append}
    assert synthset.demo(folder, images_per_class=20, **listeners).rows == result.rows
    assert not shown
    assert weights_of(folder) == weights


def test_its_commands_by_hand_are_the_same_job(small_demo, tmp_path, monkeypatch, run):
    result, folder, _ = small_demo
    monkeypatch.chdir(tmp_path)
    weights = weights_of(folder)
    for command in result.commands:
        words = shlex.split(command)[1:]
        code, out, _ = run(*words)
        assert code == 0
    assert weights_of(folder) == weights
    assert f"{result.rows[0].score:.1%}" in out


def test_another_demo_or_something_else_in_the_folder_is_refused(small_demo, tmp_path):
    _, folder, _ = small_demo
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
