"""What classifiers learned from, as a table: columns that tell them apart, and beside it what all have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synthset.classifiers.facts import ModelFacts
from synthset.report.formatting import NOTHING, number


@dataclass(frozen=True)
class Cell:
    """A text, and the value that it is sorted by where it is a number."""

    text: str
    value: float | None = None


@dataclass(frozen=True)
class ModelsTable:
    """Facts of classifiers.

    Attributes:
        common: heading and text of what is the same for all.
        headings: of the columns in which they differ, each with whether it has numbers.
        rows: a name, and a cell for each heading.
        seen: other images that were learned from, in words, and the names of those that did.
    """

    common: tuple[tuple[str, str], ...]
    headings: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    seen: tuple[tuple[str, tuple[str, ...]], ...]


def models_table(models: Sequence[tuple[str, ModelFacts]]) -> ModelsTable:
    """The facts of classifiers by name; those of one alone are all in common."""
    cells = [_cells(facts) for _, facts in models]
    titles = list(cells[0]) if cells else []
    varied = [title for title in titles if len({one[title].text for one in cells}) > 1]
    common = tuple((title, cells[0][title].text) for title in titles if title not in varied)
    headings = tuple((title, any(one[title].value is not None for one in cells)) for title in varied)
    rows = tuple((name, tuple(one[title] for title in varied)) for (name, _), one in zip(models, cells, strict=True))
    seen: dict[str, list[str]] = {}
    for name, facts in models:
        seen.setdefault(facts.seen, []).append(name)
    named = tuple((words, tuple(names)) for words, names in seen.items() if words)
    return ModelsTable(tuple(pair for pair in common if pair[1] != NOTHING), headings, rows, named)


def _cells(facts: ModelFacts) -> dict[str, Cell]:
    settings = facts.settings
    epochs = settings.get("epochs")
    of_all = f" of {number(epochs)}" if isinstance(epochs, int | float) else ""
    return {
        "Architecture": _word(settings.get("architecture")),
        "Synthetic images": _figure(facts.num_training),
        "Began with": Cell(began_with(settings)),
        "Teacher": Cell(taught_by(settings)),
        "Epoch": Cell(f"{facts.epoch}{of_all}", facts.epoch),
        "Batch": _figure(settings.get("batch_size")),
        "Learning rate": _figure(settings.get("learning_rate")),
        "Weight decay": _figure(settings.get("weight_decay")),
        "Augmentation": _word(settings.get("augmentation")),
        "Size in px": _figure(settings.get("image_size_px")),
    }


def _word(value: Any) -> Cell:
    return Cell(NOTHING if value is None else str(value)[:60])


def _figure(value: Any) -> Cell:
    is_figure = isinstance(value, int | float) and not isinstance(value, bool)
    return Cell(number(value), value) if is_figure else Cell(NOTHING)


def began_with(settings: Mapping[str, Any]) -> str:
    """The weights that a training began with, in words.

    >>> began_with({}), began_with({"weights": "timm/resnet18.a1_in1k", "freeze": True})
    ('random weights', 'timm/resnet18.a1_in1k, head alone trained')
    """
    parts = [_identity(settings.get("weights") or "random weights")]
    parts += ["head alone trained"] * bool(settings.get("freeze"))
    decay = settings.get("layer_decay", 1)
    return ", ".join([*parts, *[f"layer decay {decay}"] * (decay != 1)])


def taught_by(settings: Mapping[str, Any]) -> str:
    """The teacher of a training and how much it had to say, in words.

    >>> taught_by({"teacher": None}), taught_by({"teacher": "a" * 64, "teacher_share": 0.5, "teacher_temperature": 2.0})
    ('–', 'aaaaaaaaaaaa…, share 0.5, temperature 2.0')
    """
    if settings.get("teacher") is None:
        return NOTHING
    share, temperature = settings.get("teacher_share"), settings.get("teacher_temperature")
    return f"{_identity(settings['teacher'])}, share {share}, temperature {temperature}"


def _identity(text: Any) -> str:
    """A name as it is, and the beginning of a hash, with its kind if it says so."""
    kind, _, digits = str(text).rpartition(":")
    is_hash = len(digits) >= 32 and set(digits) <= set("0123456789abcdef")
    return f"{kind}{':' * bool(kind)}{digits[:12]}…" if is_hash else str(text)
