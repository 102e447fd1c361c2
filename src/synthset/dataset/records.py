"""The record of an image: its request, and the outcome.

Each column is declared once, with its field of `Request`: plans, shards, failures, Hugging Face features and the card
follow from that. A plan has those columns that plan.py computes for it; a shard has those of its plan.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import repeat
from typing import Annotated, Any, get_args, get_type_hints

import numpy as np
import pyarrow as pa

from synthset.core.options import field_texts
from synthset.core.seeds import derive_seed

WORDS = pa.dictionary(pa.int32(), pa.string())  # columns whose few values repeat
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
BLOCK_ROWS = 2**16  # rows that are planned, or hashed, at a time
MAX_RETRIES = 5  # of a request


@dataclass(frozen=True)
class Column:
    """A column of files: a field of `Request`, or an outcome.

    Attributes:
        type: in plans; in other files words are written out.
        stored_as: name in shards and among failures, where that is not the field's.
        stored_type: type there, where it does not follow from the one in plans.
        in_shards: whether rows of images have it.
        in_failures: whether the table of failures has it.
        is_label: it says what an image is called, of which what is drawn does not depend.
        text: a sentence about it; that of a field stands below the field.
    """

    type: pa.DataType
    stored_as: str = ""
    stored_type: pa.DataType | None = None
    in_shards: bool = True
    in_failures: bool = False
    is_label: bool = False
    text: str = ""


@dataclass(frozen=True)
class Request:
    """All that one image depends on, beside the generation config that the whole run shares."""

    id: Annotated[int, Column(pa.int64(), stored_as="request_id", in_failures=True, is_label=True)]
    """Number of the request within its run."""
    class_name: Annotated[str, Column(WORDS, in_failures=True, is_label=True)]
    """Name of the class."""
    class_index: Annotated[int, Column(pa.int32(), stored_as="label", stored_type=pa.int64(), is_label=True)]
    """Index of the class, 0..k-1."""
    strategy: Annotated[str, Column(WORDS, in_failures=True, is_label=True)]
    """Strategy that the image belongs to; never a combination."""
    index: Annotated[int, Column(pa.int32(), is_label=True)]
    """Number of the image within its class and strategy."""
    prompt: Annotated[str, Column(WORDS, in_failures=True)]
    """Text to draw."""
    negative_prompt: Annotated[str, Column(WORDS)]
    """Text to steer away from; empty for none."""
    guidance_scale: Annotated[float, Column(pa.float64(), in_failures=True)]
    """Scale of classifier-free guidance; at 1 or less there is none."""
    seed: Annotated[int, Column(pa.int64(), in_failures=True)]
    """Seed of the initial noise, 0..2^63 - 1."""
    initial_image: Annotated[str, Column(pa.string())] = ""
    """SHA-256 of the file of the real image that drawing begins at, in hexadecimal; empty for none."""
    strength: Annotated[float, Column(pa.float64())] = 1.0
    """Share of the sampler's steps that this real image passes, in (0, 1]; 1 where there is none."""
    num_inference_steps: Annotated[int, Column(pa.int32())] = 0
    """Steps of the sampler for this image; 0 for the number that all images share."""
    condition_images: Annotated[tuple[str, ...], Column(pa.list_(WORDS))] = ()
    """SHA-256 of the files of the real images that the image is conditioned on; none where there are none."""
    condition_weights: Annotated[tuple[float, ...], Column(pa.list_(pa.float32()))] = ()
    """Shares of their embeddings in the mixture: at least 0, and 1 together."""

    def retried(self, attempt: int) -> Request:
        """The request with another seed, for the `attempt`-th retry; attempt 0 is the request itself."""
        return self if attempt == 0 else replace(self, seed=retried_seed(self.seed, attempt))


def retried_seed(seed: int, attempt: int) -> int:
    """The seed of the `attempt`-th retry of a request, 1, 2, …"""
    return derive_seed(seed, "retry", attempt)


# outcomes of requests, in shards and among failures
OUTCOMES = {
    "image": Column(IMAGE, text="File of the image."),
    "attempts": Column(pa.int32(), in_failures=True, text="Number of attempts; the seed is that of the last."),
    "sha256": Column(pa.string(), text="SHA-256 of the file of the image, in hexadecimal."),
    "status": Column(pa.string(), in_shards=False, in_failures=True, text="Kind of failure: blank, flagged or failed."),
    "reason": Column(pa.string(), in_shards=False, in_failures=True, text="Reason in a few words."),
}
# where an image is from, in shards that were made of several datasets
PROVENANCE = {
    "source": Column(pa.string(), text="Dataset that the image was drawn for, by the name that the manifest has."),
    "source_id": Column(pa.int64(), text="Number of the request within that dataset."),
}
# a shard begins with these, in this order; later columns stand behind them
_FIRST = ("image", "label", "class_name", "strategy", "prompt", "negative_prompt")
_FIRST += ("guidance_scale", "seed", "index", "request_id", "attempts", "sha256")
# before manifests listed the columns of their shards, these followed, by what the job did with real images
_FIRST_OF_REAL_IMAGES = {"strength": ("initial_image", "strength"), "mixed": ("condition_images", "condition_weights")}


def _declared_columns() -> dict[str, Column]:
    hints = get_type_hints(Request, include_extras=True)
    return {item.name: get_args(hints[item.name])[1] for item in fields(Request)}


_OF_REQUEST = _declared_columns()  # by field, in the order of plans
_DEFAULTS = {item.name: item.default for item in fields(Request)}
_STORED_NAMES = {name: column.stored_as or name for name, column in _OF_REQUEST.items()}
_STORED = {_STORED_NAMES.get(name, name): column for name, column in {**_OF_REQUEST, **OUTCOMES, **PROVENANCE}.items()}
REQUIRED_COLUMNS = frozenset(_FIRST)  # of every shard


def _written(kind: pa.DataType) -> pa.DataType:
    """The type with words written out."""
    if pa.types.is_list(kind):
        return pa.list_(_written(kind.value_type))
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def stored_schema(names: Iterable[str]) -> pa.Schema:
    """The schema of these columns in shards and among failures; those that a later version added are left out."""
    return pa.schema(
        [(name, _STORED[name].stored_type or _written(_STORED[name].type)) for name in names if name in _STORED]
    )


FAILURE_SCHEMA = stored_schema(name for name, column in _STORED.items() if column.in_failures)
_FAILURE_FIELDS = {name: stored for name, stored in _STORED_NAMES.items() if stored in FAILURE_SCHEMA.names}


def plan_schema(names: Collection[str]) -> pa.Schema:
    """The schema of a plan that has these fields of `Request`."""
    return pa.schema([(name, column.type) for name, column in _OF_REQUEST.items() if name in names])


# ---- shards -----------------------------------------------------------------------------------------------


def shard_columns(plan_names: Collection[str]) -> tuple[str, ...]:
    """The columns of the shards of a plan that has these fields of `Request`."""
    names = [_STORED_NAMES[name] for name in _OF_REQUEST if name in plan_names]
    names += [name for name, column in OUTCOMES.items() if column.in_shards]
    return (*_FIRST, *(name for name in names if name not in _FIRST))


def columns_of(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns of a dataset's shards, in order."""
    if manifest.get("columns"):
        return tuple(manifest["columns"])
    real = manifest["job"].get("initial_images") or {}
    return (*_FIRST, *(name for key, names in _FIRST_OF_REAL_IMAGES.items() if key in real for name in names))


def merged_columns(columns: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """The columns of shards that are made of such with these columns, and where each image is from."""
    return tuple(dict.fromkeys([*_FIRST, *(name for names in columns for name in names), *PROVENANCE]))


def default_of(name: str) -> Any:
    """The value of a column of shards for an image whose shard lacks it."""
    fields_of = {stored: field for field, stored in _STORED_NAMES.items()}
    return _DEFAULTS[fields_of[name]]


def unknown_columns(columns: Iterable[str]) -> list[str]:
    """Those that this version cannot write, for a later one added them."""
    return [name for name in columns if name not in _STORED]


def shard_schema(columns: Sequence[str], class_names: Sequence[str]) -> pa.Schema:
    """The schema of shards with these columns, as `datasets` reads it too."""
    note = json.dumps({"info": {"features": features(columns, class_names)}})
    return stored_schema(columns).with_metadata({b"huggingface": note.encode()})


def features(columns: Sequence[str], class_names: Sequence[str]) -> dict[str, Any]:
    """These columns as Hugging Face features, in their JSON form."""
    described = {item.name: _feature(item.type) for item in stored_schema(columns)}
    described["image"] = {"_type": "Image"}
    described["label"] = {"names": list(class_names), "_type": "ClassLabel"}
    return described


def _feature(kind: pa.DataType) -> Any:
    return [_feature(kind.value_type)] if pa.types.is_list(kind) else {"dtype": str(kind), "_type": "Value"}


def column_texts(columns: Iterable[str]) -> dict[str, str]:
    """A sentence about each of these columns of a shard."""
    texts = field_texts(Request)
    stored = {_STORED_NAMES[name]: text for name, text in texts.items()}
    return {name: stored.get(name) or _STORED[name].text for name in columns}


# ---- rows -------------------------------------------------------------------------------------------------


def stored_row(request: Request) -> dict[str, Any]:
    """A request as rows have it; a shard keeps its own columns of it."""
    return {stored: getattr(request, name) for name, stored in _STORED_NAMES.items()}


def failure_row(request: Request) -> dict[str, Any]:
    """The part of a request that the table of failures has."""
    return {stored: getattr(request, name) for name, stored in _FAILURE_FIELDS.items()}


def image_hashes(table: pa.Table, attempt: int = 0) -> np.ndarray:
    """A hash of 128 bits for each row of a plan or of shards, uint64 (n, 2): equal where rows ask for the same image.

    What an image is called, in its run or its class, does not count.

    Args:
        table: with columns by the names of the fields of `Request`; those that it lacks have their defaults.
        attempt: number of the retry that rows of a plan stand for.
    """
    names = [name for name, column in _OF_REQUEST.items() if not column.is_label]
    hashes = bytearray()
    for start in range(0, table.num_rows, BLOCK_ROWS):
        block = table.slice(start, BLOCK_ROWS)
        columns: list[Iterable[Any]] = [
            column_values(block.column(name)) if name in block.column_names else repeat(_DEFAULTS[name], len(block))
            for name in names
        ]
        if attempt:
            place = names.index("seed")
            columns[place] = [retried_seed(seed, attempt) for seed in columns[place]]
        for row in zip(*columns, strict=True):
            hashes += hashlib.blake2b(repr(row).encode(), digest_size=16).digest()
    return np.frombuffer(hashes, np.uint64).reshape(-1, 2)


def asks_same(request: Request, other: Request) -> bool:
    """Whether two requests ask for the same image, whatever it is called."""
    labels = {name: getattr(other, name) for name, column in _OF_REQUEST.items() if column.is_label}
    return replace(request, **labels) == other


def column_values(column: pa.ChunkedArray) -> list[Any]:
    """As `to_pylist`, in a fraction of its time; lists come as tuples."""
    if pa.types.is_dictionary(column.type):
        return column.cast(pa.string()).to_pylist()
    if pa.types.is_list(column.type):
        return [tuple(values) for values in column.to_pylist()]
    return column.to_numpy().tolist() if pa.types.is_primitive(column.type) else column.to_pylist()


def request_of(row: Mapping[str, Any]) -> Request:
    """The request that a row's image was drawn from; columns that the row lacks have their defaults."""
    values: dict[str, Any] = {name: row[stored] for name, stored in _STORED_NAMES.items() if stored in row}
    values |= {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return Request(**values)
