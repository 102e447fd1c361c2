"""Exact nearest neighbours by cosine, in bounded memory, and how well their vote classifies.

All scores of 50,000 queries against 1.28 million references would fill 256 GB, so they are never kept: references
pass once, block by block, from memory or from disk, and each query keeps its best so far. Sorting the scores would
cost as much as the products do. Instead, a block of float32 scores only has to say which references *could* be among
the best: where the maximum of a group of scores, less the largest possible rounding error, is below a query's k-th
best, the group holds nothing new, which is so for nearly all groups. The few references that remain are scored again
in float64, and only that decides. The result is therefore that of float64 arithmetic at the cost of float32; or, on a
processor that multiplies bfloat16 by AMX, of bfloat16, as long as its larger error leaves few references.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from synthset.core.devices import choose_device
from synthset.measures.checks import check_classes, check_lengths, check_matrix, check_same_dimension

BLOCK_BYTES = 256 * 2**20
GROUP = 32  # scores that one maximum stands for
NEARLY_UNIT = 1e-6  # a length that differs from 1 by less counts as 1 in the float32 scores
SHORT, LONG = 1e-15, 1e15  # lengths between these have squares well within float32
FEW_GROUPS = 1 / 4  # share of the groups up to which scores in bfloat16 are worth while
HALF = 2.0**-8  # rounding of a bfloat16
ROUNDING = {"none": 2.0**-24, "ieee": 2.0**-24, "tf32": 2.0**-10, "bf16": 2.0**-7}  # of a factor in a product


def nearest(
    queries: Tensor | np.ndarray,
    references: Tensor | np.ndarray,
    num_neighbours: int,
    *,
    max_bytes: int = BLOCK_BYTES,
    device: str = "auto",
) -> tuple[Tensor, Tensor]:
    """The references with the highest cosine for each query, best first.

    Exact: the order is that of float64 arithmetic; of equal cosines the lower index comes first. Block sizes and
    device change nothing in it.

    Args:
        queries: (n, d) of floating point, any scale.
        references: (m, d) of floating point, any scale. A memory-mapped array (`numpy.memmap`, `torch.from_file`)
            is read once, from first to last. Give the larger of two sets as references.
        num_neighbours: k, 1..m.
        max_bytes: memory for a block of references and its scores. Beside it there are a float32 copy of the
            queries and the result, and on a GPU the queries themselves.
        device: where to compute: 'auto', 'cpu', 'cuda', 'cuda:1', …
    Returns:
        Indices of the references, int64 (n, k), and their cosines, float32 (n, k) in [-1, 1], falling along each
        row; both on the CPU.
    Raises:
        ValueError: other shapes or dimensions; NaN, infinity or zeros for a row; k outside 1..m; `max_bytes` too
            small for any block.
        UsageError: a device that is not at hand.
    Example:
        >>> references = torch.tensor([[0.0, 1.0], [1.0, 1.0], [2.0, 0.0], [5.0, 5.0]])
        >>> indices, cosines = nearest(torch.tensor([[3.0, 1.0]]), references, 3, device="cpu")
        >>> indices.tolist(), [f"{cosine:.3f}" for cosine in cosines[0]]
        ([[2, 1, 3]], ['0.949', '0.894', '0.894'])
    """
    check_matrix(queries, "queries")
    check_matrix(references, "references")
    check_same_dimension(queries, references, ("queries", "references"))
    if not 1 <= num_neighbours <= len(references):
        raise ValueError(f"Expected 1 to {len(references)} neighbours, one a reference at most, got {num_neighbours}.")
    with torch.no_grad():
        search = _Search(queries, num_neighbours, len(references), max_bytes, choose_device(device))
        for start, stop in _bounds(len(references), search.num_references, search.group):
            search.add(references[start:stop], start)
    return search.indices.cpu(), search.cosines.float().cpu()


def knn_accuracy(
    queries: Tensor | np.ndarray,
    query_labels: Tensor,
    references: Tensor | np.ndarray,
    reference_labels: Tensor,
    num_neighbours: Sequence[int] = (1, 5),
    *,
    max_bytes: int = BLOCK_BYTES,
    device: str = "auto",
) -> dict[int, float]:
    """Share of the queries that their k nearest references give the right class, for each k of `num_neighbours`.

    The neighbours vote, see vote(). Where there are fewer than k references, all of them do.

    Args:
        queries, references, max_bytes, device: as for nearest().
        query_labels: int64 (n,), 0..c-1 for c classes, each at least once.
        reference_labels: int64 (m,), likewise.
        num_neighbours: each at least 1.
    Returns:
        The share in [0, 1] by number of neighbours.
    Raises:
        ValueError: as nearest(); a class without a query or a reference.
    Reference: Marwood et al. 2023, section 5 and Table 6.
    Example:
        >>> references, labels = torch.tensor([[1.0, 0.0], [0.8, 0.2], [0.0, 1.0]]), torch.tensor([0, 1, 1])
        >>> knn_accuracy(torch.tensor([[1.0, 0.1], [0.1, 1.0]]), torch.tensor([0, 1]), references, labels, (1, 3))
        {1: 1.0, 3: 0.5}
    """
    check_matrix(queries, "queries")
    check_matrix(references, "references")
    check_classes(query_labels, len(queries), reference_labels, len(references))
    if not num_neighbours or min(num_neighbours) < 1:
        raise ValueError(f"Expected numbers of neighbours from 1 on, got {tuple(num_neighbours)}.")
    most = min(max(num_neighbours), len(references))
    indices, _ = nearest(queries, references, most, max_bytes=max_bytes, device=device)
    labels, right = reference_labels.cpu()[indices], query_labels.cpu()
    return {number: float((vote(labels[:, :number]) == right).double().mean()) for number in num_neighbours}


def vote(labels: Tensor) -> Tensor:
    """The most frequent label of each row, int64 (n,); of several, the one that comes first in the row.

    With neighbours from the nearest on, ties therefore go to the class of the nearest. The paper's text does not
    say, but its Table 6 does: with one prompt a class five neighbours are five classes with a vote each, and the
    accuracy is the same as with one neighbour (experiments 5, 11, 17 and 23).

    Args:
        labels: int64 (n, k).
    Example:
        >>> vote(torch.tensor([[3, 1, 1, 2, 3], [2, 0, 0, 1, 0]]))
        tensor([3, 0])
    """
    k = labels.shape[1]
    votes = torch.zeros_like(labels)
    for place in range(k):
        votes += labels == labels[:, place : place + 1]
    earliest = torch.arange(k, 0, -1, device=labels.device)  # decides between equal votes, as it is at most k
    return labels.gather(1, (votes * (k + 1) + earliest).argmax(1, keepdim=True))[:, 0]


class _Scored(NamedTuple):
    """Scores of a block, and where a best one may be.

    Attributes:
        grouped: (n, group, m / group).
        limits: below which none is: (n,).
        rows, groups: of queries and groups that reach them, (h,) each.
    """

    grouped: Tensor
    limits: Tensor
    rows: Tensor
    groups: Tensor


class _Search:
    """The best references so far of each query, and the buffers that every block is scored in.

    Axes: n queries of a block, m references of a block, k neighbours, d features; a group is GROUP references.
    """

    def __init__(
        self,
        queries: Tensor | np.ndarray,
        num_neighbours: int,
        num_references: int,
        max_bytes: int,
        device: torch.device,
    ) -> None:
        self.device = device
        self.num_neighbours = num_neighbours
        self.queries = _load(queries, device)
        self.units = torch.empty(self.queries.shape, device=device)
        torch.div(self.queries, _lengths(self.queries, "queries", 0), out=self.units)
        self.lengths = torch.linalg.vector_norm(self.queries, dim=1, dtype=torch.float64)
        n, dimension = self.queries.shape
        self.num_queries, self.num_references = _block_sizes(n, num_references, num_neighbours, dimension, max_bytes)
        # at least twice as many groups as neighbours, so that the first block's maxima bound the k-th best
        self.group = max(1, min(GROUP, self.num_references // (2 * num_neighbours)))
        self.num_references = max(1, self.num_references // self.group) * self.group
        self.block = torch.empty(self.num_references, dimension, device=device)
        self.error = _largest_error(dimension, _factor_rounding(device))
        self.halves = self.units.bfloat16() if _multiplies_halves(device) else None
        self.half_error = _largest_error(dimension, HALF)
        self.buffers: dict[torch.dtype, Tensor] = {}
        self.seen = 0
        self.cosines = torch.full((n, num_neighbours), -math.inf, dtype=torch.float64, device=device)
        self.indices = torch.zeros((n, num_neighbours), dtype=torch.int64, device=device)

    def add(self, references: Tensor | np.ndarray, offset: int) -> None:
        """Compare every query with a block of references (m, d), the first of which has the index `offset`."""
        raw = _load(references, self.device)
        block = self._scale(raw, offset)
        half_block = block if self.halves is None else block.bfloat16()
        for start in range(0, len(self.units), self.num_queries):
            for rows, columns in self._candidates(block, half_block, start):
                exact = self._score_exactly(rows, raw, columns)
                self._merge(rows, columns + offset, exact)
        self.seen += len(raw)

    def _scale(self, raw: Tensor, offset: int) -> Tensor:
        """The references as float32 unit vectors; themselves where they are, as cached embeddings are."""
        lengths = _lengths(raw, "references", offset)
        if raw.dtype == torch.float32 and (lengths - 1).abs().amax() < NEARLY_UNIT:
            return raw
        return torch.div(raw, lengths, out=self.block[: len(raw)])

    def _candidates(self, block: Tensor, half_block: Tensor, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs that could be among the best: rows of queries and columns of references, (c,) each, some at a time."""
        scored = None
        if self.halves is not None:
            scored = self._score(self.halves, half_block, start, self.half_error)
            if len(scored.rows) > FEW_GROUPS * scored.grouped[:, 0].numel():
                self.halves = scored = None  # references lie closer together than it tells apart
        if scored is None:
            scored = self._score(self.units, block, start, self.error)
        grouped, limits, rows, groups = scored
        _, group, num_groups = grouped.shape
        step = max(1, grouped.numel() // (8 * group))  # as many groups as an eighth of the block
        for first in range(0, len(rows), step):
            some_rows, some_groups = rows[first : first + step], groups[first : first + step]
            values = grouped[some_rows, :, some_groups]
            hit, member = (values >= limits[some_rows][:, None]).nonzero(as_tuple=True)
            yield some_rows[hit] + start, member * num_groups + some_groups[hit]

    def _score(self, all_units: Tensor, block: Tensor, start: int, error: float) -> _Scored:
        """The products of queries from `start` on and a block, and which groups of them could hold a best one.

        `error` is the largest of a product, before it is rounded to the type of the units.
        """
        units = all_units[start : start + self.num_queries]
        n, m = len(units), len(block)
        if units.dtype not in self.buffers:
            self.buffers = {units.dtype: units.new_empty(self.num_queries * self.num_references)}
        scores = self.buffers[units.dtype][: n * m].view(n, m)
        torch.mm(units, block.T, out=scores)
        group = self.group if m % self.group == 0 else 1
        # a group is every (m / group)-th column: maxima along a middle axis run in vectors, along the last they do not
        grouped = scores.view(n, group, m // group)
        maxima = grouped.amax(1)
        limits = self._limits(maxima, start, error)
        rows, groups = (maxima >= limits[:, None]).nonzero(as_tuple=True)
        return _Scored(grouped, limits, rows, groups)

    def _limits(self, maxima: Tensor, start: int, error: float) -> Tensor:
        """The score below which a reference cannot be among a query's k best, rounded as scores are: (n,)."""
        limits = self.cosines[start : start + len(maxima), -1] - error
        if self.seen < self.num_neighbours <= maxima.shape[1]:
            # k references score at least the k-th highest maximum, less an error; a better one may score another less
            bound = maxima.topk(self.num_neighbours, sorted=False).values.amin(1).double()
            if maxima.dtype == torch.bfloat16:  # whose own rounding is more than the rest of an error
                bound -= HALF * bound.abs()
            limits = torch.maximum(limits, bound - 2 * error)
        return limits.float().to(maxima.dtype)

    def _score_exactly(self, rows: Tensor, raw: Tensor, columns: Tensor) -> Tensor:
        """Cosines of pairs in float64 (c,), from the rows before any scaling."""
        step = 128 if self.device.type == "cpu" else 16_384  # on a CPU as many as its cache holds
        cosines = torch.empty(len(rows), dtype=torch.float64, device=self.device)
        for start in range(0, len(rows), step):
            some = slice(start, start + step)
            one = self.queries.index_select(0, rows[some]).double()
            other = raw.index_select(0, columns[some]).double()
            cosines[some] = one.mul_(other).sum(1) / torch.linalg.vector_norm(other, dim=1)
        return cosines / self.lengths[rows]

    def _merge(self, rows: Tensor, indices: Tensor, cosines: Tensor) -> None:
        """Take candidates (c,) of the queries `rows` into the best so far."""
        touched, counts = rows.unique(return_counts=True)
        all_rows = torch.cat([touched.repeat_interleave(self.num_neighbours), rows])
        all_indices = torch.cat([self.indices[touched].flatten(), indices])
        all_cosines = torch.cat([self.cosines[touched].flatten(), cosines])
        order = all_indices.argsort(stable=True)
        order = order[all_cosines[order].argsort(descending=True, stable=True)]
        order = order[all_rows[order].argsort(stable=True)]
        counts += self.num_neighbours
        firsts = counts.cumsum(0) - counts
        best = order[firsts[:, None] + torch.arange(self.num_neighbours, device=self.device)]
        self.indices[touched], self.cosines[touched] = all_indices[best], all_cosines[best]


def _load(rows: Tensor | np.ndarray, device: torch.device) -> Tensor:
    """Rows on the device, in their own type."""
    if isinstance(rows, np.ndarray):
        rows = torch.from_numpy(np.array(rows))  # a copy: an array mapped from disk may not be writable
    return rows.to(device)


def _lengths(rows: Tensor, name: str, first_row: int) -> Tensor:
    """Length of each row (n, 1), checked: float32 where its squares allow, which is five times as fast as float64."""
    dtype = torch.promote_types(rows.dtype, torch.float32)
    lengths = torch.linalg.vector_norm(rows, dim=1, keepdim=True, dtype=dtype)
    if lengths.amin() < SHORT or lengths.amax() > LONG:
        lengths = torch.linalg.vector_norm(rows, dim=1, keepdim=True, dtype=torch.float64)
    check_lengths(lengths, name, first_row)
    return lengths


def _multiplies_halves(device: torch.device) -> bool:
    """Whether matrices of bfloat16 are multiplied much faster than those of float32, and summed in float32.

    A GPU's are too, but its libraries may sum in bfloat16.
    """
    return device.type == "cpu" and bool(torch.cpu._is_amx_tile_supported())


def _factor_rounding(device: torch.device) -> float:
    """By how much a float32 factor of a product is rounded: more so where the user allows tensor cores to."""
    backend = getattr(torch.backends, "cuda" if device.type == "cuda" else "mkldnn")
    return ROUNDING.get(backend.matmul.fp32_precision, ROUNDING["bf16"])


def _largest_error(dimension: int, factor: float) -> float:
    """How far a product of two unit vectors, summed in float32, can be from the cosine, by any order of its sums.

    Each factor is rounded by `factor`; d products and sums, and the d squares and sums of either length, round by 2⁻²⁴
    each; Σ|xᵢyᵢ| ≤ 1 for unit vectors (Higham 2002, section 3.1).
    """
    return 2.1 * factor + 2.1 * (dimension + 4) * 2.0**-24 + NEARLY_UNIT


def _block_sizes(n: int, m: int, num_neighbours: int, dimension: int, max_bytes: int) -> tuple[int, int]:
    """Queries and references of a block, whose buffers fit into `max_bytes`."""
    num_queries, num_references = min(n, 1024), min(m, max(4096, 2 * num_neighbours))
    # scores, and in the worst case as much again ten times for an eighth of them as candidates; rows as given, as
    # unit vectors, and on their way
    while (need := 46 * num_queries * num_references + 16 * num_references * dimension) > max_bytes:
        if max(num_queries, num_references) <= 64:
            raise ValueError(f"Expected max_bytes of at least {need:,} for vectors of {dimension}, got {max_bytes:,}.")
        if num_references > max(64, num_queries):
            num_references //= 2
        else:
            num_queries //= 2
    return num_queries, num_references


def _bounds(m: int, size: int, group: int) -> Iterator[tuple[int, int]]:
    """Where blocks of references start and stop: full groups first, then what is left."""
    whole = m // group * group
    for start in range(0, whole, size):
        yield start, min(start + size, whole)
    if whole < m:
        yield whole, m
