"""Training: choice on held-back synthetic images, nothing random but by its seed."""

import dataclasses
import inspect
import json

import numpy as np
import pytest
import torch

import synthset
from bars import CONFIG, FILES, interrupted_in_epoch, make_set, scores, weights
from outcomes import contents
from synthset.classifiers import train
from synthset.classifiers.augment import AUGMENTATIONS, Augmentation, to_float
from synthset.classifiers.models import load_classifier
from synthset.classifiers.train import hold_back, train_classifier
from synthset.core.errors import DataError, ModelError, UnknownNameError, UsageError
from synthset.images.decoding import encode

# ---- what it is given --------------------------------------------------------------------------------------


def test_the_trainer_takes_no_test_set():
    assert list(inspect.signature(train_classifier).parameters) == [
        *("images", "config", "output_dir", "resume", "overwrite", "data", "when_ready", "when_decoded")
    ]


# ---- what comes out ----------------------------------------------------------------------------------


def test_ten_epochs_learn_the_bars(tmp_path):
    result = train_classifier(make_set(), dataclasses.replace(CONFIG, epochs=10), tmp_path)
    assert result.chosen.held_back_accuracy > 0.8  # chance is a third


def test_saves_what_it_says(finished):
    images = make_set()
    assert (finished.num_training, finished.num_held_back) == (45, 15)
    assert sorted(contents(finished.folder)) == FILES

    classifier = load_classifier(finished.folder, "cpu")
    assert classifier.config == finished.model_config
    _, rows = hold_back(images.labels, CONFIG.validation_fraction, CONFIG.seed)
    predicted = classifier.predict(images.tensor(8)[torch.from_numpy(rows)]).argmax(1).numpy()
    assert (predicted == images.labels[rows]).mean() == pytest.approx(finished.chosen.held_back_accuracy)

    note = json.loads((finished.folder / "training.json").read_text())
    assert note["job"]["config"]["seed"] == 0
    assert note["chosen"]["epoch"] == finished.chosen.epoch
    assert len(note["history"]) == 4
    assert "torch" in note["libraries"]


def test_augmentations_know_the_side_that_enlarged_images_came_with(tmp_path, monkeypatch):
    sides = set()

    def look(images, draws):
        sides.add((images.shape[-1], draws.native_px))
        return to_float(images)

    monkeypatch.setitem(AUGMENTATIONS, "looked at", Augmentation(look, "images as they are"))
    options = {"epochs": 1, "image_size_px": 16, "augmentation": "looked at"}
    train_classifier(make_set(), dataclasses.replace(CONFIG, **options), tmp_path)
    assert sides == {(16, 8)}


@pytest.mark.parametrize(
    ("accuracies", "chosen"),
    [
        ((0.7, 0.9, 0.9, 0.9, 0.1), 4),  # of equals the last
        ((0.7, 0.95, 0.9, 0.2, 0.1), 3),  # within a standard error of the highest: no worse beyond chance
        ((0.9, 0.1, 0.1, 0.1, 0.1), 1),
        ((0.9, 0.9, 0.9, 0.9, 1.0), 5),
        ((0.9, 1.0, 0.95, 0.2, 0.1), 3),  # of few images, all right is no better than nearly all
    ],
)
def test_the_checkpoint_is_the_last_that_none_beats_beyond_chance(tmp_path, monkeypatch, accuracies, chosen):
    dictated = iter([(0.5, accuracy) for accuracy in accuracies])
    states = []

    def score(model, *_):
        states.append({name: value.clone() for name, value in model.state_dict().items()})
        return next(dictated)

    monkeypatch.setattr(train, "_score_held_back", score)
    result = train_classifier(make_set(), dataclasses.replace(CONFIG, epochs=5), tmp_path)
    assert result.chosen.epoch == chosen
    kept = load_classifier(tmp_path, "cpu").model.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in states[chosen - 1].items())


def test_with_nothing_held_back_all_is_learned_from_and_the_last_epoch_is_kept(tmp_path, caplog):
    config, images = dataclasses.replace(CONFIG, validation_fraction=0), make_set((5, 5, 1))
    result = synthset.train(images, tmp_path / "whole", config)
    assert (result.num_training, result.num_held_back, result.chance) == (11, 0, None)
    assert (result.chosen, result.chosen.held_back_loss, result.chosen.held_back_accuracy) == (
        *(result.history[-1], None, None),
    )
    note = json.loads((tmp_path / "whole" / "training.json").read_text())
    assert note["chosen_by"] == "being the last, as no images were held back"
    assert "guesses" not in caplog.text
    with interrupted_in_epoch(3):
        train_classifier(images, config, tmp_path / "resumed")
    resumed = train_classifier(images, config, tmp_path / "resumed")
    assert weights(resumed.folder) == weights(result.folder)
    assert scores(resumed) == scores(result)
    with pytest.raises(DataError, match="Expected at least one image of each class in 'bars', got fewer of top"):
        train_classifier(make_set((5, 5, 0)), config, tmp_path / "none")


def test_the_same_seed_gives_the_same_weights_and_another_one_others(tmp_path, finished):
    again = train_classifier(make_set(), CONFIG, tmp_path / "again")
    other = train_classifier(make_set(), dataclasses.replace(CONFIG, seed=1), tmp_path / "other")
    assert weights(again.folder) == weights(finished.folder)
    assert weights(other.folder) != weights(finished.folder)


def test_global_random_state_is_neither_read_nor_changed(tmp_path, finished):
    torch.manual_seed(123)
    state = torch.get_rng_state()
    train_classifier(make_set(), CONFIG, tmp_path)
    assert torch.equal(torch.get_rng_state(), state)
    assert weights(tmp_path) == weights(finished.folder)


@pytest.mark.parametrize("changes", [{"normalisation": "per_image"}, {"precision": "bf16"}])
def test_other_ways_to_train_learn_too(tmp_path, changes):
    config = dataclasses.replace(CONFIG, **changes, augmentation="none", epochs=12)
    assert train_classifier(make_set(), config, tmp_path).chosen.held_back_accuracy > 0.8


def test_images_in_a_file_train_the_same_to_the_bit(tmp_path, finished):
    result = train_classifier(make_set(), dataclasses.replace(CONFIG, memory_bytes=0), tmp_path)
    assert weights(tmp_path) == weights(finished.folder)
    assert scores(result) == scores(finished)


def test_what_cannot_be_compiled_says_so(tmp_path, monkeypatch):
    def compiler(_graph, _inputs):
        raise RuntimeError("no compiler here")

    compile_by = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model, **_: compile_by(model, backend=compiler))
    with pytest.raises(ModelError, match=r"'small_cnn' cannot be compiled \(.*no compiler here.*\)\. Train without it"):
        train_classifier(make_set(), dataclasses.replace(CONFIG, compile=True), tmp_path)


@pytest.mark.parametrize(("side", "expected"), [(8, 8), (240, 224)])
def test_the_size_is_that_of_the_images_unless_it_is_chosen(tmp_path, side, expected):
    images = make_set((2, 2, 2))
    enlarged = dataclasses.replace(images, read=lambda i: encode(np.asarray(images.image(i).resize((side, side)))))
    config = dataclasses.replace(CONFIG, image_size_px=None, augmentation="none", epochs=1)
    result = train_classifier(enlarged, config, tmp_path)
    assert result.model_config.image_size_px == expected
    job = json.loads((tmp_path / "training.json").read_text())["job"]["config"]
    assert job["image_size_px"] == expected  # so that a folder goes on whichever of the two is said
    with_size = dataclasses.replace(config, image_size_px=expected)
    assert train_classifier(enlarged, with_size, tmp_path).was_finished


def test_a_timm_model_trains(tmp_path):
    config = dataclasses.replace(CONFIG, architecture="ResNet-10t", image_size_px=16, epochs=1)
    assert train_classifier(make_set(), config, tmp_path).model_config.architecture == "resnet10t"


def test_trains_with_a_ragged_last_batch_of_one(tmp_path):
    config = dataclasses.replace(CONFIG, batch_size=11, epochs=1)
    result = train_classifier(make_set(), config, tmp_path)
    assert result.num_training % config.batch_size == 1


# ---- refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"epochs": 0}, UsageError, "epochs of at least 1, got 0"),
        ({"batch_size": 0}, UsageError, "batch_size of at least 1, got 0"),
        ({"batch_size": 1}, UsageError, "batch_size of at least 2"),
        ({"learning_rate": float("nan")}, UsageError, "learning_rate as a finite number or nothing, got nan"),
        ({"weight_decay": -1.0}, UsageError, "weight_decay of at least 0, got -1"),
        ({"label_smoothing": 1.0}, UsageError, "label_smoothing of at least 0 and below 1"),
        ({"validation_fraction": -0.1}, UsageError, "validation_fraction of at least 0"),
        ({"max_grad_norm": 0.0}, UsageError, "max_grad_norm above 0"),
        ({"memory_bytes": -1}, UsageError, "memory_bytes of at least 0, got -1"),
        ({"image_size_px": 0}, UsageError, "image_size_px of at least 1"),
        ({"architecture": "small_cnm"}, UnknownNameError, "Did you mean 'small_cnn'"),
        ({"augmentation": "mirror"}, UnknownNameError, "standard"),
        ({"normalisation": "none"}, UnknownNameError, "per_image"),
        ({"precision": "fp8"}, UnknownNameError, "bf16"),
        ({"device": "abacus"}, UsageError, "cannot be used"),
        ({"architecture": "vit_tiny_patch16_224", "image_size_px": 20}, UsageError, "multiple of 16"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_written(tmp_path, changes, error, message):
    with pytest.raises(error, match=message):
        train_classifier(make_set(), dataclasses.replace(CONFIG, **changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (make_set((5,), ("left",)), "two classes"),
        (make_set((5, 5, 0)), r"top \(0\)"),
        (make_set((5, 1, 5)), r"right \(1\)"),
    ],
)
def test_too_few_images_are_refused(tmp_path, images, message):
    with pytest.raises(DataError, match=message):
        train_classifier(images, CONFIG, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unreadable_image_is_named_and_nothing_is_written(tmp_path):
    images = make_set()
    broken = dataclasses.replace(images, read=lambda i: b"not an image" if i == 7 else images.read(i))
    with pytest.raises(DataError, match="Image 7 of 'bars'"):
        train_classifier(broken, CONFIG, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_loss_that_is_not_a_number_says_what_to_do(tmp_path):
    config = dataclasses.replace(CONFIG, learning_rate=1e30, max_grad_norm=None)
    with pytest.raises(ModelError, match=r"learning rate below 1e\+30"):
        train_classifier(make_set(), config, tmp_path)
    assert not (tmp_path / "model.safetensors").exists()
