"""Options for less memory, and what can be refused of them before anything is loaded. Importing this loads no torch.

`placing` does it. What changes pixels is part of the job, what only moves weights is not.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Annotated

from synthset.core.errors import ModelError, UsageError, setting
from synthset.core.options import Option, check_options

NONE, MODEL, GROUP = "none", "model", "group"
OFFLOADS = (NONE, MODEL, GROUP)
# form of the weights -> the library that it takes
QUANTISATIONS = {NONE: "", "4bit": "bitsandbytes", "8bit": "torchao", "fp8": ""}


@dataclass(frozen=True)
class MemoryOptions:
    """How a checkpoint is held in memory, and decoded.

    Raises:
        UsageError: a value that cannot be.
    """

    offload: Annotated[str, Option(choices=OFFLOADS)] = NONE
    """Offloading to the memory of the CPU: none; model, where one network at a time is on the GPU; or group, where one
    layer at a time is, which takes least and longest. Images stay the same."""
    quantise: Annotated[str, Option(choices=QUANTISATIONS)] = NONE
    """Quantisation of the weights of denoiser and text encoders: none, 4bit (bitsandbytes, NF4), 8bit (torchao) or fp8;
    it changes the images."""
    vae_tiling: bool = False
    """Tiles that large images are decoded by; their seams change the images."""
    vae_slicing: bool = False
    """Decoding of one image at a time, where Stable Diffusion decodes several."""

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def is_quantised(self) -> bool:
        """Whether weights are held in fewer bits."""
        return self.quantise != NONE

    @property
    def is_offloaded(self) -> bool:
        """Whether weights wait in the memory of the CPU."""
        return self.offload != NONE

    def check(self, engine_compiles: bool) -> None:
        """Refuse what does not go together, or lacks a library, before anything is loaded.

        Raises:
            UsageError: a compiled denoiser whose weights would move, or be unpacked in each layer.
            ModelError: the library is not installed.
        """
        for name, given in (("offload", self.offload), ("quantise", self.quantise)):
            if engine_compiles and given != NONE:
                raise UsageError(
                    f"Expected the engine 'eager' with {setting(name, given)}, got one that compiles: what is compiled "
                    "keeps its weights as they are, where they are. Drop one."
                )
        library = QUANTISATIONS[self.quantise]
        if library and importlib.util.find_spec(library) is None:
            raise ModelError(
                f"Expected the package {library} for {setting('quantise', self.quantise)}, which is not installed. "
                f"Install it: pip install 'synthset[quantise]'. Or give {setting('quantise', 'fp8')}, which takes none."
            )
