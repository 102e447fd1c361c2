"""Files of ours, read back strictly: JSON into a frozen dataclass, by the types that its fields declare.

    @dataclass(frozen=True)
    class Note:
        format: Literal["synthset-training-1"]
        num_training: Count
        history: tuple[EpochRecord, ...] = ()

    note = read_record(Note, folder / "training.json", "Run 'synthset train' again.")

A key that is missing has its field's default; a key that no field has is left alone, for a later version may add one.
Whatever else does not fit is refused in one line: the file, the key, what was expected, what came, what to do. So is,
at the end, an object that is not what its checksum was taken of, for a changed digit fits its type.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from synthset.core.errors import DataError, SynthsetError
from synthset.core.files import CHECKSUM, fits_checksum, parse_json
from synthset.core.options import Option, describe_bounds, describe_type, is_of_type, is_within

Count = Annotated[int, Option(at_least=0)]
Share = Annotated[float, Option(at_least=0, at_most=1)]
Seconds = Annotated[float, Option(at_least=0)]

LATER = {"later": True}  # metadata of a field that even complete files of earlier versions do not have

Record = TypeVar("Record")


def read_record(
    kind: type[Record], path: Path, remedy: str, raises: type[SynthsetError] = DataError, **options: bool
) -> Record:
    """What a JSON file holds. Arguments and errors as of `as_record`; FileNotFoundError where there is none."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(f"'{path}'") from error
    except OSError as error:
        raise raises(f"Expected a readable file at '{path}', it does not read ({error.strerror}). {remedy}") from error
    return parse_record(kind, data, f"'{path}'", remedy, raises, **options)


def parse_record(
    kind: type[Record],
    data: bytes,
    place: str,
    remedy: str,
    raises: type[SynthsetError] = DataError,
    **options: bool,
) -> Record:
    """A record from the JSON in UTF-8 that stands somewhere in a file. Arguments as of `as_record`."""
    try:
        value = parse_json(data)
    except ValueError as error:
        raise raises(f"Expected JSON in {place}, it does not read ({error}). {remedy}") from error
    return as_record(kind, value, place, remedy, raises, **options)


def as_record(
    kind: type[Record],
    value: Any,
    place: str,
    remedy: str,
    raises: type[SynthsetError] = DataError,
    *,
    complete: bool = False,
    is_part: bool = False,
) -> Record:
    """A record from a value that `parse_json` gave.

    Args:
        kind: a frozen dataclass. Its `__post_init__` may raise ValueError or one of our errors for values that do not
            go together.
        place: how to speak of where it stands: the path in quotes.
        remedy: a sentence: what to do where it does not fit.
        raises: the error to raise then.
        complete: no key may be missing, whatever the default of its field, but of one that is LATER.
        is_part: the rest of the object is read as another record, with which the checksum is looked at.
    """
    try:
        json.dumps(value, ensure_ascii=False).encode()  # an escape may be half of a character, to be written nowhere
        record = _read_object(kind, value, complete=complete)
    except UnicodeEncodeError as error:
        key = _key_of_surrogate(value).removeprefix(".").encode("ascii", "backslashreplace").decode()
        raise raises(f"Expected '{key}' in {place} as a text in Unicode, got another. {remedy}") from error
    except _MisfitError as misfit:
        key = misfit.key.removeprefix(".")
        named = f"'{key}' in {place}" if key else place
        raise raises(f"Expected {misfit.wording(named)} {misfit.remedy or remedy}") from misfit
    if not is_part and not fits_checksum(value):
        raise raises(
            f"Expected what Synthset wrote in {place}, its '{CHECKSUM}' says that it was changed. {remedy} "
            "Or take that key out, if the change is meant."
        )
    return record


def _key_of_surrogate(value: Any) -> str:
    """Where half of a character stands in a value; it stands somewhere."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        try:
            json.dumps({str(key): item}, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return (f".{key}" if isinstance(value, dict) else f"[{key}]") + _key_of_surrogate(item)
    return ""


class _MisfitError(Exception):
    """A value that does not fit: its key, built on the way up, and the end of a sentence that begins with its name."""

    def __init__(self, wording: Callable[[str], str], key: str = "", remedy: str = "") -> None:
        super().__init__()
        self.wording, self.key, self.remedy = wording, key, remedy

    def within(self, key: str) -> _MisfitError:
        self.key = key + self.key
        return self


def _other(expected: str, value: Any, remedy: str = "") -> _MisfitError:
    return _MisfitError(lambda named: f"{named} as {expected}, got {_brief(value)}.", remedy=remedy)


def _brief(value: Any) -> str:
    text = json.dumps(value)  # in ASCII, with escapes for whatever a terminal would act on
    return text if len(text) <= 60 else f"{text[:57]}…"


# ---- readers, by the annotation of a field ----------------------------------------------------------------


def _read_object(kind: type[Any], value: Any, *, complete: bool = False) -> Any:
    if not isinstance(value, dict):
        raise _other("an object", value)
    values = {}
    for name, item, read in _fields(kind):
        if name not in value:
            is_open = item.default is not MISSING or item.default_factory is not MISSING
            if not is_open or (complete and item.metadata != LATER):
                raise _MisfitError(lambda named: f"{named}, found none.", f".{name}")
            continue
        try:
            values[name] = read(value[name])
        except _MisfitError as misfit:
            raise misfit.within(f".{name}") from None
    try:
        return kind(**values)
    except (ValueError, SynthsetError) as error:
        reason = str(error).rstrip(".")
        raise _MisfitError(lambda named: f"values that go together in {named}, got others: {reason}.") from error


@cache
def _fields(kind: type[Any]) -> list[tuple[str, Field[Any], Callable[[Any], Any]]]:
    hints = get_type_hints(kind, include_extras=True)
    return [(item.name, item, _reader(hints[item.name])) for item in fields(kind)]


def _reader(kind: Any, option: Option | None = None) -> Callable[[Any], Any]:
    """A function that gives a value as a field of this type holds it, or raises _MisfitError."""
    if get_origin(kind) is Annotated:
        kind, *extras = get_args(kind)
        option = next((extra for extra in extras if isinstance(extra, Option)), option)
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return lambda value: value
    if is_dataclass(kind):
        return lambda value: _read_object(kind, value)  # pyright: ignore[reportArgumentType]
    if origin in (Union, types.UnionType):
        (part,) = [part for part in inner if part is not types.NoneType]
        return _optional(_reader(part, option), is_number=float in (part, *get_args(part)[:1]))
    if origin is tuple:
        return _tuple_of([_reader(part, option) for part in inner if part is not Ellipsis], Ellipsis in inner)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping_of(_reader(inner[1], option))
    return _scalar(kind, option or Option())


def _optional(read: Callable[[Any], Any], *, is_number: bool) -> Callable[[Any], Any]:
    # NaN stood for no number in the checkpoints of earlier versions
    return lambda value: None if value is None or (is_number and value != value) else read(value)


def _tuple_of(parts: list[Callable[[Any], Any]], is_open: bool) -> Callable[[Any], Any]:
    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or not (is_open or len(value) == len(parts)):
            raise _other("a list" if is_open else f"a list of {len(parts)}", value)
        items = []
        for number, item in enumerate(value):
            try:
                items.append(parts[0 if is_open else number](item))
            except _MisfitError as misfit:
                raise misfit.within(f"[{number}]") from None
        return tuple(items)

    return read


def _mapping_of(part: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _other("an object", value)
        values = {}
        for key, item in value.items():
            try:
                values[key] = part(item)
            except _MisfitError as misfit:
                raise misfit.within(f".{key}") from None
        return values

    return read


def _scalar(kind: Any, option: Option) -> Callable[[Any], Any]:
    names, literals = option.names(), get_args(kind) if get_origin(kind) is Literal else ()
    expected = f"one of {', '.join(names)}" if names else f"{describe_type(kind)} {describe_bounds(option)}".rstrip()

    is_count = kind is int and option in (Option(), Option(at_least=0))

    def fits(value: Any) -> bool:
        if literals:
            return any(value == literal and type(value) is type(literal) for literal in literals)
        if names:
            return value in names
        return is_of_type(value, kind) and (kind not in (int, float) or is_within(value, option))

    def read(value: Any) -> Any:
        if is_count and type(value) is int and 0 <= value < 2**31:
            return value  # a confusion matrix has a million of them
        if not fits(value):
            is_later = bool(literals) and type(value) is type(literals[0]) is int and value > literals[0]
            raise _other(expected, value, "A later version wrote it: update synthset." if is_later else "")
        return float(value) if kind is float else value

    return read
