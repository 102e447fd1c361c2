import copy
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tuning_bars import real, resnet, synthetic

from synthset.classifiers.augment import AUGMENTATIONS, Augmentation, to_float
from synthset.core.errors import UsageError
from synthset.encoders.clip import load_encoder
from synthset.encoders.embed import EmbeddingCache, embed_images
from synthset.tuning import loop
from synthset.tuning.encoder_tuning import PixelEncoder, TunedModel, changed_state, unfreeze_top
from synthset.tuning.evaluate import evaluate_on
from synthset.tuning.features import compute_pixels
from synthset.tuning.head import random_head
from synthset.tuning.saving import load_tuned
from synthset.tuning.stage import tune
from tiny_clip import VIT, save_clip

SMALL = {"epochs": 2, "batch_size": 6, "real_batch_size": 3, "shots": 2, "templates": ("{class}",)}


@pytest.fixture(scope="module")
def rn50(tmp_path_factory):
    return load_encoder(str(resnet(tmp_path_factory.mktemp("clip") / "rn50")), device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    return load_encoder(str(save_clip(tmp_path_factory.mktemp("clip") / "vit", VIT)), device="cpu", dtype="float32")


@pytest.fixture
def cache(tmp_path):
    return EmbeddingCache(tmp_path / "cache")


def share_of(visual):
    """Share of the parameters that gradients reach."""
    parameters = list(visual.parameters())
    return sum(p.numel() for p in parameters if p.requires_grad) / sum(p.numel() for p in parameters)


def statistics(visual):
    return {name: value.clone() for name, value in visual.state_dict().items() if "running" in name}


def test_pixels_once_encoded_are_the_vectors_of_the_encoder(rn50, vit):
    for clip in (rn50, vit):
        pixels = compute_pixels(synthetic(2), clip)
        assert pixels.dtype == np.uint8
        rows = PixelEncoder(clip.model)(to_float(torch.from_numpy(pixels)))
        torch.testing.assert_close(rows, embed_images(synthetic(2), clip), atol=1e-5, rtol=1e-4)


def test_pixels_on_disk_are_those_in_memory(rn50, tmp_path):
    small, large = (
        compute_pixels(synthetic(2), rn50),
        compute_pixels(synthetic(2), rn50, in_memory_bytes=9, folder=tmp_path),
    )
    assert (small == large).all()
    assert type(large) is not type(small)


def test_the_top_of_a_resnet_is_tuned(rn50):
    visual = copy.deepcopy(rn50.model.visual)
    total = sum(parameter.numel() for parameter in visual.parameters())
    assert unfreeze_top(visual, 0.0) == []
    assert share_of(visual) == 0
    shares, chosen = [], []
    for share in (1e-9, 0.05, 0.3, 0.7):
        names = unfreeze_top(visual, share)
        assert names[: len(chosen)] == chosen  # more is always more
        shares.append(share_of(visual))
        chosen = names
    assert chosen[0] == "attnpool.c_proj.bias"
    assert any(name.startswith("layer4") for name in chosen)
    assert not any(name.startswith("layer1.") for name in chosen)
    assert shares == sorted(shares)
    assert shares[1] <= 0.05
    assert 0.2 < shares[2] <= 0.3
    assert sum(visual.get_parameter(name).numel() for name in chosen) / total == pytest.approx(shares[-1])
    assert len(unfreeze_top(visual, 1.0)) == len(list(visual.parameters()))


def test_the_top_of_a_vit_is_its_projection(vit):
    visual = copy.deepcopy(vit.model.visual)
    names = unfreeze_top(visual, 0.5)
    assert names[0] == "proj"
    assert names[1].startswith("ln_post")
    assert "conv1.weight" not in names


@pytest.mark.parametrize("frozen", [True, False])
def test_batch_norm_moves_only_where_it_is_not_frozen(rn50, frozen):
    tower = PixelEncoder(copy.deepcopy(rn50.model))
    before = statistics(tower.visual)
    model = TunedModel(random_head(3, 12, 0), tower, freeze_batch_norm=frozen)
    assert model.train() is model
    model(torch.rand(4, 3, 32, 32)).sum().backward()
    after = statistics(tower.visual)
    assert before
    assert all(torch.equal(before[name], after[name]) for name in before) is frozen
    model.eval()
    model(torch.rand(4, 3, 32, 32))
    assert all(torch.equal(statistics(tower.visual)[name], after[name]) for name in after)  # a test moves nothing
    state = changed_state(tower, freeze_batch_norm=frozen)
    assert bool(state) is not frozen


@pytest.mark.parametrize("frozen", [True, False])
def test_a_model_with_a_tuned_encoder_is_read_again(rn50, cache, tmp_path, frozen):
    untouched = {name: value.clone() for name, value in rn50.model.state_dict().items()}
    options = {
        **SMALL,
        "encoder": rn50,
        "cache": cache,
        "real": real(),
        "encoder_share": 0.3,
        "encoder_learning_rate": 1e-2,
    }
    result = tune(synthetic(4), tmp_path / "model", freeze_batch_norm=frozen, **options)
    assert 0.2 < result.tuned_share < 0.4
    assert all(torch.equal(value, rn50.model.state_dict()[name]) for name, value in untouched.items())
    tensors = load_file(result.folder / "model.safetensors")
    names = [name.removeprefix("encoder.") for name in tensors if name.startswith("encoder.")]
    assert any("running_mean" in name for name in names) is not frozen
    original = rn50.model.visual.state_dict()
    assert not torch.equal(tensors["encoder.attnpool.c_proj.weight"], original["attnpool.c_proj.weight"])
    classifier = load_tuned(result.folder, encoder=rn50)
    assert classifier.encoder.fingerprint != rn50.fingerprint  # no stale vectors of the other
    assert not torch.allclose(embed_images(real(), classifier.encoder, cache), embed_images(real(), rn50, cache))
    before, after = evaluate_on(result.folder, real(), encoder=rn50, cache=cache)
    assert before.n == after.n
    first = (result.folder / "model.safetensors").read_bytes()
    again = tune(synthetic(4), tmp_path / "again", freeze_batch_norm=frozen, **options)
    assert (again.folder / "model.safetensors").read_bytes() == first  # the same draws, the same model


def test_tuning_an_encoder_is_resumed(rn50, cache, tmp_path, monkeypatch):
    monkeypatch.setattr("synthset.classifiers.checkpoints.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr("synthset.classifiers.checkpoints.CHECKPOINT_SHARE", 1e9)
    options = {**SMALL, "epochs": 3, "encoder": rn50, "cache": cache, "real": real(), "encoder_share": 0.3}
    options |= {"freeze_batch_norm": False, "augmentation": "standard"}
    whole = tune(synthetic(4), tmp_path / "whole", **options)
    tune_epoch, epochs = loop._tune_epoch, []

    def killed(*arguments):
        epochs.append(arguments[2])
        if len(epochs) == 2:
            raise KeyboardInterrupt
        return tune_epoch(*arguments)

    monkeypatch.setattr(loop, "_tune_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        tune(synthetic(4), tmp_path / "killed", **options)
    resumed = tune(synthetic(4), tmp_path / "killed", **options)
    assert epochs == [0, 1, 1, 2]
    expected, tensors = (load_file(folder / "model.safetensors") for folder in (whole.folder, resumed.folder))
    assert expected.keys() == tensors.keys()
    for name, value in expected.items():
        torch.testing.assert_close(tensors[name], value)


def test_augmentation_encodes_anew_in_each_epoch_and_leaves_the_encoder(rn50, cache, tmp_path):
    options = {**SMALL, "encoder": rn50, "cache": cache, "real": real(), "learning_rate": 0.1}
    plain = tune(synthetic(4), tmp_path / "plain", **options)
    varied = tune(synthetic(4), tmp_path / "varied", augmentation="standard", **options)
    tensors = load_file(varied.folder / "model.safetensors")
    assert sorted(tensors) == ["head.bias", "head.weight"]
    assert not torch.equal(tensors["head.weight"], load_file(plain.folder / "model.safetensors")["head.weight"])
    assert load_tuned(varied.folder, encoder=rn50).encoder is rn50


def test_augmentations_know_the_side_that_images_came_with(rn50, cache, tmp_path, monkeypatch):
    sides = set()

    def look(images, draws):
        sides.add((images.shape[-1], draws.native_px))
        return to_float(images)

    monkeypatch.setitem(AUGMENTATIONS, "looked at", Augmentation(look, "images as they are"))
    options = {**SMALL, "encoder": rn50, "cache": cache, "real": real()}
    tune(synthetic(4), tmp_path / "model", augmentation="looked at", **options)
    assert sides == {(32, 8)}


def test_frozen_features_and_pixels_tune_alike(rn50, cache, tmp_path, monkeypatch):
    """The two ways to the same vectors: computed once, or in every step."""
    from synthset.tuning.config import TuneConfig

    options = {**SMALL, "encoder": rn50, "cache": cache, "real": real(), "loss": "sce"}
    once = tune(synthetic(4), tmp_path / "once", **options)
    monkeypatch.setattr(TuneConfig, "encodes_each_epoch", True)
    each = tune(synthetic(4), tmp_path / "each", **options)
    a, b = (load_file(result.folder / "model.safetensors")["head.weight"] for result in (once, each))
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    assert json.loads((each.folder / "config.json").read_text())["kind"] == "tuned_clip"


def test_a_vit_has_no_batch_norm_to_unfreeze(vit, cache, tmp_path):
    with pytest.raises(UsageError, match="Expected an encoder with BatchNorm"):
        tune(synthetic(4), tmp_path / "model", encoder=vit, cache=cache, freeze_batch_norm=False)
    assert not (tmp_path / "model").exists()
