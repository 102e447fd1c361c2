"""Further images go to the classes that are confused, as far as there are any."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from bars import make_set
from synthset.comparison.growth import confusion_of, share_out


class Stub:
    """A classifier that takes every 'left' of the held-back images for 'right'."""

    config = SimpleNamespace(image_size_px=8, antialias=True)

    def __init__(self, labels):
        self.labels = labels

    def predict(self, pixels):
        import torch

        answers = np.where(self.labels == 0, 1, self.labels)
        return torch.eye(3)[torch.from_numpy(answers)]


def test_an_error_counts_for_both_of_its_classes():
    from synthset.classifiers.training_set import hold_back

    images = make_set()
    labels = images.labels[hold_back(images.labels, 0.25, 3)[1]]
    assert confusion_of(Stub(labels), images, 0.25, 3).tolist() == [5, 5, 0]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("total", [0, 1, 7, 30])
def test_all_images_are_given_and_no_class_gets_more_than_there_are(total):
    weights, room = np.array([9, 0, 1, 0]), np.array([10, 10, 10, 1])
    shares = share_out(total, weights, room)
    assert shares.sum() == total
    assert (shares <= room).all()
    assert (shares >= 0).all()


def test_without_errors_all_get_alike_and_with_them_the_confused_more():
    room = np.full(4, 100)
    assert share_out(40, np.zeros(4), room).tolist() == [10, 10, 10, 10]
    shares = share_out(40, np.array([8, 8, 0, 0]), room)
    assert shares[:2].min() > 4 * shares[2:].max() > 0


def test_more_than_all_is_refused():
    with pytest.raises(ValueError, match="at most 3"):
        share_out(4, np.zeros(3), np.ones(3, int))
