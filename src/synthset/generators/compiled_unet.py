"""A UNet that torch.compile has compiled: the engine `compiled`.

A small network is compiled whole, on a GPU into CUDA graphs, for it waits for the launches of its kernels there. Of a
large one the regions that repeat are compiled, each once for all its repetitions of one shape: whole, Stable Diffusion
takes many minutes. Kernels are chosen by rule; the engine `compiled_max` tries them out, which takes minutes again.

On a CPU fused kernels are worth little in float32, whose time is in oneDNN's convolutions either way, and much in
bfloat16. What was compiled is kept on disk, for other processes and the next run.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import torch
from torch import Tensor, nn

from synthset.core.errors import ModelError, setting
from synthset.core.files import cache_folder
from synthset.generators.base import EAGER
from synthset.generators.fast_unet import Remembering

# up to so many a network is compiled whole: a GPU waits for the launches of its kernels
WHOLE_WEIGHTS = 100_000_000
# classes whose instances repeat: of UNets, and of transformers what diffusers names in `_repeated_blocks`
REGIONS = ("ResnetBlock2D", "Transformer2DModel")


class CompiledUNet(nn.Module):
    """A UNet compiled once, for calls of one fixed number of rows, that takes any number of them.

    Guided rows come and go with the scales that a batch drew, and the last batch is ragged; a compiler that fixes
    shapes would start anew for each count. So the rows are padded to a multiple of `rows_per_call` and computed in
    parts of that size. The keys and values of the text are computed outside, once for each text, and given.
    """

    def __init__(
        self,
        unet: nn.Module,
        rows_per_call: int,
        backend: str | Callable[..., Any] = "inductor",
        autotune: bool = False,
    ) -> None:
        """Take over `unet`, whose text projections have been made to remember.

        Args:
            unet: a diffusers UNet2DConditionModel, on its device. Nothing in it may keep state from call to call.
            rows_per_call: rows of a compiled call, at least 1; `choose_rows_per_call` has a number.
            backend: of torch.compile.
            autotune: try kernels out, for each shape.
        """
        super().__init__()
        self.config: Any = unet.config
        self.rows_per_call = rows_per_call
        self._unet = unet
        self._memories, self._stand_ins = _take_text_projections(unet)
        self._is_compiled = False
        compile_network(unet, backend, autotune, dynamic=False, fullgraph=True)
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
        torch.compiler.cudagraph_mark_step_begin()
        with nullcontext() if self._is_compiled else compiler_errors():
            predicted = self._unet(
                rows, timesteps, encoder_hidden_states=text, timestep_cond=condition, return_dict=False
            )[0]
        self._is_compiled = True
        return predicted


def compile_network(
    network: nn.Module, backend: str | Callable[..., Any] = "inductor", autotune: bool = False, **settings: Any
) -> None:
    """Have `network`, which lies on its device, compiled in its first call: whole if it is small, else its regions.

    Args:
        network: of diffusers.
        backend: of torch.compile.
        autotune: try kernels out, for each shape.
        settings: more of torch.compile. With dynamic=False a small network has CUDA graphs: its result is to be copied
            before the next call.
    """
    keep_compiled_code()
    parameters = list(network.parameters())
    small = sum(parameter.numel() for parameter in parameters) <= WHOLE_WEIGHTS
    if backend == "inductor":
        with_graphs = small and parameters[0].device.type == "cuda" and settings.get("dynamic") is False
        settings["options"] = {"triton.cudagraphs": with_graphs, "max_autotune": autotune}
    names = {*REGIONS, *(getattr(network, "_repeated_blocks", None) or ())}
    parts = (not small and _outermost(network, names)) or [network]
    # regions of one class share what was compiled for it, by their shapes; past the limit the compiler gives up
    limit = torch._dynamo.config.recompile_limit
    torch._dynamo.config.recompile_limit = max(limit, 2 * len(parts))
    for part in parts:
        part.compile(backend=backend, **settings)


def _outermost(network: nn.Module, names: set[str]) -> list[nn.Module]:
    """Parts of the network whose classes have these names; none that lies in another."""
    found: list[nn.Module] = []
    for child in network.children():
        found += [child] if type(child).__name__ in names else _outermost(child, names)
    return found


def keep_compiled_code() -> None:
    """Have compiled code kept in our cache, where it outlives a restart; a folder that somebody named stays theirs."""
    folder = cache_folder("compiled")
    with suppress(OSError):  # a home that cannot be written to: the compiler has a folder of its own
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))


def check_compiler(device: torch.device) -> None:
    """Compile next to nothing, so that a machine that cannot says so before a dataset is begun.

    Raises:
        ModelError: it cannot, with the reason.
    """
    keep_compiled_code()
    with compiler_errors():
        torch.compile(torch.neg, fullgraph=True)(torch.zeros(1, device=device))


@contextmanager
def compiler_errors() -> Iterator[None]:
    """Errors of torch.compile as a ModelError of one line; what else it says, of diffusers' code, is not shown."""
    from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException  # slow to import

    try:
        with warnings.catch_warnings(), _quiet_compiler():
            warnings.simplefilter("ignore")
            yield
    except (TorchDynamoException, FailOnRecompileLimitHit) as error:
        reason = " ".join(str(error).strip().splitlines()[:2]).rstrip(".")
        raise ModelError(
            f"The denoiser cannot be compiled here ({reason}). Compiling takes a C++ compiler such as g++, on a GPU "
            f"Triton too. Or draw with {setting('engine', EAGER)}."
        ) from error


@contextmanager
def _quiet_compiler() -> Iterator[None]:
    """Nothing below an error from torch's loggers, unless TORCH_LOGS asks for it, nor the tables of autotuning."""
    from torch._inductor import select_algorithm

    printed, select_algorithm.PRINT_AUTOTUNE = select_algorithm.PRINT_AUTOTUNE, False
    loggers = [] if "TORCH_LOGS" in os.environ else [*logging.root.manager.loggerDict]
    names = [name for name in loggers if name == "torch" or name.startswith("torch.")]
    handlers = [handler for name in names for handler in logging.getLogger(name).handlers]
    for handler in handlers:
        handler.addFilter(_is_error)
    try:
        yield
    finally:
        select_algorithm.PRINT_AUTOTUNE = printed
        for handler in handlers:
            handler.removeFilter(_is_error)


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


def choose_rows_per_call(height: int, width: int, device: torch.device) -> int:
    """Rows of a compiled call for latents of height × width: enough to keep the device busy, few to pad up to.

    On a GPU 16 for Stable Diffusion at 512 × 512 pixels, 256 for the miniature, which a call costs about the same.
    """
    positions, most = (2**16, 256) if device.type == "cuda" else (2**12, 64)
    return max(1, min(most, positions // (height * width)))


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
