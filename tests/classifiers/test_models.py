"""Architectures: every spelling, every size, the papers' weights; saving and loading without pickles."""

import dataclasses
import json
import math
import pickle

import pytest
import timm
import torch

from synthset.classifiers.architectures import ARCHITECTURES, resolve_architecture
from synthset.classifiers.models import (
    Classifier,
    ModelConfig,
    build_model,
    load_classifier,
    normalise,
    save_classifier,
)
from synthset.core.errors import ModelError, UnknownNameError, UsageError
from synthset.core.files import write_json

SMALL = ModelConfig("small_cnn", ("a", "b", "c"), 16, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))


def images_of(size, n=2, seed=0):
    return torch.randint(0, 256, (n, 3, size, size), generator=torch.Generator().manual_seed(seed)).byte()


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        *(("Vit-B", "vit_b"), ("ViT-B", "vit_b"), ("vit_b", "vit_b"), ("ViT-B/16", "vit_b")),
        *(("ResNet50", "resnet50"), ("RS101", "resnet101"), ("convnext-small", "convnext_small")),
        *(("ConvNeXt-S", "convnext_small"), ("MBV3", "mobilenetv3_small"), ("small-cnn", "small_cnn")),
        *(("MobileNetV3-S", "mobilenetv3_small"), ("resnet18.a1_in1k", "resnet18")),
        *(("EfficientNet-B0", "efficientnet_b0"), ("regnety_002", "regnety_002")),
    ],
)
def test_an_architecture_has_one_name_for_all_spellings(spelling, name):
    assert resolve_architecture(spelling) == name


@pytest.mark.parametrize("name", ["resnet5O", "hf-hub:someone/model", "local-dir:/tmp", "数字", ""])
def test_unknown_architecture_lists_ours_and_close_ones_only(name):
    with pytest.raises(UnknownNameError, match="small_cnn") as caught:
        resolve_architecture(name)
    assert len(str(caught.value)) < 400


def test_resnet_misspelt_is_suggested():
    with pytest.raises(UnknownNameError, match="Did you mean 'resnet50'"):
        resolve_architecture("resnet5O")


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        *(("resnet50", 25.557), ("resnet101", 44.549), ("vit_b", 86.568), ("mobilenetv3_small", 2.543)),
        ("convnext_small", 50.224),
    ],
)
def test_the_five_of_table_3_are_the_published_ones(name, millions):
    with torch.device("meta"):
        model = timm.create_model(ARCHITECTURES[name].source, num_classes=1000)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=5e-4)


@pytest.mark.parametrize("small_images", [False, True])
@pytest.mark.parametrize("name", ["resnet50", "mobilenetv3_small", "convnext_small", "small_cnn"])
def test_builds_and_runs_at_32_px(name, small_images):
    if small_images and name == "small_cnn":
        return  # it is made for small images, see below
    config = ModelConfig(name, ("a", "b", "c"), 32, small_images=small_images)
    model = build_model(config)
    assert model.training
    assert model(normalise(images_of(32).float() / 255, config)).shape == (2, 3)


@pytest.mark.slow
@pytest.mark.parametrize("small_images", [False, True])
@pytest.mark.parametrize("name", ["resnet101", "vit_b"])
def test_builds_and_runs_the_large_ones_at_32_px(name, small_images):
    config = ModelConfig(name, ("a", "b", "c"), 32, small_images=small_images)
    assert build_model(config)(torch.zeros(2, 3, 32, 32)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "layer", "without", "with_"),
    [
        ("resnet18", "layer1", (8, 8), (32, 32)),
        ("mobilenetv3_small", "blocks", (1, 1), (4, 4)),
        ("convnext_atto", "stem", (8, 8), (16, 16)),
        ("vit_tiny_patch16_224", "patch_embed.proj", (2, 2), (8, 8)),
    ],
)
def test_small_images_keep_more_positions(name, layer, without, with_):
    seen = []
    for small_images in (False, True):
        model = build_model(ModelConfig(name, ("a", "b"), 32, small_images=small_images))
        model.get_submodule(layer).register_forward_hook(lambda _m, _i, o: seen.append(tuple(o.shape[-2:])))
        assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 2)
    assert seen == [without, with_]


@pytest.mark.parametrize(
    ("name", "size", "small_images", "layer", "positions"),
    [
        ("convnext_atto", 32, False, "stem", 8),
        ("convnext_atto", 32, True, "stem", 16),
        ("vit_tiny_patch16_224", 32, False, "patch_embed.proj", 4),
        ("vit_tiny_patch16_224", 32, True, "patch_embed.proj", 8),
        ("vit_tiny_patch16_224", 48, False, "patch_embed.proj", 6),
        ("vit_tiny_patch16_224", 224, False, "patch_embed.proj", 14),
        ("deit_tiny_patch16_224", 64, False, "patch_embed.proj", 4),
    ],
)
def test_a_stem_of_convolutions_halves_images_to_whole_positions(name, size, small_images, layer, positions):
    model = build_model(ModelConfig(name, ("a", "b"), size, small_images, conv_stem=True))
    seen = []
    stem = model.get_submodule(layer)
    stem.register_forward_hook(lambda _m, _i, o: seen.append(tuple(o.shape[-2:])))
    assert model(torch.zeros(2, 3, size, size)).shape == (2, 2)
    assert seen == [(positions, positions)]
    kernels = [part.kernel_size[0] for part in stem.modules() if isinstance(part, torch.nn.Conv2d)]
    assert kernels == [3] * round(math.log2(size / positions)) + [1]


def test_a_stem_of_convolutions_is_kept_and_those_of_before_are_read_without(tmp_path):
    config = ModelConfig("vit_tiny_patch16_224", ("a", "b"), 16, conv_stem=True)
    model = build_model(config).eval()
    pixels = torch.randint(0, 256, (2, 3, 16, 16), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    save_classifier(tmp_path / "new", model, config)
    loaded = load_classifier(tmp_path / "new", "cpu")
    assert loaded.config == config
    torch.testing.assert_close(loaded.predict(pixels), Classifier(config, model).predict(pixels))

    save_classifier(tmp_path / "old", build_model(SMALL), SMALL)
    path = tmp_path / "old" / "config.json"
    note = json.loads(path.read_text())
    del note["conv_stem"]
    write_json(path, note)
    assert load_classifier(tmp_path / "old", "cpu").config == SMALL


@pytest.mark.parametrize("size", [8, 16, 28, 32, 64])
def test_small_cnn_fits_every_small_size_and_its_budget(size):
    model = build_model(dataclasses.replace(SMALL, image_size_px=size))
    assert model(torch.zeros(2, 3, size, size)).shape == (2, 3)
    assert 200_000 < sum(p.numel() for p in model.parameters()) < 500_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "vit_tiny_patch16_224", "image_size_px": 28}, "image_size_px=32, or small_images"),
        ({"architecture": "vit_tiny_patch16_224", "image_size_px": 8}, "multiple of 16"),
        (
            {"architecture": "vit_tiny_patch16_224", "image_size_px": 28, "small_images": True},
            "multiple of 8",
        ),
        ({"architecture": "convnext_atto", "image_size_px": 2}, "too small"),
        ({"architecture": "inception_v3", "image_size_px": 16}, "too small"),
        ({"architecture": "regnetx_002", "image_size_px": 64, "small_images": True}, "no form for small"),
        (
            {"architecture": "resnet18", "image_size_px": 32, "conv_stem": True},
            "'resnet18' cuts no images into patches",
        ),
        ({"architecture": "vit_tiny_r_s16_p8_224", "image_size_px": 32, "conv_stem": True}, "cuts no images"),
        ({"conv_stem": True}, "'small_cnn' cuts no images into patches"),
        (
            {"architecture": "vit_tiny_patch16_224", "image_size_px": 33, "conv_stem": True},
            "multiple of 8 px with conv",
        ),
        (
            {"architecture": "vit_tiny_patch16_224", "image_size_px": 8, "conv_stem": True, "small_images": True},
            "multiple of 16 px with conv_stem",
        ),
        ({"class_names": ("a",)}, "two classes"),
        ({"image_size_px": 0}, "at least 1 px"),
        ({"normalisation": "batch"}, "dataset, per_image"),
    ],
)
def test_what_cannot_be_built_says_why(changes, message):
    with pytest.raises(UsageError, match=message):
        build_model(dataclasses.replace(SMALL, **changes))


def test_weights_follow_the_seed_and_leave_global_random_state_alone():
    state = torch.get_rng_state()
    one, same, other = (build_model(SMALL, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["head.weight"], other["head.weight"])


def test_normalisations():
    pixels = images_of(16, n=4).float() / 255
    by_dataset = normalise(pixels, SMALL)
    assert torch.allclose(by_dataset[1, 2], (pixels[1, 2] - 0.3) / 0.6)
    config = dataclasses.replace(SMALL, normalisation="per_image")
    each = normalise(pixels, config)
    assert torch.allclose(each.mean((1, 2, 3)), torch.zeros(4), atol=1e-5)
    assert torch.allclose(each.std((1, 2, 3)), torch.ones(4), atol=1e-4)
    assert torch.allclose(normalise(pixels * 0.5 + 0.2, config), each, atol=1e-4)  # brightness, contrast
    assert normalise(torch.full((1, 3, 16, 16), 0.7), config).abs().max() < 1e-3  # blank, and finite


def test_saves_and_loads_the_same_predictions(tmp_path):
    model = build_model(SMALL, seed=3)
    model.train()(torch.randn(8, 3, 16, 16))  # moves BatchNorm's statistics
    save_classifier(tmp_path / "m", model, SMALL)
    loaded = load_classifier(tmp_path / "m", "cpu")
    assert loaded.config == SMALL
    images = images_of(16, n=5)
    expected = model.eval()(normalise(images.float() / 255, SMALL))
    assert torch.equal(loaded.predict(images), expected)
    assert torch.allclose(loaded.predict(images, batch_size=2), expected, atol=1e-5)
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["config.json", "model.safetensors"]


def test_predicting_learns_nothing_from_the_images():
    from synthset.classifiers.models import Classifier

    model = build_model(SMALL).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    Classifier(SMALL, model).predict(images_of(16, n=9))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("name", ["", "trained_model.pt", "anything", "model.safetensors", "config.json"])
def test_loads_from_the_folder_or_any_name_in_it(tmp_path, name):
    save_classifier(tmp_path, build_model(SMALL), SMALL)
    assert load_classifier(tmp_path / name, "cpu").config == SMALL


def test_a_pickle_is_refused_unopened(tmp_path):
    save_classifier(tmp_path, build_model(SMALL), SMALL)
    (tmp_path / "trained_model.pt").write_bytes(pickle.dumps({"would": "run"}))
    with pytest.raises(ModelError, match="pickle"):
        load_classifier(tmp_path / "trained_model.pt")


@pytest.mark.parametrize("path", ["nothing", "nothing/at/all", "."])
def test_a_folder_without_a_classifier_names_the_stage_that_makes_one(tmp_path, path):
    with pytest.raises(ModelError, match="Run 'synthset train' first"):
        load_classifier(tmp_path / path)


def test_damaged_classifiers_are_refused(tmp_path):
    save_classifier(tmp_path, build_model(SMALL), SMALL)
    config, weights = (tmp_path / "config.json"), (tmp_path / "model.safetensors")
    whole = json.loads(config.read_text())

    for content in ("{", "[]", "{}", json.dumps({**whole, "format": "other"})):
        config.write_text(content)
        with pytest.raises(ModelError, match=r"config\.json"):
            load_classifier(tmp_path)
    config.write_text(json.dumps({name: whole[name] for name in whole if name != "std"}))
    with pytest.raises(ModelError, match="std"):
        load_classifier(tmp_path)
    write_json(config, {**whole, "class_names": ["a", "b"]})
    with pytest.raises(ModelError, match="do not fit"):
        load_classifier(tmp_path)

    config.write_text(json.dumps(whole))
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"weights of a classifier in '.*model\.safetensors', they were changed"):
        load_classifier(tmp_path)
    weights.unlink()
    with pytest.raises(ModelError, match="Expected weights"):
        load_classifier(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("image_size_px", 0, "'image_size_px' in '{path}' as an integer of at least 1, got 0"),
        ("image_size_px", 16.0, "got 16.0"),
        ("class_names", "ab", "'class_names' in '{path}' as a list, got \"ab\""),
        ("class_names", ["a", None], "'class_names[1]' in '{path}' as a text, got null"),
        ("std", [0.1, 0, 0.1], "'std[1]' in '{path}' as a finite number above 0, got 0"),
        ("mean", [0.5], "'mean' in '{path}' as a list of 3"),
        ("normalisation", "\x1b[31m", "'normalisation' in '{path}' as one of dataset, per_image, got"),
        ("small_images", 1, "'small_images' in '{path}' as true or false, got 1"),
        ("weights_sha256", None, "'weights_sha256' in '{path}' as a text, got null"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_its_key(tmp_path, key, value, message):
    save_classifier(tmp_path, build_model(SMALL), SMALL)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(ModelError) as caught:
        load_classifier(tmp_path)
    assert message.replace("{path}", str(path)) in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_weights_are_held_to_their_hash_where_there_is_one(tmp_path):
    save_classifier(tmp_path, build_model(SMALL), SMALL)
    config, weights = (tmp_path / "config.json"), (tmp_path / "model.safetensors")
    data = bytearray(weights.read_bytes())
    data[-7] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ModelError, match=r"their SHA-256 is not the 'weights_sha256' of config\.json"):
        load_classifier(tmp_path)
    note = json.loads(config.read_text())
    del note["weights_sha256"]  # as earlier versions wrote it
    write_json(config, note)
    load_classifier(tmp_path)


@pytest.mark.parametrize("bad", [images_of(8), images_of(16).float(), images_of(16)[0]])
def test_predict_refuses_other_images(bad):
    from synthset.classifiers.models import Classifier

    with pytest.raises(UsageError, match="uint8 images of shape"):
        Classifier(SMALL, build_model(SMALL)).predict(bad)
