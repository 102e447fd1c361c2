"""Plan: classes × strategies × n -> an ordered table of requests, the same for the same inputs, hashed.

A request is all that one image depends on, so any image can be drawn again alone. Its seed is a hash of
(run seed, class, strategy, index): never of the batch, the worker, or what else the plan holds.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property

import pyarrow as pa

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

    def retried(self, attempt: int) -> Request:
        """The request with another seed, for the `attempt`-th retry; attempt 0 is the request itself."""
        return self if attempt == 0 else replace(self, seed=derive_seed(self.seed, "retry", attempt))


SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("class_name", pa.string()),
        ("class_index", pa.int32()),
        ("strategy", pa.string()),
        ("index", pa.int32()),
        ("prompt", pa.string()),
        ("negative_prompt", pa.string()),
        ("guidance_scale", pa.float64()),
        ("seed", pa.int64()),
    ]
)
# only plans with real guidance have these columns: all others stay as they were before there was any
GUIDED_FIELDS = [pa.field("initial_image", pa.string()), pa.field("strength", pa.float64())]
GUIDED_SCHEMA = pa.schema([*SCHEMA, *GUIDED_FIELDS])
assert GUIDED_SCHEMA.names == [field.name for field in fields(Request)]


@dataclass(frozen=True)
class Plan:
    """Every request of a run, as an Arrow table (SCHEMA or GUIDED_SCHEMA), in drawing order."""

    class_names: tuple[str, ...]
    strategies: tuple[str, ...]
    table: pa.Table

    def __len__(self) -> int:
        return self.table.num_rows

    @cached_property
    def hash(self) -> str:
        """SHA-256 over all rows in order: two plans with one hash draw the same images."""
        digest = hashlib.sha256()
        digest.update(repr(self.class_names).encode())
        for column in self.table.column_names:
            digest.update(repr(self.table.column(column).to_pylist()).encode())
        return digest.hexdigest()

    def requests(self, start: int = 0, stop: int | None = None) -> Iterator[Request]:
        """Requests `start` .. `stop` - 1."""
        rows = self.table.slice(start, None if stop is None else stop - start)
        return (Request(**row) for row in rows.to_pylist())


def make_plan(
    class_names: Sequence[str],
    strategies: Sequence[StrategyRun],
    seed: int = 64,
    negative_prompt: str = "",
    *,
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
        negative_prompt: what no image shall show; shared by all.
        indices: of a further round of a run: which images of a strategy and class (its index) to draw; those
            that are not named draw none. By default images 0 .. images_per_class - 1 of all.
        first_id: of a further round: the number of requests before it.
        initial_images: of real guidance: what the images of each class begin at, in turn; see Request.
        strength: of real guidance; see Request.
    """
    shown = initial_images or [[""]] * len(class_names)
    rows = []
    for strategy in strategies:
        everything = range(strategy.images_per_class)
        cells = [
            everything if indices is None else indices.get((strategy.name, i), range(0))
            for i in range(len(class_names))
        ]
        for turn in range(max(map(len, cells), default=0)):
            for class_index, class_name in enumerate(class_names):
                if turn >= len(cells[class_index]):
                    continue
                index = cells[class_index][turn]
                image_seed = derive_seed(seed, class_name, strategy.name, index)
                rows.append(
                    Request(
                        id=first_id + len(rows),
                        class_name=class_name,
                        class_index=class_index,
                        strategy=strategy.name,
                        index=index,
                        prompt=strategy.prompt(class_name, index),
                        negative_prompt=negative_prompt,
                        # a generator of its own: the scale must not depend on the noise
                        guidance_scale=strategy.guidance.draw(random.Random(derive_seed(image_seed, "guidance"))),
                        seed=image_seed,
                        initial_image=shown[class_index][index % len(shown[class_index])],
                        strength=strength,
                    )
                )
    schema = GUIDED_SCHEMA if initial_images else SCHEMA
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=schema)
    return Plan(tuple(class_names), tuple(strategy.name for strategy in strategies), table)
