"""Plan: classes × strategies × n -> an ordered table of requests, the same for the same inputs, hashed.

A request is all that one image depends on, so any image can be drawn again alone. Its seed is a hash of
(run seed, class, strategy, index): never of the batch, the worker, or what else the plan holds. With shared noise it
is one of (run seed, index); what else an image draws, such as its scale, still follows from the whole hash.

A plan is columns, built in blocks, with words as indices into dictionaries: ten million requests take about half a
gigabyte (docs/scale.md).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
import pyarrow as pa

from synthset.core.seeds import ImageSeeds, derive_seed
from synthset.dataset.plan import BLOCK_ROWS, Plan
from synthset.dataset.records import plan_schema
from synthset.prompts.interpolation import Count, Pools
from synthset.prompts.strategies import StrategyRun


@dataclass(frozen=True)
class Part:
    """Some images of a run: those of a further round, or of a sample.

    Attributes:
        indices: by strategy and class (its index), which of its images to draw; others draw none.
        first_id: number of requests before them.
    """

    indices: Mapping[tuple[str, int], range]
    first_id: int = 0


def make_plan(
    class_names: Sequence[str],
    strategies: Sequence[StrategyRun],
    seed: int | ImageSeeds = 64,
    negative_prompt: str | Sequence[str] = "",
    *,
    steps: tuple[int, int] | None = None,
    part: Part | None = None,
    initial_images: Sequence[Sequence[str]] | None = None,
    strength: float = 1.0,
) -> Plan:
    """Balanced by class: strategy by strategy, image by image, every class gets its turn.

    Args:
        class_names: k distinct names, see classes.check_classes.
        strategies: from prompts.resolve_strategies.
        seed: of the whole run; a number means that each image has noise of its own.
        negative_prompt: text of what no image shall show; of several, one is drawn for each image.
        steps: range that each image's number of steps is drawn from, both ends included; None where all images
            take the same.
        part: images to plan; by default 0 .. images_per_class - 1 of each class and strategy.
        initial_images: real images of each class, which its images begin at, in turn, or for strategies that mix
            images, are conditioned on; see Request.
        strength: of those that begin at real images; see Request.
    Returns:
        A plan with the columns that some image needs: without a range of steps it has none of steps.
    Raises:
        UsageError: strategies that mix images without any, with too few of a class, or with too many.
    """
    negatives = [negative_prompt] if isinstance(negative_prompt, str) else list(negative_prompt)
    seeds = ImageSeeds(seed) if isinstance(seed, int) else seed
    mixed: dict[str, Count] = {strategy.name: strategy.mixed_images for strategy in strategies if strategy.mixed_images}
    pools = Pools(class_names, initial_images or (), mixed) if mixed else None
    begins = bool(initial_images) and len(mixed) < len(strategies)
    batches, row_id = list[pa.RecordBatch](), part.first_id if part else 0
    for block in _blocks(strategies, len(class_names), part):
        own = [seeds.own(class_names[label], strategy.name, index) for strategy, label, index in block]
        columns = _columns(block, class_names, own, negatives)
        if seeds.shared_noise:
            columns["seed"] = [seeds.of_noise(class_names[label], run.name, index) for run, label, index in block]
        columns["id"] = np.arange(row_id, row_id + len(block))
        if steps:
            spread = steps[1] - steps[0] + 1
            columns["num_inference_steps"] = [steps[0] + derive_seed(s, "steps") % spread for s in own]
        if begins and initial_images:
            columns |= _beginnings(block, initial_images, strength)
        if pools:
            counts: list[Count] = [strategy.mixed_images for strategy, _, _ in block]
            images, weights = pools.draw(columns["class_index"], counts, own)
            columns |= {"condition_images": images, "condition_weights": weights}
        batches.append(pa.RecordBatch.from_pydict(columns, schema=plan_schema(columns)))
        row_id += len(block)
    return Plan(tuple(class_names), tuple(strategy.name for strategy in strategies), pa.Table.from_batches(batches))


Cell = tuple[StrategyRun, int, int]  # a strategy, a class by its index, and the image's number within both
Columns = dict[str, Any]  # by their names: lists, or arrays of NumPy's or Arrow's


def _blocks(strategies: Sequence[StrategyRun], num_classes: int, part: Part | None) -> Iterator[list[Cell]]:
    """The cells of a plan, so many at a time; at least one block, which may be empty."""
    cells = chain.from_iterable(_cells(strategy, num_classes, part) for strategy in strategies)
    yield list(islice(cells, BLOCK_ROWS))
    yield from iter(lambda: list(islice(cells, BLOCK_ROWS)), [])


def _cells(strategy: StrategyRun, num_classes: int, part: Part | None) -> Iterator[Cell]:
    everything = range(strategy.images_per_class)
    indices = [part.indices.get((strategy.name, k), range(0)) if part else everything for k in range(num_classes)]
    for turn in range(max(map(len, indices), default=0)):
        for label, numbers in enumerate(indices):
            if turn < len(numbers):
                yield strategy, label, numbers[turn]


def _columns(cells: Sequence[Cell], class_names: Sequence[str], seeds: list[int], negatives: list[str]) -> Columns:
    """The columns that every plan has, all but the id; each image's seed is its own."""
    return {
        "class_name": [class_names[label] for _, label, _ in cells],
        "class_index": [label for _, label, _ in cells],
        "strategy": [strategy.name for strategy, _, _ in cells],
        "index": [index for _, _, index in cells],
        "prompt": [strategy.prompt(class_names[label], index) for strategy, label, index in cells],
        "seed": seeds,
        # generators of their own: neither the scale nor the words must depend on the noise
        "guidance_scale": [
            strategy.guidance.draw(random.Random(derive_seed(image_seed, "guidance")))
            if strategy.guidance.low < strategy.guidance.high
            else strategy.guidance.low
            for image_seed, (strategy, _, _) in zip(seeds, cells, strict=True)
        ],
        "negative_prompt": negatives * len(seeds)
        if len(negatives) == 1
        else [negatives[derive_seed(image_seed, "negative prompt") % len(negatives)] for image_seed in seeds],
    }


def _beginnings(cells: Sequence[Cell], images: Sequence[Sequence[str]], strength: float) -> Columns:
    """The columns that say what each image begins at; those that are conditioned on real images begin at noise."""
    return {
        "initial_image": [
            "" if strategy.mixed_images else images[label][index % len(images[label])]
            for strategy, label, index in cells
        ],
        "strength": [1.0 if strategy.mixed_images else strength for strategy, _, _ in cells],
    }
