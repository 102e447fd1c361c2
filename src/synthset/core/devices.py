"""Where a model runs, and what it computes in."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from synthset.core.errors import UsageError

if TYPE_CHECKING:
    import torch

log = logging.getLogger("synthset")

ACCELERATORS = ("cuda", "xpu", "mps")  # by preference
DTYPES = ("auto", "float32", "bfloat16", "float16")  # what networks compute in


def choose_device(name: str, accelerators: Sequence[str] = ("cuda",)) -> torch.device:
    """'auto' is the first of the accelerators that is there, else the CPU.

    Raises:
        UsageError: the device is not at hand.
    """
    import torch

    if name == "auto":
        device = torch.device(next((kind for kind in accelerators if getattr(torch, kind).is_available()), "cpu"))
        log.debug("device auto: %s", _in_words(device))
        return device
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"The device '{name}' cannot be used ({reason}). Use 'auto' or 'cpu'.") from error
    log.debug("device %s: %s", name, _in_words(device))
    return device


def _in_words(device: torch.device) -> str:
    import torch

    if device.type == "cuda":
        return f"{device}, {torch.cuda.get_device_name(device)}"
    return f"{device}, {torch.get_num_threads()} threads" if device.type == "cpu" else str(device)


def choose_dtype(name: str, device: torch.device) -> str:
    """'auto' is bfloat16 on a GPU and float32 elsewhere; any other of DTYPES is itself."""
    if name == "auto":
        return "bfloat16" if device.type in ACCELERATORS else "float32"
    return name


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """For what takes no generator: torch's global random state on the CPU, and on a GPU, seeded and then put back."""
    import torch

    gpu = device if device is not None and device.type == "cuda" else None
    with torch.random.fork_rng(devices=[gpu] if gpu else []), torch.cuda.device(gpu) if gpu else nullcontext():
        torch.default_generator.manual_seed(seed)
        if gpu:
            torch.cuda.manual_seed(seed)
        yield
