"""Measures of whole sets and of their classes, as rows of two tables, and what has no table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from synthset.core.errors import some
from synthset.diagnosis.failure_modes import judge
from synthset.diagnosis.inputs import EmbeddedSet
from synthset.diagnosis.rows import ClassRow, SetSummary
from synthset.measures.geometry import FEWEST, linear_separability
from synthset.measures.points import COMPARED_IMAGES, SetPoints, sample_rows
from synthset.measures.registry import measures_of


def summarise(item: EmbeddedSet, points: SetPoints) -> SetSummary:
    """All measures of one set."""
    values = {measure.name: measure.take(points) for measure in measures_of("set")}
    return SetSummary(item.source.name, item.source.kind, len(item.source), values)


def doubt_distances(summary: Sequence[SetSummary]) -> list[str]:
    """Reasons to be cautious of Fréchet distances: too few images of the set, or of the real one."""
    few = [row.set for row in summary if (row.frechet_rows_a_dimension or 1) < 1]
    if not few:
        return []
    return [
        f"The Fréchet distance to the real set says mostly how few images there are, fewer than the encoder has "
        f"dimensions: {some(few)}. Compare it between sets of one size only."
    ]


def measure_classes(item: EmbeddedSet, points: SetPoints) -> list[ClassRow]:
    """One row a class of a synthetic set, with its verdict."""
    columns: dict[str, list[float] | None] = {}
    for measure in measures_of("class"):
        values = measure.take(points)
        columns[measure.name] = None if values is None else [float(value) for value in values]
    verdicts = judge(columns)
    counts = np.bincount(item.source.images.labels, minlength=points.k).tolist()
    return [
        ClassRow(
            set=item.source.name,
            class_index=index,
            class_name=class_name,
            images=counts[index],
            values={name: None if values is None else values[index] for name, values in columns.items()},
            verdict=verdict.name,
            explanation=verdict.explanation,
            remedy=verdict.remedy,
        )
        for index, (class_name, verdict) in enumerate(zip(item.source.images.class_names, verdicts, strict=True))
    ]


def measure_separability(sets: Sequence[EmbeddedSet], seed: int = 0) -> dict[str, Any] | None:
    """Whether a plane parts all prompts from all images (Marwood et al., section 4); None for too few prompts."""
    parts = [item.prompts.embeddings for item in sets if item.prompts is not None]
    texts = torch.cat(parts).unique(dim=0) if parts else torch.empty(0)
    if min(len(texts), sum(len(item.source) for item in sets)) < FEWEST:
        return None
    images = sample_rows(torch.cat([item.images.embeddings for item in sets]), COMPARED_IMAGES, seed)
    result = linear_separability(texts, images, seed)
    return {
        "accuracy": result.accuracy,
        "margin": result.margin,
        "images": result.num_images,
        "texts": result.num_texts,
    }
