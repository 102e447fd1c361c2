"""Options of training: declared once, checked when they are given, and as files of before have them."""

import json

import pytest

from synthset.classifiers.architectures import ARCHITECTURES
from synthset.classifiers.augment import AUGMENTATIONS
from synthset.classifiers.config import TrainConfig
from synthset.classifiers.models import NORMALISATIONS, ModelConfig, build_model
from synthset.classifiers.recipes import Task, choose_shipard2023
from synthset.classifiers.settings import Settings
from synthset.classifiers.train import BEFORE_RECIPES
from synthset.core.errors import UsageError
from synthset.core.options import declared_options, job_of

OPTIONS = {option.name: option for option in declared_options(TrainConfig)}


def test_every_field_is_an_option_with_a_text():
    assert all(option.text for option in OPTIONS.values())
    flags = [flag for option in OPTIONS.values() for flag in option.flags]
    assert len(set(flags)) == len(flags) == 32
    assert {"model", "image-size", "memory", "label-smoothing", "normalisation", "precision"} <= set(flags)


def test_the_texts_name_all_that_can_be_chosen():
    for field, names in (
        *(("architecture", ARCHITECTURES), ("augmentation", AUGMENTATIONS)),
        *(("precision", ("auto", "float32", "bf16")), ("normalisation", NORMALISATIONS)),
    ):
        assert all(name in OPTIONS[field].help for name in names)


def test_every_entry_has_a_summary():
    for entries in (ARCHITECTURES, AUGMENTATIONS, NORMALISATIONS):
        assert all(entry.summary for entry in entries.values())


@pytest.mark.parametrize("name", ["resnet50", "mobilenetv3_small", "small_cnn"])
def test_the_summary_counts_the_weights(name):
    model = build_model(ModelConfig(name, tuple("0123456789"), 32))
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    assert f"{millions:.1f} M weights" in ARCHITECTURES[name].summary


def test_a_value_that_cannot_be_is_refused_at_once():
    with pytest.raises(UsageError, match="epochs of at least 1, got 0"):
        TrainConfig(epochs=0)
    with pytest.raises(UsageError, match="batch_size as an integer or nothing, got"):
        TrainConfig(batch_size=16.0)  # pyright: ignore[reportArgumentType]


def test_the_job_is_what_folders_of_before_hold_and_what_they_could_not_say():
    names = (
        "architecture dataset epochs batch_size learning_rate weight_decay label_smoothing max_grad_norm augmentation "
        "normalisation image_size_px small_images antialias validation_fraction seed precision"
    )
    later = "weights freeze layer_decay teacher teacher_share teacher_temperature"
    job = job_of(TrainConfig(device="cpu", compile=True, memory_bytes=0, recipe="shipard2023", tracker=("trackio",)))
    assert {*job} == {*names.split(), *later.split(), *BEFORE_RECIPES}
    assert json.loads(json.dumps(job)) == job == job_of(TrainConfig())
    assert all(
        not job[name] or name in ("layer_decay", "teacher_share", "teacher_temperature") for name in later.split()
    )
    assert BEFORE_RECIPES.items() <= choose_shipard2023(Task("resnet50", ("a", "b"), 100, 32), {}).items()


def test_the_recipe_is_chosen_for_the_task_unless_another_is_named():
    config = TrainConfig()
    assert config.recipe == "auto"
    assert all(getattr(config, name) is None for name in Settings.__annotations__ if name in OPTIONS)
