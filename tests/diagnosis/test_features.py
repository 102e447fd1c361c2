import numpy as np
import pytest
import torch
from torch import nn

from bars import NAMES, make_set
from synthset.classifiers.models import Classifier, ModelConfig, build_model
from synthset.core.errors import DataError, UsageError
from synthset.diagnosis.features import HeadTransfer, penultimate_features, tune_head


@pytest.fixture(scope="module")
def classifier():
    config = ModelConfig("small_cnn", NAMES, 8, normalisation="per_image")
    return Classifier(config, build_model(config, seed=1))


def test_the_head_makes_the_logits_of_a_prediction_from_them(classifier):
    images = make_set()
    features = penultimate_features(classifier, images)
    assert features.shape == (60, 128)
    assert features.dtype == torch.float32
    assert not features.is_inference()
    with torch.no_grad():
        logits = classifier.model.head(features)
    assert torch.allclose(logits, classifier.predict(images.tensor(8)), atol=1e-5)


def test_a_timm_model_tells_its_head_apart_too():
    config = ModelConfig("mobilenetv3_small", NAMES, 32)
    classifier = Classifier(config, build_model(config))
    images = make_set((2, 1, 1))
    features = penultimate_features(classifier, images)
    with torch.no_grad():
        logits = classifier.model.get_classifier()(features)
    assert torch.allclose(logits, classifier.predict(images.tensor(32)), atol=1e-5)


def test_batches_change_nothing(classifier):
    images = make_set((3, 2, 2))
    assert torch.allclose(
        penultimate_features(classifier, images, batch_size=3), penultimate_features(classifier, images), atol=1e-6
    )


def test_images_that_cannot_be_read_are_named(classifier):
    images = make_set()
    with pytest.raises(DataError, match="images in 'bars', found none"):
        penultimate_features(classifier, images.select([]))
    with pytest.raises(UsageError, match="batch size of at least 1"):
        penultimate_features(classifier, images, batch_size=0)
    unknown = Classifier(classifier.config, nn.Sequential(nn.Flatten(), nn.Linear(192, 3)))
    with pytest.raises(UsageError, match="'Sequential' does not tell its head apart"):
        penultimate_features(unknown, images)


def test_a_head_on_random_features_reads_images_like_those_it_learned_from(classifier):
    real, alike = make_set(), make_set(seed=1)
    features, labels = penultimate_features(classifier, real), torch.from_numpy(real.labels)
    transfer = tune_head(features, labels, penultimate_features(classifier, alike), torch.from_numpy(alike.labels), 3)
    assert transfer.real_accuracy > 0.8
    assert transfer.synthetic_accuracy > 0.8
    assert transfer.chance == pytest.approx(1 / 3)


def blobs(n, shift=0.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 2
    return torch.randn(n, 4, generator=generator) + 6.0 * labels[:, None] + shift, labels


def test_synthetic_features_elsewhere_are_not_read():
    real, labels = blobs(80)
    far, far_labels = blobs(40, shift=20, seed=1)
    assert tune_head(real, labels, far, far_labels, 2) == HeadTransfer(1.0, 0.5, 0.5)


def test_the_accuracy_on_real_features_is_of_those_held_out():
    features = torch.randn(60, 100, generator=torch.Generator().manual_seed(0))  # any labels can be learned
    labels = torch.from_numpy(np.random.default_rng(0).permutation(np.arange(60) % 2))
    transfer = tune_head(features, labels, features, labels, 2)
    assert transfer.synthetic_accuracy > 0.8  # most are those it learned from
    assert transfer.real_accuracy < 0.8
    assert transfer == tune_head(features, labels, features, labels, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": 1}, "at least two classes, got 1"),
        ({"k": 3}, "none of class 2 "),
        ({"labels": torch.tensor([0, 0, 0, 1])}, "at least two features of each class.*got one of class 1"),
        ({"synthetic_labels": torch.tensor([0, 0])}, "synthetic labels, got none of class 1"),
        ({"features": torch.ones(4, 2)}, "features and synthetic features of one dimension, got 2 and 3"),
        ({"synthetic_features": torch.full((2, 3), torch.nan)}, "finite synthetic features"),
        ({"features": torch.ones(0, 3)}, "at least one row"),
        ({"held_out": 1.0}, "above 0 and below 1"),
    ],
)
def test_bad_input_is_named(changes, message):
    given = {
        "features": torch.eye(4, 3),
        "labels": torch.tensor([0, 0, 1, 1]),
        "synthetic_features": torch.eye(2, 3),
        "synthetic_labels": torch.tensor([0, 1]),
        "k": 2,
    }
    with pytest.raises(ValueError, match=message.rstrip()):
        tune_head(**(given | changes))
