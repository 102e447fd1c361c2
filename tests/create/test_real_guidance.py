"""Which real images drawing begins at, and what `create` records of them."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from parity_encoder import ParityEncoder
from small_datasets import Crash, crashing, hashes, photo, photos
from synthset.cli import main
from synthset.core.errors import ConfigChangedError, DataError, UnknownNameError, UsageError
from synthset.create.plan import make_plan
from synthset.create.real_guidance import MAX_IMAGES, choose_initial_images, strength_for
from synthset.create.stage import CreateConfig, create
from synthset.dataset.reader import open_dataset
from synthset.images.decoding import decode
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImagePath, Opening
from synthset.prompts.strategies import resolve_strategies
from synthset.real import learning, load_real, split
from synthset.real.learning import few_shot_pool
from synthset.testing import FakeGenerator, ShuffledExecutor

CLASSES = ("cat", "sea_lake")


@dataclass
class FakeFromImages(FakeGenerator):
    """Draws the real image, with noise where the strength says so."""

    files: list[dict[str, bytes]] = field(default_factory=list)

    def generate_from(self, requests, initial_images):
        self.files.append(dict(initial_images))
        images = self.generate(requests)
        for request, image in zip(requests, images, strict=True):
            real = np.asarray(decode(initial_images[request.initial_image]).resize((self.size_px, self.size_px)))
            rows = round(request.strength * self.size_px)
            image.pixels[rows:] = real[rows:]
        return images


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def make(folder, generator=None, **options):
    options = {
        "strategies": ("base", "random_guidance"),
        "images_per_class": 5,
        "initial_images": photos(),
        "shots": 2,
        "shard_size": 8,
    } | options
    return create(CLASSES, folder, generator=generator or FakeFromImages(preferred_batch_size=4), **options)


# ---- which images -----------------------------------------------------------------------------------------


def test_shots_are_drawn_by_seed_and_more_shots_add_to_fewer():
    def chosen(shots, seed=0):
        return set(choose_initial_images(photos((9, 9)), CLASSES, shots, seed).files)

    for shots in (1, 2, 4, 8):
        assert len(chosen(shots)) == 2 * shots
        assert chosen(1) <= chosen(shots) <= chosen(9)
    assert chosen(4) == chosen(4) != chosen(4, seed=1)


def test_the_pool_of_digits_leaves_the_half_that_is_tested_on():
    pool = few_shot_pool("digits")
    first, second = split(load_real("digits"), 0.5, seed=0)
    files = [{part.read(i) for i in range(len(part))} for part in (pool, first, second)]
    assert files[0] == files[1]
    assert not files[0] & files[2]
    given = few_shot_pool(load_real("digits"))
    assert [given.read(i) for i in range(9)] == [pool.read(i) for i in range(9)]
    used = choose_initial_images("digits", load_real("digits").class_names, 16)
    assert set(used.files.values()) <= files[1]


def test_the_training_split_is_the_pool_where_there_is_one(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(learning, "open_set", lambda real: asked.append((real.path, real.opening.split)) or photos())
    few_shot_pool("CIFAR-10")
    few_shot_pool("aircraft")
    assert asked == [("CIFAR-10", "train"), ("aircraft", "train+validation")]
    with pytest.raises(UsageError, match="is for testing only"):
        few_shot_pool("imagenet-sketch")
    monkeypatch.undo()

    for part, seeds in (("train", range(2)), ("test", range(2, 4))):
        for seed in seeds:
            folder = tmp_path / "photos" / part / ("cat", "sea lake")[seed % 2]
            folder.mkdir(parents=True)
            (folder / "a.png").write_bytes(photo(seed))
    pool = few_shot_pool(tmp_path / "photos")
    assert {pool.read(i) for i in range(2)} == {photo(0), photo(1)}
    assert set(choose_initial_images(tmp_path / "photos", CLASSES).files.values()) == {photo(0), photo(1)}
    # of one's own folder without splits, all images are taken
    assert set(choose_initial_images(tmp_path / "photos" / "test", CLASSES).files.values()) == {photo(2), photo(3)}
    (tmp_path / "photos" / "train").rename(tmp_path / "photos" / "val")
    with pytest.raises(UsageError, match=r"one split of '.*' to learn from, got test, val"):
        few_shot_pool(tmp_path / "photos")


def test_classes_are_matched_by_name():
    images = choose_initial_images(photos(), CLASSES)
    assert images.hashes == (
        tuple(sha256(photo(i)) for i in range(5, 10)),
        tuple(sha256(photo(i)) for i in range(5)),
    )
    assert images.files == {sha256(photo(i)): photo(i) for i in range(10)}
    assert images.strength == strength_for(5) == 0.35
    assert choose_initial_images(photos((5, 1)), CLASSES).strength == 0.5
    assert choose_initial_images(photos(), CLASSES, 2).strength == 0.4
    assert choose_initial_images(photos(), CLASSES, 2, strength=0.7).strength == 0.7


def test_images_of_further_classes_are_left_out(caplog):
    more = photos((2, 2, 2), ("cat", "dog", "sea lake"))
    used = choose_initial_images(more, CLASSES)
    assert [len(names) for names in used.hashes] == [2, 2]
    assert "left out 2 images of further classes: dog" in caplog.text


def damaged(*broken, counts=(3, 3)):
    """Photos of which some do not decode."""
    images = photos(counts, CLASSES)

    def read(row):
        return b"\x89PNG\r\n\x1a\n and no more" if row in broken else images.read(row)

    return replace(images, read=read, origin=lambda row: f"file-{row}.png")


def test_images_that_do_not_decode_are_named_and_others_take_their_place(caplog):
    whole, used = choose_initial_images(damaged(), CLASSES), choose_initial_images(damaged(1, 5), CLASSES)
    assert [len(names) for names in used.hashes] == [2, 2]
    assert used.files.items() < whole.files.items()
    assert used.strength == strength_for(2)
    (message,) = caplog.messages
    assert (
        "2 of the 6 images of 'photos' cannot be read: file-1.png: a damaged PNG; file-5.png: a damaged PNG" in message
    )
    assert message.endswith("They are left out.")
    for shots in (1, 2):
        few = [set(choose_initial_images(damaged(*rows), CLASSES, shots).files) for rows in ((), (1, 5))]
        assert len(few[0]) == len(few[1]) == 2 * shots
        assert few[1] <= set(used.files)
        assert few[0] & set(used.files) <= few[1]  # the others stay
    assert caplog.messages[-1].endswith("Others are drawn in their place.")


def test_a_strict_opening_refuses_images_that_do_not_decode(tmp_path):
    for i, name in enumerate(CLASSES):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(photo(i))
        (tmp_path / name / "b.png").write_bytes(b"")
    for shots in (None, 1, 2):
        with pytest.raises((DataError, UsageError), match=r"an empty file|got 1 of 'cat'"):
            choose_initial_images(ImagePath(str(tmp_path), Opening(strict=shots != 2)), CLASSES, shots, seed=3)
    assert len(choose_initial_images(tmp_path, CLASSES, 1, seed=3).files) == 2


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"initial_images": photos(names=("cat", "dog"))}, UsageError, "cat, sea_lake in 'photos', got 2: cat, dog"),
        ({"initial_images": "no such set"}, UnknownNameError, "no such set"),
        ({"initial_images": "./nowhere"}, DataError, "nowhere"),
        ({"shots": 6}, UsageError, "Expected at least 6 images of every class of 'photos', got 5 of 'cat'"),
        ({"initial_images": photos((5, 0)), "shots": None}, DataError, "found none of: cat"),
        (
            {"initial_images": damaged(3, 4, 5), "shots": None, "strength": 0.5},
            DataError,
            "in 'photos', found none of: sea_lake",
        ),
        ({"initial_images": damaged(3, 4, 5), "shots": 1}, UsageError, "1 image of every class of 'photos', got 0 of"),
        ({"initial_images": damaged(*range(6)), "shots": None}, DataError, "6 of the 6 images of 'photos' cannot be"),
        ({"shots": 0}, UsageError, "Expected shots of at least 1, got 0"),
        ({"shots_seed": -1}, UsageError, "Expected shots_seed of at least 0"),
        ({"strength": 0.0}, UsageError, "above 0 and at most 1, got 0"),
        ({"strength": 1.01}, UsageError, "above 0 and at most 1, got 1.01"),
        ({"strength": 0.02}, UsageError, "leaves a step to draw, got 0.02 of 40 steps"),
        ({"steps": 2}, UsageError, "leaves a step to draw, got 0.4 of 2 steps"),
        ({"initial_images": None}, UsageError, "Expected initial_images with shots"),
        ({"initial_images": None, "shots": None, "strength": 0.5}, UsageError, "Expected initial_images with strength"),
        ({"generator": FakeGenerator()}, UsageError, "can begin at real images, got FakeGenerator"),
    ],
)
def test_what_cannot_be_is_one_clear_line_and_nothing_is_written(tmp_path, options, error, words):
    with pytest.raises(error, match=words) as caught:
        make(tmp_path / "pets", **options)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_more_images_than_memory_holds_are_refused_before_they_are_read():
    many = ImageSet("all", ("cat",), np.zeros(MAX_IMAGES + 1, np.int64), lambda index: b"")
    with pytest.raises(DataError, match="Give fewer shots"):
        choose_initial_images(many, ["cat"])


# ---- the plan ---------------------------------------------------------------------------------------------


def test_requests_take_their_images_in_turn_and_change_in_nothing_else():
    runs = resolve_strategies(["base", "random_guidance"], 5)
    guided = make_plan(CLASSES, runs, initial_images=[["a", "b"], ["c", "d", "e"]], strength=0.4)
    plain = make_plan(CLASSES, runs)
    for request, before in zip(guided.requests(), plain.requests(), strict=True):
        names = (("a", "b"), ("c", "d", "e"))[request.class_index]
        assert request.initial_image == names[request.index % len(names)]
        assert vars(request) == vars(before) | {"initial_image": request.initial_image, "strength": 0.4}
        assert request.retried(1).initial_image == request.initial_image
    assert (before.initial_image, before.strength) == ("", 1.0)
    assert "strength" not in plain.table.column_names
    others = [
        make_plan(CLASSES, runs, initial_images=[["a", "b"], ["c", "d", "e"]], strength=0.5),
        make_plan(CLASSES, runs, initial_images=[["b", "a"], ["c", "d", "e"]], strength=0.4),
    ]
    assert len({guided.hash, plain.hash, *(other.hash for other in others)}) == 4


# ---- the dataset ------------------------------------------------------------------------------------------


def test_each_image_is_recorded_with_its_real_one_and_drawn_again_from_that(tmp_path):
    generator = FakeFromImages(preferred_batch_size=4)
    dataset = make(tmp_path / "pets", generator).dataset
    real = dataset.initial_images()
    assert all(files == real for files in generator.files)
    assert all(sha256(data) == name for name, data in real.items())

    stored = pq.read_table(tmp_path / "pets" / "real-images.parquet").to_pylist()
    assert [(row["label"], row["class_name"]) for row in stored] == [(0, "cat")] * 2 + [(1, "sea_lake")] * 2
    assert {row["sha256"]: row["bytes"] for row in stored} == real
    of_class = [[row["sha256"] for row in stored if row["label"] == label] for label in range(2)]

    rows = dataset.rows.to_pylist()
    assert {row["strength"] for row in rows} == {0.4}
    assert all(row["initial_image"] == of_class[row["label"]][row["index"] % 2] for row in rows)
    row = rows[7]
    (image,) = FakeFromImages().generate_from(dataset.requests([7]), real)
    np.testing.assert_array_equal(np.asarray(dataset.images().image(7)), image.pixels)
    np.testing.assert_array_equal(image.pixels[4:], np.asarray(decode(real[row["initial_image"]]))[4:])

    job = dataset.manifest["job"]["initial_images"]
    assert (job["images"], job["strength"]) == (4, 0.4)
    card = (tmp_path / "pets" / "README.md").read_text()
    assert "class names and 4 real\nimages" in card
    assert "from class names alone" not in card


def test_hugging_face_datasets_opens_the_folder(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    make(tmp_path / "pets")
    loaded = datasets.load_dataset(str(tmp_path / "pets"), cache_dir=str(tmp_path / "cache"))
    assert len(loaded["train"]) == 20
    assert loaded["train"][0]["strength"] == 0.4


def test_a_dataset_without_real_images_has_no_trace_of_them(tmp_path):
    dataset = make(tmp_path / "pets", initial_images=None, shots=None).dataset
    assert {"initial_image", "strength"}.isdisjoint(dataset.rows.column_names)
    assert "initial_image" not in pq.read_table(tmp_path / "pets" / "plan.parquet").column_names
    assert "initial_images" not in dataset.manifest["job"]
    assert not (tmp_path / "pets" / "real-images.parquet").exists()
    assert dataset.initial_images() == {}
    assert "from class names alone" in (tmp_path / "pets" / "README.md").read_text()


def test_an_interrupted_run_is_finished_and_a_whole_one_left_alone(tmp_path):
    make(tmp_path / "whole", FakeFromImages(preferred_batch_size=3), executor=ShuffledExecutor(1))
    with pytest.raises(Crash):
        make(tmp_path / "cut", crashing(FakeFromImages(preferred_batch_size=4), 3))
    make(tmp_path / "cut")
    assert hashes(tmp_path / "cut") == hashes(tmp_path / "whole")
    before = (tmp_path / "cut" / "real-images.parquet").stat().st_mtime_ns
    assert make(tmp_path / "cut").drawn == 0
    assert (tmp_path / "cut" / "real-images.parquet").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"strength": 0.5}, "initial_images.strength: 0.4 there, 0.5 here"),
        ({"shots": 3, "strength": 0.4}, "initial_images.images: 4 there, 6 here"),
        ({"shots_seed": 1}, "initial_images.hash"),
        ({"initial_images": None, "shots": None}, "initial_images.strength: 0.4 there, null here"),
    ],
)
def test_other_real_images_are_another_job(tmp_path, change, named):
    make(tmp_path / "pets")
    with pytest.raises(ConfigChangedError, match=named):
        make(tmp_path / "pets", **change)
    make(tmp_path / "pets", overwrite=True, **change)
    assert (tmp_path / "pets" / "real-images.parquet").exists() == ("initial_images" not in change)


def test_refilling_goes_on_with_the_next_real_image(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHSET_CACHE", str(tmp_path / "cache"))
    options = {"refill": "clip", "encoder": ParityEncoder(CLASSES), "images_per_class": 4, "max_draws": 40}
    result = make(tmp_path / "pets", strength=0.5, **options)
    assert result.refill.rounds
    rows = result.dataset.rows.to_pylist()
    stored = pq.read_table(tmp_path / "pets" / "real-images.parquet").to_pylist()
    of_class = [[row["sha256"] for row in stored if row["label"] == label] for label in range(2)]
    assert len(rows) > 16
    assert all(row["initial_image"] == of_class[row["label"]][row["index"] % 2] for row in rows)
    again = make(tmp_path / "pets", strength=0.5, **options)
    assert (again.drawn, again.refill.rounds) == (0, result.refill.rounds)


# ---- on the command line, with a model --------------------------------------------------------------------


def test_the_miniature_begins_at_real_digits_and_draws_any_image_again(tmp_path, monkeypatch, capsys):
    from synthset.generators.loading import load_generator
    from synthset.real import class_names_of

    monkeypatch.chdir(tmp_path)
    words = ["create", "--dataset", "digits", "--initial-images", "digits", "--shots", "4", "--steps", "4"]
    words += ["--images-per-class", "1", "--strength", "0.5", "--resize", "32", "--dtype", "float32", "--quiet"]
    assert main([*words, "--dry-run"]) == 0
    assert not list(Path().iterdir())
    assert main([*words, "--output-dir", "d"]) == 0
    dataset = open_dataset("d")
    assert dataset.class_names == class_names_of("digits")
    generator = load_generator("miniature", num_inference_steps=4, dtype="float32")
    (image,) = generator.generate_from(dataset.requests([3]), dataset.initial_images())
    stored = np.asarray(dataset.images().image(3), np.int16)
    assert np.abs(stored - image.pixels).max() <= 1
    assert json.loads(Path("d/manifest.json").read_text())["job"]["initial_images"]["images"] == 40

    capsys.readouterr()
    assert main(["create", "--classes", "one", "--strength", "0.5", "--output-dir", "e"]) == 2
    assert "Expected --initial-images with --strength" in capsys.readouterr().err
    assert not Path("e").exists()


def test_the_shots_of_a_config_are_checked_before_anything_is_read():
    with pytest.raises(UsageError, match="shots of at least 1"):
        CreateConfig(initial_images="no such set", shots=-1)
