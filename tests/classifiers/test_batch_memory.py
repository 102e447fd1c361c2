"""A batch that no machine holds is refused before anything is computed."""

import psutil
import pytest
import torch
from torch import nn

from bars import CONFIG, make_set
from synthset.classifiers.batch_memory import check_memory, count_outputs
from synthset.classifiers.dry_run import rehearse
from synthset.classifiers.models import ModelConfig, build_model
from synthset.classifiers.train import train_classifier
from synthset.core.errors import UsageError


@pytest.mark.parametrize("architecture", ["small_cnn", "test_resnet", "vit_tiny_patch16_224", "convnext_atto"])
def test_numbers_are_counted_as_they_are_made(architecture):
    model, made = build_model(ModelConfig(architecture, ("a", "b"), 32)), []
    counted = count_outputs(model, 3, 32)
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(lambda _layer, _inputs, output: made.append(output.numel()))
    model.eval()(torch.zeros(3, 3, 32, 32))
    assert counted == sum(made) > 0


def test_a_network_that_asks_for_values_is_not_refused():
    class Asks(nn.Module):
        def forward(self, images):
            return images if images.sum().item() else None

    check_memory(Asks(), 10**6, 10**4, 4)


def test_the_limit_is_the_memory_of_the_machine(monkeypatch):
    model = nn.Conv2d(3, 1, 1)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"total": 2 * 8 * 8 * 4}))
    check_memory(model, 2, 8, 4)
    with pytest.raises(UsageError, match="got 3 images of 8 px at once"):
        check_memory(model, 3, 8, 4)
    check_memory(model, 4, 8, 2)  # in bfloat16


def test_training_and_its_dry_run_refuse_what_no_machine_holds(tmp_path):
    words = r"Expected batches that fit into this machine's [\d,]+ GB, got an image of 100000 px at once"
    with pytest.raises(UsageError, match=words):
        rehearse(make_set(), CONFIG.__class__(architecture="small_cnn", image_size_px=100_000))
    with pytest.raises(UsageError, match=words):
        train_classifier(make_set(), CONFIG.__class__(architecture="small_cnn", image_size_px=100_000), tmp_path / "m")
