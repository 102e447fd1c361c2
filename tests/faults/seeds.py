"""A seed gives its image: on a CPU in float32, whatever the batch size and the order of the requests."""

from __future__ import annotations

import random
from typing import Any
from unittest import mock

import numpy as np
import torch
from fault_report import FaultReport

from synthset.create.stage import CreateConfig, plan_images
from synthset.generators.loading import load_generator

BATCHES = (1, 2, 3, 8)
MOST_GREY_LEVELS = 1  # by which an image may differ between batch sizes: sums of floats depend on their order


def run(orders: int) -> list[FaultReport]:
    """Eight images of the miniature in batches of 1, 2, 3 and 8, in so many orders each."""
    generator = load_generator("miniature", num_inference_steps=2, dtype="float32", device="cpu")
    config = CreateConfig(strategies=("base", "random_guidance"), images_per_class=2, steps=2)
    requests = list(plan_images(("three", "seven"), config).requests())
    images: dict[int, Any] = {}
    noises: dict[int, torch.Tensor] = {}
    lost, drawn, most = [], 0, 0
    for order in range(orders):
        shuffled = requests[:]
        random.Random(order).shuffle(shuffled)
        for batch in BATCHES:
            with mock.patch.object(torch, "randn", _recorded(torch.randn, seen := {})):
                batches = [shuffled[i : i + batch] for i in range(0, len(shuffled), batch)]
                answers = [answer for part in batches for answer in generator.generate(part)]
            for request, answer in zip(shuffled, answers, strict=True):
                if answer.pixels is None or request.seed not in seen:
                    lost.append(f"image {request.id} in batches of {batch}: {answer.reason or 'no noise of its own'}")
                    continue
                drawn += 1
                pixels = answer.pixels.astype(int)
                most = max(most, int(np.abs(pixels - images.setdefault(request.id, pixels)).max()))
                if not torch.equal(noises.setdefault(request.id, seen[request.seed]), seen[request.seed]):
                    lost.append(f"image {request.id} begins at other noise in batches of {batch}")
    if most > MOST_GREY_LEVELS:
        lost.append(f"images differ by {most} grey levels")
    faults = orders * len(BATCHES)
    note = f"equal noise; within {most} grey level{'s' * (most != 1)}"
    return [FaultReport("other batches and orders", faults, faults * len(requests), drawn, lost=tuple(lost), note=note)]


def _recorded(randn: Any, seen: dict[int, torch.Tensor]) -> Any:
    """torch.randn, which notes what it gives first to each generator, by its seed."""

    def call(*args: Any, generator: torch.Generator | None = None, **options: Any) -> torch.Tensor:
        noise = randn(*args, generator=generator, **options)
        if generator is not None:
            seen.setdefault(generator.initial_seed(), noise)
        return noise

    return call
