"""Hub ids, and the one line about a model that does not come."""

from __future__ import annotations

import pytest

from synthset.core.errors import ModelError
from synthset.core.hub import hub_error, is_hub_id


@pytest.mark.parametrize("name", ["owner/name", "a/b", "timm/vit_base.openai", "Owner-1/name.v2"])
def test_ids_of_the_hub(name):
    assert is_hub_id(name)


@pytest.mark.parametrize(
    "name", ["", "name", "/name", "owner/", "./owner/name", "../x", "~/x", "a/b/c", "owner/na me", "https://x/y"]
)
def test_names_that_are_no_ids(name):
    assert not is_hub_id(name)


def test_a_model_that_does_not_come_is_one_line(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    error = hub_error("checkpoint", "owner/name", OSError("no route.\nDetails"), revision="v1")
    assert isinstance(error, ModelError)
    assert str(error) == (
        "Expected the checkpoint 'owner/name' at revision v1 to be at hand: no such folder, and the hub gave none "
        "(no route). Check the spelling, or fetch it where there is a network with: hf download owner/name "
        "--revision v1"
    )


def test_a_model_that_is_elsewhere_on_the_hub_names_its_repository(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    error = hub_error("encoder", "RN50", OSError("no route"), repository="timm/resnet50", alternative="take another")
    assert str(error) == (
        "Expected the encoder 'RN50' to be at hand: the hub gave none (no route). HF_HUB_OFFLINE is set. Check the "
        "spelling, or fetch it where there is a network with: hf download timm/resnet50; or take another."
    )
