"""Checkpoints that are one file of weights: which model it is, the configurations it is read by, and its tokenizers.

A single file says nothing of its model but the names and shapes of its tensors. The configurations of the commonest
models lie in `layouts/`, so that nothing is fetched; others are read by those of a checkpoint's folder.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from synthset.core.errors import ModelError, UsageError, setting
from synthset.core.hub import find_folder
from synthset.generators.tensor_files import TensorOutline, outline_tensors

LAYOUTS_FOLDER = Path(__file__).parent / "layouts"
# name of a layout -> the model
LAYOUTS: dict[str, str] = {
    "sd15": "Stable Diffusion 1.x",
    "sd21": "Stable Diffusion 2.x of 768 px, which predicts velocities",
    "sd21-base": "Stable Diffusion 2.x of 512 px",
    "sdxl": "SDXL",
}
WEIGHTS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")

_UNET = "model.diffusion_model."
_FIRST = f"{_UNET}input_blocks.0.0.weight"
_CONTEXT = f"{_UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
_SECOND_ENCODER = "conditioner.embedders.1.model.ln_final.weight"
_DECODERS = ("first_stage_model.", "vae.")
_PARAMETERIZATIONS = ("v_pred", "ztsnr", "edm_mean", "edm_vpred.sigma_max")  # tensors that say so of SDXL's


def is_single_file(name: str) -> bool:
    """Whether a checkpoint's name means a file of weights; one of the hub has no such ending."""
    path = Path(name).expanduser()
    return path.suffix in WEIGHTS and not path.is_dir()


def find_layout(file: Path, layout: str | None) -> Path:
    """The folder of the configurations that a single file is read by.

    Args:
        file: of weights.
        layout: one of LAYOUTS, or a folder in diffusers' layout; None to be told by the tensors.
    Raises:
        ModelError: a file that is not there, no safetensors file, or of a model that is not known.
        UsageError: one that can be read in several ways.
    """
    if not file.is_file():
        raise ModelError(f"Expected a checkpoint in the file '{file}', there is none. Is the path spelled correctly?")
    outlines = outline_tensors(file, "checkpoint")
    if layout is None:
        return LAYOUTS_FOLDER / _tell_layout(file, outlines)
    if layout in LAYOUTS:
        return LAYOUTS_FOLDER / layout
    folder = find_folder(layout, f"one of {', '.join(LAYOUTS)}, or a checkpoint's folder, as {setting('layout')}")
    if folder is None:
        raise ModelError(
            f"Expected one of {', '.join(LAYOUTS)}, or a checkpoint's folder, as {setting('layout')}, got '{layout}'. "
            f"Fetch its configurations, and name their folder: hf download {layout} --local-dir …"
        )
    return folder


def _tell_layout(file: Path, outlines: Mapping[str, TensorOutline]) -> str:
    where = f"Give {setting('layout')}: one of {', '.join(LAYOUTS)}, or a folder with its family's configurations."
    channels, width = _width(outlines, _FIRST), _width(outlines, _CONTEXT)
    if channels not in (0, 4):
        raise ModelError(
            f"'{file}' takes {channels} channels, as models that fill in or edit images do, and draws none "
            "from text alone. Name another checkpoint."
        )
    if _FIRST in outlines and _SECOND_ENCODER in outlines:
        if found := [name for name in _PARAMETERIZATIONS if name in outlines]:
            raise UsageError(f"'{file}' is an SDXL that was trained otherwise than the first one ({found[0]}). {where}")
        return "sdxl"
    if width == 768:
        return "sd15"
    if width == 1024:
        raise UsageError(
            f"'{file}' is a Stable Diffusion 2.x, and does not say which: give {setting('layout', 'sd21')}, of 768 px, "
            "which predicts velocities, or sd21-base, of 512 px. By the other one it draws noise."
        )
    raise ModelError(
        f"Expected a single file of {', '.join(LAYOUTS.values())}; '{file}' is of another model, e.g. it has "
        f"'{next(iter(outlines))}'. {where}"
    )


def _width(outlines: Mapping[str, TensorOutline], name: str) -> int:
    """How many numbers a network takes at a time by a weight; 0 for one that is not there, or is no such weight."""
    shape = outlines[name].shape if name in outlines else ()
    return shape[1] if len(shape) >= 2 else 0


def has_decoder(file: Path) -> bool:
    """Whether a file holds a whole model; others hold the denoiser alone."""
    return any(name.startswith(_DECODERS) for name in outline_tensors(file, "checkpoint"))


def make_tokenizers(folder: Path, parts: Collection[str]) -> dict[str, Any]:
    """The tokenizers of a layout of ours: CLIP's vocabulary, which comes with open_clip."""
    if folder.parent != LAYOUTS_FOLDER:
        return {}
    # Stable Diffusion 1.x and SDXL's first pad with the end, encoders of open_clip with "!", which has number 0
    by_part = {"tokenizer": "!" if folder.name.startswith("sd21") else "<|endoftext|>", "tokenizer_2": "!"}
    return {part: _clip_tokenizer(pad) for part, pad in by_part.items() if part in parts}


def _clip_tokenizer(pad_token: str) -> Any:
    from open_clip.tokenizer import SimpleTokenizer
    from transformers import CLIPTokenizer

    bpe = SimpleTokenizer()
    merges: Any = sorted(bpe.bpe_ranks, key=lambda pair: bpe.bpe_ranks[pair])
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}  # there, and in transformers
    return CLIPTokenizer(
        vocab={names.get(token, token): number for token, number in bpe.encoder.items()},
        merges=merges,
        model_max_length=77,
        pad_token=pad_token,
    )
