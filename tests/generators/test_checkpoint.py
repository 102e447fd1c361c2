"""A checkpoint is what loading reads of it: all of that is known again, a part that is missing or broken is named."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import tiny_pipelines as tiny
import torch
from drawn_images import difference, make_request, pixels_of
from safetensors.torch import load_file, save_file

import synthset
from outcomes import contents
from synthset.core.errors import ConfigChangedError, ModelError, SynthsetError
from synthset.generators.checkpoint import find_checkpoint
from synthset.generators.loading import load_generator
from tiny_models import build_stable_diffusion

REQUESTS = [make_request("a cat", guidance_scale=3.0), make_request("a five", guidance_scale=1.0, seed=2)]
SETTINGS: dict[str, Any] = {"strategies": ["base"], "images_per_class": 2, "steps": 2, "shard_size": 2}


@pytest.fixture(scope="module")
def sources(checkpoint, tmp_path_factory):
    """Checkpoints by name, each built when it is first asked for."""
    folder = tmp_path_factory.mktemp("checkpoints")
    builders = {
        "SD": lambda path: Path(shutil.copytree(checkpoint, path)),
        "safe": lambda path: build_stable_diffusion(path, safety_checker=True),
        "SDXL": tiny.build_sdxl,
        "SD3": tiny.build_sd3,
        "Flux": tiny.build_flux,
        "LCM": tiny.build_lcm,
        "PixArt": tiny.build_pixart,
    }

    def get(name: str) -> Path:
        path = folder / name
        return path if path.exists() else builders[name](path)

    return get


@pytest.fixture
def copy_of(sources, tmp_path):
    """A copy of a checkpoint, to be changed."""
    return lambda name: Path(shutil.copytree(sources(name), tmp_path / "sd"))


def draw(folder: Path | str, **options: Any) -> list[np.ndarray]:
    generator = load_generator(str(folder), num_inference_steps=2, height_px=32, width_px=32, **options)
    return pixels_of(generator.generate(REQUESTS))


def change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def refused(folder: Path | str) -> str:
    with pytest.raises(ModelError) as caught:
        draw(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- what a checkpoint is known by ------------------------------------------------------------------------


def test_every_file_that_loading_reads_counts_and_its_part_is_named(copy_of):
    folder = copy_of("safe")
    before = find_checkpoint(str(folder))
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 12
    for path in files:
        data = path.read_bytes()
        if path.suffix == ".safetensors":
            path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        else:
            path.write_bytes(data + b"\n")
        after = find_checkpoint(str(folder))
        path.write_bytes(data)
        changed = {part for part in after.parts if after.parts[part] != before.parts[part]}
        if path.suffix == ".safetensors":
            assert (changed, after.weights_hash != before.weights_hash) == (set(), True)
        else:
            part = "model_index" if path.parent == folder else path.parent.name
            assert (changed, after.weights_hash) == ({part}, before.weights_hash)
    assert find_checkpoint(str(folder)) == before


def test_a_vocabulary_that_is_added_counts_and_what_nothing_reads_does_not(copy_of):
    folder = copy_of("SD")
    before = find_checkpoint(str(folder))
    for name in ("README.md", "unet/.DS_Store", "unet/diffusion_pytorch_model.bin", "sample.png", "other/config.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"more")
    (folder / "unet" / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"a variant beside plain weights")
    (folder / "unet" / "diffusion_pytorch_model.bin.index.json").write_text("{}")
    assert find_checkpoint(str(folder)) == before
    (folder / "tokenizer" / "added_tokens.json").write_text("{}")
    assert find_checkpoint(str(folder)).parts["tokenizer"] != before.parts["tokenizer"]


def test_a_part_beside_the_index_counts(copy_of):
    folder = copy_of("safe")
    (folder / "feature_extractor" / "preprocessor_config.json").rename(folder / "preprocessor_config.json")
    (folder / "feature_extractor").rmdir()
    before = find_checkpoint(str(folder)).parts["feature_extractor"]
    change_json(folder / "preprocessor_config.json", do_resize=False)
    assert find_checkpoint(str(folder)).parts["feature_extractor"] != before


def test_the_encoder_of_an_adapter_counts_where_it_is_used(copy_of):
    folder = copy_of("SD")
    (folder / "image_adapter").mkdir()
    save_file({}, folder / "image_adapter" / "ip-adapter.safetensors")
    (folder / "clip").mkdir()
    config = folder / "clip" / "open_clip_config.json"
    config.write_text("{}")
    before, without = (find_checkpoint(str(folder), image_conditions=used) for used in (True, False))
    config.write_text('{"model_cfg": {}}')
    after = find_checkpoint(str(folder), image_conditions=True)
    assert {part for part in after.parts if after.parts[part] != before.parts[part]} == {"clip"}
    assert find_checkpoint(str(folder)) == without


def create(folder: Path, generator: Any, **options: Any) -> Any:
    return synthset.create(["cat", "dog"], folder, generator=str(generator), **SETTINGS, **options)


@pytest.fixture
def interrupted(copy_of, tmp_path, monkeypatch):
    """A checkpoint sd, and a dataset pets by it of which a shard is missing, in the current folder."""
    monkeypatch.chdir(tmp_path)
    copy_of("SD")
    create(Path("pets"), "./sd")
    Path("pets/data/train-00001.parquet").unlink()
    return Path("pets")


def forget_parts(folder: Path) -> dict[str, Any]:
    """Make a manifest one of an earlier version, which recorded the weights alone."""
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["job"]["generation"]["parts"], manifest["checksum"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return manifest["job"]


def test_a_corrected_scheduler_in_the_middle_of_a_dataset_is_refused_by_name(interrupted):
    change_json(Path("sd/scheduler/scheduler_config.json"), prediction_type="v_prediction")
    before = contents(interrupted)
    with pytest.raises(ConfigChangedError, match=r"holds another job \(generation\.parts\.scheduler: ") as caught:
        create(interrupted, "./sd")
    assert "\n" not in str(caught.value)
    assert contents(interrupted) == before


def test_another_tokenizer_is_refused_by_name(interrupted):
    change_json(Path("sd/tokenizer/tokenizer_config.json"), model_max_length=16)
    with pytest.raises(ConfigChangedError, match=r"generation\.parts\.tokenizer: "):
        create(interrupted, "sd")


@pytest.mark.parametrize("name", ["sd", "~/sd", "{}/sd", "link", "{}/other/../sd", "moved"])
@pytest.mark.parametrize("older", [False, True])
def test_the_same_folder_by_another_spelling_is_the_same(interrupted, name, older, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    Path("other").mkdir()
    Path("link").symlink_to("sd")
    job = forget_parts(interrupted) if older else json.loads(Path("pets/manifest.json").read_text())["job"]
    if name == "moved":
        Path("link").unlink()
        Path("sd").rename("moved")
    if older and name == "moved":  # nothing tells any more what it was
        with pytest.raises(ConfigChangedError, match=r'generation\.model: "\./sd" there, "moved" here'):
            create(interrupted, name)
        return
    assert create(interrupted, name.format(tmp_path)).drawn == 2
    assert json.loads(Path("pets/manifest.json").read_text())["job"] == job  # as whoever began it wrote it


def test_from_another_folder_a_relative_path_is_the_same_too(interrupted, monkeypatch):
    pets = interrupted.resolve()
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert create(pets, "../sd").drawn == 2


def test_another_checkpoint_of_the_same_weights_is_refused_of_an_older_dataset(interrupted):
    forget_parts(interrupted)
    shutil.copytree("sd", "velocity")
    change_json(Path("velocity/scheduler/scheduler_config.json"), prediction_type="v_prediction")
    with pytest.raises(ConfigChangedError, match=r"generation\.model"):
        create(interrupted, "velocity")


# ---- variants of weights ----------------------------------------------------------------------------------


def rename_weights(folder: Path, variant: str, parts: tuple[str, ...] = ()) -> None:
    for path in list(folder.glob("*/*.safetensors")):
        if not parts or path.parent.name in parts:
            path.rename(path.with_suffix(f".{variant}.safetensors"))


@pytest.mark.parametrize("name", ["SD", "SDXL", "SD3"])
@pytest.mark.parametrize("parts", [(), ("unet", "transformer")])
def test_the_one_complete_variant_is_read_and_recorded(copy_of, sources, name, parts):
    folder = copy_of(name)
    rename_weights(folder, "fp16", parts)
    checkpoint = find_checkpoint(str(folder))
    assert checkpoint.variant == "fp16"
    generator = load_generator(str(folder), num_inference_steps=2, height_px=32, width_px=32)
    assert generator.config.describe()["variant"] == "fp16"
    assert difference(pixels_of(generator.generate(REQUESTS)), draw(sources(name))) == 0
    # and counts, file by file, by all that is read of it and nothing else
    weights = next((folder / parts[0] if name != "SD3" and parts else folder / "vae").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    assert find_checkpoint(str(folder)).weights_hash != checkpoint.weights_hash


def test_plain_weights_come_before_any_variant(copy_of, sources):
    folder = copy_of("SD")
    for path in list(folder.glob("*/*.safetensors")):
        path.with_suffix(".fp16.safetensors").write_bytes(b"no weights at all")
    before = find_checkpoint(str(sources("SD")))
    after = find_checkpoint(str(folder))
    assert (after.variant, after.weights_hash) == ("", before.weights_hash)
    assert "variant" not in load_generator(str(folder), num_inference_steps=1).config.describe()


@pytest.mark.parametrize(
    ("variants", "words"),
    [
        ({"unet": "fp16", "text_encoder": "bf16"}, "one complete variant of them, got 0"),
        ({"": "fp16", "unet": "bf16"}, "got 0"),
    ],
)
def test_weights_without_a_complete_variant_are_listed(copy_of, variants, words):
    folder = copy_of("SD")
    for part, variant in variants.items():
        parts = (part,) if part else ("vae", "text_encoder")
        rename_weights(folder, variant, parts)
    message = refused(folder)
    assert words in message
    assert all(f"{variant}" in message for variant in variants.values())


def test_two_complete_variants_are_for_the_user_to_decide(copy_of):
    folder = copy_of("SD")
    rename_weights(folder, "fp16")
    for path in list(folder.glob("*/*.safetensors")):
        shutil.copy(path, path.with_name(path.name.replace("fp16", "bf16")))
    assert "got 2 (" in refused(folder)
    assert "unet/ bf16, fp16" in refused(folder)


def test_a_variant_of_the_hub_is_asked_for(copy_of, monkeypatch):
    folder, asked = copy_of("SD"), []
    rename_weights(folder, "fp16")
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_, **__: str(folder / "model_index.json"))
    monkeypatch.setattr("huggingface_hub.list_repo_files", lambda *_, **__: files)

    def download(repository: str, **options: Any) -> str:
        asked.append(options)
        return str(folder)

    monkeypatch.setattr(diffusers.StableDiffusionPipeline, "download", download)
    checkpoint = find_checkpoint("owner/name")
    assert asked == [{"revision": None, "use_safetensors": True, "variant": "fp16"}]
    assert checkpoint.variant == "fp16"


# ---- parts that are missing or broken ---------------------------------------------------------------------


@pytest.mark.parametrize("part", ["safety_checker", "feature_extractor", "vae", "scheduler"])
def test_a_part_that_was_deleted_is_named(copy_of, part):
    folder = copy_of("safe")
    shutil.rmtree(folder / part)
    message = refused(folder)
    assert f"(no {part}/ is there)" in message
    assert "[null, null]" in message


def test_a_safety_checker_that_is_null_is_done_without(copy_of):
    folder = copy_of("safe")
    shutil.rmtree(folder / "safety_checker")
    change_json(folder / "model_index.json", safety_checker=[None, None])
    assert len(draw(folder)) == 2


def test_a_stable_diffusion_3_without_its_t5_draws_as_diffusers_draws_it(copy_of):
    folder = copy_of("SD3")
    options: dict[str, Any] = {"text_encoder_3": None, "tokenizer_3": None}
    pipeline = diffusers.StableDiffusion3Pipeline.from_pretrained(folder, dtype=torch.float32, **options)
    pipeline.set_progress_bar_config(disable=True)
    generators = [torch.Generator().manual_seed(request.seed) for request in REQUESTS]
    theirs = [
        np.array(pipeline(r.prompt, guidance_scale=r.guidance_scale, num_inference_steps=2, generator=g).images[0])
        for r, g in zip(REQUESTS, generators, strict=True)
    ]
    for part in options:
        shutil.rmtree(folder / part)
    change_json(folder / "model_index.json", **{part: [None, None] for part in options})
    assert difference(draw(folder), theirs) <= 1


def test_a_part_that_cannot_be_null_is_one_line(copy_of):
    folder = copy_of("SD3")
    change_json(folder / "model_index.json", text_encoder=[None, None])
    assert "cannot be loaded" in refused(folder)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("safe", "text_encoder"),
        ("safe", "unet"),
        ("safe", "vae"),
        ("safe", "safety_checker"),
        ("SD3", "text_encoder_3"),
    ],
)
def test_a_tensor_that_is_missing_is_named_not_made_up(copy_of, name, part):
    folder = copy_of(name)
    path = next((folder / part).glob("*.safetensors"))
    tensors = load_file(path)
    lost = sorted(tensors)[len(tensors) // 2]
    del tensors[lost]
    save_file(tensors, path, metadata={"format": "pt"})
    assert f"(no tensor {lost})" in refused(folder)


def test_a_tensor_that_nothing_reads_is_told(copy_of, caplog, capfd):
    folder = copy_of("SD")
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    save_file({**load_file(path), "motion.weight": torch.zeros(3)}, path, metadata={"format": "pt"})
    with caplog.at_level(logging.WARNING, logger="synthset"):
        draw(folder)
    (message,) = caplog.messages
    assert "were not used" in message
    assert "motion.weight" in message
    assert "\n" not in message
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "part"), [("SD", "tokenizer"), ("SDXL", "tokenizer_2"), ("SD3", "tokenizer_3"), ("PixArt", "tokenizer")]
)
@pytest.mark.parametrize("left", [None, (), ("vocab.json",)])
def test_a_tokenizer_without_its_vocabulary_is_refused(copy_of, name, part, left):
    folder = copy_of(name)
    (folder / part / "tokenizer.json").unlink()
    if left is None:
        shutil.rmtree(folder / part)
    for file in left or ():  # its merges are not there
        (folder / part / file).write_text("{}")
    assert f"({part}/ holds no vocabulary)" in refused(folder)


@pytest.mark.parametrize("name", ["SD", "SDXL", "SD3", "Flux", "LCM"])
def test_a_tokenizer_that_knows_no_longest_text_has_that_of_its_encoder(copy_of, sources, name):
    folder = copy_of(name)
    for path in folder.glob("tokenizer*/tokenizer_config.json"):
        config = json.loads(path.read_text())
        assert config.pop("model_max_length") == tiny.MAX_TOKENS
        path.write_text(json.dumps(config))
    assert difference(draw(folder), draw(sources(name))) == 0


# ---- paths ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("models/sd.weights", "got the file 'models/sd.weights'"),
        ("models/sd.safetensors", "'models/sd.safetensors' is no readable safetensors file"),
        ("models/sd.ckpt", "'models/sd.ckpt' as a safetensors file. Others may be pickles"),
    ],
)
def test_a_file_is_no_checkpoint_and_the_hub_is_not_asked(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir()
    Path(name).write_bytes(b"weights")
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_, **__: pytest.fail("asked"))
    assert message in refused(name)


def test_a_checkpoint_that_does_not_fit_into_memory_is_one_line(sources, monkeypatch):
    def fill(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(diffusers.UNet2DConditionModel, "to", fill)
    with pytest.raises(ModelError, match=r"does not fit into the memory of cpu\. Give dtype=bfloat16"):
        draw(sources("SD"))


# ---- half precision ---------------------------------------------------------------------------------------


def overflow(folder: Path) -> None:
    """Make the last of the networks exceed half precision."""
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    tensors["decoder.conv_in.weight"] *= 1e6
    save_file(tensors, path, metadata={"format": "pt"})


@pytest.mark.parametrize("name", ["SD", "SDXL"])
def test_a_checkpoint_that_overflows_in_float16_stops_at_its_first_batch(copy_of, name):
    folder = copy_of(name)
    overflow(folder)
    generator = load_generator(str(folder), num_inference_steps=1, dtype="float16", height_px=32, width_px=32)
    with pytest.raises(ModelError, match=r"float16 .* Give dtype=bfloat16, or float32") as caught:
        generator.generate(REQUESTS)
    assert "\n" not in str(caught.value)
    wide = load_generator(str(folder), num_inference_steps=1, dtype="bfloat16", height_px=32, width_px=32)
    assert "not a number" not in [image.reason for image in wide.generate(REQUESTS)]


def test_a_dataset_that_overflows_is_not_drawn_six_times(copy_of, tmp_path, monkeypatch):
    folder = copy_of("SD")
    overflow(folder)
    steps = []
    original = diffusers.DDIMScheduler.step
    monkeypatch.setattr(diffusers.DDIMScheduler, "step", lambda *a, **k: (steps.append(1), original(*a, **k))[1])
    with pytest.raises(SynthsetError, match="bfloat16"):
        create(tmp_path / "pets", folder, dtype="float16")
    assert len(steps) <= 2 * SETTINGS["steps"]  # one try before anything is drawn, and one batch


def test_images_that_fail_now_and_then_are_no_reason_to_stop(checkpoint):
    generator = load_generator(str(checkpoint), num_inference_steps=1, dtype="float16")
    assert len(pixels_of(generator.generate(REQUESTS))) == 2
    generator.unet.register_forward_hook(lambda module, inputs, outputs: (outputs[0].fill_(torch.nan),))
    images = generator.generate([replace(REQUESTS[0], seed=5)])
    assert [(image.status, image.reason) for image in images] == [("failed", "not a number")]
