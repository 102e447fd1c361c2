"""Plan: classes × strategies × n -> an ordered table of requests, the same for the same inputs, hashed.

A request is all that one image depends on, so any image can be drawn again alone. Its seed is a hash of
(run seed, class, strategy, index): never of the batch, the worker, or what else the plan holds.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property

import pyarrow as pa

from synthset.prompts import StrategyRun

MAX_SEED = 2**63  # torch generators and int64 columns take 0 .. 2^63 - 1


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
assert SCHEMA.names == [field.name for field in fields(Request)]


@dataclass(frozen=True)
class Plan:
    """Every request of a run, as an Arrow table (SCHEMA), in drawing order."""

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
        for column in SCHEMA.names:
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
) -> Plan:
    """Balanced by class: strategy by strategy, image by image, every class gets its turn.

    Args:
        class_names: k distinct names, see classes.check_classes.
        strategies: from prompts.resolve_strategies.
        seed: of the whole run.
        negative_prompt: what no image shall show; shared by all.
    """
    rows = []
    for strategy in strategies:
        for index in range(strategy.images_per_class):
            for class_index, class_name in enumerate(class_names):
                image_seed = derive_seed(seed, class_name, strategy.name, index)
                rows.append(
                    Request(
                        id=len(rows),
                        class_name=class_name,
                        class_index=class_index,
                        strategy=strategy.name,
                        index=index,
                        prompt=strategy.prompt(class_name, index),
                        negative_prompt=negative_prompt,
                        # a generator of its own: the scale must not depend on the noise
                        guidance_scale=strategy.guidance.draw(random.Random(derive_seed(image_seed, "guidance"))),
                        seed=image_seed,
                    )
                )
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=SCHEMA)
    return Plan(tuple(class_names), tuple(strategy.name for strategy in strategies), table)


def derive_seed(*parts: str | int) -> int:
    """A seed from a sequence of names and numbers: the first 63 bits of their SHA-256.

    >>> derive_seed(64, "cat", "base", 0) == derive_seed(64, "cat", "base", 0) != derive_seed(65, "cat", "base", 0)
    True
    """
    digest = hashlib.sha256("\x1f".join(map(repr, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") % MAX_SEED
