"""Checkpoints of Stable Diffusion on disk and on the hub: safetensors only, and loaded quietly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import diffusers
import torch
import transformers
from diffusers import StableDiffusionPipeline

from synthset.errors import ModelError


def download_checkpoint(repository: str, revision: str | None) -> Path:
    """Fetch what a Stable Diffusion pipeline needs from the hub, safetensors only; the cached folder."""
    return Path(StableDiffusionPipeline.download(repository, revision=revision, use_safetensors=True))


def load_pipeline(folder: Path, name: str, dtype: torch.dtype) -> StableDiffusionPipeline:
    """Load a checkpoint of Stable Diffusion. Raises ModelError, in one line, for whatever is wrong with it."""
    if not any((folder / "tokenizer" / file).is_file() for file in ("tokenizer.json", "vocab.json")):
        # transformers would go on with a vocabulary of nothing
        raise ModelError(f"The checkpoint '{name}' cannot be loaded (tokenizer/ holds no vocabulary).")
    try:
        with quiet():
            return StableDiffusionPipeline.from_pretrained(
                str(folder), dtype=dtype, use_safetensors=True, local_files_only=True
            )
    except Exception as error:  # a checkpoint can be broken in any way
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"The checkpoint '{name}' cannot be loaded ({reason}). Expected unet/, vae/ and text_encoder/ "
            "with safetensors files, tokenizer/ and scheduler/; pickled weights are not read."
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars of the libraries: loading is a part of our own."""
    shown = [
        library
        for library in (diffusers.utils.logging, transformers.utils.logging)
        if library.is_progress_bar_enabled()
    ]
    for library in shown:
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library in shown:
            library.enable_progress_bar()
