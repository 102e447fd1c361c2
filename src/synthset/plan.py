"""Plan: classes × strategies × n -> an ordered table of requests, the same for the same inputs, hashed.

A request is all that one image depends on, so any image can be drawn again alone. Its seed is a hash of
(run seed, class, strategy, index): never of the batch, the worker, or what else the plan holds.

A plan is columns, built in blocks, with words as indices into dictionaries: ten million requests take about half a
gigabyte (docs/scale.md).
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import chain, islice
from typing import Any

import numpy as np
import pyarrow as pa

from synthset.interpolation import Count, Pools
from synthset.prompts import StrategyRun
from synthset.seeds import derive_seed


@dataclass(frozen=True)
class Request:
    """All that one image depends on, beside the generation config that the whole run shares.

    Attributes:
        id: row in the plan.
        class_name, class_index: what to draw, and its label 0..k-1.
        strategy: the plain strategy.
        index: number of the image within its class and strategy.
        prompt, negative_prompt: texts for the generator.
        guidance_scale: classifier-free guidance; no guidance at 1 or less.
        seed: of the initial noise, 0 .. 2^63 - 1.
        initial_image: SHA-256 of the real image's file that drawing begins at, in hexadecimal; empty for none.
        strength: share of the sampler's steps that it passes, in (0, 1]; all of them where there is no image.
        num_inference_steps: of the sampler for this image; 0 for those that all images share.
        condition_images: SHA-256 of the files of the real images that the image is conditioned on; empty for none.
        condition_weights: how much of the embedding of each is in the mixture: at least 0, and 1 together.
    """

    id: int
    class_name: str
    class_index: int
    strategy: str
    index: int
    prompt: str
    negative_prompt: str
    guidance_scale: float
    seed: int
    initial_image: str = ""
    strength: float = 1.0
    num_inference_steps: int = 0
    condition_images: tuple[str, ...] = ()
    condition_weights: tuple[float, ...] = ()

    def retried(self, attempt: int) -> Request:
        """The request with another seed, for the `attempt`-th retry; attempt 0 is the request itself."""
        return self if attempt == 0 else replace(self, seed=derive_seed(self.seed, "retry", attempt))


WORDS = pa.dictionary(pa.int32(), pa.string())  # columns whose few values repeat
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("class_name", WORDS),
        ("class_index", pa.int32()),
        ("strategy", WORDS),
        ("index", pa.int32()),
        ("prompt", WORDS),
        ("negative_prompt", WORDS),
        ("guidance_scale", pa.float64()),
        ("seed", pa.int64()),
    ]
)
# only plans that need these columns have them: all others stay as they were before there were any
GUIDED_FIELDS = [pa.field("initial_image", pa.string()), pa.field("strength", pa.float64())]
STEPS_FIELD = pa.field("num_inference_steps", pa.int32())
CONDITION_FIELDS = [
    pa.field("condition_images", pa.list_(WORDS)),
    pa.field("condition_weights", pa.list_(pa.float32())),
]
assert [f.name for f in [*SCHEMA, *GUIDED_FIELDS, STEPS_FIELD, *CONDITION_FIELDS]] == [f.name for f in fields(Request)]

_BLOCK = 2**16  # rows that are planned, or hashed, at a time


@dataclass(frozen=True)
class Plan:
    """Every request of a run, as an Arrow table (SCHEMA, and what else there is to say), in drawing order."""

    class_names: tuple[str, ...]
    strategies: tuple[str, ...]
    table: pa.Table

    def __len__(self) -> int:
        return self.table.num_rows

    @cached_property
    def hash(self) -> str:
        """SHA-256 over all rows in order: two plans with one hash draw the same images."""
        digest = hashlib.sha256(repr(self.class_names).encode())
        for name in self.table.column_names:
            column = self.table.column(name)
            if pa.types.is_list(column.type):
                for part in _list_bytes(column):
                    digest.update(part)
                continue
            comma = ""
            digest.update(b"[")  # as Python writes a list of its values
            for start in range(0, len(column), _BLOCK):
                digest.update((comma + repr(_values(column.slice(start, _BLOCK)))[1:-1]).encode())
                comma = ", "
            digest.update(b"]")
        return digest.hexdigest()

    def requests(self, start: int = 0, stop: int | None = None) -> Iterator[Request]:
        """Requests `start` .. `stop` - 1."""
        rows = self.table.slice(start, None if stop is None else stop - start)
        columns = [_values(rows.column(name)) for name in rows.column_names]
        return (Request(**dict(zip(rows.column_names, row, strict=True))) for row in zip(*columns, strict=True))


def _values(column: pa.ChunkedArray) -> list[Any]:
    """As `to_pylist`, in a fraction of its time."""
    if pa.types.is_dictionary(column.type):
        return column.cast(pa.string()).to_pylist()
    if pa.types.is_list(column.type):
        return [tuple(values) for values in column.to_pylist()]
    return column.to_numpy().tolist() if pa.types.is_primitive(column.type) else column.to_pylist()


def _list_bytes(column: pa.ChunkedArray) -> Iterator[bytes]:
    """The lists of a column, in bytes that no other lists have: their lengths, then all their values."""
    yield from (chunk.value_lengths().to_numpy().tobytes() for chunk in column.chunks)
    for chunk in column.chunks:
        values = chunk.flatten()
        if not pa.types.is_dictionary(values.type):
            yield values.to_numpy().tobytes()
            continue
        words = np.array([f"{word}\n".encode() for word in values.dictionary.to_pylist()], object)
        places = values.indices.to_numpy()
        yield from (b"".join(words[places[start : start + _BLOCK]]) for start in range(0, len(places), _BLOCK))


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
