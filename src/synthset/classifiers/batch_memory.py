"""Whether a batch fits into a machine's memory, before a training takes all of it and the system ends the process."""

from __future__ import annotations

import copy
import math

import psutil
import torch
from torch import nn

from synthset.core.errors import UsageError, setting

NO_ROOM = (RuntimeError, AssertionError, ValueError, IndexError)  # what networks raise for images too small for them


def check_memory(model: nn.Module, num_images: int, size_px: int, bytes_each: int) -> None:
    """Refuse batches of which a network makes more than this machine's memory holds: a gradient needs all of it.

    Args:
        model: that is to learn, all of it.
        num_images, size_px: of a batch, and their side.
        bytes_each: of a number: 4 of float32, 2 of bfloat16.
    Raises:
        UsageError: so it is; the message says how large it would be.
    """
    needed, there = count_outputs(model, num_images, size_px) * bytes_each, psutil.virtual_memory().total
    if needed > there:
        images = "an image" if num_images == 1 else f"{num_images} images"
        raise UsageError(
            f"Expected batches that fit into this machine's {there / 1e9:,.0f} GB, got {images} of {size_px} px at "
            f"once, of which the network makes {needed / 1e9:,.0f} GB at least. Choose a smaller "
            f"{setting('image_size_px')} or {setting('batch_size')}."
        )


def count_outputs(model: nn.Module, num_images: int, size_px: int) -> int:
    """Numbers that the convolutions and linear layers of a network make of a batch, each of which its gradient needs.

    Nothing is computed: tensors on the meta device have shapes alone. 0 for a network that asks for values, or that has
    no room for such images.
    """
    counts: list[int] = []
    weights = {id(weight): weight.to("meta") for weight in (*model.parameters(), *model.buffers())}
    twin = copy.deepcopy(model, weights).eval()  # which copies no weights, of which there may be many
    for layer in twin.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(lambda _layer, _inputs, output: counts.append(math.prod(output.shape)))
    try:
        with torch.no_grad():
            twin(torch.empty(num_images, 3, size_px, size_px, device="meta"))
    except NO_ROOM:
        return 0
    return sum(counts)
