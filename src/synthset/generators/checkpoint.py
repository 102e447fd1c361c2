"""Checkpoints that our own loop draws with, on disk and on the hub: safetensors only, and loaded quietly."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from synthset.core.errors import ModelError


def download_checkpoint(class_name: str, repository: str, revision: str | None) -> Path:
    """Fetch what a pipeline of Stable Diffusion needs from the hub, safetensors only; the cached folder."""
    pipeline_class = getattr(diffusers, class_name)
    return Path(pipeline_class.download(repository, revision=revision, use_safetensors=True))


def load_pipeline(folder: Path, class_name: str, name: str, dtype: torch.dtype) -> Any:
    """Load a checkpoint of the pipeline class. Raises ModelError, in one line, for whatever is wrong with it."""
    pipeline_class = getattr(diffusers, class_name)
    reads_text = "tokenizer" in inspect.signature(pipeline_class.__init__).parameters
    if reads_text and not any((folder / "tokenizer" / file).is_file() for file in ("tokenizer.json", "vocab.json")):
        # transformers would go on with a vocabulary of nothing
        raise ModelError(f"The checkpoint '{name}' cannot be loaded (tokenizer/ holds no vocabulary).")
    try:
        with quiet():
            return pipeline_class.from_pretrained(str(folder), dtype=dtype, use_safetensors=True, local_files_only=True)
    except Exception as error:  # a checkpoint can be broken in any way
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"The checkpoint '{name}' cannot be loaded ({reason}). Expected all parts of its model_index.json with "
            "safetensors files; pickled weights are not read."
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
