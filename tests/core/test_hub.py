"""Models by name: folders, ids of the hub, and the one line about a model that does not come."""

from __future__ import annotations

import logging

import pytest
from huggingface_hub import hf_hub_download

from synthset.core.errors import ModelError, UsageError
from synthset.core.hub import fetching, find_folder, is_hub_id


@pytest.mark.parametrize("name", ["owner/name", "a/b", "timm/vit_base.openai", "Owner-1/name.v2"])
def test_ids_of_the_hub(name):
    assert is_hub_id(name)


@pytest.mark.parametrize(
    "name", ["", "name", "/name", "owner/", "./owner/name", "../x", "~/x", "a/b/c", "owner/na me", "https://x/y"]
)
def test_names_that_are_no_ids(name):
    assert not is_hub_id(name)


def test_a_folder_is_found_by_all_of_its_spellings(tmp_path, monkeypatch):
    folder = tmp_path / "models" / "sd"
    folder.mkdir(parents=True)
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("models/sd", "./models/sd", "~/models/sd", str(folder), "link", "models/../link"):
        assert find_folder(name, "a folder").samefile(folder)
    assert find_folder("models/other", "a folder") is None  # as an id of the hub has it


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("models/sd.safetensors", "Expected a folder, got the file 'models/sd.safetensors'. Name the folder"),
        ("models/gone", "got the dangling link 'models/gone'"),
        ("./models/other", "Expected a folder, got './models/other', which is none of them. Is the path spelled"),
        ("~nobody-of-this-name/sd", "which is none of them"),
    ],
)
def test_what_is_in_the_way_of_a_folder_is_named_and_the_hub_is_not_asked(name, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "sd.safetensors").write_bytes(b"weights")
    (tmp_path / "models" / "gone").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ModelError) as caught:
        find_folder(name, "a folder")
    assert words in str(caught.value)


def message_of(error, *args, **options):
    with pytest.raises(ModelError) as caught, fetching(*args, **options):
        raise error
    return str(caught.value)


def test_a_model_that_does_not_come_is_one_line(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert message_of(OSError("no route.\nDetails"), "checkpoint", "owner/name", revision="v1") == (
        "Expected the checkpoint 'owner/name' at revision v1 to be at hand: no such folder, and the hub gave none "
        "(no route). Check the spelling, or fetch it where there is a network with: hf download owner/name "
        "--revision v1"
    )


def test_a_model_that_is_elsewhere_on_the_hub_names_its_repository(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    options = {"repository": "timm/resnet50", "alternative": "take another"}
    assert message_of(OSError("no route"), "encoder", "RN50", **options) == (
        "Expected the encoder 'RN50' to be at hand: the hub gave none (no route). HF_HUB_OFFLINE is set. Check the "
        "spelling, or fetch it where there is a network with: hf download timm/resnet50; or take another."
    )


def test_errors_of_our_own_pass():
    with pytest.raises(UsageError, match="ours"), fetching("encoder", "RN50"):
        raise UsageError("ours")


def test_a_hub_out_of_reach_is_said_once(tmp_path, monkeypatch, capfd, caplog):
    """The client of the hub logs each of its tries, and what logs it may have a handler, too."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}")
    monkeypatch.setattr("time.sleep", lambda seconds: logging.getLogger("huggingface_hub").warning("asleep"))
    at_hand = pytest.raises(ModelError, match="Expected the checkpoint 'owner/name' to be at hand")
    with at_hand as caught, fetching("checkpoint", "owner/name"):
        hf_hub_download("owner/name", "model_index.json", cache_dir=tmp_path)
    assert "\n" not in str(caught.value)
    assert caplog.messages == []
    assert capfd.readouterr().err == ""
