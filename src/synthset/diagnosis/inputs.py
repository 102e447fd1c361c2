"""Sets that a diagnosis compares: images and the prompts they were drawn from, with one list of classes.

Opening checks all that can be checked before anything is embedded: that every set has images of every class, and
that all speak of the same classes, in whatever order and spelling.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthset.core.errors import DataError, UsageError, setting, some
from synthset.dataset.opening import check_opening, open_images, warn_of_outdated
from synthset.dataset.reader import Dataset, is_dataset, open_dataset, strategies_of
from synthset.filters import audit
from synthset.images.imageset import ImageSet, readable
from synthset.images.opening import ImagePath, ImageSource, open_strictly
from synthset.images.splits import FOR_TESTS
from synthset.measures.points import Points, SetPoints, split_points, split_prompts
from synthset.real import open_set
from synthset.real.matching import with_classes

if TYPE_CHECKING:
    from torch import Tensor

    from synthset.encoders.clip import Encoder
    from synthset.encoders.embed import EmbeddingCache

log = logging.getLogger("synthset")


@dataclass(frozen=True, eq=False)
class DiagnosedSet:
    """Images to diagnose, and how they were made as far as it is known.

    Attributes:
        name: unique among the sets of a diagnosis.
        kind: "real" or "synthetic".
        images: n labelled images; labels are those of the first set's classes.
        prompts: the prompt of each image, or empty where none is known.
        guidance_scales: of each image, or empty.
        folder: where the set lies, if anywhere.
        manifest: of a Synthset dataset.
        rejected: images that filters leave out of `images`, or None.
        reasons: why each of those was left out.
    """

    name: str
    kind: str
    images: ImageSet
    prompts: tuple[str, ...] = ()
    guidance_scales: tuple[float, ...] = ()
    folder: Path | None = None
    manifest: Mapping[str, Any] | None = None
    rejected: ImageSet | None = None
    reasons: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def is_real(self) -> bool:
        """Whether it is what the others are compared with."""
        return self.kind == "real"

    @property
    def phrases(self) -> Mapping[str, str]:
        """Phrases that stood for classes in the prompts, by class name, where it was not the name."""
        return (self.manifest or {}).get("job", {}).get("prompts", {}).get("phrases", {})


def open_sets(
    synthetic: Sequence[ImageSource | DiagnosedSet],
    real: ImageSource | None = None,
    *,
    by_strategy: bool = False,
    strategies: Sequence[str] = (),
    all_images: bool = False,
) -> list[DiagnosedSet]:
    """Open the sets of a diagnosis, the real one first, with the classes of the first synthetic set.

    Args:
        synthetic: dataset folders, image folders, Parquet files, or sets in memory.
        real: a name of real.known_sets(), a path, or a set in memory.
        by_strategy: whether the strategies of a dataset are sets of their own.
        strategies: the strategies or combinations of the datasets that are meant; all images by default.
        all_images: whether images that filters reject count too.
    Raises:
        UsageError: no set, two of one name, or sets with other classes.
        DataError: a set that cannot be read, or without images of one of the classes.
    """
    if not synthetic:
        raise UsageError("Expected at least one set to diagnose, such as the folder of a dataset.")
    sets = [part for item in synthetic for part in open_synthetic(item, by_strategy, strategies, all_images)]
    if (by_strategy or strategies) and not any(item.manifest for item in sets):
        names, option = some([item.name for item in sets]), setting("by_strategy", True)
        raise UsageError(
            f"Expected a Synthset dataset with {option if by_strategy else setting('strategies')}, got {names}, of "
            "which no strategies are known. Leave it out."
        )
    if real is not None:
        images = real if isinstance(real, ImageSet) else open_set(real, FOR_TESTS)
        images = readable(images, strict=open_strictly(real))
        sets.insert(0, DiagnosedSet(images.name, "real", images))
    sets = _with_unique_names(sets)
    class_names = next(item.images.class_names for item in sets if not item.is_real)
    sets = [_with_classes(item, class_names) for item in sets]
    for item in sets:
        _check_complete(item)
    return sets


def open_synthetic(
    item: ImageSource | DiagnosedSet, by_strategy: bool, strategies: Sequence[str], all_images: bool
) -> list[DiagnosedSet]:
    """The sets of one source: one, or one a strategy. Arguments and errors as of open_sets."""
    if isinstance(item, DiagnosedSet):
        return [item]
    if isinstance(item, ImageSet):
        return [DiagnosedSet(item.name, "synthetic", item)]
    if not is_dataset(str(item)):
        images = readable(open_images(item), strict=open_strictly(item))
        return [DiagnosedSet(images.name, "synthetic", images, folder=Path(item))]
    dataset = open_dataset(str(item))
    if isinstance(item, ImagePath):
        check_opening(item)
    if not all_images:
        warn_of_outdated(dataset)
    if not by_strategy:
        return [_open_strategies(dataset, strategies, all_images)]
    return [_open_strategies(dataset, [one], all_images) for one in strategies_of(strategies) or dataset.strategies()]


def _open_strategies(dataset: Dataset, strategies: Sequence[str], all_images: bool) -> DiagnosedSet:
    name = dataset.folder.resolve().name
    rows = dataset.select(strategies, kept=not all_images)
    columns = dataset.rows.select(["prompt", "guidance_scale"]).take(rows)
    everything = dataset.images(kept=False)
    left_out = np.setdiff1d(dataset.select(strategies, kept=False), rows)
    return DiagnosedSet(
        name=f"{name}/{'+'.join(strategies)}" if strategies else name,
        kind="synthetic",
        images=everything.select(rows),
        prompts=tuple(columns.column("prompt").to_pylist()),
        guidance_scales=tuple(columns.column("guidance_scale").to_pylist()),
        folder=dataset.folder,
        manifest=dataset.manifest,
        rejected=everything.select(left_out) if len(left_out) else None,
        reasons=tuple(_reasons(dataset, left_out)) if len(left_out) else (),
    )


def _reasons(dataset: Dataset, rows: np.ndarray) -> list[str]:
    """Why each of these rows is left out: the reason of the first filter that rejects it."""
    ids = dataset.rows.column("request_id").to_numpy()[rows]
    reasons: dict[int, str] = {}
    for row in audit(dataset).to_pylist():
        if not row["keep"]:
            reasons.setdefault(row["request_id"], row["reason"])
    return [reasons.get(int(request_id), "") for request_id in ids]


def _with_unique_names(sets: Sequence[DiagnosedSet]) -> list[DiagnosedSet]:
    """The sets under names of their own: the folder is named where its last part is not enough."""
    named = []
    for item in sets:
        others = [other for other in sets if other is not item and other.name == item.name]
        if others and item.folder is not None and any(other.folder != item.folder for other in others):
            item = replace(item, name=item.name.replace(item.folder.resolve().name, str(item.folder), 1))
        elif others and item.is_real:
            item = replace(item, name=f"{item.name} (real)")
        named.append(item)
    names = [item.name for item in named]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"Expected each set once, got '{twice[0]}' twice. Name it once.")
    return named


def _with_classes(item: DiagnosedSet, class_names: tuple[str, ...]) -> DiagnosedSet:
    if item.images.class_names == class_names:
        return item
    return replace(item, images=with_classes(item.images, class_names, every=True))


def _check_complete(item: DiagnosedSet) -> None:
    """Two images of every class at least: one for reference, one for query."""
    counts = np.bincount(item.images.labels, minlength=len(item.images.class_names))
    short = [(name, count) for name, count in zip(item.images.class_names, counts.tolist(), strict=True) if count < 2]
    if not short:
        return
    found = ", ".join(f"{count or 'none'} of '{name}'" for name, count in short[:3])
    found += f" and {len(short) - 3} more" if len(short) > 3 else ""
    why = f" Filters left so few: see 'synthset filter', or set {setting('all_images', True)}." if item.reasons else ""
    raise DataError(f"Expected at least 2 images of every class in '{item.name}', found {found}.{why}")


# ---- embedded, and split into references and queries ------------------------------------------------------


@dataclass(frozen=True, eq=False)
class DistinctPrompts:
    """The distinct prompts of each class, class by class, in alphabetical order; the empty text is none.

    Attributes:
        texts: m of them.
        labels: class index of each, int64 (m,).
        of_image: index of each image's prompt, int64 (n,); -1 for none.
    """

    texts: tuple[str, ...]
    labels: np.ndarray
    of_image: np.ndarray

    @classmethod
    def of(cls, item: DiagnosedSet) -> DistinctPrompts:
        """Those of a set."""
        pairs = list(zip(item.images.labels.tolist(), item.prompts, strict=True)) if item.prompts else []
        distinct = {pair: index for index, pair in enumerate(sorted({pair for pair in pairs if pair[1]}))}
        labels = np.array([label for label, _ in distinct], np.int64)
        of_image = np.array([distinct.get(pair, -1) for pair in pairs], np.int64)
        return cls(tuple(text for _, text in distinct), labels, of_image)


@dataclass(frozen=True, eq=False)
class EmbeddedSet:
    """A set with its images and, if it has any, its distinct prompts in CLIP space."""

    source: DiagnosedSet
    images: Points
    prompts: Points | None
    texts: tuple[str, ...] = ()  # of the prompts
    features: Tensor | None = None  # (n, d) of the images, of a backbone, as they are

    def against(self, real: EmbeddedSet | None, seed: int) -> SetPoints:
        """Its points to measure, beside those of the real set, unless it is the real set itself."""
        k, others = len(self.source.images.class_names), None if real is self else real
        of_real, own = others and others.features, self.features
        features = None if of_real is None or own is None else (own, of_real)
        return SetPoints(self.images, self.prompts, others and others.images, k, seed, features)


def embed_set(
    item: DiagnosedSet, encoder: Encoder, cache: EmbeddingCache, query_share: float = 0.25, seed: int = 0
) -> EmbeddedSet:
    """The set embedded, and split into references and queries."""
    from synthset.encoders.embed import cut_texts, embed_images, embed_texts

    vectors = embed_images(item.images, encoder, cache)
    images = split_points(f"{item.name}-IM", vectors, item.images.labels, query_share, seed)
    prompts = DistinctPrompts.of(item)
    k, texts = len(item.images.class_names), prompts.texts
    if lacking := sorted(set(range(k)).difference(prompts.labels.tolist())):
        if texts:
            names = some([item.images.class_names[index] for index in lacking])
            log.warning("The prompts of '%s' are left out, for there are none of %s.", item.name, names)
        return EmbeddedSet(item, images, None)
    if cut := cut_texts(texts, encoder):
        log.warning("'%s' reads the beginning alone of %s prompts, e.g. '%s'.", encoder.name, f"{len(cut):,}", cut[0])
    vectors = embed_texts(texts, encoder, cache)
    points = split_prompts(f"{item.name}-PRMT", vectors, prompts.labels, prompts.of_image, images)
    return EmbeddedSet(item, images, points, texts)
