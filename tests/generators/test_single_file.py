"""Single-file checkpoints: the same pixels as their folder, by layouts of ours; and which files are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import diffusers
import pytest
import tiny_pipelines as tiny
import torch
import transformers
from drawn_images import difference, make_request, pixels_of
from safetensors.torch import load_file, save_file

import synthset
from synthset.core.errors import ConfigChangedError, ModelError, UsageError
from synthset.generators.loading import load_generator
from synthset.generators.single_file import LAYOUTS, LAYOUTS_FOLDER, _clip_tokenizer, find_layout
from tiny_models import build_stable_diffusion

OPTIONS: dict[str, Any] = {"num_inference_steps": 2, "height_px": 32, "width_px": 32, "device": "cpu"}
REQUESTS = [make_request("a cat", guidance_scale=3.0), make_request("a dog", seed=2)]


# ---- a single file from a folder: the names that the first Stable Diffusion gave its tensors ----------------


def write_single_file(folder: Path, path: Path) -> Path:
    tensors = {
        **{f"model.diffusion_model.{name}": value for name, value in unet_tensors(folder).items()},
        **{f"first_stage_model.{name}": value for name, value in vae_tensors(folder).items()},
        **{
            f"cond_stage_model.transformer.text_model.{name.removeprefix('text_model.')}": value
            for name, value in tensors_of(folder / "text_encoder").items()
        },
    }
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    return path


def tensors_of(part: Path) -> dict[str, torch.Tensor]:
    return load_file(next(part.glob("*.safetensors")))


def renamed(name: str, places: dict[str, str], words: dict[str, str]) -> str:
    """A name with its longest known beginning replaced, and, after that, parts of it."""
    place = max((each for each in places if name.startswith(f"{each}.")), key=len)
    rest = name.removeprefix(place)
    for old, new in words.items():
        rest = rest.replace(old, new)
    return places[place] + rest


RESNET = {
    ".norm1.": ".in_layers.0.", ".conv1.": ".in_layers.2.", ".norm2.": ".out_layers.0.", ".conv2.": ".out_layers.3.",
    ".time_emb_proj.": ".emb_layers.1.", ".conv_shortcut.": ".skip_connection.",
}  # fmt: skip


def unet_tensors(folder: Path) -> dict[str, torch.Tensor]:
    config = json.loads((folder / "unet" / "config.json").read_text())
    levels, layers = len(config["block_out_channels"]), config["layers_per_block"]
    places = {
        "conv_in": "input_blocks.0.0", "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2", "conv_norm_out": "out.0", "conv_out": "out.2",
        "mid_block.resnets.0": "middle_block.0", "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
    }  # fmt: skip
    for level in range(levels):
        for layer in range(layers):
            block = 1 + level * (layers + 1) + layer
            places[f"down_blocks.{level}.resnets.{layer}"] = f"input_blocks.{block}.0"
            places[f"down_blocks.{level}.attentions.{layer}"] = f"input_blocks.{block}.1"
        places[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{(level + 1) * (layers + 1)}.0.op"
        for layer in range(layers + 1):
            block = level * (layers + 1) + layer
            places[f"up_blocks.{level}.resnets.{layer}"] = f"output_blocks.{block}.0"
            places[f"up_blocks.{level}.attentions.{layer}"] = f"output_blocks.{block}.1"
        attends = "CrossAttn" in config["up_block_types"][level]
        last = (level + 1) * (layers + 1) - 1
        places[f"up_blocks.{level}.upsamplers.0"] = f"output_blocks.{last}.{2 if attends else 1}"
    return {
        renamed(name, places, RESNET if "resnets" in name else {}): value
        for name, value in tensors_of(folder / "unet").items()
    }


def vae_tensors(folder: Path) -> dict[str, torch.Tensor]:
    config = json.loads((folder / "vae" / "config.json").read_text())
    levels, layers = len(config["block_out_channels"]), config["layers_per_block"]
    places = {name: name for name in ("quant_conv", "post_quant_conv")}
    for side in ("encoder", "decoder"):
        for name, other in (("conv_in", "conv_in"), ("conv_out", "conv_out"), ("conv_norm_out", "norm_out")):
            places[f"{side}.{name}"] = f"{side}.{other}"
        for number in (0, 1):
            places[f"{side}.mid_block.resnets.{number}"] = f"{side}.mid.block_{number + 1}"
        places[f"{side}.mid_block.attentions.0"] = f"{side}.mid.attn_1"
    for level in range(levels):
        for layer in range(layers + 1):
            places[f"encoder.down_blocks.{level}.resnets.{layer}"] = f"encoder.down.{level}.block.{layer}"
            places[f"decoder.up_blocks.{level}.resnets.{layer}"] = f"decoder.up.{levels - 1 - level}.block.{layer}"
        places[f"encoder.down_blocks.{level}.downsamplers.0"] = f"encoder.down.{level}.downsample"
        places[f"decoder.up_blocks.{level}.upsamplers.0"] = f"decoder.up.{levels - 1 - level}.upsample"
    attention = {
        ".group_norm.": ".norm.", ".to_q.": ".q.", ".to_k.": ".k.", ".to_v.": ".v.", ".to_out.0.": ".proj_out.",
    }  # fmt: skip
    tensors = {}
    for name, value in tensors_of(folder / "vae").items():
        is_linear = "attentions" in name and value.ndim == 2
        words = attention if "attentions" in name else {".conv_shortcut.": ".nin_shortcut."}
        tensors[renamed(name, places, words)] = value[:, :, None, None] if is_linear else value
    return tensors


# ---- tests ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two levels more than the tiny one, so that all kinds of blocks are there."""
    return build_stable_diffusion(tmp_path_factory.mktemp("single") / "sd", unet_channels=(8, 16, 16))


@pytest.fixture(scope="module")
def single(folder):
    return write_single_file(folder, folder.parent / "sd.safetensors")


def draw(path: Path, **options: Any) -> list[Any]:
    return pixels_of(load_generator(str(path), **OPTIONS, **options).generate(REQUESTS))


def test_a_single_file_draws_the_pixels_of_its_folder(folder, single):
    ours = draw(single, layout=str(folder))
    assert all(difference(*pair) == 0 for pair in zip(ours, draw(folder), strict=True))


def test_a_file_with_the_denoiser_alone_takes_the_rest_from_the_folder(folder, single, tmp_path):
    tensors = {name: value + 0.01 for name, value in load_file(single).items() if name.startswith("model.")}
    alone = tmp_path / "unet.safetensors"
    save_file(tensors, alone)
    ours = draw(alone, layout=str(folder))
    changed = Path(shutil.copytree(folder, tmp_path / "changed"))
    unet = next((changed / "unet").glob("*.safetensors"))
    save_file({name: value + 0.01 for name, value in load_file(unet).items()}, unet, metadata={"format": "pt"})
    assert all(difference(*pair) == 0 for pair in zip(ours, draw(changed), strict=True))
    assert all(difference(*pair) > 0 for pair in zip(ours, draw(folder), strict=True))


def test_the_job_knows_the_file_by_its_content_and_its_layout(folder, single, tmp_path):
    options: dict[str, Any] = {"images_per_class": 2, "steps": 2, "device": "cpu", "layout": str(folder)}
    moved = Path(shutil.copy(single, tmp_path / "moved.safetensors"))
    synthset.create(["cat"], tmp_path / "pets", generator=str(single), **options)
    assert synthset.create(["cat"], tmp_path / "pets", generator=str(moved), **options).drawn == 0
    other = {name: value.clone() for name, value in load_file(single).items()}
    other["model.diffusion_model.out.2.bias"] += 0.1
    save_file(other, moved)
    with pytest.raises(ConfigChangedError, match=r"generation\.weights_hash"):
        synthset.create(["cat"], tmp_path / "pets", generator=str(moved), **options)


def test_a_tensor_that_is_missing_or_of_another_size_is_one_line(folder, single, tmp_path):
    for number, change in enumerate((lambda value: None, lambda value: value.new_zeros(3))):
        tensors = load_file(single)
        name = "model.diffusion_model.out.0.weight"
        tensors = {key: change(value) if key == name else value for key, value in tensors.items()}
        path = tmp_path / f"{number}.safetensors"
        save_file({key: value for key, value in tensors.items() if value is not None}, path)
        with pytest.raises(
            ModelError, match=r"cannot be loaded as a StableDiffusionPipeline.*configurations in"
        ) as caught:
            draw(path, layout=str(folder))
        assert "\n" not in str(caught.value)


# ---- layouts ----------------------------------------------------------------------------------------------

FIRST = "model.diffusion_model.input_blocks.0.0.weight"
CONTEXT = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
SECOND = "conditioner.embedders.1.model.ln_final.weight"


def file_of(path: Path, **shapes: tuple[int, ...]) -> Path:
    save_file({{"first": FIRST, "context": CONTEXT, "second": SECOND}.get(name, name): torch.zeros(shape)
               for name, shape in shapes.items()}, path)  # fmt: skip
    return path


@pytest.mark.parametrize(
    ("shapes", "layout"),
    [
        ({"first": (320, 4, 3, 3), "context": (320, 768)}, "sd15"),
        ({"first": (320, 4, 3, 3), "second": (1280,)}, "sdxl"),
    ],
)
def test_the_tensors_tell_the_layout(shapes, layout, tmp_path):
    assert find_layout(file_of(tmp_path / "a.safetensors", **shapes), None).name == layout


@pytest.mark.parametrize(
    ("shapes", "error", "message"),
    [
        ({"first": (320, 4, 3, 3), "context": (320, 1024)}, UsageError, "does not say which: give layout=sd21"),
        ({"first": (320, 9, 3, 3), "context": (320, 768)}, ModelError, "takes 9 channels"),
        ({"first": (320, 4, 3, 3), "second": (1280,), "v_pred": (1,)}, UsageError, r"trained otherwise.*\(v_pred\)"),
        ({"some.weight": (1,)}, ModelError, "is of another model, e.g. it has 'some.weight'"),
    ],
)
def test_a_file_that_can_be_read_in_several_ways_or_in_none_is_refused(shapes, error, message, tmp_path):
    path = file_of(tmp_path / "a.safetensors", **shapes)
    with pytest.raises(error, match=message) as caught:
        load_generator(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(), (2,)])
def test_a_weight_without_the_dimensions_of_one_tells_no_layout(shape, tmp_path):
    names = [
        "model.diffusion_model.input_blocks.0.0.weight",
        "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
    ]
    save_file({name: torch.zeros(shape) for name in names}, tmp_path / "odd.safetensors")
    with pytest.raises(ModelError, match="is of another model"):
        load_generator(str(tmp_path / "odd.safetensors"))


def test_a_file_with_another_models_weights_is_told_by_what_it_lacks(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "odd.safetensors")
    with pytest.raises(ModelError, match=r"cannot be loaded as a StableDiffusionPipeline \(") as caught:
        load_generator(str(tmp_path / "odd.safetensors"), layout="sd15")
    assert "tokenizer" not in str(caught.value)


@pytest.mark.parametrize("name", ["https://hub.example/a.safetensors", "s3://bucket/folder"])
def test_a_checkpoint_elsewhere_is_to_be_fetched_before(name):
    with pytest.raises(ModelError, match=f"this machine, or a hub id, got '{name}'. Fetch it before"):
        load_generator(name)


def test_a_layout_is_one_of_ours_or_a_folder_and_of_a_single_file_alone(folder, single):
    with pytest.raises(ModelError, match="Expected one of sd15, sd21, sd21-base, sdxl, or a checkpoint's folder"):
        load_generator(str(single), layout="sd16")
    with pytest.raises(ModelError, match="hf download owner/name"):
        load_generator(str(single), layout="owner/name")
    with pytest.raises(UsageError, match="Expected a single safetensors file with layout"):
        load_generator(str(folder), layout="sd15")


# parameters of the published networks
SIZES = {
    "sd15": {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480},
    "sd21": {"unet": 865_910_724, "vae": 83_653_863, "text_encoder": 340_387_840},
    "sdxl": {"unet": 2_567_463_684, "vae": 83_653_863, "text_encoder": 123_060_480, "text_encoder_2": 694_659_840},
}
SIZES["sd21-base"] = SIZES["sd21"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_networks_of_a_layout_have_the_published_sizes(layout):
    folder = LAYOUTS_FOLDER / layout
    index, sizes = json.loads((folder / "model_index.json").read_text()), {}
    for part, (library, class_name) in ((part, each) for part, each in index.items() if isinstance(each, list)):
        if library is None or part.startswith(("tokenizer", "scheduler")):
            continue
        config = json.loads((folder / part / "config.json").read_text())
        with torch.device("meta"):
            if library == "diffusers":
                network = getattr(diffusers, class_name).from_config(config)
            else:
                network = getattr(transformers, class_name)(transformers.CLIPTextConfig.from_dict(config))
        sizes[part] = sum(value.numel() for value in network.parameters())
    assert sizes == SIZES[layout]


def test_the_tokenizer_of_a_layout_is_clips():
    tokenizer = _clip_tokenizer("<|endoftext|>")
    assert (tokenizer.model_max_length, len(tokenizer)) == (77, 49408)
    assert tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]


def test_pads_are_those_of_each_encoder():
    from synthset.generators.single_file import make_tokenizers

    pads = {
        layout: [tokenizer.pad_token_id for tokenizer in make_tokenizers(LAYOUTS_FOLDER / layout, parts).values()]
        for layout, parts in (("sd15", ["tokenizer"]), ("sdxl", ["tokenizer", "tokenizer_2"]))
    }
    assert pads == {"sd15": [49407], "sdxl": [49407, 0]}


def test_a_file_of_a_known_family_is_read_by_our_layout_without_the_hub(monkeypatch, tmp_path, folder, single):
    """The layout stands in for one of ours, so that a tiny file does."""
    ours = tmp_path / "layouts" / "sd15"
    ours.mkdir(parents=True)
    for part in ("unet", "vae", "text_encoder", "scheduler"):
        shutil.copytree(folder / part, ours / part, ignore=shutil.ignore_patterns("*.safetensors"))
    shutil.copy(folder / "model_index.json", ours)
    config = json.loads((ours / "text_encoder" / "config.json").read_text())
    (ours / "text_encoder" / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("synthset.generators.single_file.LAYOUTS_FOLDER", ours.parent)
    monkeypatch.setattr("synthset.generators.single_file._tell_layout", lambda _file, _outlines: "sd15")
    monkeypatch.setattr("synthset.generators.single_file._clip_tokenizer", lambda _: tiny.clip_tokenizer())
    assert all(difference(*pair) == 0 for pair in zip(draw(single), draw(folder), strict=True))
