"""Checks of the input of every measure; where one does not hold, a line says why.

A measure of embeddings with a NaN in them is a number that means nothing, so each measure checks first.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

ROWS = 65_536  # checked or converted at once, so that a large set is never copied as a whole


def check_matrix(embeddings: Tensor | np.ndarray, name: str = "embeddings") -> None:
    """Raise ValueError unless `embeddings` is (n, d) of floating point, n, d ≥ 1; reads no entry, as of a file."""
    if embeddings.ndim != 2:
        raise ValueError(f"Expected {name} with two axes (n, d), got shape {tuple(embeddings.shape)}.")
    if 0 in embeddings.shape:
        raise ValueError(f"Expected at least one row and one column in {name}, got shape {tuple(embeddings.shape)}.")
    if not (embeddings.is_floating_point() if isinstance(embeddings, Tensor) else embeddings.dtype.kind == "f"):
        raise ValueError(f"Expected {name} of floating point, got {embeddings.dtype}.")


def check_embeddings(embeddings: Tensor, name: str = "embeddings") -> None:
    """Raise ValueError unless `embeddings` is a matrix of finite numbers.

    Example:
        >>> check_embeddings(torch.tensor([[1.0, 2.0], [float("nan"), 0.0]]))
        Traceback (most recent call last):
        ...
        ValueError: Expected finite embeddings, got NaN or infinity in row 1.
    """
    check_matrix(embeddings, name)
    for start in range(0, len(embeddings), ROWS):
        bad = ~embeddings[start : start + ROWS].isfinite().all(1)
        if bad.any():
            raise ValueError(f"Expected finite {name}, got NaN or infinity in row {start + int(bad.int().argmax())}.")


def check_same_dimension(one: Tensor | np.ndarray, other: Tensor | np.ndarray, names: tuple[str, str]) -> None:
    """Raise ValueError unless both matrices have as many columns."""
    if one.shape[1] != other.shape[1]:
        raise ValueError(
            f"Expected {names[0]} and {names[1]} of one dimension, got {one.shape[1]} and {other.shape[1]}. "
            "Embed both with the same encoder."
        )


def check_pair(one: Tensor, other: Tensor, names: tuple[str, str]) -> None:
    """Raise ValueError unless both are matrices of finite numbers, with as many columns."""
    for embeddings, name in zip((one, other), names, strict=True):
        check_embeddings(embeddings, name)
    check_same_dimension(one, other, names)


def check_labels(labels: Tensor, n: int, k: int | None = None, name: str = "labels") -> int:
    """The number of classes, if `labels` is n integers in which each class of 0..k-1 occurs.

    Args:
        k: number of classes; where None, the highest label counts as the last class.
    Raises:
        ValueError: not n integers, a label outside 0..k-1, or a class without a row.
    Example:
        >>> check_labels(torch.tensor([0, 0, 2]), 3)
        Traceback (most recent call last):
        ...
        ValueError: Expected a row of each of the 3 classes in labels, got none of class 1.
    """
    if labels.ndim != 1 or len(labels) != n:
        raise ValueError(f"Expected {n} {name}, one a row, got shape {tuple(labels.shape)}.")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"Expected integers as {name}, got {labels.dtype}.")
    low, high = int(labels.min()), int(labels.max())
    k = high + 1 if k is None else k
    if low < 0 or high >= k:
        raise ValueError(f"Expected {name} from 0 to {k - 1}, got {low if low < 0 else high}.")
    counts = torch.bincount(labels, minlength=k)
    if not counts.all():
        missing = int((counts == 0).int().argmax())
        raise ValueError(f"Expected a row of each of the {k} classes in {name}, got none of class {missing}.")
    return k


def check_classes(query_labels: Tensor, n: int, reference_labels: Tensor, m: int) -> int:
    """The number of classes, if both have a row of each class up to the highest label of either, as check_labels()."""
    k = 1 + max((int(labels.max()) for labels in (query_labels, reference_labels) if labels.numel()), default=0)
    check_labels(query_labels, n, k, "query labels")
    return check_labels(reference_labels, m, k, "reference labels")


def unit_vectors(embeddings: Tensor, name: str = "embeddings") -> Tensor:
    """The rows scaled to length 1: float64 (n, d).

    Raises:
        ValueError: not a matrix of finite numbers, or a row of zeros, which has no direction.
    Example:
        >>> unit_vectors(torch.tensor([[3.0, 4.0]]))
        tensor([[0.6000, 0.8000]], dtype=torch.float64)
    """
    check_embeddings(embeddings, name)
    return torch.cat([block for _, block in unit_blocks(embeddings, name)])


def unit_pair(one: Tensor, other: Tensor, names: tuple[str, str]) -> tuple[Tensor, Tensor]:
    """The rows of both scaled to length 1, float64. Raises ValueError as check_pair() and unit_vectors() do."""
    check_pair(one, other, names)
    return unit_vectors(one, names[0]), unit_vectors(other, names[1])


def unit_blocks(embeddings: Tensor, name: str = "embeddings") -> Iterator[tuple[slice, Tensor]]:
    """The rows of finite `embeddings` at length 1, some at a time: their slice, and float64 (rows, d).

    Raises:
        ValueError: a row of zeros.
    """
    for start in range(0, len(embeddings), ROWS):
        rows = slice(start, start + ROWS)
        scaled = embeddings[rows].double()
        # by the largest entry first: the squares of very large or small entries leave the range of the type
        scaled = scaled / scaled.abs().amax(1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
        lengths = torch.linalg.vector_norm(scaled, dim=1, keepdim=True)
        check_lengths(lengths, name, start)
        yield rows, scaled / lengths


def check_lengths(lengths: Tensor, name: str, first_row: int = 0) -> None:
    """Raise ValueError unless all lengths, (n, 1), of the rows from `first_row` on are finite and above 0."""
    bad = ~((lengths > 0) & lengths.isfinite()).flatten()
    if bad.any():
        row = int(bad.int().argmax())
        if lengths.flatten()[row] == 0:
            raise ValueError(f"Expected {name} with a direction, got only zeros in row {first_row + row}.")
        raise ValueError(f"Expected finite {name}, got NaN or infinity in row {first_row + row}.")
