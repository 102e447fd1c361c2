import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import huggingface_hub.errors
import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from synthset.core.errors import ModelError, UnknownNameError
from synthset.encoders.clip import load_encoder
from synthset.miniature import FOLDER as MINIATURE_FOLDER
from tiny_clip import PREPROCESSING, VIT, save_clip

MINIATURE = MINIATURE_FOLDER / "clip"
TEXTS = ["a photo of a cat.", "a photo of a dog.", ""]


def change_config(folder: Path, **changes) -> None:
    path = folder / "open_clip_config.json"
    note = json.loads(path.read_text())
    for key, value in changes.items():
        note[key].update(value)
    path.write_text(json.dumps(note))


def pictures(n=5, seed=0) -> list[Image.Image]:
    rng = np.random.default_rng(seed)
    sizes = [(40, 40), (64, 20), (9, 30), (32, 32), (100, 70)]
    tints = rng.integers(0, 200, (n, 3))  # noise alone looks all alike to a network
    noise = [rng.integers(0, 56, (h, w, 3)) for w, h in (sizes * n)[:n]]
    return [Image.fromarray((pixels + tint).astype(np.uint8)) for pixels, tint in zip(noise, tints, strict=True)]


@pytest.fixture(scope="module")
def resnet(tmp_path_factory) -> Path:
    return save_clip(tmp_path_factory.mktemp("clip") / "resnet")


@pytest.fixture
def miniature(tmp_path) -> Path:
    """A copy of the miniature's CLIP, to change."""
    return Path(shutil.copytree(MINIATURE, tmp_path / "miniature"))


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub of folders: what is in `hub/owner/name` is there, and nothing else is."""

    def download(repo_id, filename, local_files_only=False, **_):
        asked.append(f"{repo_id}/{filename}")
        if local_files_only:
            raise huggingface_hub.errors.LocalEntryNotFoundError("not in the cache")
        if not (tmp_path / "hub" / repo_id).is_dir():
            raise huggingface_hub.errors.LocalEntryNotFoundError("no connection\nand more lines")
        if not (tmp_path / "hub" / repo_id / filename).is_file():
            raise huggingface_hub.errors.EntryNotFoundError("404")
        return str(tmp_path / "hub" / repo_id / filename)

    asked: list[str] = []
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr("open_clip.pretrained.hf_hub_download", download)
    download.folder, download.asked = tmp_path / "hub", asked
    return download


@pytest.fixture
def tiny_architecture(monkeypatch):
    """An architecture that open_clip knows by name, with OpenAI's activation in its weights only."""
    listed = {"hf_hub": "owner/tiny/", "url": "", "quick_gelu": True, **PREPROCESSING}
    pickled = {"hf_hub": "owner/old/weights.bin", "url": "", **PREPROCESSING}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny", VIT)
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny", {"openai": listed, "old": pickled})


def by_open_clip(name: str, **options):
    """Vectors as open_clip itself gives them."""
    model, _, preprocess = open_clip.create_model_and_transforms(name, **options)
    tokens = open_clip.get_tokenizer(name)(TEXTS)
    model.eval()
    with torch.no_grad():
        images = model.encode_image(torch.stack([preprocess(image) for image in pictures()]), normalize=True)
        return images, model.encode_text(tokens, normalize=True), model.logit_scale.exp().item()


@pytest.mark.parametrize("name", ["resnet", "miniature"])
def test_vectors_are_those_of_open_clip(name, resnet):
    encoder = load_encoder(str(resnet) if name == "resnet" else "miniature")
    folder = resnet if name == "resnet" else MINIATURE
    images, texts, logit_scale = by_open_clip(f"local-dir:{folder}")
    assert encoder.dimension == images.shape[1] == (12 if name == "resnet" else 128)
    torch.testing.assert_close(encoder.images(pictures()), images)
    torch.testing.assert_close(encoder.texts(TEXTS), texts)
    assert encoder.logit_scale == pytest.approx(logit_scale)
    assert (images[:2] @ images[:2].T).min() < 0.999  # the comparison can fail


def test_rows_are_unit_vectors_that_do_not_depend_on_the_batch(resnet):
    encoder = load_encoder(f"local-dir:{resnet}")
    rows = encoder.images(pictures())
    assert rows.dtype == torch.float32
    assert rows.device.type == "cpu"
    assert not rows.requires_grad
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(5))
    alone = torch.cat([encoder.images([picture]) for picture in pictures()])
    torch.testing.assert_close(alone, rows)  # BatchNorm in eval mode
    torch.testing.assert_close(encoder.images([encoder.prepare(picture) for picture in pictures()]), rows)
    torch.testing.assert_close(encoder.texts(TEXTS).norm(dim=1), torch.ones(3))
    assert encoder.images([]).shape == encoder.texts([]).shape == (0, 12)
    assert encoder.images([pictures()[0].convert("L")]).shape == (1, 12)
    assert encoder.texts(["word " * 1000]).shape == (1, 12)


def test_many_images_go_in_batches(resnet, monkeypatch):
    monkeypatch.setattr("synthset.encoders.clip._LARGEST_BATCH", 2)
    encoder = load_encoder(str(resnet))
    torch.testing.assert_close(encoder.images(pictures()), by_open_clip(f"local-dir:{resnet}")[0])


def test_a_batch_too_large_for_memory_is_halved(resnet, monkeypatch):
    encoder = load_encoder(str(resnet))
    expected, encode, sizes = encoder.images(pictures()), encoder._model.encode_image, []

    def small_device(batch, largest=2):
        sizes.append(len(batch))
        if len(batch) > largest:
            raise torch.OutOfMemoryError
        return encode(batch)

    monkeypatch.setattr(encoder._model, "encode_image", small_device)
    torch.testing.assert_close(encoder.images(pictures()), expected)
    assert sizes == [5, 2, 3, 1, 2]
    monkeypatch.setattr(encoder._model, "encode_image", lambda batch: small_device(batch, largest=0))
    with pytest.raises(ModelError, match="does not fit into the memory"):
        encoder.images(pictures())


def test_mixed_precision(resnet):
    full, mixed = load_encoder(str(resnet)), load_encoder(str(resnet), dtype="bfloat16")
    rows = mixed.images(pictures())
    assert rows.dtype == torch.float32
    assert not torch.equal(rows, full.images(pictures()))
    torch.testing.assert_close(rows, full.images(pictures()), atol=0.05, rtol=0)
    assert mixed.fingerprint != full.fingerprint
    with pytest.raises(UnknownNameError, match="Unknown dtype 'int8'"):
        load_encoder(str(resnet), dtype="int8")


# ---- names ------------------------------------------------------------------------------------------------


def test_weights_of_a_named_architecture_get_their_own_activation(hub, tiny_architecture, tmp_path):
    save_clip(hub.folder / "owner/tiny", VIT)
    (hub.folder / "owner/tiny/open_clip_pytorch_model.bin").write_bytes(b"a pickle")
    images, texts, _ = by_open_clip(f"local-dir:{save_clip(tmp_path / 'quick', VIT | {'quick_gelu': True})}")
    for name in ("tiny", "tiny/openai", "tiny/OpenAI"):
        encoder = load_encoder(name)
        assert encoder.name == name
        torch.testing.assert_close(encoder.images(pictures()), images)
        torch.testing.assert_close(encoder.texts(TEXTS), texts)
    assert set(hub.asked) == {"owner/tiny/open_clip_model.safetensors"}
    plain = load_encoder(str(hub.folder / "owner/tiny"))
    assert not torch.allclose(plain.images(pictures()), images, atol=1e-4)
    assert plain.fingerprint != encoder.fingerprint


@pytest.mark.parametrize("name", ["ViT-B-16", "ViT-B/16", "ViT-B-16/openai", "ViT-B-16-quickgelu"])
def test_architectures_have_usual_weights(name, hub):
    with pytest.raises(ModelError, match=r"hf download timm/vit_base_patch16_clip_224\.openai"):
        load_encoder(name)
    assert set(hub.asked) == {"timm/vit_base_patch16_clip_224.openai/open_clip_model.safetensors"}


def test_siglip_is_known_by_name(hub):
    with pytest.raises(ModelError, match="hf download timm/ViT-B-16-SigLIP"):
        load_encoder("ViT-B-16-SigLIP")


@pytest.mark.parametrize("name", ["owner/resnet", "hf-hub:owner/resnet"])
def test_hub_repositories(name, hub, resnet):
    shutil.copytree(resnet, hub.folder / "owner/resnet")
    (hub.folder / "owner/resnet/open_clip_pytorch_model.bin").write_bytes(b"a pickle")
    encoder = load_encoder(name)
    assert encoder.fingerprint == load_encoder(str(resnet)).fingerprint
    torch.testing.assert_close(encoder.texts(TEXTS), load_encoder(str(resnet)).texts(TEXTS))
    assert not [path for path in hub.asked if path.endswith(".bin")]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("minature", UnknownNameError, "Unknown encoder 'minature'. Did you mean 'miniature'? Valid: miniature, RN50"),
        ("RN50/laion", UnknownNameError, "Unknown weights of RN50 'laion'. Valid: openai, yfcc15m, cc12m"),
        ("ViT-H-14", ModelError, "Name one, e.g. 'ViT-H-14/laion2b_s32b_b79k'"),
        ("RN50x4", ModelError, "hf download timm/resnet50x4_clip.openai"),
        ("nobody/nothing", ModelError, "no such folder, and the hub gave none (no connection). HF_HUB_OFFLINE is set."),
        ("hf-hub:nothing", ModelError, "Expected a hub id like 'owner/name'"),
        ("/no/such/folder", ModelError, "Is the path spelled correctly?"),
        ("local-dir:/no/such/folder", ModelError, "Expected open_clip_config.json in the folder"),
        (__file__, ModelError, "got the file"),
        ("owner/pickled", ModelError, "Expected 'open_clip_model.safetensors' in the hub repository 'owner/pickled'"),
        ("tiny/old", ModelError, "Expected 'weights.safetensors' in the hub repository 'owner/old', found none"),
    ],
)
def test_names_that_lead_nowhere(name, error, message, hub, resnet, tiny_architecture):
    shutil.copytree(resnet, hub.folder / "owner/pickled")
    (hub.folder / "owner/pickled/open_clip_model.safetensors").rename(hub.folder / "owner/pickled/open_clip_model.bin")
    (hub.folder / "owner/old").mkdir()
    with pytest.raises(error) as caught:
        load_encoder(name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


# ---- folders that cannot be used --------------------------------------------------------------------------


def remove_weights(folder):
    (folder / "open_clip_model.safetensors").unlink()


def pickle_weights(folder):
    remove_weights(folder)
    torch.save({}, folder / "open_clip_pytorch_model.bin")


def pickle_beside_weights(folder):
    (folder / "open_clip_model.safetensors").rename(folder / "model.safetensors")
    torch.save({}, folder / "open_clip_pytorch_model.bin")


def truncate_weights(folder):
    path = folder / "open_clip_model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def break_config(folder):
    (folder / "open_clip_config.json").write_text("{")


def take_text_tower_from_elsewhere(folder):
    change_config(folder, model_cfg={"text_cfg": {"hf_model_name": "owner/tower"}})


def lose_tokenizer(folder):
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove_weights, "found none"),
        (pickle_weights, "found only pickled ones (open_clip_pytorch_model.bin), which are not read"),
        (pickle_beside_weights, "holds pickled weights (open_clip_pytorch_model.bin) beside model.safetensors"),
        (truncate_weights, "cannot be loaded"),
        (break_config, "cannot be read"),
        (lambda folder: change_config(folder, model_cfg={"embed_dim": "many"}), "cannot be read"),
        (lambda folder: change_config(folder, model_cfg={"embed_dim": 64}), "cannot be loaded (Error(s) in loading"),
        (lambda folder: change_config(folder, preprocess_cfg={"resize_mode": "bent"}), "cannot be loaded"),
        (take_text_tower_from_elsewhere, "takes its text tower from 'owner/tower'"),
        (lose_tokenizer, "cannot be loaded"),
    ],
)
def test_folders_that_cannot_be_used(damage, message, miniature):
    damage(miniature)
    with pytest.raises(ModelError) as caught:
        load_encoder(str(miniature))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_code_in_a_folder_is_not_run(miniature, tmp_path):
    text = json.loads((miniature / "open_clip_config.json").read_text())["model_cfg"]["text_cfg"]
    text["tokenizer_kwargs"] = {"trust_remote_code": True}
    change_config(miniature, model_cfg={"text_cfg": text})
    ran = tmp_path / "ran"
    (miniature / "evil.py").write_text(f"import pathlib\npathlib.Path({str(ran)!r}).touch()\nclass Evil: ...\n")
    mapping = {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}
    (miniature / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "Evil", "auto_map": mapping}))
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_encoder(str(miniature))
    assert not ran.exists()


# ---- fingerprints -----------------------------------------------------------------------------------------


def test_equal_models_have_equal_fingerprints(miniature):
    encoder = load_encoder("miniature")
    assert len(bytes.fromhex(encoder.fingerprint)) == 32
    assert load_encoder(str(miniature)).fingerprint == encoder.fingerprint
    encoder.texts(TEXTS)  # tokenizers remember how they were used last
    assert load_encoder("miniature").fingerprint == encoder.fingerprint


def swap_merges(folder):
    lines = (folder / "merges.txt").read_text().splitlines()
    lines[-1], lines[-2] = lines[-2], lines[-1]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: change_config(folder, preprocess_cfg={"mean": [0.5, 0.5, 0.6]}),
        lambda folder: change_config(folder, preprocess_cfg={"interpolation": "bilinear"}),
        lambda folder: change_config(folder, preprocess_cfg={"resize_mode": "squash"}),
        lambda folder: change_config(folder, model_cfg={"quick_gelu": True}),
        swap_merges,
    ],
)
def test_whatever_changes_a_vector_changes_the_fingerprint(change, miniature):
    before = load_encoder(str(miniature))
    change(miniature)
    assert load_encoder(str(miniature)).fingerprint != before.fingerprint


def test_other_weights_have_another_fingerprint(resnet, tmp_path):
    other = load_encoder(str(save_clip(tmp_path / "other", seed=1)))
    assert other.fingerprint != load_encoder(str(resnet)).fingerprint


# ---- manners ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["~/clip", "local-dir:~/clip", "./clip", "clip/"])
def test_a_folder_is_the_same_encoder_by_all_of_its_spellings(name, miniature, tmp_path, monkeypatch):
    miniature.rename(tmp_path / "clip")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert load_encoder(name, device="cpu").fingerprint == load_encoder("miniature", device="cpu").fingerprint


@pytest.mark.parametrize("name", ["models/clip.safetensors", "clip.pt", "./models/clip.safetensors"])
def test_a_file_is_no_encoder_and_the_hub_is_not_asked(name, hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir()
    Path(name).write_bytes(b"weights")
    with pytest.raises(ModelError, match=f"got the file '{name}'"):
        load_encoder(name)
    assert hub.asked == []


@pytest.mark.parametrize("part", ["tokenizer", "model"])
def test_whatever_a_model_raises_in_use_is_one_line(part, resnet, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("shapes cannot be multiplied\nat line 3")

    encoder = load_encoder(str(resnet), device="cpu")
    monkeypatch.setattr(*((encoder, "_tokenizer") if part == "tokenizer" else (encoder.model, "encode_text")), fail)
    with pytest.raises(ModelError, match=r"cannot encode \(shapes cannot be multiplied\)\.$"):
        encoder.texts(TEXTS)


def test_logging_is_left_as_it_was(resnet, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    load_encoder(str(resnet))
    assert logging.getLogger().handlers == []


def test_importing_loads_no_torch():
    modules = "synthset.encoders.clip, synthset.encoders.embed, synthset.testing"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
