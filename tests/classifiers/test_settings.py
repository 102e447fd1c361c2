"""What a config leaves open is chosen by its recipe for the images; what was given stays."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest

from bars import make_set
from synthset.classifiers.config import TrainConfig
from synthset.classifiers.models import ModelConfig, build_model
from synthset.classifiers.recipes import RECIPES, Task, paper_weight_decay
from synthset.classifiers.settings import Settings, settle
from synthset.core.errors import UsageError
from synthset.images.decoding import encode
from synthset.images.imageset import ImageSet

OPEN = [item.name for item in fields(TrainConfig) if item.name in {*Settings.__annotations__} - {"architecture"}]


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("architecture", ["small_cnn", "resnet18", "vit_tiny_patch16_224"])
@pytest.mark.parametrize(("num_images", "size_px"), [(20, 8), (2_000, 32), (1_300_000, 512)])
def test_a_recipe_leaves_nothing_open(recipe, architecture, num_images, size_px):
    task = Task(architecture, ("a", "b"), num_images, size_px)
    chosen = RECIPES[recipe].choose(task, {})
    missing = [name for name in OPEN if chosen.get(name) is None]
    assert missing == []
    assert TrainConfig(**chosen)  # within all bounds
    assert chosen["image_size_px"] <= 224


def test_what_is_given_stays():
    images = make_set()
    config = TrainConfig(architecture="small_cnn", epochs=7, learning_rate=0.5, small_images=False)
    settings = settle(config, images)
    assert (settings.epochs, settings.learning_rate, settings.small_images) == (7, 0.5, False)
    assert settings.image_size_px == 8


def test_the_paper_trains_200_epochs_whatever_the_task():
    settings = settle(TrainConfig(architecture="ResNet-50", recipe="shipard2023"), make_set())
    expected = {"architecture": "resnet50", "epochs": 200, "batch_size": 128, "learning_rate": 2e-4}
    expected |= {"weight_decay": 0.9, "ema_decay": 0.0, "warmup_epochs": 0.0, "augmentation": "standard"}
    assert {name: getattr(settings, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("recipe", "size_px", "expected"),
    [("auto", 64, "small_cnn"), ("auto", 65, "resnet50"), ("shipard2023", 8, "resnet50")],
)
def test_an_architecture_that_nobody_names_is_chosen_by_the_size_of_the_images(recipe, size_px, expected):
    image = encode(np.zeros((size_px, size_px, 3), np.uint8))
    images = ImageSet("squares", ("a", "b"), np.repeat([0, 1], 10), lambda _: image)
    assert settle(TrainConfig(recipe=recipe), images).architecture == expected


@pytest.mark.parametrize(
    ("architecture", "num_images", "expected"),
    [
        ("resnet18", 2_000, ("adamw", False, False)),
        ("resnet18", 50_000, ("adamw", True, False)),
        ("mobilenetv3_small", 2_000, ("muon", True, False)),
        ("vit_tiny_patch16_224", 2_000, ("muon", False, True)),
        ("vit_tiny_patch16_224", 50_000, ("muon", True, True)),
        ("vit_b", 2_000, ("adamw", False, True)),
        ("vit_tiny_r_s16_p8_224", 2_000, ("adamw", False, False)),
        ("convnext_atto", 2_000, ("muon", False, True)),
        ("convnext_atto", 50_000, ("muon", True, True)),
        ("convnext_atto_ols", 2_000, ("muon", False, False)),
    ],
)
def test_the_architecture_decides_on_optimiser_and_stem(architecture, num_images, expected):
    chosen = RECIPES["auto"].choose(Task(architecture, ("a", "b"), num_images, 32), {})
    assert (chosen["optimizer"], chosen["small_images"], chosen["conv_stem"]) == expected
    assert chosen["image_size_px"] == 32


@pytest.mark.parametrize("architecture", ["test_vit", "convnext_atto"])
@pytest.mark.parametrize("size_px", [8, 33, 48, 64, 65, 500])
@pytest.mark.parametrize("given", [{}, {"image_size_px": 48}, {"conv_stem": False}, {"conv_stem": True}])
def test_what_is_chosen_can_be_built(architecture, size_px, given):
    for num_images in (2_000, 50_000):
        chosen = RECIPES["auto"].choose(Task(architecture, ("a", "b"), num_images, size_px), given) | given
        seen_px = chosen["image_size_px"]
        build_model(
            ModelConfig(architecture, ("a", "b"), seen_px, chosen["small_images"], conv_stem=chosen["conv_stem"])
        )


@pytest.mark.parametrize(
    ("size_px", "weights_px", "given", "expected"),
    [
        (8, None, {}, (True, 32)),
        (64, None, {}, (True, 64)),
        (65, None, {}, (False, 80)),
        (32, None, {"image_size_px": 224}, (False, 224)),
        (32, None, {"image_size_px": 36}, (False, 36)),  # which cannot be halved to few positions
        (32, 224, {}, (False, 64)),  # published weights are for patches
        (32, None, {"conv_stem": False}, (False, 64)),
    ],
)
def test_a_stem_of_convolutions_is_for_small_images_and_random_weights(size_px, weights_px, given, expected):
    task = Task("vit_tiny_patch16_224", ("a", "b"), 2_000, size_px, weights_px=weights_px)
    chosen = RECIPES["auto"].choose(task, given) | given
    assert (chosen["conv_stem"], chosen["image_size_px"]) == expected


@pytest.mark.parametrize(
    ("architecture", "num_images", "image_size_px", "is_fine"),
    [
        ("mobilenetv3_small", 2_000, None, True),
        ("mobilenetv3_small", 2_000, 64, False),  # the usual stem leaves as many positions as the finer one of 32 px
        ("mobilenetv3_small", 2_000, 63, True),
        ("resnet18", 50_000, 64, True),
        ("resnet18", 50_000, 65, False),
    ],
)
def test_the_stem_is_for_the_size_that_images_are_seen_at(architecture, num_images, image_size_px, is_fine):
    given = {"image_size_px": image_size_px} if image_size_px else {}
    chosen = RECIPES["auto"].choose(Task(architecture, ("a", "b"), num_images, 32), given)
    assert chosen["small_images"] is is_fine


def test_weights_to_begin_with_are_changed_little():
    scratch, tuned = (RECIPES["auto"].choose(Task("resnet18", ("a", "b"), 900, 32, None, px), {}) for px in (None, 224))
    assert tuned["epochs"] < scratch["epochs"]
    assert tuned["learning_rate"] < scratch["learning_rate"]


@pytest.mark.parametrize("num_images", [1, 50, 450, 2_000])
@pytest.mark.parametrize("freeze", [False, True])
def test_weights_are_changed_in_enough_steps_however_few_images_there_are(num_images, freeze):
    chosen = RECIPES["auto"].choose(Task("resnet18", ("a", "b"), num_images, 32, None, 224), {"freeze": freeze})
    assert (chosen["learning_rate"], freeze) in ((3e-4, False), (1e-3, True))
    assert chosen["epochs"] * math.ceil(num_images / chosen["batch_size"]) >= 400
    assert chosen["epochs"] <= 400


def test_digits_and_letters_are_never_mirrored():
    def augmentation(*names):
        return RECIPES["auto"].choose(Task("small_cnn", names, 100, 32), {})["augmentation"]

    assert augmentation("three", "9") == augmentation("a", "Ж") == "handwriting"
    assert augmentation("three", "cat") == "standard"


@pytest.mark.parametrize(
    ("architecture", "dataset", "expected"),
    [
        *(("resnet50", None, 0.9), ("resnet50", "cifar10", 0.9), ("resnet50", "EuroSAT", 0.3)),
        *(("mobilenetv3_small", "cifar10", 0.1), ("mobilenetv3_small", "eurosat", 0.1)),
    ],
)
def test_the_weight_decay_is_that_of_the_paper(architecture, dataset, expected):
    assert paper_weight_decay(architecture, dataset) == expected


@pytest.mark.parametrize(
    ("architecture", "num_images", "weights_px", "expected"),
    [
        ("small_cnn", 450, None, (32, 6e-3, 1.0)),
        ("small_cnn", 2_000, None, (128, 6e-3, 1.0)),
        ("mobilenetv3_small", 999, None, (32, 6e-3, 1.0)),
        ("resnet18", 450, None, (16, 1e-3, 2.0)),
        ("resnet18", 1_000, None, (64, 1e-3, 2.0)),
        ("resnet18", 10_001, None, (128, 1e-3, 2.0)),
        ("vit_tiny_patch16_224", 2_000, None, (128, 3e-3, 2.0)),
        ("small_cnn", 2_000, 32, (64, 3e-4, 2.0)),
    ],
)
def test_few_images_make_small_batches_and_light_convolutions_learn_at_a_high_rate(
    architecture, num_images, weights_px, expected
):
    chosen = RECIPES["auto"].choose(Task(architecture, ("a", "b"), num_images, 32, None, weights_px), {})
    assert (chosen["batch_size"], chosen["learning_rate"], chosen["warmup_epochs"]) == expected


def test_few_images_are_seen_more_often_than_many():
    epochs = [RECIPES["auto"].choose(Task("small_cnn", ("a", "b"), n, 32), {})["epochs"] for n in (500, 8_000, 10**6)]
    assert epochs == sorted(epochs, reverse=True)
    assert epochs[0] > epochs[-1] >= 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"freeze": True}, "weights with freeze"),
        ({"layer_decay": 0.5}, "weights with layer_decay"),
        ({"teacher_share": 0.2}, "teacher with teacher_share"),
        ({"teacher_temperature": 2.0}, "teacher with teacher_temperature"),
        ({"architecture": "resnet18.a1_in1k", "weights": "model"}, "weights once"),
        ({"architecture": "resnet18.a9_in9k"}, "no weights 'a9_in9k' for 'resnet18', but"),
        ({"architecture": "resnet18", "weights": "imagenet", "freeze": True, "layer_decay": 0.5}, "got both"),
        ({"architecture": "resnet18", "weights": "imagenet", "small_images": True}, "timm's own stem.*small_images"),
        ({"architecture": "resnet18", "weights": "imagenet", "conv_stem": True}, "timm's own stem.*conv_stem"),
        ({"architecture": "small_cnn", "weights": "imagenet"}, "timm has no weights for 'small_cnn'"),
    ],
)
def test_details_without_their_thing_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        settle(TrainConfig(**{"architecture": "small_cnn", **options}), make_set())


@pytest.mark.parametrize(
    ("options", "is_read"),
    [
        ({"recipe": "shipard2023"}, True),
        ({"recipe": "shipard2023", "dataset": None}, True),
        ({}, False),
        ({"recipe": "shipard2023", "weight_decay": 0.9}, False),
        ({"recipe": "shipard2023", "architecture": "mobilenetv3_small"}, False),
    ],
)
def test_a_known_set_that_nothing_reads_is_said(options, is_read, caplog):
    settle(TrainConfig(**{"architecture": "resnet18", "dataset": "cifar10", **options}), make_set())
    told = [str(record.args[0]) for record in caplog.records]
    assert [words.partition(":")[0] for words in told] == ([] if is_read else ["Nothing reads dataset=cifar10"])


def test_a_tag_means_its_weights():
    settings = settle(TrainConfig(architecture="resnet18.a1_in1k"), make_set())
    assert settings.start is not None
    assert settings.start.identity == "timm/resnet18.a1_in1k"
    assert (settings.architecture, settings.normalisation, settings.small_images) == ("resnet18", "dataset", False)
    assert settings.image_size_px == settings.start.size_px == 224


def test_large_images_get_no_finer_stem():
    files = [encode(np.zeros((128, 96, 3), np.uint8))] * 4
    images = ImageSet("large", ("a", "b"), np.array([0, 0, 1, 1]), files.__getitem__)
    settings = settle(TrainConfig(architecture="resnet18"), images)
    assert (settings.image_size_px, settings.small_images) == (128, False)
