"""Plan: classes × strategies × n -> an ordered table of requests, the same for the same inputs, hashed.

A request is all that one image depends on, so any image can be drawn again alone. Its seed is a hash of
(run seed, class, strategy, index): never of the batch, the worker, or what else the plan holds.

A plan is columns, built in blocks, with words as indices into dictionaries: ten million requests take about half a
gigabyte (docs/scale.md).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import chain, islice
from typing import Any

import numpy as np
import pyarrow as pa

from synthset.core.seeds import derive_seed
from synthset.dataset.plan import _BLOCK, Plan
from synthset.dataset.records import CONDITION_FIELDS, GUIDED_FIELDS, SCHEMA, STEPS_FIELD, WORDS, Request
from synthset.prompts.interpolation import Count, Pools
from synthset.prompts.strategies import StrategyRun

assert [f.name for f in [*SCHEMA, *GUIDED_FIELDS, STEPS_FIELD, *CONDITION_FIELDS]] == [f.name for f in fields(Request)]


def make_plan(
    class_names: Sequence[str],
    strategies: Sequence[StrategyRun],
    seed: int = 64,
    negative_prompt: str | Sequence[str] = "",
    *,
    steps: tuple[int, int] | None = None,
    indices: Mapping[tuple[str, int], range] | None = None,
    first_id: int = 0,
    initial_images: Sequence[Sequence[str]] | None = None,
    strength: float = 1.0,
) -> Plan:
    """Balanced by class: strategy by strategy, image by image, every class gets its turn.

    Args:
        class_names: k distinct names, see classes.check_classes.
        strategies: from prompts.resolve_strategies.
        seed: of the whole run.
        negative_prompt: what no image shall show; of several, one is drawn for each image.
        steps: the range that each image's number of steps is drawn from, both ends included; None where all
            images take the same.
        indices: of a further round of a run: which images of a strategy and class (its index) to draw; those
            that are not named draw none. By default images 0 .. images_per_class - 1 of all.
        first_id: of a further round: the number of requests before it.
        initial_images: real images of each class: what its images begin at, in turn, or for strategies that mix
            images, what they are conditioned on; see Request.
        strength: of those that begin at real images; see Request.
    Raises:
        UsageError: strategies that mix images without any, with too few of a class, or with too many.
    """
    negatives = [negative_prompt] if isinstance(negative_prompt, str) else list(negative_prompt)
    mixed: dict[str, Count] = {strategy.name: strategy.mixed_images for strategy in strategies if strategy.mixed_images}
    pools = Pools(class_names, initial_images or (), mixed) if mixed else None
    begins = bool(initial_images) and len(mixed) < len(strategies)
    schema = pa.schema(
        [
            *SCHEMA,
            *(GUIDED_FIELDS if begins else []),
            *([STEPS_FIELD] if steps else []),
            *(CONDITION_FIELDS if pools else []),
        ]
    )
    cells = chain.from_iterable(_cells(strategy, len(class_names), indices) for strategy in strategies)
    blocks, row_id = list[pa.RecordBatch](), first_id
    while block := list(islice(cells, _BLOCK)):
        columns = _columns(block, class_names, seed, negatives, steps)
        columns["id"] = np.arange(row_id, row_id + len(block))
        if begins and initial_images:
            columns |= _beginnings(block, initial_images, strength)
        if pools:
            counts: list[Count] = [strategy.mixed_images for strategy, _, _ in block]
            images, weights = pools.draw(columns["class_index"], counts, columns["seed"])
            columns |= {"condition_images": images, "condition_weights": weights}
        arrays = [_array(columns[field.name], field.type) for field in schema]
        blocks.append(pa.record_batch(arrays, schema=schema))
        row_id += len(block)
    table = pa.Table.from_batches(blocks, schema)
    return Plan(tuple(class_names), tuple(strategy.name for strategy in strategies), table)


Cell = tuple[StrategyRun, int, int]  # a strategy, a class by its index, and the image's number within both
Columns = dict[str, Any]  # by their names: lists, or arrays of NumPy's or Arrow's


def _cells(strategy: StrategyRun, num_classes: int, indices: Mapping[tuple[str, int], range] | None) -> Iterator[Cell]:
    everything = range(strategy.images_per_class)
    wanted = [
        everything if indices is None else indices.get((strategy.name, label), range(0)) for label in range(num_classes)
    ]
    for turn in range(max(map(len, wanted), default=0)):
        for label, numbers in enumerate(wanted):
            if turn < len(numbers):
                yield strategy, label, numbers[turn]


def _columns(
    cells: Sequence[Cell],
    class_names: Sequence[str],
    seed: int,
    negatives: Sequence[str],
    steps: tuple[int, int] | None,
) -> Columns:
    """The columns of some rows, all but those that follow from their place in the plan."""
    names = [class_names[label] for _, label, _ in cells]
    seeds = [
        derive_seed(seed, name, strategy.name, index) for name, (strategy, _, index) in zip(names, cells, strict=True)
    ]
    columns: Columns = {
        "class_name": names,
        "class_index": [label for _, label, _ in cells],
        "strategy": [strategy.name for strategy, _, _ in cells],
        "index": [index for _, _, index in cells],
        "prompt": [strategy.prompt(name, index) for name, (strategy, _, index) in zip(names, cells, strict=True)],
        "seed": seeds,
        # generators of their own: neither the scale nor the words must depend on the noise
        "guidance_scale": [
            strategy.guidance.draw(random.Random(derive_seed(image_seed, "guidance")))
            if strategy.guidance.low < strategy.guidance.high
            else strategy.guidance.low
            for image_seed, (strategy, _, _) in zip(seeds, cells, strict=True)
        ],
        "negative_prompt": _negative_prompts(negatives, seeds),
    }
    if steps:
        low, high = steps
        columns["num_inference_steps"] = [
            low + derive_seed(image_seed, "steps") % (high - low + 1) for image_seed in seeds
        ]
    return columns


def _beginnings(cells: Sequence[Cell], images: Sequence[Sequence[str]], strength: float) -> Columns:
    """The columns that say what each image begins at; those that are conditioned on real images begin at noise."""
    return {
        "initial_image": [
            "" if strategy.mixed_images else images[label][index % len(images[label])]
            for strategy, label, index in cells
        ],
        "strength": [1.0 if strategy.mixed_images else strength for strategy, _, _ in cells],
    }


def _negative_prompts(negatives: Sequence[str], seeds: Sequence[int]) -> list[str]:
    if len(negatives) == 1:
        return [negatives[0]] * len(seeds)
    return [negatives[derive_seed(seed, "negative prompt") % len(negatives)] for seed in seeds]


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    if kind == WORDS:
        return pa.array(values, pa.string()).dictionary_encode()
    return pa.array(values, kind)
