"""Ambiguity: classes by how badly a judge recognises their synthetic images, and phrases to clarify the worst.

Marwood et al. 2023, Reason 1: 50 images a class were drawn and classified, and a person looked at the 300 classes
of 1,000 with the lowest accuracy and clarified the prompts of 105. The judge there is a classifier trained on real
images; here it is CLIP, which needs none, or a classifier of ours.

    judge_by_clip                        images -> predicted classes; judges.py does so by classifiers
    rank_ambiguity                       predictions -> classes, worst first
    suggest_phrases, write_phrases_draft the worst -> a file to edit and to pass to `create --phrases`

A low rank says where to look, not what is wrong: the generator may draw another meaning of the name, or draw the
right one badly, or the judge may err.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from synthset.classifiers.scoring import wilson_interval
from synthset.measures.checks import unit_pair
from synthset.prompts.phrases import write_phrases

COSINES_AT_ONCE = 2**22  # of images to classes: 200,000 and 10,000 would take eight gigabytes
REVIEWED_SHARE = 0.3  # of the classes: 300 of 1,000


@dataclass(frozen=True)
class ClassAmbiguity:
    """How a judge recognises the synthetic images of one class.

    Attributes:
        accuracy: share of its images that are recognised, in [0, 1].
        low, high: 95 % Wilson interval of the accuracy.
        taken_for: the class that its other images are most often taken for; None if all are recognised.
        share_taken: share of all its images that are taken for that class, in [0, 1].
    """

    class_index: int
    class_name: str
    accuracy: float
    low: float
    high: float
    taken_for: str | None
    share_taken: float


def rank_ambiguity(
    predictions: Tensor, labels: Tensor | np.ndarray, class_names: Sequence[str]
) -> list[ClassAmbiguity]:
    """Classes by how badly their images are recognised, worst first; equal ones in label order.

    Args:
        predictions: predicted class indices (n,), or probabilities or scores (n, k), of which the highest counts.
        labels: class index of each image (n,), 0..k-1.
        class_names: the k names.
    Raises:
        ValueError: another number of predictions than labels, NaN, labels outside 0..k-1, or a class without images.
    Reference: Marwood et al. 2023, section 3, Reason 1.
    Example:
        >>> ranking = rank_ambiguity(torch.tensor([0, 0, 0, 0, 1, 0]), torch.tensor([0, 0, 0, 1, 1, 1]), ["jay", "jug"])
        >>> [(row.class_name, round(row.accuracy, 2), row.taken_for) for row in ranking]
        [('jug', 0.33, 'jay'), ('jay', 1.0, None)]
    """
    k = len(class_names)
    true, predicted = _indices(torch.as_tensor(labels), k, "labels"), _predicted(predictions, k)
    if len(true) != len(predicted):
        raise ValueError(f"Expected as many predictions as labels, got {len(predicted)} and {len(true)}.")
    # true and predicted classes that occur together, in order: all pairs would be too many for thousands of classes
    pairs, counts = (true * k + predicted).unique(return_counts=True)
    totals = torch.bincount(true, minlength=k)
    if not totals.all():
        raise ValueError(f"Expected images of every class, got none of '{class_names[int(totals.argmin())]}'.")
    ends = [*torch.searchsorted(pairs, torch.arange(k) * k).tolist(), len(pairs)]
    rows = [slice(*bounds) for bounds in pairwise(ends)]
    ranking = [_judged(index, pairs[row] - index * k, counts[row], class_names) for index, row in enumerate(rows)]
    return sorted(ranking, key=lambda row: (row.accuracy, row.class_index))


def judge_by_clip(image_embeddings: Tensor, class_embeddings: Tensor) -> Tensor:
    """The class whose embedding is nearest to each image in angle: int64 (n,); of equal ones the first.

    Args:
        image_embeddings: (n, d), any scale.
        class_embeddings: (k, d), any scale, from the same encoder; see embed.embed_classes. Give those of the class
            names, or of phrases that say for certain what is meant.
    Raises:
        ValueError: two dimensions; NaN, infinity or zeros for a row.
    Example:
        >>> judge_by_clip(torch.tensor([[2.0, 1.0], [0.0, 3.0]]), torch.eye(2))
        tensor([0, 1])
    """
    images, classes = unit_pair(image_embeddings, class_embeddings, ("image embeddings", "class embeddings"))
    rows = max(1, COSINES_AT_ONCE // len(classes))
    return torch.cat([(block @ classes.T).argmax(1) for block in images.split(rows)])


def suggest_phrases(ranking: Sequence[ClassAmbiguity], threshold: float | None = None) -> list[ClassAmbiguity]:
    """The classes that a person should look at, worst first.

    Args:
        ranking: from rank_ambiguity.
        threshold: those of which a smaller share of the images is recognised; None for the worst 30 % of the
            classes, as many as the paper's authors went through, without any that is always recognised.
    Raises:
        ValueError: a threshold outside 0..1.
    """
    if threshold is None:
        return [row for row in ranking[: math.ceil(REVIEWED_SHARE * len(ranking))] if row.accuracy < 1]
    if not 0 <= threshold <= 1:
        raise ValueError(f"Expected a threshold in 0..1, got {threshold}.")
    return [row for row in ranking if row.accuracy < threshold]


def write_phrases_draft(
    path: str | Path,
    ranking: Sequence[ClassAmbiguity],
    phrases: Mapping[str, str] | None = None,
    verdicts: Mapping[str, str] | None = None,
) -> None:
    """Write a YAML file with the classes of `ranking` and their present phrases, to edit and pass to create.

    Unedited lines change nothing. The file appears whole or not at all.

    Args:
        ranking: the classes to clarify, see suggest_phrases.
        phrases: present phrase of a class in prompts, by class name; the name itself for one that is left out.
        verdicts: what the diagnosis says of a class, by class name.
    """
    phrases, verdicts = phrases or {}, verdicts or {}
    comments = {
        "": "Say in a few words what each class is, then: synthset create --phrases THIS_FILE\n"
        'For example "jay: a bird of type jay". Classes that are left out keep their names.'
    }
    for row in ranking:
        confused = f", {row.share_taken:.0%} are taken for {row.taken_for}" if row.taken_for is not None else ""
        verdict = f": {verdicts[row.class_name]}" if row.class_name in verdicts else ""
        comments[row.class_name] = f"\n{row.accuracy:.0%} of its images are recognised{confused}{verdict}"
    write_phrases(path, {row.class_name: phrases.get(row.class_name, row.class_name) for row in ranking}, comments)


def _judged(index: int, predicted: Tensor, counts: Tensor, class_names: Sequence[str]) -> ClassAmbiguity:
    """One row of the confusion matrix, the classes that were predicted (c,) and how often, in words."""
    is_own = predicted == index
    total, correct = int(counts.sum()), int(counts[is_own].sum())
    others = counts.masked_fill(is_own, 0)
    taken = int(others.max())
    low, high = wilson_interval(correct, total)
    taken_for = class_names[int(predicted[others.argmax()])] if taken else None
    return ClassAmbiguity(index, class_names[index], correct / total, low, high, taken_for, taken / total)


def _predicted(predictions: Tensor, k: int) -> Tensor:
    if predictions.ndim == 1:
        return _indices(predictions, k, "predictions")
    if predictions.ndim != 2 or predictions.shape[1] != k:
        raise ValueError(f"Expected predictions of shape (n,) or (n, {k}), got {tuple(predictions.shape)}.")
    if not torch.isfinite(predictions).all():
        raise ValueError("Expected finite scores, got NaN or infinity among them.")
    return predictions.argmax(1).cpu()


def _indices(values: Tensor, k: int, what: str) -> Tensor:
    if values.ndim != 1 or not len(values) or values.is_floating_point():
        raise ValueError(f"Expected {what} as integers of shape (n,), got {values.dtype} {tuple(values.shape)}.")
    if values.min() < 0 or values.max() >= k:
        raise ValueError(f"Expected {what} in 0..{k - 1}, got {int(values.min())}..{int(values.max())}.")
    return values.long().cpu()
