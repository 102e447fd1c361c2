"""Side by side stands what was drawn on one noise, and comparisons pair by it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from bars import CONFIG
from small_datasets import CLASSES, make, photos
from synthset.classifiers.training_set import hold_back
from synthset.cli.model_tables import print_comparison
from synthset.comparison import side_by_side as module
from synthset.comparison.side_by_side import side_by_side
from synthset.comparison.stage import compare
from synthset.comparison.trials import ALL, same_noise
from synthset.comparison.views import views_of
from synthset.core.errors import DataError, UnknownNameError, UsageError
from synthset.dataset.reader import open_dataset
from synthset.report import build_report
from synthset.testing import FakeGenerator

TRAINING = replace(CONFIG, augmentation="none", seed=0, epochs=1)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Folders: few and many images on one noise, of which one was drawn again; noise of another seed; and of none."""
    root = tmp_path_factory.mktemp("drawn")
    make(root / "few", strategies=("base",), images_per_class=4, shared_noise=True)
    many = {"strategies": ("class_prompt", "multi_domain"), "images_per_class": 7, "shared_noise": True}
    make(root / "many", generator=FakeGenerator(status=OnceBlank("a photo of a cat")), **many)
    make(root / "other", seed=65, shared_noise=True)
    make(root / "own")
    return root


class OnceBlank:
    """The first image of a prompt fails, and is drawn again on other noise."""

    def __init__(self, prompt):
        self.prompt, self.failed = prompt, None

    def __call__(self, request):
        if request.prompt == self.prompt and self.failed in (None, request.seed):
            self.failed = request.seed
            return "blank"
        return "ok"


def seeds_of(folder, strategy):
    rows = [row for path in sorted((folder / "data").iterdir()) for row in pq.read_table(path).to_pylist()]
    return {(row["class_name"], row["index"]): row["seed"] for row in rows if row["strategy"] == strategy}


def test_rows_hold_equal_noise_and_leave_out_what_was_drawn_again(drawn, tmp_path, monkeypatch):
    grids = []
    monkeypatch.setattr(module, "draw_grid", lambda *arguments: grids.append(arguments) or arguments[0])
    shown = side_by_side([drawn / "few", drawn / "many"], tmp_path / "picture.png", images_per_class=9)
    assert shown.columns == ("few: base", "many: class_prompt", "many: multi_domain")
    base, domain = seeds_of(drawn / "few", "base"), seeds_of(drawn / "many", "multi_domain")
    equal = [number for number in range(4) if base["cat", number] == domain["cat", number]]
    assert len(equal) == 3  # "a photo of a cat" was drawn again
    assert dict(zip(shown.classes, shown.numbers, strict=True)) == {"cat": tuple(equal)}
    (_, title, columns, rows, _), *_ = grids
    assert title == "few and many  ·  a row is one noise"
    assert [len(row.cells) for row in rows] == [len(columns)] * len(equal)
    made = open_dataset(drawn / "many")
    requests, images = made.requests(), made.images()
    for row in rows:
        for cell, strategy in zip(row.cells[1:], ("class_prompt", "multi_domain"), strict=True):
            (place,) = (
                place
                for place, request in enumerate(requests)
                if (request.strategy, request.class_name, f"noise {request.index}") == (strategy, row.block, row.label)
            )
            np.testing.assert_array_equal(np.asarray(cell.image), np.asarray(images.image(place)))
            assert cell.captions == (requests[place].prompt, f"scale 7.5 · id {requests[place].id}")


def test_the_command_writes_a_picture_and_says_what_it_shows(drawn, tmp_path, run):
    path = tmp_path / "picture.png"
    words = (
        "side-by-side",
        str(drawn / "many"),
        "--classes",
        "sea_lake",
        "--images-per-class",
        "2",
        "--output",
        str(path),
    )
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    assert "2 columns on 2 equal noises of sea_lake" in out
    with Image.open(path) as picture:
        assert min(picture.size) > 200
    code, out, _ = run(*words, "--json")
    assert json.loads(out)["side_by_side"]["numbers"] == [[0, 1]]


def test_variables_and_files_set_the_options_of_a_command_of_several_words(drawn, own_folder, run, monkeypatch):
    monkeypatch.setenv("SYNTHSET_SIDE_BY_SIDE_IMAGES_PER_CLASS", "2")
    Path("mine.yaml").write_text("side-by-side:\n  classes: [sea_lake]\n")
    code, out, err = run("side-by-side", str(drawn / "many"), "--config", "mine.yaml")
    assert (code, err) == (0, "")
    assert "2 columns on 2 equal noises of sea_lake" in out
    monkeypatch.setenv("SYNTHSET_SIDE_BY_SIDE_CLASES", "cat")
    code, _, err = run("side-by-side", str(drawn / "many"))
    assert code == 2
    assert "Did you mean SYNTHSET_SIDE_BY_SIDE_CLASSES?" in err


@pytest.mark.parametrize(
    ("names", "options", "error", "message"),
    [
        ((), {}, UsageError, "got none"),
        (("own",), {}, DataError, "each has its own"),
        (("few", "own"), {}, DataError, "each has its own"),
        (("few", "other"), {}, DataError, "seed: 64 there, 65 here"),
        (("few", "few"), {}, UsageError, "each dataset once"),
        (("few",), {"strategies": ("bas",)}, UnknownNameError, "Did you mean 'base'"),
        (("few",), {"classes": ("sea lake",)}, UnknownNameError, "Did you mean 'sea_lake'"),
        (("few",), {"images_per_class": 0}, UsageError, "images_per_class of at least 1, got 0"),
        (("few",), {"images_per_class": 25}, UsageError, "at most 24 rows, got 25"),
    ],
)
def test_what_cannot_stand_side_by_side_is_refused(names, options, error, message, drawn, tmp_path):
    with pytest.raises(error, match=message):
        side_by_side([drawn / name for name in names], tmp_path / "picture.png", **options)
    assert not (tmp_path / "picture.png").exists()


def test_no_noise_in_common_is_refused(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_shared_numbers", lambda *_: [])
    with pytest.raises(DataError, match="one noise in every column of cat, sea_lake, found none"):
        side_by_side([drawn / "few"], tmp_path / "picture.png")


# ---- comparisons ------------------------------------------------------------------------------------------


def views(*folders, strategies=()):
    return views_of([str(folder) for folder in folders], strategies)


@pytest.mark.parametrize("seed", [0, 3])
def test_subsets_of_one_size_are_of_one_noise_and_so_are_those_held_back(seed, drawn):
    few, many = views(drawn / "few", drawn / "many")[0], views(drawn / "many", strategies=("class_prompt",))[0]
    learned = []
    for view in (few, many):
        images, noise = view.take(4, seed), view.noise(seed)
        assert noise is not None
        kept = noise.seeds[noise.numbers < 4]
        assert len(images) == len(kept) == 8
        _, held_back = hold_back(images.labels, 0.25, seed)
        learned.append((images.labels.tolist(), kept.tolist(), kept[held_back].tolist()))
    assert learned[0] == learned[1]


def test_the_share_of_equal_noise_is_counted_by_what_was_learned(drawn):
    few = views(drawn / "few")[0]
    many = views(drawn / "many", strategies=("class_prompt",))[0]
    assert same_noise(many, few, 4, (0, 1)) == 1
    assert same_noise(many, few, ALL, (0,)) == pytest.approx(4 / 7)
    again = views(drawn / "many", strategies=("multi_domain",))[0]
    assert same_noise(again, few, 4, (0,)) == pytest.approx(7 / 8)
    for name in ("other", "own"):
        assert same_noise(views(drawn / name)[0], few, ALL, (0,)) is None


def test_a_comparison_names_its_pairing_and_has_the_picture(drawn, tmp_path, capsys):
    real, data = replace(photos((5, 5), CLASSES), name="real"), [str(drawn / "few"), str(drawn / "many")]
    result = compare(data, tmp_path / "out", real=real, seeds=2, training=TRAINING)
    shares = {(Path(row.view).name, row.budget): row.same_noise for row in result.rows}
    # two strategies on two noises a class make four images; that of one cat is its own
    many = {("many", 4): pytest.approx(4 / 5), ("many", ALL): pytest.approx(8 / 15)}
    assert shares == {("few", 4): None, ("few", ALL): None, **many}
    print_comparison(result)
    printed = capsys.readouterr().out
    assert "same noise" in printed
    assert "80.0%" in printed
    assert "trainings of the same seed, and as far as 'same noise' says, images on the noise of" in printed
    assert (tmp_path / "out" / "side-by-side.png").exists()
    assert "Same noise" in build_report(tmp_path / "out").read_text()
    result = compare([data[0], str(drawn / "own")], tmp_path / "out", real=real, seeds=2, training=TRAINING)
    assert not (tmp_path / "out" / "side-by-side.png").exists()
    assert "Same noise" not in build_report(tmp_path / "out").read_text()
    print_comparison(result)
    assert "Differences are paired: trainings of the same seed." in capsys.readouterr().out
