"""Listing: which images a dataset has, what filters and people say of each, and contact sheets of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa

from synthset.core.errors import UnknownNameError, UsageError, setting, some
from synthset.core.locks import reading
from synthset.core.options import Option, check_options, with_options
from synthset.core.whole_folders import whole_folder
from synthset.curation.sheets import SheetImage, draw_sheets, sheet_files
from synthset.curation.writing import read_failures
from synthset.dataset.reader import Dataset, open_dataset
from synthset.dataset.verdicts import BY_HAND


@dataclass(frozen=True)
class ShowConfig:
    """Which images are shown; all of them by default."""

    rejected: bool = False
    """Images that filters or a person rejected, alone."""
    kept: bool = False
    """Images that are kept, alone."""
    strategies: Annotated[tuple[str, ...], Option(flag="strategy", default="all")] = ()
    """Strategies or combinations whose images alone are shown."""
    classes: Annotated[tuple[str, ...], Option(flag="class", default="all")] = ()
    """Classes whose images alone are shown."""
    ids: Annotated[tuple[int, ...], Option(flag="id", default="all", at_least=0)] = ()
    """Images that alone are shown, by their ids."""

    def __post_init__(self) -> None:
        for name in ("strategies", "classes", "ids"):
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if isinstance(value, str | int) else tuple(value))
        check_options(self)
        if self.rejected and self.kept:
            raise UsageError(f"Expected {setting('rejected')} or {setting('kept')}, got both. Leave both out for all.")


@dataclass(frozen=True)
class SaidOfImage:
    """What one filter, or a person, says of an image."""

    keep: bool
    reason: str
    score: float | None


@dataclass(frozen=True)
class ShownImage:
    """An image, all that it was drawn from, and what is said of it.

    Attributes:
        id: of its request: `synthset redraw --id` draws it again.
        drawn_as: the class that it was drawn for, where it was relabelled; else empty.
        kept: whether it is used.
        said: by filter; a person who did not judge it says nothing.
        source, source_id: where it is from, in a merged dataset; else empty.
    """

    id: int
    class_name: str
    strategy: str
    prompt: str
    negative_prompt: str
    guidance_scale: float
    seed: int
    sha256: str
    kept: bool
    said: Mapping[str, SaidOfImage]
    drawn_as: str = ""
    source: str = ""
    source_id: int | None = None

    @property
    def decided_by(self) -> str:
        """The filter that decided: the person, else the first that rejects it, else the first that judged it."""
        if BY_HAND in self.said:
            return BY_HAND
        rejecting = [method for method, said in self.said.items() if not said.keep]
        return next(iter([*rejecting, *self.said]), "")

    @property
    def verdict(self) -> str:
        """The verdict in a few words."""
        if self.kept:
            return "kept by hand" if self.decided_by == BY_HAND else "kept"
        return "rejected by hand" if self.decided_by == BY_HAND else f"rejected by {self.decided_by}"

    @property
    def reason(self) -> str:
        """Why a filter rejected it; empty where it is kept, or where a person said it, who gives no reason."""
        return "" if self.kept or self.decided_by in ("", BY_HAND) else self.said[self.decided_by].reason

    @property
    def score(self) -> float | None:
        """The score that the filter gave that decided; higher is more surely kept."""
        return self.said[self.decided_by].score if self.decided_by else None


@dataclass(frozen=True)
class Listing:
    """Images of a dataset.

    Attributes:
        dataset: its folder.
        images: those that were asked for.
        total: images of the dataset.
        sheets: pictures of them.
    """

    dataset: Path
    images: tuple[ShownImage, ...]
    total: int
    sheets: tuple[Path, ...] = ()


def show(
    dataset: str | Path,
    config: ShowConfig | None = None,
    *,
    output_dir: str | Path | None = None,
    overwrite: bool = False,
    **options: Any,
) -> Listing:
    """List images of a dataset, with their ids, prompts, scales, seeds, and verdicts; and draw contact sheets of them.

    Args:
        dataset: folder of a finished dataset.
        config: which images; `options` are its fields, e.g. `rejected=True`.
        output_dir: a new folder for contact sheets, sheet-001.png and so on.
        overwrite: replace earlier sheets there.
    Raises:
        UsageError, UnknownNameError: a class, a strategy or an id that the dataset does not have.
        DataError: a dataset that is damaged, or verdicts that do not fit its images.
    Example:
        >>> synthset.show("digits-synthetic", rejected=True)  # doctest: +SKIP
    """
    config = with_options(config or ShowConfig(), options)
    with reading(dataset):
        opened = open_dataset(dataset)
        keep = opened.kept()
        rows = _rows(opened, config, keep)
        images = tuple(_images(opened, rows, keep))
        sheets: tuple[Path, ...] = ()
        if output_dir is not None:
            if not images:
                raise UsageError(
                    f"Expected {_words(config)} in '{opened.folder}' for contact sheets, found none. Ask for others."
                )
            everything = opened.images(kept=False)
            pictured = [
                SheetImage(int(row), image.class_name, _captions(image), not image.kept)
                for row, image in zip(rows.tolist(), images, strict=True)
            ]
            title = f"{opened.folder.resolve().name}: {_words(config)}"
            with whole_folder(Path(output_dir), sheet_files, overwrite=overwrite) as folder:
                names = draw_sheets(folder, title, everything.image, pictured)
            sheets = tuple(Path(output_dir) / name for name in names)
    return Listing(opened.folder, images, len(keep), sheets)


def _rows(dataset: Dataset, config: ShowConfig, keep: np.ndarray) -> np.ndarray:
    """The rows that are asked for, int64."""
    chosen = np.zeros(len(keep), bool)
    chosen[dataset.select(config.strategies, kept=False)] = True
    for name in config.classes:
        if name not in dataset.class_names:
            raise UnknownNameError(f"class of '{dataset.folder}'", name, dataset.class_names)
    if config.classes:
        labels = [dataset.class_names.index(name) for name in config.classes]
        chosen &= np.isin(dataset.rows.column("label").to_numpy(), labels)
    if config.ids:
        check_ids(dataset, config.ids, "Leave them out.")
        chosen &= np.isin(dataset.rows.column("request_id").to_numpy(), config.ids)
    if config.rejected:
        chosen &= ~keep
    if config.kept:
        chosen &= keep
    return np.flatnonzero(chosen)


def check_ids(dataset: Dataset, ids: Iterable[int], advice: str) -> None:
    """Raise UsageError for ids that no image of a dataset has, each with what became of it."""
    known = set(dataset.rows.column("request_id").to_pylist())
    missing = sorted(set(ids) - known)
    if not missing:
        return
    failed = {row["request_id"]: row for row in read_failures(dataset).to_pylist()}
    told = [
        f"{number} was not drawn ({failed[number]['status']}: {failed[number]['reason']})"
        if number in failed
        else f"{number} is none of its {len(known):,}"
        for number in missing
    ]
    raise UsageError(f"Expected ids of images of '{dataset.folder}', got others: {some(told)}. {advice}")


def _images(dataset: Dataset, rows: np.ndarray, keep: np.ndarray) -> list[ShownImage]:
    table = dataset.rows.take(pa.array(rows))
    drawn = dataset.drawn_rows.column("class_name").take(pa.array(rows)).to_pylist()
    verdicts = {}
    for method, one in dataset.verdicts().items():
        told = zip(*(one.table.column(name).to_pylist() for name in ("keep", "reason", "score")), strict=True)
        verdicts[method] = dict(zip(one.table.column("request_id").to_pylist(), told, strict=True))
    images = []
    for row, drawn_as, kept in zip(table.to_pylist(), drawn, keep[rows].tolist(), strict=True):
        number, class_name = row["request_id"], row["class_name"]
        said = {
            method: SaidOfImage(keeps, reason or "", score)
            for method, (keeps, reason, score) in ((method, told[number]) for method, told in verdicts.items())
            if reason or method != BY_HAND
        }
        names = ("strategy", "prompt", "negative_prompt", "guidance_scale", "seed", "sha256")
        plain: dict[str, Any] = {name: row[name] for name in names}
        image = ShownImage(id=number, class_name=class_name, kept=kept, said=said, **plain)
        extra = {name: row[name] for name in ("source", "source_id") if name in row}
        images.append(replace(image, drawn_as="" if drawn_as == class_name else drawn_as, **extra))
    return images


def _captions(image: ShownImage) -> tuple[str, ...]:
    numbers = (f"scale {image.guidance_scale:.3g}", f"seed {image.seed}")
    lines = [f"id {image.id} · {image.strategy}", *numbers, image.prompt]
    if image.drawn_as:
        lines.insert(1, f"drawn as {image.drawn_as}")
    return tuple(lines) if image.kept else (*lines, f"{image.verdict}: {image.reason}".rstrip(": "))


def _words(config: ShowConfig) -> str:
    """Which images are shown, in words."""
    which = "rejected images" if config.rejected else "images that are kept" if config.kept else "images"
    parts = [
        f"of {some(config.classes)}" if config.classes else "",
        f"by {some(config.strategies)}" if config.strategies else "",
    ]
    return " ".join([which, *filter(None, parts)])
