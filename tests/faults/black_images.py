"""No black image is kept: of 100 one is not a number, one of one colour, one flagged, and two are so for good."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from fault_report import FaultReport, report

import synthset
from synthset.create.shards import MAX_RETRIES
from synthset.dataset.reader import open_dataset
from synthset.generators.base import GeneratedImage, ImageRequest
from synthset.generators.loading import load_generator
from tiny_models import build_stable_diffusion

SPOILED_ONCE = {17: "not a number", 42: "one colour", 63: "flagged"}  # by request id
SPOILED_FOR_GOOD = {80: "not a number", 81: "flagged"}


class Spoiled:
    """A checkpoint whose networks go wrong on some requests: the UNet, the decoder, and the safety checker."""

    preferred_batch_size = 1  # so that the one image of a batch is the one that is meant

    def __init__(self, folder: Path) -> None:
        self.inner = load_generator(str(folder), num_inference_steps=1, device="cpu")
        self.config = self.inner.config
        self.fault, self.tries = "", dict.fromkeys(SPOILED_ONCE | SPOILED_FOR_GOOD, 0)
        checker = self.inner.safety_checker.concept_embeds_weights
        self.checker, self.strict, self.lenient = checker, torch.full_like(checker, -2.0), checker.detach().clone()
        self.inner.unet.register_forward_hook(self.spoil("not a number", lambda output: output[0].fill_(torch.nan)))
        self.inner.vae.decoder.register_forward_hook(self.spoil("one colour", lambda output: output.fill_(-1.0)))

    def spoil(self, fault: str, change: Callable[..., object]) -> Callable[..., None]:
        """A hook that changes the output where that fault is due."""

        def hook(module: object, inputs: object, output: object) -> None:
            if self.fault == fault:
                change(output)

        return hook

    def generate(self, requests: Sequence[ImageRequest]) -> list[GeneratedImage]:
        """One image, spoiled where it is its turn."""
        (request,) = requests
        number = request.id
        self.fault = SPOILED_FOR_GOOD.get(number) or ("" if self.tries.get(number) else SPOILED_ONCE.get(number, ""))
        if number in self.tries:
            self.tries[number] += 1
        with torch.inference_mode():
            self.checker.copy_(self.strict if self.fault == "flagged" else self.lenient)
        return self.inner.generate(requests)


def run(count: int) -> list[FaultReport]:
    """One dataset of `count` images, at least 100."""
    lost = []
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        generator = Spoiled(build_stable_diffusion(scratch / "model", sample_size=4, safety_checker=True))
        folder = scratch / "pets"
        drawn = synthset.create(["cat"], folder, generator=generator, images_per_class=count, max_failures=1)
        images, rows = open_dataset(folder).images(), open_dataset(folder).rows.to_pylist()
        plan = pq.read_table(folder / "plan.parquet").to_pylist()
        for position, row in enumerate(rows):
            pixels = np.asarray(images.image(position)).astype(int)
            if np.ptp(pixels.reshape(-1, 3), axis=0).max() <= 1:
                lost.append(f"image {row['request_id']} is of one colour, and kept")
            retried = row["request_id"] in SPOILED_ONCE
            if (row["attempts"] == 2) != retried or (row["seed"] != plan[row["request_id"]]["seed"]) != retried:
                lost.append(f"image {row['request_id']}: {row['attempts']} attempts, seed {row['seed']}")
        failures = {f["request_id"]: f["attempts"] for f in pq.read_table(folder / "failures.parquet").to_pylist()}
        if failures != dict.fromkeys(SPOILED_FOR_GOOD, 1 + MAX_RETRIES):
            lost.append(f"failures are {failures}")
        if set(generator.tries.values()) != {2, 1 + MAX_RETRIES}:
            lost.append(f"attempts are {generator.tries}")
        if (drawn.accounting.flagged, drawn.accounting.failed) != (1, 1):
            lost.append(f"counted are {drawn.accounting}")
    faults, note = len(SPOILED_ONCE) + len(SPOILED_FOR_GOOD), f"at most {MAX_RETRIES} retries"
    return [report("not a number, one colour, flagged", faults, drawn.accounting, lost, note)]
