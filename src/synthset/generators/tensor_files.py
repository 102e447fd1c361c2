"""Safetensors files: found, and what their headers say of the tensors. Nothing else is read, and no torch is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from synthset.core.errors import ModelError, setting, some
from synthset.core.hub import is_hub_id
from synthset.core.names import shown

SAFETENSORS = ".safetensors"
_HOW_TO_CONVERT = (
    'Where you trust it, convert it once: python -c "import sys, torch; from safetensors.torch import save_file; '
    "old, new = sys.argv[1:]; tensors = torch.load(old, weights_only=True, map_location='cpu'); "
    "tensors = tensors.get('state_dict', tensors); save_file({name: value.contiguous() for name, value in "
    "tensors.items() if hasattr(value, 'contiguous')}, new)\""
)


@dataclass(frozen=True)
class TensorOutline:
    """What is known of a tensor that is not read: its type as safetensors call it, such as F16, and its shape."""

    kind: str
    shape: tuple[int, ...]


def find_safetensors(path: Path, kind: str, option: str) -> Path:
    """The safetensors file that a path means: itself, or the only one in a folder.

    Args:
        kind: what it is, for people.
        option: field that names it.
    Raises:
        ModelError: there is none, or several, or it is a pickle or anything else.
    """
    if path.is_dir():
        files = sorted(path.glob(f"*{SAFETENSORS}"))
        if len(files) != 1:
            names = some([file.name for file in files]) or "no such file"
            raise ModelError(
                f"Expected one safetensors file in '{path}' for {setting(option)}, found {names}. Name the file itself."
            )
        (path,) = files
    if shown(path) != str(path):  # which the libraries that read it do not take
        raise ModelError(f"Expected the {kind} '{path}' of {setting(option)} under a name in UTF-8. Rename it.")
    if not path.is_file():
        fetch = f" One of the hub is fetched before: hf download {path} --local-dir …" if is_hub_id(str(path)) else ""
        raise ModelError(f"Expected the {kind} '{path}' of {setting(option)}, there is no such file.{fetch}")
    outline_tensors(path, kind)
    return path


def outline_tensors(path: Path, kind: str) -> dict[str, TensorOutline]:
    """The tensors of a file by name.

    Raises:
        ModelError: it is no safetensors file, or an empty one; `kind` says what it should be.
    """
    from safetensors import SafetensorError, safe_open

    if path.suffix != SAFETENSORS:
        raise ModelError(
            f"Expected the {kind} '{path}' as a safetensors file. Others may be pickles, which can run any code when "
            f"they are opened, so it is not. {_HOW_TO_CONVERT} '{path}' '{path.with_suffix(SAFETENSORS)}'"
        )
    try:
        with safe_open(path, "np") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            outlines = {name: TensorOutline(one.get_dtype(), tuple(one.get_shape())) for name, one in slices.items()}
    except (SafetensorError, OSError) as error:
        raise ModelError(f"The {kind} '{path}' is no readable safetensors file ({error}). Fetch it anew.") from error
    if not outlines:
        raise ModelError(f"The {kind} '{path}' holds no tensor. Fetch it anew.")
    return outlines
