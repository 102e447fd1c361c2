"""Weights to begin with: all but the head are theirs; frozen ones stay; others are refused in one line."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

import synthset
from bars import CONFIG, make_set
from synthset.classifiers.models import ModelConfig, build_model, plain_state, save_classifier
from synthset.classifiers.pretrained import find_start, start_model
from synthset.classifiers.train import train_classifier
from synthset.core.errors import ModelError, UsageError

PLAIN = replace(CONFIG, architecture="test_resnet", augmentation="standard", image_size_px=32, epochs=1)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Weights of a network of timm for seven classes, as they are published."""
    path = tmp_path_factory.mktemp("weights") / "resnet.safetensors"
    model = build_model(ModelConfig("test_resnet", tuple("abcdefg"), 32), seed=5)
    save_file(plain_state(model), path)
    return path


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A classifier of ours."""
    folder = tmp_path_factory.mktemp("ours") / "model"
    train_classifier(make_set(), CONFIG, folder)
    return folder


def heads_apart(first, second):
    return {
        name for name in first if first[name].shape != second[name].shape or not torch.equal(first[name], second[name])
    }


def test_all_but_the_head_are_those_of_the_file(file):
    start = find_start(str(file), "test_resnet")
    config = ModelConfig("test_resnet", ("a", "b", "c"), 32)
    model = start_model(config, start, seed=1)
    assert heads_apart(model.state_dict(), load_file(file)) == {"fc.weight", "fc.bias"}
    again = start_model(config, start, seed=1)
    assert heads_apart(model.state_dict(), again.state_dict()) == set()


@pytest.mark.parametrize("names", ["ab", "abc"])
def test_a_model_of_ours_is_a_start_for_other_classes_and_as_many(names, classifier):
    start = find_start(str(classifier), "small_cnn")
    assert start.ours is not None
    model = start_model(replace(start.ours, class_names=tuple(names)), start, seed=1)
    before = load_file(classifier / "model.safetensors")
    assert heads_apart(model.state_dict(), before) == {"head.weight", "head.bias"}


def test_a_frozen_backbone_stays_and_the_head_learns(file, tmp_path):
    result = train_classifier(make_set(), replace(PLAIN, weights=str(file), freeze=True), tmp_path / "model")
    after = load_file(tmp_path / "model" / "model.safetensors")
    assert heads_apart(after, load_file(file)) == {"fc.weight", "fc.bias"}
    start = find_start(str(file), "test_resnet")
    assert (result.model_config.mean, result.model_config.std) == (start.mean, start.std)
    assert "resnet.safetensors" in result.model_config.seen


def test_all_layers_learn_without_it_and_the_file_may_move(file, tmp_path):
    config = replace(PLAIN, weights=str(file), layer_decay=0.5)
    train_classifier(make_set(), config, tmp_path / "model")
    after, before = load_file(tmp_path / "model" / "model.safetensors"), load_file(file)
    assert len(heads_apart(after, before)) > 0.9 * len([name for name in after if "num_batches" not in name])
    moved = tmp_path / "moved.safetensors"
    moved.write_bytes(file.read_bytes())
    assert train_classifier(make_set(), replace(config, weights=str(moved)), tmp_path / "model").was_finished


def test_other_weights_are_another_training(file, tmp_path):
    train_classifier(make_set(), replace(PLAIN, weights=str(file)), tmp_path / "model")
    other = {name: value + 1 if value.is_floating_point() else value for name, value in load_file(file).items()}
    save_file(other, tmp_path / "other.safetensors")
    with pytest.raises(UsageError, match="weights: "):
        train_classifier(make_set(), replace(PLAIN, weights=str(tmp_path / "other.safetensors")), tmp_path / "model")


@pytest.mark.parametrize("broken", ["another architecture", "lacking", "no safetensors"])
def test_weights_that_do_not_fit_are_refused(broken, file, tmp_path):
    path = tmp_path / "weights.safetensors"
    tensors = load_file(file)
    if broken == "lacking":
        del tensors["layer1.0.conv1.weight"]
    if broken == "another architecture":
        tensors = {"x": torch.zeros(2)}
    save_file(tensors, path)
    if broken == "no safetensors":
        path.write_bytes(b"PK\x03\x04")
    with pytest.raises(ModelError) as error:
        train_classifier(make_set(), replace(PLAIN, weights=str(path)), tmp_path / "model")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("name", ["nothing", "model.pt", "folder"])
def test_what_is_no_weights_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "model.pt").write_bytes(b"PK")
    with pytest.raises(ModelError, match=f"safetensors file or the folder of a model as weights, got '{name}'"):
        find_start(name, "resnet18")


def test_weights_of_the_hub_say_how_to_fetch_them():
    start = find_start("imagenet", "resnet18", "a1_in1k")
    with pytest.raises(ModelError, match=r"hf download timm/resnet18\.a1_in1k"):
        start.load()


def test_another_architecture_of_ours_is_named(classifier):
    with pytest.raises(UsageError, match="got those of 'small_cnn'"):
        find_start(str(classifier), "resnet18")


def test_a_file_is_no_start_for_a_network_of_ours(classifier):
    with pytest.raises(UsageError, match=r"Expected the folder of a model as weights .* got the file"):
        find_start(str(classifier / "model.safetensors"), "small_cnn")


@pytest.mark.parametrize("name", ["small_images", "conv_stem"])
def test_another_stem_than_the_weights_have_is_named(name, tmp_path):
    config = ModelConfig("convnext_atto", ("a", "b"), 32, conv_stem=True)
    save_classifier(tmp_path, build_model(config), config)
    start = find_start(str(tmp_path), "convnext_atto")
    words = rf"Expected {name}=\w+, which is the stem of these weights of 'convnext_atto', got {name}=\w+\. Give it so"
    with pytest.raises(UsageError, match=words):
        start_model(replace(config, **{name: not getattr(config, name)}), start, seed=1)


def test_a_network_of_one_stem_is_a_start_whatever_is_said_of_it(classifier):
    start = find_start(str(classifier), "small_cnn")
    assert start.ours is not None
    other = replace(start.ours, small_images=not start.ours.small_images)
    assert heads_apart(start_model(other, start, seed=1).state_dict(), start.load()) == {"head.weight", "head.bias"}


def test_weights_for_another_size_say_which(tmp_path):
    config = ModelConfig("vit_tiny_patch16_224", ("a", "b"), 32)
    save_classifier(tmp_path, build_model(config), config)
    start = find_start(str(tmp_path), "vit_tiny_patch16_224")
    with pytest.raises(ModelError, match=r"\(pos_embed\)\. They learned at image_size_px=32; or give other weights\."):
        start_model(replace(config, image_size_px=64), start, seed=1)


def test_a_second_training_says_what_the_first_saw(classifier, tmp_path):
    trained = synthset.train(make_set(), tmp_path / "model", replace(CONFIG, weights=str(classifier), epochs=1))
    assert trained.model_config.seen == f"synthetic images alone, of the weights in '{classifier}'"
