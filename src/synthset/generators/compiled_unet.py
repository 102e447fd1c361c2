"""A UNet that torch.compile has compiled: the engine `compiled`.

On a GPU fused kernels and, for few rows, CUDA graphs. On a CPU fused kernels: worth little in float32, whose time is in
oneDNN's convolutions either way, and much in bfloat16.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from synthset.core.errors import ModelError, setting
from synthset.generators.fast_unet import Remembering

# positions in a call, rows × height × width of the latents: below, a GPU waits for the launches of its kernels
GRAPH_POSITIONS = 2**15


class CompiledUNet(nn.Module):
    """A UNet compiled once, for calls of one fixed number of rows, that takes any number of them.

    Guided rows come and go with the scales that a batch drew, and the last batch is ragged; a compiler that fixes
    shapes would start anew for each count. So the rows are padded to a multiple of `rows_per_call` and computed in
    parts of that size. The keys and values of the text are computed outside, once for each text, and given.
    """

    def __init__(self, unet: nn.Module, rows_per_call: int, backend: str | Callable[..., Any] = "inductor") -> None:
        """Take over `unet`, whose text projections have been made to remember.

        Args:
            unet: a diffusers UNet2DConditionModel, on its device. Nothing in it may keep state from call to call.
            rows_per_call: rows of a compiled call, at least 1; `choose_rows_per_call` has a number.
            backend: of torch.compile.
        """
        super().__init__()
        self.config: Any = unet.config
        self.rows_per_call = rows_per_call
        self._unet = unet
        self._memories, self._stand_ins = _take_text_projections(unet)
        self._backend = backend
        self._compiled: Callable[..., tuple[Tensor]] | None = None
        self.forget()

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights."""
        return next(self._unet.parameters()).dtype

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        timestep_cond: Tensor | None = None,
        return_dict: bool = False,
    ) -> tuple[Tensor]:
        """As the UNet itself: sample (n, c, h, w), one timestep, texts (n, tokens, d) -> the prediction, like sample.

        Raises:
            ModelError: it cannot be compiled on this machine.
        """
        n, size = len(sample), self.rows_per_call
        text = self._pad_text(encoder_hidden_states)
        projected = [memory(text) for memory in self._memories]
        # always channels-last, whatever the scheduler made of it: other strides would be compiled for anew
        rows = sample.new_zeros(len(text), *sample.shape[1:]).to(memory_format=torch.channels_last)
        rows[:n] = sample
        timesteps = timestep.repeat(size)
        conditions = None if timestep_cond is None else _pad(timestep_cond, size)
        predicted = torch.empty_like(rows)
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            for stand_in, all_rows in zip(self._stand_ins, projected, strict=True):
                stand_in.projected = all_rows[part]
            condition = None if conditions is None else conditions[part]
            # copied at once: the next replay of a CUDA graph overwrites its result
            predicted[part] = self._call(rows[part], timesteps, text[part], condition)
        return (predicted[:n],)

    def forget(self) -> None:
        """Free the memory of the last text."""
        self._text: Tensor | None = None
        self._padded_text: Tensor | None = None
        for memory in self._memories:
            memory.forget()
        for stand_in in self._stand_ins:
            stand_in.projected = None

    def _pad_text(self, text: Tensor) -> Tensor:
        """`text` with rows of zeros up to a multiple; the same tensor for the same text, so that it is remembered."""
        padded = self._padded_text
        if padded is None or text is not self._text:
            self._text, self._padded_text = text, (padded := _pad(text, self.rows_per_call))
        return padded

    def _call(self, rows: Tensor, timesteps: Tensor, text: Tensor, condition: Tensor | None) -> Tensor:
        options = {"encoder_hidden_states": text, "timestep_cond": condition, "return_dict": False}
        if self._compiled is not None:
            torch.compiler.cudagraph_mark_step_begin()
            return self._compiled(rows, timesteps, **options)[0]
        settings: dict[str, Any] = {}
        if self._backend == "inductor" and rows.device.type == "cuda":
            small = rows.numel() // rows.shape[1] < GRAPH_POSITIONS
            settings["mode"] = "reduce-overhead" if small else "max-autotune-no-cudagraphs"
        elif self._backend == "inductor":
            settings["options"] = {"freezing": True}  # weights become constants, laid out as oneDNN reads them
        compiled = torch.compile(self._unet, backend=self._backend, dynamic=False, fullgraph=True, **settings)
        with compiler_errors():
            predicted = compiled(rows, timesteps, **options)[0]
        self._compiled = compiled
        return predicted


def check_compiler(device: torch.device) -> None:
    """Compile next to nothing, so that a machine that cannot says so before a dataset is begun.

    Raises:
        ModelError: it cannot, with the reason.
    """
    with compiler_errors():
        torch.compile(torch.neg, fullgraph=True)(torch.zeros(1, device=device))


@contextmanager
def compiler_errors() -> Iterator[None]:
    """Errors of torch.compile as a ModelError of one line; its warnings, about diffusers' code, are not shown."""
    from torch._dynamo.exc import TorchDynamoException  # slow to import

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except TorchDynamoException as error:
        reason = " ".join(str(error).strip().splitlines()[:2]).rstrip(".")
        raise ModelError(
            f"The denoiser cannot be compiled here ({reason}). Compiling takes a C++ compiler such as g++, on a GPU "
            f"Triton too. Or draw with {setting('engine', 'eager')}."
        ) from error


def choose_rows_per_call(height: int, width: int, device: torch.device) -> int:
    """Rows of a compiled call for latents of height × width: enough to keep the device busy, few to pad up to.

    16 for Stable Diffusion at 512 × 512 pixels on a GPU.
    """
    positions = 2**16 if device.type == "cuda" else 2**12
    return max(1, min(64, positions // (height * width)))


class _StandIn(nn.Module):
    """Stands where a projection of the text was, and answers with the one that it was handed."""

    projected: Tensor | None = None

    def forward(self, _text: Tensor) -> Tensor | None:
        return self.projected


def _take_text_projections(unet: nn.Module) -> tuple[list[Remembering], list[_StandIn]]:
    """Move all that remembers out of the UNet: these modules, and the stand-ins in their place."""
    memories: list[Remembering] = []
    stand_ins: list[_StandIn] = []
    for parent in list(unet.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Remembering):
                stand_in = _StandIn()
                setattr(parent, name, stand_in)
                memories.append(child)
                stand_ins.append(stand_in)
    return memories, stand_ins


def _pad(rows: Tensor, multiple: int) -> Tensor:
    """Rows of zeros added up to a multiple: (n, ...) -> (at least n, ...)."""
    missing = -len(rows) % multiple
    return torch.cat([rows, rows.new_zeros(missing, *rows.shape[1:])]) if missing else rows
