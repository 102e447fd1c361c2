"""A rerun of a finished job: told without the model, and only where nothing that it depends on has changed."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from synthset import create, miniature
from synthset.core.errors import ConfigChangedError
from synthset.create import described, stage
from synthset.generators.sampling import ConditionAnnealing, SamplingOptions

JOB: dict[str, Any] = {"images_per_class": 1, "steps": 1}


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    monkeypatch.setattr(described, "_OF_A_GPU", ())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a copy of the miniature, model, and a dataset that it drew, out."""
    place = tmp_path_factory.mktemp("described")
    shutil.copytree(miniature.FOLDER, place / "model", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(described, "_OF_A_GPU", ())
        create(["one"], place / "out", generator=str(place / "model"), **JOB)
    return place


@pytest.fixture
def place(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "place")


@pytest.fixture
def loads(monkeypatch):
    """Names of the generators that were loaded."""
    names, load = [], stage.load

    def note(config):
        names.append(config.generator)
        return load(config)

    monkeypatch.setattr(stage, "load", note)
    return names


def rerun(place, model="model", **options):
    return create(["one"], place / "out", generator=f"{place}/{model}", **{**JOB, **options})


def test_a_finished_job_and_another_one_are_told_without_the_model(place, loads):
    for _ in range(2):  # the first rerun writes the manifest anew
        assert rerun(place, "../place/model").drawn == 0
    with pytest.raises(ConfigChangedError, match="images_per_class: 1 there, 2 here"):
        rerun(place, images_per_class=2)
    assert loads == []


@pytest.mark.parametrize(
    "sampling",
    [
        SamplingOptions(guidance_interval=(0.1, 0.8)),
        SamplingOptions(cache_interval=2, annealing=ConditionAnnealing(noise_scale=0.1)),
    ],
)
def test_sampling_that_departs_is_told_without_the_model_too(place, loads, sampling):
    def again(**options):
        return create(["one"], place / "sampled", generator=str(place / "model"), **{**JOB, **options})

    assert again(sampling=sampling).drawn > 0
    first = json.loads((place / "sampled/manifest.json").read_text())["job"]
    loads.clear()
    assert again(sampling=sampling).drawn == 0
    assert json.loads((place / "sampled/manifest.json").read_text())["job"] == first
    with pytest.raises(ConfigChangedError, match=r"sampling"):
        again()
    assert len(loads) == 1  # of the other sampling


def test_other_weights_are_refused(place, loads):
    path = place / "model/vae/diffusion_pytorch_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ConfigChangedError, match=r"generation\.weights_hash"):
        rerun(place)
    assert len(loads) == 1


def test_another_prediction_type_is_refused_by_the_name_of_its_part(place, loads):
    path = place / "model/scheduler/scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"prediction_type": "sample"}))
    with pytest.raises(ConfigChangedError, match=r"generation\.parts\.scheduler"):
        rerun(place)
    assert len(loads) == 1


def edit(place, change):
    path = place / "out/manifest.json"
    manifest = json.loads(path.read_text())
    manifest.pop("checksum")
    change(manifest)
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.pop("generator"),  # of an older version
        lambda manifest: manifest["generator"]["libraries"].update(diffusers="0.1"),
        lambda manifest: manifest["generator"].update(preferred_batch_size="many"),
        lambda manifest: manifest["generator"]["asked"].update(height_px=64),
        lambda manifest: manifest.update(status="drawing"),
    ],
)
def test_what_is_not_told_for_sure_is_asked_of_the_model(place, loads, change):
    edit(place, change)
    assert rerun(place).drawn == 0
    assert len(loads) == 1
    assert rerun(place).drawn == 0  # and is told from then on
    assert len(loads) == 1


def test_where_a_gpu_may_be_the_model_is_asked(place, loads, monkeypatch):
    monkeypatch.setattr(described, "_OF_A_GPU", (str(Path(__file__)),))
    rerun(place)
    assert len(loads) == 1
