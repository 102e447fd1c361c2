"""Where a model runs. Imports torch: import this where torch is needed anyway."""

from __future__ import annotations

import torch

from synthset.errors import UsageError


def choose_device(name: str) -> torch.device:
    """'auto' is the GPU where there is one, else the CPU. Raises UsageError if the device is not at hand."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"The device '{name}' cannot be used ({reason}). Use 'auto' or 'cpu'.") from error
    return device
