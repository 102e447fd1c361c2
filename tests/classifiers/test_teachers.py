"""Teachers: their probabilities, in the order of the classes, mixed with the labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bars import CONFIG, NAMES, make_set, weights
from synthset.classifiers.models import load_classifier
from synthset.classifiers.teachers import Teacher, load_teacher
from synthset.classifiers.train import train_classifier
from synthset.core.errors import UsageError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A classifier to learn from."""
    folder = tmp_path_factory.mktemp("teacher") / "model"
    train_classifier(make_set(), CONFIG, folder)
    return folder


def test_targets_mix_probabilities_and_labels():
    logits = torch.tensor([[2.0, 0.0], [0.0, 4.0]])
    images = make_set((1, 1), ("a", "b"))
    targets = Teacher("", "", lambda _: logits).targets(images, share=0.25, temperature=2.0)
    soft = torch.tensor([[1.0, 0.0], [0.0, 2.0]]).softmax(1)
    torch.testing.assert_close(targets, 0.25 * soft + 0.75 * torch.eye(2))


def test_a_model_teaches_in_the_order_of_the_classes(folder):
    images, names = make_set(), ("top", "left", "right")
    order = [NAMES.index(name) for name in names]
    expected = load_classifier(folder).predict(images.tensor(8))[:, order]
    torch.testing.assert_close(load_teacher(str(folder), names).logits(images), expected)


def test_a_teacher_of_other_classes_is_refused(folder):
    with pytest.raises(UsageError, match="missing: bottom"):
        load_teacher(str(folder), ("left", "right", "bottom"))


def test_a_clip_teaches_by_its_templates():
    from synthset.encoders.clip import load_encoder
    from synthset.encoders.embed import embed_classes, embed_images

    images = make_set((2, 2), ("one", "seven"))
    encoder = load_encoder("miniature", device="cpu", dtype="float32")
    expected = embed_images(images, encoder) @ embed_classes(("one", "seven"), encoder).T * encoder.logit_scale
    torch.testing.assert_close(load_teacher("clip:miniature", ("one", "seven"), "cpu").logits(images), expected)


def test_a_training_learns_from_it_and_another_one_is_another_training(folder, tmp_path):
    config = replace(CONFIG, teacher=str(folder), teacher_share=1.0, seed=3)
    result = train_classifier(make_set(), config, tmp_path / "taught")
    train_classifier(make_set(), replace(CONFIG, seed=3), tmp_path / "alone")
    assert weights(tmp_path / "taught") != weights(tmp_path / "alone")
    assert "of the teacher" in result.model_config.seen
    with pytest.raises(UsageError, match=r"teacher_share: 1\.0 there, 0\.5 here"):
        train_classifier(make_set(), replace(config, teacher_share=0.5), tmp_path / "taught")


def test_labels_alone_with_a_teacher_who_says_the_labels(tmp_path, monkeypatch):
    images = make_set()
    sure = Teacher("sure", "", lambda _: torch.from_numpy(np.eye(3, dtype=np.float32)[images.labels] * 1000))
    monkeypatch.setattr("synthset.classifiers.settings.load_teacher", lambda *_: sure)
    train_classifier(images, replace(CONFIG, teacher="sure"), tmp_path / "taught")
    train_classifier(images, CONFIG, tmp_path / "alone")
    mine, others = (load_classifier(tmp_path / name).predict(images.tensor(8)) for name in ("taught", "alone"))
    torch.testing.assert_close(mine, others, rtol=0, atol=1e-3)
