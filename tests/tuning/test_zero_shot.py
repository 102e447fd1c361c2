"""Zero-shot CLIP: against numpy, and the sentences that it reads."""

import numpy as np
import pytest
import torch

from synthset.core.errors import DataError, UsageError
from synthset.encoders.templates import TEMPLATES
from synthset.images.decoding import encode
from synthset.images.imageset import ImageSet
from synthset.real import known_sets
from synthset.testing import FakeEncoder
from synthset.tuning.zero_shot import zero_shot, zero_shot_logits

NAMES = ("cat", "tree_frog", "dog")
SENTENCES = ("a photo of a {class}.", "{} texture.")


@pytest.fixture
def images():
    """30 images of noise; two of its classes stand in another order and spelling."""
    rng = np.random.default_rng(0)
    files = [encode(rng.integers(0, 256, (4, 4, 3), np.uint8)) for _ in range(30)]
    names = ("Tree Frog", "dog", "cat")
    return ImageSet("noise", names, rng.integers(0, 3, 30), files.__getitem__, metric="mean_per_class")


# ---- the result -------------------------------------------------------------------------------------------


def test_is_the_nearest_class_of_the_mean_sentence(images):
    encoder = FakeEncoder()
    result = zero_shot(encoder, NAMES, SENTENCES, images)

    # again, in float64 and one image at a time
    def vector(rows):
        return rows.double().numpy()[0]

    classes = []
    for name in ("cat", "tree frog", "dog"):
        mean = sum(vector(encoder.texts([text])) for text in (f"a photo of a {name}.", f"{name} texture."))
        classes.append(mean / np.linalg.norm(mean))
    confusion = np.zeros((3, 3), int)
    for i, label in enumerate(images.labels):
        cosines = [vector(encoder.images([images.image(i)])) @ row for row in classes]
        confusion[{0: 1, 1: 2, 2: 0}[int(label)], int(np.argmax(cosines))] += 1
    assert result.confusion == tuple(map(tuple, confusion.tolist()))
    assert result.class_names == NAMES
    assert (result.real, result.n, result.metric) == ("noise", 30, "mean_per_class")
    assert 0 < result.accuracy < 1  # else the comparison says nothing


def test_logits_are_scaled_cosines():
    rng = np.random.default_rng(0)
    vectors, classes = rng.normal(size=(5, 4)), rng.normal(size=(3, 4))
    got = zero_shot_logits(torch.from_numpy(vectors), torch.from_numpy(classes), 100.0)
    np.testing.assert_allclose(got.numpy(), 100 * np.einsum("nd,kd->nk", vectors, classes))


def test_blocks_change_nothing(images, monkeypatch):
    whole = zero_shot(FakeEncoder(), NAMES, SENTENCES, images)
    monkeypatch.setattr("synthset.tuning.zero_shot.BLOCK", 7)
    assert zero_shot(FakeEncoder(), NAMES, SENTENCES, images) == whole


def test_templates_and_encoders_matter(images):
    encoder = FakeEncoder()
    results = {zero_shot(encoder, NAMES, [text], images).confusion for text in ("{class}", "no {class}", "a {class}?")}
    assert len(results) > 1
    assert zero_shot(FakeEncoder(name="other"), NAMES, ["{class}"], images) != zero_shot(
        encoder, NAMES, ["{class}"], images
    )


def test_what_cannot_be_tested(images):
    encoder = FakeEncoder()
    with pytest.raises(UsageError, match="missing: wolf; extra: dog"):
        zero_shot(encoder, ("cat", "tree frog", "wolf"), SENTENCES, images, strict=True)
    with pytest.raises(UsageError, match="two classes"):
        zero_shot(encoder, ("cat",), SENTENCES, images)
    with pytest.raises(UsageError, match=r"Expected \{class\}"):
        zero_shot(encoder, NAMES, ["a photo"], images)
    with pytest.raises(DataError, match="found none"):
        zero_shot(encoder, NAMES, SENTENCES, images.select([]))
    assert encoder.batches == []  # all of it before the work


# ---- templates --------------------------------------------------------------------------------------------


def test_templates_of_imagenet_are_those_of_open_clip():
    from open_clip import IMAGENET_CLASSNAMES
    from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

    name = IMAGENET_CLASSNAMES[0]
    filled = [sentence.replace("{class}", name) for sentence in TEMPLATES["imagenet80"]]
    assert filled == [template(name) for template in OPENAI_IMAGENET_TEMPLATES]
    assert TEMPLATES["imagenet"] == TEMPLATES["imagenet80"]
    assert len(set(TEMPLATES["imagenet80"])) == 80
    assert len(set(TEMPLATES["imagenet7"])) == 7
    assert set(TEMPLATES["imagenet7"]) < set(TEMPLATES["imagenet80"])
    assert TEMPLATES[known_sets()["imagenet-r"].templates] == TEMPLATES["imagenet80"]


def test_templates_are_a_mapping():
    assert {"default", "eurosat", "imagenet80"} < set(TEMPLATES)
    assert len(dict(TEMPLATES)) == len(TEMPLATES)
    assert "nothing" not in TEMPLATES
    assert TEMPLATES.get("nothing") is None
