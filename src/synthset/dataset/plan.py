"""A plan: every request of a run as one hashed table, the same for the same inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from synthset.dataset.records import BLOCK_ROWS, Request, column_values


@dataclass(frozen=True)
class Plan:
    """Every request of a run, as an Arrow table of the fields of `Request` that some image needs, in drawing order."""

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
            for start in range(0, len(column), BLOCK_ROWS):
                digest.update((comma + repr(column_values(column.slice(start, BLOCK_ROWS)))[1:-1]).encode())
                comma = ", "
            digest.update(b"]")
        return digest.hexdigest()

    def requests(self, start: int = 0, stop: int | None = None) -> Iterator[Request]:
        """Requests `start` .. `stop` - 1."""
        rows = self.table.slice(start, None if stop is None else stop - start)
        columns = [column_values(rows.column(name)) for name in rows.column_names]
        return (Request(**dict(zip(rows.column_names, row, strict=True))) for row in zip(*columns, strict=True))


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
        yield from (b"".join(words[places[start : start + BLOCK_ROWS]]) for start in range(0, len(places), BLOCK_ROWS))
