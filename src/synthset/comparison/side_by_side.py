"""Side by side: what strategies, scales, prompts or datasets make of the same noise, as one picture.

Rows are noises, class by class; columns are strategies, of each dataset. After Shipard et al. 2023, Figure 2, and
Marwood et al. 2023, Figure 5. Only images whose recorded seeds are equal stand in a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from synthset.core.errors import DataError, UnknownNameError, UsageError, setting, some
from synthset.core.locks import reading
from synthset.core.options import expect
from synthset.dataset.noise import check_noise
from synthset.dataset.reader import Dataset, open_dataset
from synthset.images.grids import GridCell, GridRow, draw_grid
from synthset.images.imageset import ImageSet

PICTURE = "side-by-side.png"
MAX_COLUMNS = 12
ROWS, MAX_ROWS = 12, 24  # by default, and at most


@dataclass(frozen=True)
class SideBySide:
    """A picture of images on equal noise.

    Attributes:
        path: of the PNG.
        columns: names of the strategies, of the datasets.
        classes: that are shown.
        numbers: of the images in each class that are shown, by class.
    """

    path: Path
    columns: tuple[str, ...]
    classes: tuple[str, ...]
    numbers: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class _Column:
    """A strategy of a dataset.

    Attributes:
        rows: of its images, by class and number, in the dataset.
    """

    name: str
    dataset: Dataset
    images: ImageSet
    rows: dict[tuple[str, int], int]


def side_by_side(
    data: Sequence[str | Path],
    path: str | Path,
    *,
    strategies: Sequence[str] = (),
    classes: Sequence[str] = (),
    images_per_class: int = 3,
) -> SideBySide:
    """Draw the images of datasets on equal noise side by side, a column a strategy.

    Args:
        data: folders of datasets that were drawn with shared noise, by one model from one seed.
        path: the PNG to write; it is replaced whole or not at all.
        strategies: plain ones, as they were drawn; by default all of each dataset.
        classes: by default the first ones, as many as make twelve rows.
        images_per_class: rows of each class, fewer where not as many numbers have images in all columns.
    Raises:
        UsageError: nothing to show, or too many columns or rows.
        UnknownNameError: a strategy or class that is not in a dataset.
        DataError: a dataset whose noise is not shared or another, or a class without a noise that all columns have.
    """
    expect(images_per_class >= 1, f"{setting('images_per_class')} of at least 1, got {images_per_class}")
    if not data:
        raise UsageError("Expected datasets to show, got none. Run 'synthset create' first.")
    with reading(*data):
        labels, datasets = _open(data)
        columns = list(_columns(labels, datasets, strategies))
        if len(columns) > MAX_COLUMNS:
            raise UsageError(
                f"Expected at most {MAX_COLUMNS} columns, got {len(columns)}. Name some by {setting('strategies')}."
            )
        named = _classes(columns, classes, images_per_class)
        shown = {name: _shared_numbers(columns, name)[:images_per_class] for name in named}
        if without := [name for name, numbers in shown.items() if not numbers]:
            raise DataError(
                f"Expected an image of one noise in every column of {some(without)}, found none: no number is in all, "
                "or it was drawn again on other noise. Name fewer strategies, or other classes."
            )
        rows = [_row(columns, name, number) for name, numbers in shown.items() for number in numbers]
    known = len(columns[0].dataset.class_names)
    footer = "" if classes or len(named) == known else f"Shown: the first {len(named)} of {known:,} classes."
    title = "  ·  ".join([" and ".join(labels), "a row is one noise"])
    drawn = draw_grid(Path(path), title, [column.name for column in columns], rows, footer)
    return SideBySide(drawn, tuple(c.name for c in columns), tuple(named), tuple(map(tuple, shown.values())))


def _open(data: Sequence[str | Path]) -> tuple[list[str], list[Dataset]]:
    """The datasets and what to call them. Raises UsageError for one twice, DataError for noise that is not shared."""
    datasets = [open_dataset(one) for one in data]
    if len({dataset.folder.resolve() for dataset in datasets}) < len(datasets):
        raise UsageError(f"Expected each dataset once, got one twice: {some([str(one) for one in data])}.")
    for dataset in datasets:
        check_noise(dataset, datasets[0] if dataset is not datasets[0] else None)
    names = [dataset.folder.resolve().name for dataset in datasets]
    return names if len(set(names)) == len(names) else [str(one) for one in data], datasets


def _columns(labels: Sequence[str], datasets: Sequence[Dataset], strategies: Sequence[str]) -> Iterator[_Column]:
    """Every strategy of every dataset. Raises UnknownNameError for one that a dataset does not have."""
    for label, dataset in zip(labels, datasets, strict=True):
        drawn, images = dataset.strategies(), dataset.images(kept=False)
        for strategy in strategies or drawn:
            if strategy not in drawn:
                raise UnknownNameError(f"plain strategy of '{dataset.folder}'", strategy, drawn)
            chosen = pc.equal(dataset.rows.column("strategy"), strategy)  # pyright: ignore[reportAttributeAccessIssue]
            indices = pc.indices_nonzero(chosen)  # pyright: ignore[reportAttributeAccessIssue]
            part = dataset.drawn_rows.select(["class_name", "index"]).take(indices)
            keys = zip(*(part.column(name).to_pylist() for name in part.column_names), strict=True)
            name = f"{label}: {strategy}" if len(datasets) > 1 else strategy
            yield _Column(name, dataset, images, dict(zip(keys, indices.to_pylist(), strict=True)))


def _classes(columns: Sequence[_Column], wanted: Sequence[str], images_per_class: int) -> list[str]:
    """The classes to show. Raises UnknownNameError for one that a dataset does not have, UsageError for too many."""
    known = [name for name in columns[0].dataset.class_names if all(name in c.dataset.class_names for c in columns)]
    for name in wanted:
        if name not in known:
            raise UnknownNameError("class of all these datasets", name, known)
    if max(1, len(wanted)) * images_per_class > MAX_ROWS:
        raise UsageError(
            f"Expected at most {MAX_ROWS} rows, got {max(1, len(wanted)) * images_per_class}. Name fewer "
            f"{setting('classes')}, or give fewer {setting('images_per_class')}."
        )
    return list(dict.fromkeys(wanted)) or known[: max(1, ROWS // images_per_class)]


def _shared_numbers(columns: Sequence[_Column], class_name: str) -> list[int]:
    """The numbers of a class whose images in all columns were drawn on the same noise."""
    numbers = sorted(number for name, number in columns[0].rows if name == class_name)
    numbers = [number for number in numbers if all((class_name, number) in column.rows for column in columns)]
    rows = [pa.array([column.rows[class_name, number] for number in numbers], pa.int64()) for column in columns]
    seeds = [c.dataset.rows.column("seed").take(taken).to_pylist() for c, taken in zip(columns, rows, strict=True)]
    return [number for number, *found in zip(numbers, *seeds, strict=True) if len(set(found)) == 1]


def _row(columns: Sequence[_Column], class_name: str, number: int) -> GridRow:
    cells = []
    for column in columns:
        row = column.rows[class_name, number]
        (request,) = column.dataset.requests([row])
        told = f"scale {request.guidance_scale:.3g} · id {request.id}"
        cells.append(GridCell(column.images.image(row), (request.prompt, told)))
    return GridRow(class_name, f"noise {number}", tuple(cells))
