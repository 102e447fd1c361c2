"""Other ways to say things: short forms, and flags as the scripts of two of the papers spell them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from synthset.core.options import Option, check_options

SAMPLING = "Model and sampling"  # heading of the help, as in create/config.py

SCRIPT = "As in the script of Shipard et al. 2023"

_OUTPUT = {"output-dir": ("outdir",)}
_REAL = {"real": ("real-data-location",)}

SCRIPT_NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "create": {"strategy": ("trick",), "steps": ("ddim-steps",), "height": ("H",), "width": ("W",)} | _OUTPUT,
    "filter": _REAL,
    "train": {"output-dir": ("outdir", "model-path"), "epochs": ("epoch",)} | _REAL,
    "eval": {"templates": ("template",)} | _OUTPUT | _REAL,
    "tune": {"output-dir": ("outdir", "model-path"), "epochs": ("epoch",)} | _REAL,
    "diagnose": _OUTPUT | _REAL,
    "export": _OUTPUT,
    "demo": _OUTPUT,
}


@dataclass(frozen=True)
class ShortForms:
    """Shorter ways, and the script's, to say what the config of `create` says."""

    compile: Annotated[bool, Option(group=SAMPLING)] = False
    """Short form of `engine` compiled."""
    n_samples: Annotated[int | None, Option(group=SCRIPT, at_least=1, default="2")] = None
    """Images of a batch of the script: with `n_iter`, instead of `images_per_class`, which is their product."""
    n_iter: Annotated[int | None, Option(group=SCRIPT, at_least=1, default="1000")] = None
    """Batches of each class."""

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def images_per_class(self) -> int | None:
        """Images per class, with the script's defaults; None where neither was asked for."""
        if self.n_samples is None and self.n_iter is None:
            return None
        return (self.n_samples or 2) * (self.n_iter or 1000)
