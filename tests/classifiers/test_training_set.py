"""What a training learns from: the split, batches, statistics, and what tells two sets apart."""

import dataclasses
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from bars import make_set
from synthset.classifiers import training_set
from synthset.classifiers.distributed import World
from synthset.classifiers.training_set import (
    channel_statistics,
    decoded,
    fingerprint,
    hold_back,
    read_sides,
    split_batches,
)
from synthset.core.errors import DataError
from synthset.images.decoding import encode
from synthset.images.imageset import ImageSet


def test_holding_back_is_stratified_and_follows_the_seed():
    labels = np.array([0] * 40 + [1] * 10 + [2] * 2)
    training, held_back = hold_back(labels, 0.1, seed=5)
    assert np.bincount(labels[held_back]).tolist() == [4, 1, 1]
    assert sorted([*training, *held_back]) == list(range(52))
    assert np.array_equal(hold_back(labels, 0.1, seed=5)[1], held_back)
    assert not np.array_equal(hold_back(labels, 0.1, seed=6)[1], held_back)
    assert np.bincount(labels[hold_back(labels, 0.99, seed=5)[0]]).tolist() == [1, 1, 1]
    assert [len(rows) for rows in hold_back(labels, 0, seed=5)] == [len(labels), 0]


def test_a_last_batch_of_one_joins_the_one_before():
    def sizes(n, size):
        return [len(batch) for batch in split_batches(torch.arange(n), size)]

    assert sizes(9, 4) == [4, 5]
    assert sizes(10, 4) == [4, 4, 2]
    assert sizes(3, 8) == [3]
    assert sizes(3, 1) == [1, 1, 1]
    assert torch.cat(split_batches(torch.arange(9), 4)).tolist() == list(range(9))


def test_channel_statistics_are_those_of_the_chosen_rows():
    pixels = torch.randint(0, 256, (30, 3, 5, 5), generator=torch.Generator().manual_seed(0)).byte()
    rows = np.arange(0, 30, 3)
    mean, std = channel_statistics(pixels, rows)
    chosen = pixels[torch.from_numpy(rows)].double() / 255
    assert mean == pytest.approx(chosen.mean((0, 2, 3)).tolist())
    assert std == pytest.approx(chosen.std((0, 2, 3), correction=0).tolist())
    assert min(channel_statistics(torch.zeros_like(pixels), rows)[1]) > 0


def of_sizes(*sizes):
    """Images of these widths and heights; None for one that does not decode."""
    files = [b"junk" if size is None else encode(np.zeros((size[1], size[0], 3), np.uint8)) for size in sizes]
    return ImageSet("mixed", ("a", "b"), np.arange(len(files)) % 2, files.__getitem__)


def test_the_size_is_the_median_of_the_longer_sides_and_not_that_of_the_first():
    sides = read_sides(of_sizes((4, 4), None, (64, 20), (30, 64), (64, 64), (17, 16), (256, 9)))
    assert (sides.median_px, sides.size_px, sides.looked_at) == (64, 64, 6)
    assert sides.far == ("image 0 (4×4)", "image 6 (256×9)")  # 17 px is more than a fourth
    assert read_sides(of_sizes((300, 300), (500, 400))).size_px == 224
    with pytest.raises(DataError, match="Expected a whole PNG"):
        read_sides(of_sizes(None, None))
    with pytest.raises(DataError, match="Expected images in 'mixed', found none"):
        read_sides(of_sizes())


def test_sizes_are_looked_at_evenly_in_a_large_set(monkeypatch):
    monkeypatch.setattr(training_set, "MAX_LOOKED_AT", 5)
    sides = read_sides(of_sizes(*[(8, 8)] * 6, *[(16, 16)] * 9))
    assert (sides.median_px, sides.looked_at) == (16, 5)


def test_the_fingerprint_sees_labels_names_and_images():
    images = make_set()
    prints = {
        fingerprint(images),
        fingerprint(make_set(seed=1)),
        fingerprint(make_set(names=("left", "right", "up"))),
        fingerprint(dataclasses.replace(images, labels=images.labels[::-1].copy())),
        fingerprint(images.select(range(59))),
    }
    assert len(prints) == 5
    assert fingerprint(make_set()) in prints


@pytest.mark.parametrize("unreadable", [False, True])
def test_images_that_memory_does_not_hold_are_read_from_a_file_that_leaves_nothing(tmp_path, monkeypatch, unreadable):
    opened = []
    open_unnamed = training_set._open_unnamed
    monkeypatch.setattr(training_set, "_open_unnamed", lambda *args: opened.append(args) or open_unnamed(*args))
    images, alone = make_set(), World(torch.device("cpu"))
    given = dataclasses.replace(images, read=lambda i: b"junk" if unreadable and i == 9 else images.read(i))
    num_bytes = 60 * 3 * 8 * 8
    with pytest.raises(DataError, match="Image 9") if unreadable else nullcontext():
        for limit, count in ((num_bytes - 1, 1), (num_bytes, 1)):
            with decoded(given, 8, True, tmp_path / "out", alone, limit) as pixels:
                assert len(opened) == count
                assert torch.equal(pixels, images.tensor(8))
    assert len(opened) == 1
    assert list(tmp_path.iterdir()) == []
