"""Streaming: each image once a pass, what a step is given follows from its number, and files are read about once."""

import io

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from image_files import grey_png, make_folder, write_parquet
from synthset.core.errors import DataError, UsageError
from synthset.core.parquet_files import KeptGroups
from synthset.images.imageset import ImageSet
from synthset.images.opening import load_path
from synthset.pretraining import streaming
from synthset.pretraining.opening import open_all
from synthset.pretraining.streaming import Crops, Stream

GROUP = 8  # rows
NUM_IMAGES = 250  # which batches of 16 do not divide, nor groups


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Images of their own grey, in row groups."""
    path = tmp_path_factory.mktemp("set") / "images.parquet"
    labels = [index % 3 for index in range(NUM_IMAGES)]
    files = [grey_png(index) for index in range(NUM_IMAGES)]
    return load_path(write_parquet(path, labels, ("a", "b", "c"), files, row_group_size=GROUP))


def rows_of(batch, view=0):
    return batch.pixels[view][:, 0, 0, 0].tolist()


def test_a_pass_has_each_image_once_but_for_those_that_fill_no_batch(images):
    stream = Stream(images, 16, Crops(4), seed=0)
    assert stream.steps_per_epoch == NUM_IMAGES // 16
    passes = [[], []]
    for batch in stream.batches(0, 2 * stream.steps_per_epoch, workers=2):
        passes[batch.step // stream.steps_per_epoch] += rows_of(batch)
        assert batch.labels.tolist() == [row % 3 for row in rows_of(batch)]
    for rows in passes:
        assert len(set(rows)) == len(rows) == 15 * 16
    assert passes[0] != passes[1]
    assert rows_of(next(Stream(images, 16, Crops(4), seed=1).batches(0, 1))) != passes[0][:16]


def test_a_step_is_the_same_wherever_it_is_begun_and_however_many_share_it():
    photos = []
    for seed in range(20):
        file = io.BytesIO()
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 10, 3), np.uint8)).save(file, "PNG")
        photos.append(file.getvalue())
    noise = ImageSet("noise", ("a",), np.zeros(20, np.int64), photos.__getitem__)
    stream = Stream(noise, 8, Crops(6, views=2), seed=3)
    whole = list(stream.batches(0, 5, workers=2))
    later = list(Stream(noise, 8, Crops(6, views=2), seed=3).batches(3, 5, workers=1))
    parts = [list(stream.batches(3, 5, rank=rank, size=2)) for rank in (0, 1)]
    for step, batch in enumerate(later):
        first = whole[3 + step]
        for view in range(2):
            np.testing.assert_array_equal(batch.pixels[view], first.pixels[view])
            for content in ("pixels", "places"):
                shared = np.concatenate([getattr(part[step], content)[view] for part in parts])
                np.testing.assert_array_equal(shared, getattr(first, content)[view])
    assert (whole[0].pixels[0] != whole[0].pixels[1]).any()
    assert whole[0].places[0].tolist() == list(range(8))
    assert whole[0].places[1].tolist() != list(range(8))  # keys are seen by batch norm beside others


def test_files_are_read_about_once_a_pass_in_little_memory(images, monkeypatch):
    """Of an order over all images nearly each would read a row group of its own."""
    group_bytes = GROUP * len(grey_png(9))
    monkeypatch.setattr(streaming, "WINDOW_BYTES", 4 * group_bytes)
    monkeypatch.setattr(KeptGroups, "budget_bytes", 12 * group_bytes)
    loads, read = [], pq.ParquetFile.read_row_group
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", lambda *a, **k: loads.append(a[1]) or read(*a, **k))
    assert images.together == GROUP
    stream = Stream(images, 16, Crops(4), seed=0)
    assert stream._window in (3, 4)  # of what images take in a file
    loads.clear()
    order = np.concatenate([rows_of(batch) for batch in stream.batches(0, stream.steps_per_epoch)])
    groups = -(-NUM_IMAGES // GROUP)
    assert len(loads) <= groups + 2
    first = order[: stream._window * GROUP]
    assert len(set(first // GROUP)) == stream._window
    assert np.abs(np.diff(first)).mean() > GROUP / 2  # shuffled within the window
    assert sorted(set(order // GROUP)) != list(dict.fromkeys(order // GROUP))  # and so are the groups


def test_images_that_are_read_alone_are_shuffled_all_together(tmp_path):
    images = load_path(make_folder(tmp_path / "set", n=50))
    assert images.together == 1
    labels = next(Stream(images, 20, Crops(4), seed=0).batches(0, 1)).labels
    assert 4 <= labels.sum() <= 16


def test_several_places_are_one_set_and_classes_of_one_name_one(images, tmp_path):
    folder = make_folder(tmp_path / "set", classes=("b", "d"), n=2)
    together = open_all([images, folder], with_classes=True)
    assert together.class_names == ("a", "b", "c", "d")
    assert together.labels[-4:].tolist() == [1, 1, 3, 3]
    assert together.together == GROUP
    assert together.read(NUM_IMAGES + 3) == grey_png(51)
    assert together.read(9) == images.read(9)
    assert "set" in together.place(NUM_IMAGES)
    with pytest.raises(UsageError, match="got no place"):
        open_all([], with_classes=True)


def test_images_without_classes_do_where_none_are_learned(tmp_path):
    for index in range(3):
        (tmp_path / f"{index}.png").write_bytes(grey_png(index))
    images = open_all([tmp_path], with_classes=False)
    assert (len(images), images.class_names) == (3, ("images",))
    with pytest.raises((DataError, UsageError)):
        open_all([tmp_path], with_classes=True)
    with pytest.raises((DataError, UsageError)):
        open_all([tmp_path / "nowhere"], with_classes=False)
