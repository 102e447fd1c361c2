"""Models that carry an attack: pickles that run when they are opened, code beside the weights. Nothing of it runs."""

import contextlib
import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest
import torch

from prompts.sentences.tiny_t5 import build_t5
from synthset.classifiers.models import load_classifier
from synthset.core.errors import ModelError, SynthsetError
from synthset.encoders.clip import load_encoder
from synthset.generators.loading import load_generator
from synthset.miniature import FOLDER as MINIATURE_FOLDER
from synthset.prompts.sentences import load_writer
from tiny_models import build_stable_diffusion


class Armed:
    """Makes a folder when its pickle is opened."""

    def __init__(self, ran: Path) -> None:
        self.ran = ran

    def __reduce__(self):
        return os.mkdir, (str(self.ran),)


def arm(path: Path, ran: Path) -> None:
    torch.save({"weight": Armed(ran)}, path)


def build_clip(folder: Path) -> Path:
    return Path(shutil.copytree(MINIATURE_FOLDER / "clip", folder))


def build_classifier(folder: Path) -> Path:
    from bars import make_set
    from synthset.classifiers.stage import train

    train(make_set(), folder, architecture="small_cnn", epochs=1, batch_size=16, device="cpu")
    return folder


LOADERS = {
    "generator": (build_stable_diffusion, load_generator),
    "encoder": (build_clip, load_encoder),
    "classifier": (build_classifier, load_classifier),
    "sentence writer": (build_t5, load_writer),
}
DISGUISES = ("pytorch_model.bin", "model.pt", "model.ckpt", "data.pkl")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {kind: build(folder / kind.replace(" ", "-")) for kind, (build, _) in LOADERS.items()}


@pytest.fixture
def ran(tmp_path):
    return tmp_path / "ran"


def load(kind: str, folder: Path) -> None:
    """Load the model whole, with what it may load late."""
    loaded = LOADERS[kind][1](str(folder))
    if kind == "sentence writer":
        loaded.sample("five", 1)


def test_the_attack_works_on_who_opens_it(tmp_path, ran):
    arm(tmp_path / "model.pt", ran)
    torch.load(tmp_path / "model.pt", weights_only=False)
    assert ran.is_dir()


@pytest.mark.parametrize("kind", LOADERS)
def test_armed_pickles_in_place_of_weights_are_refused_unopened(kind, models, tmp_path, ran):
    for number, name in enumerate(DISGUISES):
        folder = Path(shutil.copytree(models[kind], tmp_path / f"{number}"))
        for weights in folder.rglob("*.safetensors"):
            weights.unlink()
            arm(weights.with_name(name), ran)
            arm(weights.with_suffix(Path(name).suffix), ran)
        with pytest.raises(ModelError) as caught:
            load(kind, folder)
        assert "\n" not in str(caught.value)
        assert not ran.exists()


@pytest.mark.parametrize("kind", LOADERS)
def test_armed_pickles_that_are_called_safetensors_are_refused_unopened(kind, models, tmp_path, ran):
    folder = Path(shutil.copytree(models[kind], tmp_path / "model"))
    for weights in folder.rglob("*.safetensors"):
        arm(weights, ran)
    with pytest.raises(ModelError) as caught:
        load(kind, folder)
    assert "\n" not in str(caught.value)
    assert not ran.exists()


@pytest.mark.parametrize("kind", LOADERS)
def test_armed_pickles_beside_the_weights_stay_closed(kind, models, tmp_path, ran):
    folder = Path(shutil.copytree(models[kind], tmp_path / "model"))
    for weights in list(folder.rglob("*.safetensors")):
        arm(weights.with_suffix(".bin"), ran)
        arm(weights.with_name("pytorch_model.bin"), ran)
    load(kind, folder)
    assert not ran.exists()


@pytest.mark.parametrize("kind", LOADERS)
def test_code_beside_the_weights_is_not_run(kind, models, tmp_path, ran):
    """Whatever names it: transformers' auto_map, a module of the name of a library, a pipeline.py."""
    folder = Path(shutil.copytree(models[kind], tmp_path / "model"))
    for part in (folder, *(path for path in folder.iterdir() if path.is_dir())):
        for name in ("evil", "pipeline", "modeling", "__init__"):
            (part / f"{name}.py").write_text(f"import os\nos.mkdir({str(ran)!r})\nclass Evil: ...\n")
        for config in part.glob("*config.json"):
            content = json.loads(config.read_text())
            autos = ("AutoConfig", "AutoModel", "AutoTokenizer", "AutoModelForSeq2SeqLM")
            content["auto_map"] = dict.fromkeys(autos, "evil.Evil")
            config.write_text(json.dumps(content))
    with contextlib.suppress(ModelError):  # refused as well as left alone is fine
        load(kind, folder)
    assert not ran.exists()


@pytest.mark.parametrize("kind", LOADERS)
def test_a_tar_is_no_model_and_is_not_extracted(kind, models, tmp_path, monkeypatch):
    path = tmp_path / "model.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(models[kind], "../escaped")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SynthsetError):
        load(kind, path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.tar"]
    assert not (tmp_path.parent / "escaped").exists()
