"""The two parts of a real set: what is learned from is never tested on, and both are found before any work."""

import numpy as np
import pytest

from image_files import make_folder
from synthset.core.errors import UsageError
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImagePath, Opening
from synthset.real import learning, load_real
from synthset.real.learning import few_shot_pool, load_test_part, training_split


def make_splits(root, *names):
    for i, name in enumerate(names):
        make_folder(root / name, n=i + 2)
    return root


def files_of(images):
    return {images.read(i) for i in range(len(images))}


@pytest.mark.parametrize(
    ("names", "training", "test"),
    [
        (("train", "val"), "train", "val"),
        (("Training", "valid", "Testing"), "Training", "Testing"),
        (("train", "train_aug", "test"), "train", "test"),
    ],
)
def test_splits_of_a_path(tmp_path, names, training, test):
    root = make_splits(tmp_path, *names)
    assert training_split(root) == training
    assert (few_shot_pool(root).split, load_test_part(root).split) == (training, test)
    with pytest.raises(UsageError, match=r"a split of '.*' that shots are not drawn from, got 'train'"):
        load_test_part(ImagePath(str(root), Opening(split="train"), "real_"))


@pytest.mark.parametrize("names", [("val", "test"), ("train1", "train2", "test")])
def test_a_path_with_no_one_split_to_learn_from_can_still_be_tested_on(tmp_path, names):
    root = make_splits(tmp_path, *names)
    assert load_test_part(root).split == "test"
    with pytest.raises(
        UsageError, match=rf"one split of '.*' to learn from, got .*{names[0]}.* Call it train, or give"
    ):
        few_shot_pool(root)


def test_a_path_without_splits_is_halved(tmp_path):
    make_folder(tmp_path / "a", n=10)
    make_folder(tmp_path / "b" / "train", n=10)
    for root in (tmp_path / "a", tmp_path / "b", load_real(tmp_path / "a")):
        pool, test = few_shot_pool(root), load_test_part(root)
        assert (len(pool), len(test)) == (10, 10)
        assert not files_of(pool) & files_of(test)


def test_parts_of_known_sets(monkeypatch):
    asked = []

    def opened(source, defaults=()):
        asked.append((str(source), ImagePath.of(source).opening.split))
        return ImageSet("known", ("a", "b"), np.arange(4) % 2, lambda i: bytes([i]))

    monkeypatch.setattr(learning, "open_set", opened)
    for name in ("cifar10", "aircraft", "imagenet-sketch"):
        assert len(load_test_part(name)) == 4
    for name in ("cifar10", "aircraft"):
        few_shot_pool(name)
    with pytest.raises(UsageError, match="which is for testing only"):
        few_shot_pool("imagenet-sketch")
    tests = [("cifar10", None), ("aircraft", None), ("imagenet-sketch", None)]
    assert asked == [*tests, ("cifar10", "train"), ("aircraft", "train+validation")]
    for name, split in (("cifar10", "train"), ("aircraft", "validation"), ("aircraft", "test+train")):
        with pytest.raises(UsageError, match="that shots are not drawn from"):
            load_test_part(ImagePath(name, Opening(split=split)))
    assert len(load_test_part(ImagePath("eurosat", Opening(split="validation")))) == 4
    assert len(load_test_part("digits")) == 2  # the half of it
