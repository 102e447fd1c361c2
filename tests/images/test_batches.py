"""CIFAR's batches, as its authors wrote them with Python 2 and as numpy writes them now; no pickle is run."""

import os
import pickle
import struct

import numpy as np
import pytest

from synthset.core.errors import DataError, UsageError
from synthset.images.batches import unpack
from synthset.images.opening import splits_at
from synthset.real import load_real
from synthset.real.learning import few_shot_pool

NAMES = ["airplane", "automobile", "bird"]


def pixels_of(n, seed):
    return np.random.default_rng(seed).integers(0, 256, (n, 3 * 32 * 32), np.uint8)


def as_python_2(pixels, labels):
    """The bytes that Python 2 wrote: short strings, and an array that is made empty and filled from a string."""

    def text(word):
        return b"U" + bytes([len(word)]) + word.encode()

    def number(value):
        return b"J" + struct.pack("<i", value)

    raw = pixels.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01bq\x03\x87q\x04Rq\x05(K\x01"
        + (number(pixels.shape[0]) + number(pixels.shape[1]) + b"\x86")
        + b"cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87q\x07Rq\x08(K\x03U\x01|NNN"
        + (number(-1) + number(-1) + b"K\x00tb\x89T" + struct.pack("<I", len(raw)) + raw)
        + b"tb"
    )
    listed = b"]q\x09(" + b"".join(map(number, labels)) + b"e"
    items = text("batch_label") + text("training batch") + text("labels") + listed + text("data") + array
    return b"\x80\x02}q\x00(" + items + b"u."


@pytest.fixture
def cifar10(tmp_path):
    """The folder that torchvision unpacks: two batches to train on in both spellings, and one to test on."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    meta = {"label_names": NAMES, "num_cases_per_batch": 2, "num_vis": 3072}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, 2))
    (folder / "data_batch_1").write_bytes(as_python_2(pixels_of(2, 1), [2, 0]))
    batch = {b"labels": [1, 1], b"data": pixels_of(2, 2)}
    (folder / "data_batch_2").write_bytes(pickle.dumps(batch))
    (folder / "test_batch").write_bytes(as_python_2(pixels_of(3, 3), [0, 1, 2]))
    (folder / "readme.html").write_text("x")
    return folder


def test_cifar_10_as_torchvision_unpacks_it(cifar10):
    for place in (cifar10, cifar10.parent):  # the folder itself, and the one that torchvision is given
        assert splits_at(place) == {"train": "train", "test": "test"}
        test, train = load_real(place), few_shot_pool(str(place))
        assert test.class_names == train.class_names == tuple(NAMES)
        assert (test.labels.tolist(), train.labels.tolist()) == ([0, 1, 2], [2, 0, 1, 1])
        for i, flat in enumerate([*pixels_of(2, 1), *pixels_of(2, 2)]):
            assert np.array_equal(np.asarray(train.image(i)), flat.reshape(3, 32, 32).transpose(1, 2, 0))


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_of_pickles_is_read(tmp_path, protocol):
    pixels = pixels_of(2, 0)
    for name in ("train", "test"):
        batch = {"fine_labels": [1, 0], "coarse_labels": [0, 0], "data": pixels, "filenames": ["a", "b"]}
        (tmp_path / name).write_bytes(pickle.dumps(batch, protocol))
    meta = {"fine_label_names": ["beaver", "aquarium fish"], "coarse_label_names": ["animal"]}
    (tmp_path / "meta").write_bytes(pickle.dumps(meta, protocol))
    images = load_real(tmp_path, label_column="fine_labels")
    assert [images.class_names[label] for label in images.labels] == ["aquarium fish", "beaver"]
    assert np.array_equal(np.asarray(images.image(1)), pixels[1].reshape(3, 32, 32).transpose(1, 2, 0))
    assert load_real(tmp_path, "train", label_column="coarse_labels").class_names == ("animal",)
    for wanted in ({}, {"label_column": "labels"}):
        with pytest.raises(UsageError, match=r"several columns of labels \(fine_labels, coarse_labels\)\. Say which"):
            load_real(tmp_path, **wanted)


def test_another_column_than_the_only_one_is_refused(cifar10):
    with pytest.raises(UsageError, match=r"column of labels .* got 'fine_labels'\. It has no other"):
        load_real(cifar10, label_column="fine_labels")
    assert len(load_real(cifar10, "train", label_column="labels")) == 4


class Attack:
    def __reduce__(self):
        return os.mkdir, ("attacked",)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({"data": Attack(), "labels": [0]}),
        pickle.dumps([1, 2]),
        pickle.dumps({"data": "no pixels", "labels": [0]}),
        pickle.dumps({"data": pixels_of(2, 0), "labels": [0]}),
        pickle.dumps({"data": pixels_of(1, 0)[:, :100], "labels": [0]}),
        pickle.dumps({"data": pixels_of(1, 0), "labels": [7]}),
        pickle.dumps({"data": pixels_of(1, 0), "labels": ["cat"]}),
        pickle.dumps({"data": pixels_of(1, 0), "labels": [0.5]}),  # would be cut to 0
        pickle.dumps({"data": pixels_of(1, 0), "labels": [2**70]}),
        pickle.dumps({"data": pixels_of(1, 0), "labels": [[0], [0, 1]]}),
        pickle.dumps({"data": pixels_of(1, 0), "labels": np.array([[0]])}),  # a column of labels
        pickle.dumps({"data": pixels_of(1, 0).astype(np.int64), "labels": [0]}),
        b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",  # lists within lists
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f}.",  # a frame without end
        b"\x80\x02T\xff\xff\xff\x7fshort.",  # a text of two gigabytes
        b"(iposix\nsystem\n.",
        b"cbuiltins\neval\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x04load\x93.",
        pickle.dumps({"labels": [0]}),
        b"",
        b"not a pickle",
        pickle.dumps({"data": pixels_of(1, 0), "labels": [0]})[:-100],
        b"cos\nsystem\n(S'mkdir attacked'\ntR.",
    ],
)
def test_other_pickles_are_refused_and_never_run(cifar10, monkeypatch, content):
    monkeypatch.chdir(cifar10)
    (cifar10 / "test_batch").write_bytes(content)
    with pytest.raises(DataError) as error:
        load_real(cifar10)
    assert "\n" not in str(error.value)
    assert not (cifar10 / "attacked").exists()


def test_what_a_pickle_names_is_not_called_by_another_name():
    with pytest.raises(ValueError, match=r"names posix\.mkdir|names nt\.mkdir"):
        unpack(pickle.dumps(Attack()))


def test_batches_that_are_missing_are_named(cifar10, caplog):
    splits_at(cifar10)
    assert "2 of CIFAR-10's 5 batches" in caplog.text
    assert "data_batch_3, data_batch_4, data_batch_5 missing" in caplog.text
    caplog.clear()
    for number in (3, 4, 5):
        (cifar10 / f"data_batch_{number}").write_bytes(as_python_2(pixels_of(2, number), [2, 0]))
    splits_at(cifar10)
    assert "missing" not in caplog.text
