"""The confusion matrix as a picture: readable at any size, true to the numbers, whole or not there."""

import numpy as np
import pytest
from PIL import Image

from synthset.classifiers.confusion_chart import RAMP, draw_confusion_matrix
from synthset.classifiers.scoring import count
from synthset.core.errors import DataError


def random_result(k, n=500, names=None):
    random = np.random.default_rng(k)
    true, predicted = random.integers(0, k, n), random.integers(0, k, n)
    return count(true, predicted, names or [f"class {i}" for i in range(k)], "a set")


@pytest.mark.parametrize("k", [2, 10, 30, 31, 130, 2000])
def test_draws_any_number_of_classes_at_a_readable_size(tmp_path, k):
    draw_confusion_matrix(random_result(k), tmp_path / "m.png")
    with Image.open(tmp_path / "m.png") as picture:
        assert picture.format == "PNG"
        assert 300 < picture.width < 3500
        assert 300 < picture.height < 3500


def test_the_picture_shows_the_numbers(tmp_path):
    perfect = count(np.arange(2).repeat(5), np.arange(2).repeat(5), ("a", "b"), "x")
    swapped = count(np.arange(2).repeat(5), 1 - np.arange(2).repeat(5), ("a", "b"), "x")
    pictures = []
    for name, result in (("p", perfect), ("s", swapped)):
        draw_confusion_matrix(result, tmp_path / name)
        with Image.open(tmp_path / name) as picture:
            pictures.append(np.asarray(picture.convert("RGB")).astype(int))
    dark = [np.argwhere(np.abs(p - RAMP[-1]).sum(2) == 0) for p in pictures]
    # full cells fall along the diagonal in one picture and along the other one in the other
    slopes = [np.corrcoef(points[:, 0], points[:, 1])[0, 1] for points in dark]
    assert slopes[0] > 0.5
    assert slopes[1] < -0.5


def test_one_mistake_among_thousands_of_classes_is_seen(tmp_path):
    k = 2500
    true = np.arange(k)
    predicted = true.copy()
    predicted[2400] = 100
    draw_confusion_matrix(count(true, predicted, [str(i) for i in range(k)], "x"), tmp_path / "m.png")
    with Image.open(tmp_path / "m.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    dark = np.argwhere(np.abs(pixels[:-140] - RAMP[-1]).sum(2) == 0)  # without the legend
    top, left = dark.min(0)
    assert len(dark) == k // 2 + 1
    assert [top + 1200, left + 50] in dark.tolist()


def test_hostile_class_names_are_drawn(tmp_path):
    names = ("a\nb", "", "数字", "\udc80x", "w" * 300, "<b>")
    draw_confusion_matrix(random_result(6, names=names), tmp_path / "m.png")
    assert (tmp_path / "m.png").stat().st_size > 1000


def test_a_file_that_cannot_be_written_is_a_clear_error(tmp_path):
    with pytest.raises(DataError, match="Expected to write"):
        draw_confusion_matrix(random_result(2), tmp_path)
    assert not list(tmp_path.iterdir())
