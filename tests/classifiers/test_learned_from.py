"""A model is not tested on what it learned from, unless somebody asks; what images are is said either way."""

import dataclasses
import io
import json
import logging

import numpy as np
import pytest
from PIL import Image

from bars import make_set
from synthset.classifiers.learned_from import check_unseen
from synthset.core.errors import DataError, UsageError
from synthset.evaluation.stage import evaluate
from synthset.images.imageset import ImageSet
from synthset.images.sketch import KEPT, Sketch, hash_files

OWN = make_set()
OTHERS = make_set((60, 20, 20), seed=1)


def mixed(own, others):
    """So many images that were learned from, among others."""
    a, b = OWN.select(range(own)), OTHERS.select(range(others))

    def read(i):
        return a.read(i) if i < own else b.read(i - own)

    return ImageSet("mixed", OWN.class_names, np.concatenate([a.labels, b.labels]), read)


def test_the_images_of_a_training_are_refused_unless_asked_for(finished, caplog):
    with pytest.raises(
        UsageError, match=r"did not learn from, got all of the 60 in 'bars'.* allow_training_images=True"
    ):
        evaluate(finished.folder, OWN)
    with caplog.at_level(logging.WARNING):
        assert evaluate(finished.folder, OWN, allow_training_images=True).n == 60
    assert caplog.messages == [
        f"'{finished.folder}' learned from all of the images of 'bars': it may do worse on others"
    ]


def test_what_was_learned_from_is_known_under_other_names_and_in_part(finished, caplog):
    renamed = dataclasses.replace(OWN, name="real", class_names=OWN.class_names[::-1])
    for images, part in ((renamed, "all"), (OWN.select([5]), "all"), (mixed(30, 20), "about 60%")):
        with pytest.raises(UsageError, match=f"got {part} of the"):
            check_unseen(finished.folder, images)
    with caplog.at_level(logging.WARNING):
        check_unseen(finished.folder, mixed(20, 60))
        assert "learned from about 25% of the images" in caplog.text
        caplog.clear()
        check_unseen(finished.folder, OTHERS)
    assert not caplog.messages


def test_a_copy_with_other_bytes_is_not_known(finished, caplog):
    """The limit of it: files are told by their bytes, so that looking needs no decoding."""

    def saved_again(index):
        buffer = io.BytesIO()
        Image.open(io.BytesIO(OWN.read(index))).save(buffer, "BMP")
        Image.open(buffer).save(buffer := io.BytesIO(), "PNG", compress_level=0)
        return buffer.getvalue()

    with caplog.at_level(logging.WARNING):
        check_unseen(finished.folder, dataclasses.replace(OWN, read=saved_again))
    assert not caplog.messages


def test_a_training_without_notes_of_its_images_goes_by_all_of_them(finished, tmp_path):
    note = json.loads((finished.folder / "training.json").read_text())
    kept = {key: note[key] for key in note if key not in ("learned_from", "checksum")}
    (tmp_path / "training.json").write_text(json.dumps(kept))
    with pytest.raises(UsageError, match="got all of the 60"):
        check_unseen(tmp_path, OWN)
    check_unseen(tmp_path, OWN.select(range(59)))
    (tmp_path / "training.json").unlink()
    check_unseen(tmp_path, OWN)  # a model from elsewhere
    (tmp_path / "training.json").write_text("{")
    with pytest.raises(DataError, match="Train it again"):
        check_unseen(tmp_path, OWN)


def test_shares_of_large_sets_are_estimated_from_few_hashes():
    hashes = np.random.default_rng(0).integers(0, 2**64, 100_000, np.uint64, endpoint=False)
    sketch = Sketch.of(hashes[:40_000], hashes[40_000:50_000])
    assert (sketch.images, len(sketch.hashes)) == (50_000, KEPT)
    assert sketch.share_in(hashes[:1000]) == 1
    assert sketch.share_in(hashes[50_000:]) == 0
    assert sketch.share_in(hashes) == pytest.approx(0.5, abs=0.05)
    assert sketch.share_in(hashes[:0]) == Sketch.of(hashes[:0]).share_in(hashes) == 0


def test_an_image_that_cannot_be_read_is_no_copy_of_another():
    def fail(index):
        raise DataError("gone")

    broken = ImageSet("broken", ("a",), np.zeros(2, np.int64), fail)
    assert hash_files(broken).tolist() == [0, 0]
    assert Sketch.of(hash_files(OWN)).share_in(hash_files(broken)) == 0
