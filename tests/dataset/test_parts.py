import numpy as np
import pyarrow as pa
import pytest

from parity_encoder import image_set, picture
from synthset.core.errors import DataError, UnknownNameError, UsageError
from synthset.dataset.parts import part_images

HALVES = {"train": 0.5, "test": 0.5}


def pictures(n):
    return image_set([picture(seed) for seed in range(n)], [0] * n)


def together(parts, *rows):
    return len({int(parts.part[row]) for row in rows}) == 1


@pytest.mark.parametrize("seed", range(4))
def test_copies_noise_and_real_images_keep_to_one_side(seed):
    arrays = [picture(number) for number in range(12)]
    arrays[7] = arrays[2]
    seeds = [*range(11), 4]
    rows = pa.table(
        {
            "seed": seeds,
            "initial_image": ["a", "", "", "", "", "", "", "", "", "a", "", ""],
            "condition_images": [[], ["x", "y"], [], ["y", "z"], [], ["z"], [], [], [], [], [], []],
        }
    )
    parts = part_images(image_set(arrays, [0] * 12), HALVES, seed=seed, rows=rows)
    assert together(parts, 2, 7)
    assert together(parts, 4, 11)
    assert together(parts, 0, 9)
    assert together(parts, 1, 3, 5)
    assert (parts.num_tied, parts.largest) == (9, 3)
    assert sorted([*parts.rows("train"), *parts.rows("test")]) == list(range(12))


def test_only_the_ties_that_are_named_count():
    rows = pa.table({"seed": [1] * 8})
    parts = part_images(pictures(8), HALVES, rows=rows, ties=("copies",))
    assert np.bincount(parts.part).tolist() == [4, 4]
    with pytest.raises(DataError, match=r"none for|got none: its 8 images make 1 groups .*noise.*the largest of 8"):
        part_images(pictures(8), HALVES, rows=rows)
    with pytest.raises(UnknownNameError, match="Unknown tie 'copy'"):
        part_images(pictures(8), HALVES, ties=("copy",))


@pytest.mark.parametrize("shares", [{}, {"train": 0.5}, {"train": 1.5, "test": -0.5}, {"train": 1.0, "test": 0.0}])
def test_shares_that_are_no_parts_of_a_whole_are_refused(shares):
    with pytest.raises(UsageError, match="Expected shares above 0 that add up to 1"):
        part_images(pictures(4), shares)
