"""The Fréchet distance in the space of a backbone: networks with random weights, from files."""

import json
import warnings

import numpy as np
import pyarrow.parquet as pq
import pytest
import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file

import synthset
from synthset.core.errors import ModelError, UnknownNameError, UsageError
from synthset.diagnosis.backbones import load_backbone
from synthset.diagnosis.features import penultimate_features
from synthset.images.decoding import encode, resize
from synthset.images.imageset import ImageSet
from synthset.testing import FakeEncoder

NET = "test_resnet"


def draw(name, seed, n=24, dark=0):
    random, labels = np.random.default_rng(seed), np.arange(n) % 2
    files = [encode(random.integers(dark * label, 256, (8, 8, 3), np.uint8)) for label in labels]
    return ImageSet(name, ("one", "two"), labels, files.__getitem__)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Published weights as they would be: with timm's names, and a head of 1,000 classes."""
    folder = tmp_path_factory.mktemp("weights")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = timm.create_model(NET)
        save_file(model.state_dict(), folder / "net.safetensors")
        of_torchvision = torchvision.models.get_model("shufflenet_v2_x0_5", weights=None)
        save_file(of_torchvision.state_dict(), folder / "torchvision.safetensors")
    return folder


def test_features_are_those_before_the_head_of_timms_model(weights):
    images = draw("some", 0, n=4)
    model = timm.create_model(NET, num_classes=0)
    tensors = load_file(weights / "net.safetensors")
    model.load_state_dict({key: value for key, value in tensors.items() if not key.startswith("fc.")})
    config = timm.get_pretrained_cfg(NET)
    pixels = np.stack([np.asarray(resize(images.image(i), config.input_size[-1])) for i in range(4)])
    batch = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in (config.mean, config.std))
    with torch.inference_mode():
        expected = model.eval()((batch - mean) / std)
    for source in (f"{NET}@{weights / 'net.safetensors'}", f"timm:{NET}@{weights / 'net.safetensors'}"):
        torch.testing.assert_close(penultimate_features(load_backbone(source), images), expected, atol=1e-4, rtol=1e-4)


def test_torchvisions_models_are_read_from_safetensors_too(weights):
    images = draw("some", 0, n=4)
    backbone = load_backbone(f"torchvision:shufflenet_v2_x0_5@{weights / 'torchvision.safetensors'}")
    model = torchvision.models.get_model("shufflenet_v2_x0_5", weights=None)
    model.load_state_dict(load_file(weights / "torchvision.safetensors"))
    kept = []
    model.fc.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    pixels = np.stack([np.asarray(resize(images.image(i), 224)) for i in range(4)])
    batch = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.inference_mode():
        model.eval()((batch - mean[:, None, None]) / std[:, None, None])
    torch.testing.assert_close(penultimate_features(backbone, images), kept[0], atol=1e-4, rtol=1e-4)


def test_inceptions_of_torchvision_take_the_scale_of_their_weights(tmp_path):
    """Published with `transform_input`, which undoes ImageNet's mean and std in favour of 0.5 and 0.5."""
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torchvision.models.inception_v3(weights=None, init_weights=False)
    save_file(model.state_dict(), tmp_path / "inception.safetensors")
    backbone = load_backbone(f"torchvision:inception_v3@{tmp_path / 'inception.safetensors'}")
    assert (backbone.config.image_size_px, backbone.config.mean, backbone.config.std) == (299, (0.5,) * 3, (0.5,) * 3)


def frechet(x, y):
    """Heusel et al. 2017, equation 6; tr (Σx Σy)^½ by the root of Σx, as both have the same eigenvalues."""
    one, other = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    values, vectors = np.linalg.eigh(one)
    root = vectors * values.clip(0) ** 0.5 @ vectors.T
    trace = np.linalg.eigvalsh(root @ other @ root).clip(0) ** 0.5
    return ((x.mean(0) - y.mean(0)) ** 2).sum(), np.trace(one) + np.trace(other) - 2 * trace.sum()


def test_the_distance_is_beside_the_encoders_in_tables_json_and_page(weights, tmp_path, caplog):
    source = f"{NET}@{weights / 'net.safetensors'}"
    drawn, real = draw("drawn", 1, dark=120), draw("photos", 2)
    options = {"encoder": FakeEncoder(dimension=8), "cache": tmp_path / "c", "tsne_images": 0, "real": real}
    result = synthset.diagnose([drawn], tmp_path / "out", frechet_backbone=source, **options)
    row = result.summary[1]
    features = [penultimate_features(load_backbone(source), images).double().numpy() for images in (drawn, real)]
    mean, covariance = frechet(*features)
    assert row.backbone_frechet_mean == pytest.approx(mean, rel=1e-4)
    assert row.backbone_frechet_covariance == pytest.approx(covariance, rel=1e-4)
    assert row.backbone_frechet_distance == row.backbone_frechet_mean + row.backbone_frechet_covariance
    dimension = features[0].shape[1]
    assert row.backbone_rows_a_dimension == 24 / dimension < 1
    assert result.summary[0].backbone_frechet_distance is None
    assert row.frechet_distance != pytest.approx(row.backbone_frechet_distance)
    note = json.loads((tmp_path / "out" / "diagnosis.json").read_text())
    assert note["backbone"] == {"name": source, "dimension": dimension}
    assert "fewer than the backbone has dimensions: drawn." in caplog.text
    page = result.report.read_text("utf-8")
    assert f'data-value="{row.backbone_frechet_distance}"' in page
    assert "Distance in the space of" in page
    saved = pq.read_table(tmp_path / "out" / "summary.parquet").column("backbone_frechet_distance").to_pylist()
    assert saved == [None, row.backbone_frechet_distance]
    without = synthset.diagnose([drawn], tmp_path / "out", **options)
    assert without.summary[1].backbone_frechet_distance is None
    assert "Distance in the space of" not in without.report.read_text("utf-8")


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("inception_v3", ModelError, "the hub gave none"),
        ("inception_v9", UnknownNameError, "inception_v3"),
        ("small_cnn", UsageError, "Expected a backbone with published weights, got 'small_cnn'"),
        (
            "resnet18@{}/net.safetensors",
            ModelError,
            "Expected weights of 'resnet18' in '{}/net.safetensors', got others",
        ),
        ("resnet18@{}/none.safetensors", ModelError, "none.safetensors"),
        ("resnet18@{}/pickle.pth", ModelError, "safetensors"),
        ("torchvision:inception_v3", UsageError, "its own are pickles"),
        ("torchvision:resnet19@x", UnknownNameError, "resnet18"),
        (
            "torchvision:resnet18@{}/net.safetensors",
            ModelError,
            "torchvision's 'resnet18' in '{}/net.safetensors', got",
        ),
        ("torchvision:resnet18@{}/none.safetensors", ModelError, "Expected weights as safetensors"),
        ("torchvision:squeezenet1_0@{}/net.safetensors", UsageError, "no last layer"),
    ],
)
def test_backbones_that_are_not_at_hand_are_refused_in_a_line(weights, source, error, message):
    (weights / "pickle.pth").write_bytes(b"\x80\x04.")
    with pytest.raises(error) as caught:
        load_backbone(source.replace("{}", str(weights)))
    assert message.replace("{}", str(weights)) in str(caught.value)
    assert "\n" not in str(caught.value)
