"""Measures of whole sets, as rows of a table, and what has no table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from synthset.core.errors import some
from synthset.diagnosis.inputs import EmbeddedSet
from synthset.diagnosis.rows import SetSummary
from synthset.measures.geometry import FEWEST, linear_separability
from synthset.measures.points import COMPARED_IMAGES, SetPoints, sample_rows
from synthset.measures.registry import measures_of


def summarise(item: EmbeddedSet, points: SetPoints) -> SetSummary:
    """All measures of one set."""
    values = {measure.name: measure.take(points) for measure in measures_of("set")}
    return SetSummary(item.source.name, item.source.kind, len(item.source), values)


def doubt_distances(summary: Sequence[SetSummary]) -> list[str]:
    """Reasons to be cautious of Fréchet distances: too few images of the set, or of the real one."""
    found = []
    for column, network in (("frechet_rows_a_dimension", "encoder"), ("backbone_rows_a_dimension", "backbone")):
        few = [row.set for row in summary if (row.values[column] or 1) < 1]
        if few:
            found.append(
                f"The Fréchet distance to the real set says mostly how few images there are, fewer than the {network} "
                f"has dimensions: {some(few)}. Compare it between sets of one size only."
            )
    return found


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
