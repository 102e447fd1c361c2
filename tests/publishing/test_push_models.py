"""A model is pushed as weights, config and card: it loads from what arrived, by Synthset and, where it can, by timm."""

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
import yaml

import synthset
from bars import CONFIG, make_set
from synthset.classifiers.export import export_model
from synthset.core.errors import DataError, UsageError
from synthset.core.files import read_json
from synthset.dataset.export import export_imagefolder
from synthset.publishing.stage import push

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
PIXELS = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    """A classifier of an architecture of timm's, and the images that it learned from."""
    home = tmp_path_factory.mktemp("home")
    export_imagefolder(make_set(), home / "bars")
    config = replace(CONFIG, epochs=1, normalisation="dataset", image_size_px=32, small_images=False)
    synthset.train(home / "bars", home / "model", replace(config, architecture="test_resnet"))
    return home / "model"


def arrived(hub, name, folder):
    folder.mkdir()
    for path, data in hub.repos["model", name].files.items():
        (folder / path).write_bytes(data)
    return folder


def test_a_classifier_of_timms_loads_in_timm_and_here(resnet, hub, tmp_path):
    (resnet / "evaluation").mkdir(exist_ok=True)
    (resnet / "evaluation" / "photos-predictions.parquet").write_bytes(b"names of real files")
    result = push(resnet, "ada/bars", endpoint=hub.endpoint)
    assert result.kind == "model"
    assert hub.repos["model", "ada/bars"].private
    assert list(result.files) == ["model.safetensors", "training.json", "README.md", "config.json"]
    assert {"evaluation", "metrics.csv"} <= set(result.left_out)
    back = arrived(hub, "ada/bars", tmp_path / "back")
    expected = synthset.load_classifier(resnet).predict_images(list(PIXELS)).probabilities
    assert (synthset.load_classifier(back).predict_images(list(PIXELS)).probabilities == expected).all()
    model = timm.create_model(f"local-dir:{back}", pretrained=True).eval()
    mean, std = (np.array(model.pretrained_cfg[name], np.float32) for name in ("mean", "std"))
    with torch.inference_mode():
        logits = model(torch.from_numpy(((PIXELS.astype(np.float32) / 255 - mean) / std).transpose(0, 3, 1, 2).copy()))
    assert np.allclose(logits.softmax(1).numpy(), expected, atol=1e-5)
    assert model.pretrained_cfg["label_names"] == list(synthset.load_classifier(back).class_names)
    everything = b"".join(path.read_bytes() for path in back.iterdir())
    assert str(resnet.parent).encode() not in everything
    assert read_json(back / "training.json")["data"]["path"] == "bars"
    assert push(resnet, "ada/bars", endpoint=hub.endpoint).sent == 0


def test_one_of_ours_has_a_card_and_no_word_of_timm(finished, hub, tmp_path, caplog):
    push(finished.folder, "ada/ours", endpoint=hub.endpoint, public=True)
    back = arrived(hub, "ada/ours", tmp_path / "back")
    names = synthset.load_classifier(back).class_names
    _, head, page = (back / "README.md").read_text("utf-8").split("---\n", 2)
    described = yaml.safe_load(head)
    assert (described["license"], described["pipeline_tag"]) == ("other", "image-classification")
    assert "timm" not in head + page
    assert f"for {len(names)} classes, trained on synthetic images" in page
    assert "The licence of `the model that drew its training images` is not known here" in page
    assert "is not known, so the card says 'other'" in caplog.text


def test_an_export_is_pushed_as_it_is_and_whole(resnet, hub, tmp_path):
    folder = export_model(resnet, tmp_path / "timm", format="timm", trained_on=resnet.parent / "bars").folder
    (folder / "notes.txt").write_text("mine")
    result = push(folder, "ada/export", endpoint=hub.endpoint)
    assert result.left_out == ("notes.txt",)
    back = arrived(hub, "ada/export", tmp_path / "back")
    for path in folder.iterdir():
        if path.name not in ("README.md", "notes.txt"):
            assert (back / path.name).read_bytes() == path.read_bytes()
    assert "## Forms" in (back / "README.md").read_text("utf-8")
    (folder / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"Expected 'model.safetensors' in '.*', which its export wrote, found none"):
        push(folder, "ada/export", endpoint=hub.endpoint)


def test_an_option_of_datasets_is_refused_of_a_model(finished, hub):
    with pytest.raises(UsageError, match="Expected a Synthset dataset for include_rejected"):
        push(finished.folder, "ada/ours", endpoint=hub.endpoint, include_rejected=True)
    assert not hub.repos


def test_the_licence_is_that_of_who_drew_the_training_images(hub, tmp_path):
    from small_datasets import make

    make(tmp_path / "pets", images_per_class=10)
    manifest = tmp_path / "pets" / "manifest.json"
    text = manifest.read_text("utf-8").replace('"model": "fake"', '"model": "CompVis/stable-diffusion-v1-4"')
    manifest.write_text(
        "".join(line for line in text.splitlines(True) if '"checksum"' not in line).replace(",\n}", "\n}")
    )
    options = {"epochs": 1, "architecture": "small_cnn", "validation_fraction": 0}
    synthset.train(tmp_path / "pets", tmp_path / "model", **options)
    push(tmp_path / "model", "ada/pets", endpoint=hub.endpoint)
    assert hub.repos["model", "ada/pets"].files["README.md"].startswith(b"---\nlicense: creativeml-openrail-m\n")
