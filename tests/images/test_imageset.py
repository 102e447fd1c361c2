"""An ImageSet reads lazily, selects by index or mask, and says which image could not be read."""

import numpy as np
import pytest

from synthset.core.errors import DataError
from synthset.images.decoding import encode
from synthset.images.imageset import ImageSet


def make_set(n: int = 6, **changes) -> ImageSet:
    files = [encode(np.full((4, 6, 3), 10 * i, np.uint8)) for i in range(n)]
    fields = {
        "name": "greys",
        "class_names": ("dark", "light", "unused"),
        "labels": np.arange(n) % 2,
        "read": files.__getitem__,
        "groups": tuple("abc"[i % 3] for i in range(n)),
        "origin": lambda i: f"file {i}.png",
    }
    return ImageSet(**{**fields, **changes})


def test_tensor_decodes_all_in_order():
    tensor = make_set().tensor(3)
    assert tensor.shape == (6, 3, 3, 3)
    assert str(tensor.dtype) == "torch.uint8"
    assert tensor[:, 0, 1, 1].tolist() == [0, 10, 20, 30, 40, 50]


@pytest.mark.parametrize("chosen", [[4, 1], np.array([4, 1]), np.array([4, 1], np.uint8)])
def test_select_keeps_labels_groups_and_origins_together(chosen):
    part = make_set().select(chosen)
    assert part.labels.tolist() == [0, 1]
    assert part.groups == ("b", "b")
    assert part.tensor(4)[:, 0, 0, 0].tolist() == [40, 10]
    assert part.place(0) == "Image 0 of 'greys' (file 4.png)"
    assert part.select([1]).place(0) == "Image 0 of 'greys' (file 1.png)"
    assert part.class_names == ("dark", "light", "unused")


def test_select_takes_a_mask():
    part = make_set().select(np.array([False, True, False, False, True, False]))
    assert part.tensor(4)[:, 0, 0, 0].tolist() == [10, 40]
    assert len(make_set().select(np.zeros(6, bool))) == 0


def test_an_unreadable_image_is_named():
    good = make_set()
    broken = make_set(read=lambda i: b"junk" if i == 3 else good.read(i))
    with pytest.raises(DataError, match=r"Image 3 of 'greys' \(file 3\.png\): "):
        broken.tensor(4)
    assert broken.image(2).size == (6, 4)  # the others are still there
    with pytest.raises(DataError, match="Image 3 of 'greys': "):
        make_set(read=broken.read, origin=None).image(3)


def test_labels_and_groups_must_fit():
    with pytest.raises(DataError, match=r"labels 0\.\.2 .* got 0\.\.3"):
        make_set(labels=np.array([0, 1, 2, 3, 0, 0]))
    with pytest.raises(DataError, match=r"got -1\.\.1"):
        make_set(labels=np.array([0, 1, -1, 0, 0, 0]))
    with pytest.raises(DataError, match="Expected 6 groups"):
        make_set(groups=("a",))


def test_an_empty_set_is_allowed():
    assert make_set(0, groups=()).tensor(8).shape == (0, 3, 8, 8)
