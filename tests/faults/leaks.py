"""No leak from the test set: its labels decide nothing, and synthetic images that copy it are found."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
from copies import PlantingGenerator, patches, plant
from fault_report import FaultReport, environment, run_command

from bars import make_set
from synthset.dataset.export import export
from synthset.images.imageset import ImageSet

COPIED = 10  # images of a test and of a validation set, planted among the synthetic ones


def run(permutations: int) -> list[FaultReport]:
    """The same training, tested under so many permutations of the test labels; then planted test images."""
    lost: list[str] = []
    with tempfile.TemporaryDirectory() as name, environment(SYNTHSET_CACHE=f"{name}/cache"):
        scratch = Path(name)
        export(make_set(), scratch / "synthetic")
        real = make_set(seed=1)
        trained, accuracies = set(), set()
        for number in range(1 + permutations):
            labels = np.random.default_rng(number).permutation(real.labels) if number else real.labels
            folder = scratch / f"test-{number}"
            export(ImageSet("test", real.class_names, labels, real.read), folder)
            model = scratch / f"model-{number}"
            words = ("--model", "small_cnn", "--epochs", 8, "--batch-size", 16, "--device", "cpu", "--real", folder)
            ran = run_command("train", scratch / "synthetic", *words, "--output-dir", model)
            if fault := ran.fault(0):
                lost.append(f"training {number}: {fault}")
                continue
            trained.add((model / "model.safetensors").read_bytes())
            accuracies |= {json.loads(path.read_text())["accuracy"] for path in (model / "evaluation").glob("*.json")}
        if len(trained) != 1:
            lost.append(f"test labels changed the checkpoint: {len(trained)} different ones")
        if permutations and len(accuracies) < 2:
            lost.append("the permuted labels were not those tested on")
        found = {part: overlap(scratch / part, number) for number, part in enumerate(("test", "validation"))}
        missed = {part: COPIED - count for part, count in found.items() if count < COPIED}
        lost += [f"{count} copies of {part} images were not found" for part, count in missed.items()]
    faults = permutations + 2 * COPIED
    note = f"{sum(found.values())} of {2 * COPIED} copies found"
    # a planted image counts as failed: it was to be refused, and was
    what = "test labels permuted, copies planted"
    return [FaultReport(what, faults, faults, permutations, failed=2 * COPIED, lost=tuple(lost), note=note)]


def overlap(scratch: Path, number: int) -> int:
    """How many planted copies of the real images are named as such by the filter."""
    scratch.mkdir()
    real = patches()[number * 30 : number * 30 + 30]
    verdicts = plant(scratch, PlantingGenerator(real[:COPIED]), real)
    return sum("a real image" in reason for reason in verdicts.reasons[:COPIED])
