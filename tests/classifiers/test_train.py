"""Training: the paper's recipe, choice on held-back synthetic images, resume without a trace, clear refusals."""

import dataclasses
import inspect
import json

import numpy as np
import pytest
import torch

from synthset.classifiers import train
from synthset.classifiers.models import load_classifier
from synthset.classifiers.train import (
    TrainConfig,
    channel_statistics,
    cosine,
    fingerprint,
    hold_back,
    paper_weight_decay,
    split_batches,
    train_classifier,
)
from synthset.errors import ConfigChangedError, DataError, ModelError, UnknownNameError, UsageError
from synthset.images import encode
from synthset.imageset import ImageSet

# every source of randomness is on: augmentation, dropout, order, label smoothing, clipping
CONFIG = TrainConfig(
    architecture="small_cnn",
    epochs=4,
    batch_size=16,
    learning_rate=3e-3,
    weight_decay=0.05,
    label_smoothing=0.05,
    max_grad_norm=1.0,
    augmentation="digits",
    image_size_px=8,
    validation_fraction=0.25,
    device="cpu",
)
NAMES = ("left", "right", "top")


def make_set(counts=(20, 20, 20), names=NAMES, seed=0) -> ImageSet:
    """Noise with a bright bar on the side that the class names."""
    random = np.random.default_rng(seed)
    labels = np.concatenate([np.full(count, label) for label, count in enumerate(counts)])
    files = []
    for label in labels:
        pixels = random.integers(0, 90, (8, 8, 3), np.uint8)
        pixels[(slice(None), slice(None), slice(0, 2))[label], (slice(0, 2), slice(6, 8), slice(None))[label]] = 230
        files.append(encode(pixels))
    return ImageSet("bars", tuple(names), labels, files.__getitem__)


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def scores(result):
    return [dataclasses.replace(epoch, seconds=0) for epoch in result.history]


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "model"
    return train_classifier(make_set(), CONFIG, folder)


# ---- the recipe --------------------------------------------------------------------------------------


def test_the_default_recipe_is_section_5_1():
    config = TrainConfig()
    assert (config.epochs, config.batch_size, config.learning_rate) == (200, 128, 2e-4)
    assert config.weight_decay is None
    assert not config.small_images


@pytest.mark.parametrize(
    ("architecture", "dataset", "expected"),
    [
        *(("resnet50", "cifar10", 0.9), ("vit_b", None, 0.9), ("resnet50", "EuroSAT", 0.3)),
        *(("mobilenetv3_small", "cifar10", 0.1), ("mobilenetv3_small", "eurosat", 0.1)),
    ],
)
def test_weight_decay_by_architecture_and_dataset(architecture, dataset, expected):
    assert paper_weight_decay(architecture, dataset) == expected


def test_the_learning_rate_is_a_cosine_to_zero_over_steps():
    assert cosine(2e-4, 0, 10) == 2e-4
    assert cosine(2e-4, 5, 10) == pytest.approx(1e-4)
    assert cosine(2e-4, 10, 10) == pytest.approx(0, abs=1e-12)


def test_the_trainer_takes_no_test_set():
    assert list(inspect.signature(train_classifier).parameters) == [
        *("images", "config", "output_dir", "resume", "overwrite")
    ]


# ---- what comes out ----------------------------------------------------------------------------------


def test_learns_and_saves_what_it_says(finished):
    images = make_set()
    assert finished.chosen.held_back_accuracy > 0.7  # chance is a third
    assert (finished.num_training, finished.num_held_back) == (45, 15)
    assert sorted(files(finished.folder)) == ["config.json", "model.safetensors", "training.json"]

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


def test_the_checkpoint_is_the_best_on_held_back_images(tmp_path, monkeypatch):
    """Scores are dictated: accuracy decides, then loss, then the later epoch."""
    dictated = iter([(0.5, 0.7), (0.3, 0.9), (0.2, 0.9), (0.2, 0.9), (0.1, 0.8)])
    states = []

    def score(model, *_):
        states.append({name: value.clone() for name, value in model.state_dict().items()})
        return next(dictated)

    monkeypatch.setattr(train, "_score_held_back", score)
    result = train_classifier(make_set(), dataclasses.replace(CONFIG, epochs=5), tmp_path)
    assert result.chosen.epoch == 4
    kept = load_classifier(tmp_path, "cpu").model.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in states[3].items())


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
    config = dataclasses.replace(CONFIG, **changes, augmentation="none", epochs=6)
    assert train_classifier(make_set(), config, tmp_path).chosen.held_back_accuracy > 0.8


def test_a_timm_model_trains(tmp_path):
    config = dataclasses.replace(CONFIG, architecture="ResNet-10t", image_size_px=16, epochs=1)
    assert train_classifier(make_set(), config, tmp_path).model_config.architecture == "resnet10t"


# ---- parts -------------------------------------------------------------------------------------------


def test_holding_back_is_stratified_and_follows_the_seed():
    labels = np.array([0] * 40 + [1] * 10 + [2] * 2)
    training, held_back = hold_back(labels, 0.1, seed=5)
    assert np.bincount(labels[held_back]).tolist() == [4, 1, 1]
    assert sorted([*training, *held_back]) == list(range(52))
    assert np.array_equal(hold_back(labels, 0.1, seed=5)[1], held_back)
    assert not np.array_equal(hold_back(labels, 0.1, seed=6)[1], held_back)
    assert np.bincount(labels[hold_back(labels, 0.99, seed=5)[0]]).tolist() == [1, 1, 1]


def test_a_last_batch_of_one_joins_the_one_before():
    def sizes(n, size):
        return [len(batch) for batch in split_batches(torch.arange(n), size)]

    assert sizes(9, 4) == [4, 5]
    assert sizes(10, 4) == [4, 4, 2]
    assert sizes(3, 8) == [3]
    assert sizes(3, 1) == [1, 1, 1]
    assert torch.cat(split_batches(torch.arange(9), 4)).tolist() == list(range(9))


def test_trains_with_a_ragged_last_batch_of_one(tmp_path):
    config = dataclasses.replace(CONFIG, batch_size=11, epochs=1)
    result = train_classifier(make_set(), config, tmp_path)
    assert result.num_training % config.batch_size == 1


def test_channel_statistics_are_those_of_the_chosen_rows():
    pixels = torch.randint(0, 256, (30, 3, 5, 5), generator=torch.Generator().manual_seed(0)).byte()
    rows = np.arange(0, 30, 3)
    mean, std = channel_statistics(pixels, rows)
    chosen = pixels[torch.from_numpy(rows)].double() / 255
    assert mean == pytest.approx(chosen.mean((0, 2, 3)).tolist())
    assert std == pytest.approx(chosen.std((0, 2, 3), correction=0).tolist())
    assert min(channel_statistics(torch.zeros_like(pixels), rows)[1]) > 0


def test_the_fingerprint_sees_labels_names_and_images():
    images = make_set()
    prints = {
        fingerprint(images),
        fingerprint(make_set(seed=1)),
        fingerprint(make_set(names=("left", "right", "up"))),
        fingerprint(dataclasses.replace(images, labels=images.labels[::-1].copy())),
        fingerprint(images.select(range(59))),
    }
    assert len(prints) == 5
    assert fingerprint(make_set()) in prints


# ---- resume ------------------------------------------------------------------------------------------


def interrupt(monkeypatch, name, call):
    """Let the trainer be interrupted at the given call of one of its functions; gives the count of calls."""
    calls = []
    original = getattr(train, name)

    def interrupted(*args):
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(train, name, interrupted)
    return calls


@pytest.mark.parametrize(("name", "call"), [("augment", 8), ("_score_held_back", 3), ("_finish", 1)])
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, monkeypatch, finished, name, call):
    monkeypatch.setattr(train, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(train, "CHECKPOINT_SHARE", float("inf"))
    with monkeypatch.context() as patch:
        interrupt(patch, name, call)
        with pytest.raises(KeyboardInterrupt):
            train_classifier(make_set(), CONFIG, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["resume.safetensors"]

    epochs = interrupt(monkeypatch, "_train_epoch", -1)
    resumed = train_classifier(make_set(), CONFIG, tmp_path)
    assert len(epochs) == {"augment": 2, "_score_held_back": 2, "_finish": 0}[name]
    assert weights(tmp_path) == weights(finished.folder)
    assert scores(resumed) == scores(finished)
    assert sorted(files(tmp_path)) == ["config.json", "model.safetensors", "training.json"]


def test_a_finished_training_returns_at_once(monkeypatch, finished):
    before = files(finished.folder)
    epochs = interrupt(monkeypatch, "_train_epoch", 1)
    again = train_classifier(make_set(), dataclasses.replace(CONFIG, architecture="Small-CNN"), finished.folder)
    assert again == dataclasses.replace(finished, was_finished=True, seconds=again.seconds)
    assert not epochs
    assert files(finished.folder) == before


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"seed": 7}, "seed: 0 there, 7 here"),
        ({"epochs": 5}, "epochs: 4 there, 5 here"),
        ({"architecture": "resnet10t"}, "architecture: small_cnn there, resnet10t here"),
    ],
)
def test_another_config_is_refused_by_name_and_changes_nothing(finished, changes, difference):
    before = files(finished.folder)
    with pytest.raises(ConfigChangedError, match=difference):
        train_classifier(make_set(), dataclasses.replace(CONFIG, **changes), finished.folder)
    assert files(finished.folder) == before


def test_other_images_are_refused(finished):
    with pytest.raises(ConfigChangedError, match="images: other"):
        train_classifier(make_set(seed=1), CONFIG, finished.folder)


def test_an_unfinished_training_refuses_another_config(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "CHECKPOINT_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        interrupt(patch, "_train_epoch", 2)
        with pytest.raises(KeyboardInterrupt):
            train_classifier(make_set(), CONFIG, tmp_path)
    before = files(tmp_path)
    with pytest.raises(ConfigChangedError, match="batch_size: 16 there, 8 here"):
        train_classifier(make_set(), dataclasses.replace(CONFIG, batch_size=8), tmp_path)
    with pytest.raises(UsageError, match="already holds"):
        train_classifier(make_set(), CONFIG, tmp_path, resume=False)
    assert files(tmp_path) == before


def test_overwrite_replaces_the_classifier_and_nothing_else(tmp_path, finished):
    config = dataclasses.replace(CONFIG, epochs=1)
    train_classifier(make_set(), config, tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    train_classifier(make_set(), CONFIG, tmp_path, overwrite=True)
    assert weights(tmp_path) == weights(finished.folder)
    assert (tmp_path / "notes.txt").read_text() == "mine"


# ---- refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_is_not_ours_is_left_alone(tmp_path, overwrite):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="no Synthset classifier"):
        train_classifier(make_set(), CONFIG, tmp_path, overwrite=overwrite)
    (tmp_path / "config.json").write_text('{"format": "another tool"}')
    with pytest.raises(UsageError, match="no Synthset classifier"):
        train_classifier(make_set(), CONFIG, tmp_path, overwrite=overwrite)
    with pytest.raises(UsageError, match="is a file"):
        train_classifier(make_set(), CONFIG, tmp_path / "thesis.tex", overwrite=overwrite)
    assert sorted(files(tmp_path)) == ["config.json", "thesis.tex"]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"epochs": 0}, UsageError, "epochs at least 1, got 0"),
        ({"batch_size": 0}, UsageError, "batch_size at least 1, got 0"),
        ({"batch_size": 1}, UsageError, "batch_size of at least 2"),
        ({"learning_rate": float("nan")}, UsageError, "learning_rate above 0, got nan"),
        ({"weight_decay": -1.0}, UsageError, "weight_decay at least 0"),
        ({"label_smoothing": 1.0}, UsageError, "label_smoothing"),
        ({"validation_fraction": 0.0}, UsageError, "validation_fraction above 0"),
        ({"max_grad_norm": 0.0}, UsageError, "max_grad_norm above 0"),
        ({"image_size_px": 0}, UsageError, "image_size_px at least 1"),
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
