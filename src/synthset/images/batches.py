"""CIFAR as its authors publish it and torchvision unpacks it: batches of pixels, in pickles or in plain bytes.

A pickle can run any code when it is opened, so none is: what these files consist of, dictionaries, lists, texts,
numbers and arrays of bytes, is read step by step here, and whatever else stands in one is refused.
"""

from __future__ import annotations

import logging
import pickletools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synthset.core.errors import DataError, UsageError, first_line, setting
from synthset.core.names import shown
from synthset.images.archives import exists, read_file
from synthset.images.decoding import encode
from synthset.images.folders import Folder
from synthset.images.imageset import ImageSet
from synthset.images.splits import TEST, TRAIN, split_of

log = logging.getLogger("synthset")

META = ("batches.meta", "meta")  # of CIFAR-10 and of CIFAR-100
# of the binary version: where the names of each column of labels stand, in the order of a row's bytes
BINARY_META = {
    "batches.meta.txt": {"labels": "batches.meta.txt"},
    "fine_label_names.txt": {"coarse_labels": "coarse_label_names.txt", "fine_labels": "fine_label_names.txt"},
}
NUM_BATCHES = 5  # to train on, of CIFAR-10
SIDE_PX = 32
_MARK = object()


def find_batches(top: Folder) -> dict[str, list[Path]]:
    """The batches in a folder, or in the one folder of batches within it, by split; empty where there are none.

    Raises UsageError where several folders hold some.
    """
    own = _batches_of(top)
    within = {folder.name: found for folder in top.folders if (found := _batches_of(folder))} if not own else {}
    if len(within) > 1:
        raise UsageError(
            f"Expected one set of batches of CIFAR in '{shown(top.path)}', got {', '.join(within)}. Give the path of "
            f"one, e.g. '{shown(top.path / min(within))}'."
        )
    return own or next(iter(within.values()), {})


def _batches_of(folder: Folder) -> dict[str, list[Path]]:
    files = folder.files("", ".meta", ".bin", ".txt")
    names, ending = {file.name for file in files}, ""
    if not names & {*META}:
        if not names & {*BINARY_META}:
            return {}
        ending = ".bin"
    batches = [file for file in files if file.suffix == ending and file.name not in META]
    by_split = {
        TRAIN: [file for file in batches if file.stem.startswith("data_batch") or file.stem == TRAIN],
        TEST: [file for file in batches if split_of(file.stem) == TEST],
    }
    numbers = {int(file.stem.rpartition("_")[2]) for file in by_split[TRAIN] if file.stem[-1].isdecimal()}
    if numbers and (missing := set(range(1, NUM_BATCHES + 1)) - numbers):
        named = ", ".join(f"data_batch_{number}{ending}" for number in sorted(missing))
        log.warning(
            "%d of CIFAR-10's %d batches are in '%s': %s missing", len(numbers), NUM_BATCHES, folder.path, named
        )
    return {split: found for split, found in by_split.items() if found}


def load_batches(files: Sequence[Path], name: str, label_column: str | None = None, prefix: str = "") -> ImageSet:
    """The images of some batches.

    Args:
        files: batches, beside their meta file.
        name: of the set.
        label_column: which of the two lists of labels of CIFAR-100 is meant.
        prefix: of the option that says the column, for errors.
    Raises:
        UsageError: several lists of labels, and none of them is wanted.
        DataError: other contents.
    """
    if files[0].suffix:
        batches, meta = _read_binary(files)
    else:
        batches = [_read(file) for file in files]
        meta = _read(next(file for file in (files[0].with_name(name) for name in META) if exists(file)))
    columns = [key for key in batches[0] if key.endswith("labels")]
    if not columns:
        raise DataError(f"Expected batches of CIFAR in '{name}', got others (no labels).")
    if label_column not in columns and len(columns) == 1 and label_column is not None:
        raise UsageError(
            f"Expected the column of labels of '{name}' as {setting(f'{prefix}label_column', columns[0])}, got "
            f"'{shown(label_column)}'. It has no other: leave it out."
        )
    if label_column not in columns and len(columns) > 1:
        raise UsageError(
            f"'{name}' has several columns of labels ({', '.join(columns)}). Say which, e.g. "
            f"{setting(f'{prefix}label_column', columns[0])}."
        )
    column = label_column or columns[0]
    try:
        names = [_text(word) for word in meta[f"{column.removesuffix('s')}_names"]]
        labels = np.concatenate([_labels(batch[column]) for batch in batches])
        pixels = np.concatenate([batch["data"].reshape(-1, 3, SIDE_PX, SIDE_PX) for batch in batches])
        if len(labels) != len(pixels) or pixels.dtype != np.uint8:
            raise ValueError(f"{len(pixels)} images of {pixels.dtype} and {len(labels)} labels")
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(f"Expected batches of CIFAR in '{name}', got others ({_brief(error)}).") from error
    return ImageSet(name, tuple(names), labels, lambda index: encode(pixels[index].transpose(1, 2, 0)))


def _read(file: Path) -> dict[str, Any]:
    """The dictionary in a file. Raises DataError for any other pickle, of which nothing is run."""
    try:
        content = unpack(read_file(file))
        if not isinstance(content, dict):
            raise ValueError(f"a {type(content).__name__}")
        return {_text(key): value for key, value in content.items()}
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise DataError(f"Expected a batch of CIFAR in '{file}', got something else ({_brief(error)}).") from error


def _read_binary(files: Sequence[Path]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The batches of the binary version, and their names: rows of a byte for each label, and of the pixels."""
    columns = next(columns for name, columns in BINARY_META.items() if exists(files[0].with_name(name)))
    meta = {
        f"{column.removesuffix('s')}_names": read_file(files[0].with_name(name)).decode("latin-1").split("\n")
        for column, name in columns.items()
    }
    meta = {key: [name.strip() for name in names if name.strip()] for key, names in meta.items()}
    batches, length = [], len(columns) + 3 * SIDE_PX**2
    for file in files:
        data = np.frombuffer(read_file(file), np.uint8)
        if not len(data) or len(data) % length:
            raise DataError(
                f"Expected a batch of CIFAR in '{shown(file)}', rows of {length:,} bytes, got {len(data):,} bytes. "
                "Fetch it again."
            )
        rows = data.reshape(-1, length)
        labels = {column: rows[:, i].astype(np.int64) for i, column in enumerate(columns)}
        batches.append({**labels, "data": rows[:, len(columns) :]})
    return batches, meta


def _labels(values: Any) -> np.ndarray:
    """Labels as int64 (n,). Raises TypeError for what are no whole numbers, which would be cut to some, or a table."""
    labels = np.asarray(values)
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise TypeError(f"labels of {labels.dtype} in {labels.ndim} dimensions")
    return labels.astype(np.int64)


def _brief(error: Exception) -> str:
    """What an error says, of which a hostile file may decide."""
    return shown(first_line(error))[:120]


def _text(word: Any) -> str:
    return word.decode("latin-1") if isinstance(word, bytes) else str(word)


# ---- pickles, read without running anything ---------------------------------------------------------------


@dataclass
class _Array:
    """An array on its way: pickles make it empty first, and fill it then."""

    values: np.ndarray | None = None

    def fill(self, state: Any) -> None:
        _, shape, dtype, fortran, raw = state
        if dtype not in ("u1", "i4", "i8") or fortran:
            raise ValueError(f"an array of {dtype}")
        data = raw.encode("latin-1") if isinstance(raw, str) else raw
        self.values = np.frombuffer(data, f"<{dtype}").reshape(shape)


def _from_buffer(data: bytes, dtype: str, shape: Sequence[int], order: str) -> _Array:
    array = _Array()
    array.fill((1, shape, dtype, order != "C", data))
    return array


# what a pickle of such a dictionary names -> what is done instead of calling it
_NAMED: Mapping[str, Callable[..., Any]] = {
    "_reconstruct": lambda *_: _Array(),
    "_frombuffer": _from_buffer,
    "dtype": lambda name, *_: name,
    "encode": lambda text, *_: text.encode("latin-1"),
    "ndarray": lambda *_: None,
}


def unpack(data: bytes) -> Any:
    """What a pickle of plain values and arrays of bytes holds. Raises ValueError and the like for anything else.

    >>> unpack(bytes.fromhex("80037d71005801000000617101 4b07732e"))
    {'a': 7}
    """
    machine = _Machine()
    for opcode, argument, _ in pickletools.genops(data):
        machine.step(opcode.name, argument)
    return machine.result()


class _Machine:
    """The stack and the memory of a pickle, with the operations that plain values need."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memory: dict[int, Any] = {}

    def result(self) -> Any:
        (value,) = self.stack
        return _finished(value)

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in ("PROTO", "FRAME", "STOP"):
            return
        if name in ("BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"):
            self.memory[len(self.memory) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memory[argument])
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in _SIZES:
            stack[-_SIZES[name] :] = [tuple(stack[-_SIZES[name] :])]
        elif name in ("TUPLE", "LIST", "DICT", "APPENDS", "SETITEMS"):
            self._close(name, self._since_mark())
        elif name in ("APPEND", "SETITEM"):
            items = [stack.pop()] if name == "APPEND" else [stack.pop(-2), stack.pop()]
            self._close(f"{name}S", items)
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            module, named = argument.split(" ") if name == "GLOBAL" else (stack.pop(-2), stack.pop())
            if module.partition(".")[0] not in ("numpy", "_codecs") or named not in _NAMED:
                raise ValueError(f"a pickle that names {module}.{named}")
            stack.append(_NAMED[named])
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            if function not in _NAMED.values():
                raise ValueError("a pickle that calls what it made")
            stack.append(function(*arguments))
        elif name == "BUILD":
            state = stack.pop()
            if isinstance(stack[-1], _Array):
                stack[-1].fill(state)
        elif isinstance(argument, str | bytes | bytearray | int | float):
            stack.append(bytes(argument) if isinstance(argument, bytearray) else argument)
        else:
            raise ValueError(f"a pickle with {name}")

    def _since_mark(self) -> list[Any]:
        place = len(self.stack) - 1 - next(i for i, value in enumerate(reversed(self.stack)) if value is _MARK)
        items = self.stack[place + 1 :]
        del self.stack[place:]
        return items

    def _close(self, name: str, items: list[Any]) -> None:
        pairs = zip(items[::2], items[1::2], strict=False)
        if name == "TUPLE":
            self.stack.append(tuple(items))
        elif name == "LIST":
            self.stack.append(items)
        elif name == "DICT":
            self.stack.append(dict(pairs))
        elif name == "APPENDS":
            self.stack[-1].extend(items)
        else:
            self.stack[-1].update(pairs)


_CONSTANTS: Mapping[str, Callable[[], Any]] = {
    "MARK": lambda: _MARK,
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
_SIZES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def _finished(value: Any) -> Any:
    """The dictionary with its arrays."""
    if isinstance(value, dict):
        return {key: item.values if isinstance(item, _Array) else item for key, item in value.items()}
    return value
