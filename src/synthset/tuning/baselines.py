"""Methods to compare classifier tuning with at equal shots: zero-shot CLIP, Tip-Adapter with and without fine-tuning,
and a linear probe.

Each method takes the vectors of the shots and gives a `Predictor`. No test image is there when it chooses anything:
α and β are chosen by leave-one-out on the shots, the strength of the linear probe's penalty on shots held back from
it. (Tip-Adapter's released code chooses α, β and the epoch on the images that it reports on.)
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from synthset.core.errors import UnknownNameError
from synthset.measures.checks import check_labels, check_same_dimension, unit_pair, unit_vectors
from synthset.tuning.zero_shot import zero_shot_logits

ALPHA, BETA = 1.0, 5.5  # the paper's, on ImageNet; for a single shot, which cannot be left out
# the paper's search ends at 3 and 7; encoders of a smaller logit scale or weaker texts ask for more
ALPHAS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
BETAS = (1.0, 2.0, 3.5, 5.5, 8.0, 12.0, 20.0, 40.0)

C = 10**1.5  # CLIP's 0.316 is for vectors of about length 10; these have length 1
CS = (0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0)
MIN_SHOTS_TO_HOLD_BACK = 4  # of each class; a quarter of them is held back
MAX_ITERATIONS = 1000  # CLIP's

BLOCK = 1024  # queries × shots at once: 64 MB at 16,000 shots


@dataclass(frozen=True, eq=False)
class Predictor:
    """A classifier over vectors of one encoder, (m, d) of any length to float32 (m, k), by a key of BASELINES.

    `settings` are the hyperparameters that were given or chosen.
    """

    name: str
    logits: Callable[[Tensor], Tensor]
    settings: Mapping[str, float] = field(default_factory=dict)

    def predict(self, vectors: Tensor) -> Tensor:
        """The class of each vector: int64 (m,)."""
        return self.logits(vectors).argmax(1)


@dataclass(frozen=True)
class Baseline:
    """A method: shots (n, d), labels int64 (n,), class texts (k, d), a logit scale and a seed to a predictor.

    It looks at no other images. `label` is its name for people.
    """

    fit: Callable[[Tensor, Tensor, Tensor, float, int], Predictor]
    label: str


@dataclass(frozen=True)
class FineTuning:
    """Settings by which Tip-Adapter-F moves its keys; as released."""

    epochs: int = 20
    learning_rate: float = 1e-3
    batch_size: int = 256
    adam_epsilon: float = 1e-4


def fit(name: str, shots: Tensor, labels: Tensor, classes: Tensor, logit_scale: float, seed: int = 0) -> Predictor:
    """Fit a method of BASELINES by name; see there. Raises UnknownNameError."""
    key = name.lower().replace("-", "_")
    if key not in BASELINES:
        raise UnknownNameError("comparison method", name, BASELINES)
    return BASELINES[key].fit(shots, labels, classes, logit_scale, seed)


def zero_shot(shots: Tensor, labels: Tensor, classes: Tensor, logit_scale: float, seed: int = 0) -> Predictor:
    """CLIP as it is: the shots are not looked at."""
    texts = unit_vectors(classes, "class texts").float()
    return Predictor("zero_shot", _in_blocks(lambda queries: zero_shot_logits(queries, texts, logit_scale), texts))


def tip_adapter(
    shots: Tensor,
    labels: Tensor,
    classes: Tensor,
    logit_scale: float,
    seed: int = 0,
    *,
    alpha: float | None = None,
    beta: float | None = None,
) -> Predictor:
    """Zero-shot logits and a vote of the shots: scale · cos(query, text) + α · Σ exp(-β (1 - cos(query, shot))).

    Args:
        shots: vectors of n images, (n, d), of any length.
        labels: int64 (n,); each of 0..k-1 occurs.
        classes: vectors of the classes' texts, (k, d).
        logit_scale: factor of the cosines with texts.
        seed: has no part in it, as nothing is drawn.
        alpha, beta: weight of the shots' vote and how fast it falls with distance. None is chosen from ALPHAS and
            BETAS by leave-one-out: the highest accuracy on shots that are not in the cache themselves, of equal ones
            the lowest cross-entropy. Where a class has one shot only they are the paper's, 1 and 5.5: without it
            the class would have no vote.
    Raises:
        ValueError: vectors that are not finite or not of one dimension, or labels that miss a class.
    Reference: Zhang et al. 2022, section 3.1.
    """
    data = _check(shots, labels, classes, logit_scale)
    alpha, beta = _choose_alpha_and_beta(data, alpha, beta)
    return _tip_adapter("tip_adapter", data, data.shots, alpha, beta)


def tip_adapter_f(
    shots: Tensor,
    labels: Tensor,
    classes: Tensor,
    logit_scale: float,
    seed: int = 0,
    *,
    alpha: float | None = None,
    beta: float | None = None,
    tuning: FineTuning = FineTuning(),
) -> Predictor:
    """Tip-Adapter whose keys begin as the shots and are fine-tuned on them: AdamW, one cosine to zero.

    The last epoch is kept. The released code augments the images anew, so that none finds exactly its own key. Here
    vectors are as given, and while tuning a shot's own key has no vote on it, as in leave_one_out; it has where a
    class has one shot only.
    Args:
        seed: of the order of the shots.
        alpha, beta: as in tip_adapter, chosen before the keys move and kept; the other arguments are as there too.
    Raises:
        ValueError: as tip_adapter.
    Reference: Zhang et al. 2022, section 3.2.
    """
    data = _check(shots, labels, classes, logit_scale)
    alpha, beta = _choose_alpha_and_beta(data, alpha, beta)
    keys = data.shots.clone().requires_grad_()
    optimizer = torch.optim.AdamW([keys], lr=tuning.learning_rate, eps=tuning.adam_epsilon)
    steps = tuning.epochs * -(-len(shots) // tuning.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
    generator = torch.Generator().manual_seed(seed)
    for _ in range(tuning.epochs):
        order = torch.randperm(len(shots), generator=generator).to(data.labels.device)
        for rows in order.split(tuning.batch_size):
            queries = data.shots[rows]
            if data.has_others:
                votes = _votes_of_others(queries @ keys.T, rows, data.values, beta)
            else:
                votes = cache_logits(queries, keys, data.values, beta)
            logits = zero_shot_logits(queries, data.classes, data.logit_scale) + alpha * votes
            loss = F.cross_entropy(logits, data.labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return _tip_adapter("tip_adapter_f", data, keys.detach(), alpha, beta)


def linear_probe(
    shots: Tensor, labels: Tensor, classes: Tensor, logit_scale: float, seed: int = 0, *, c: float | None = None
) -> Predictor:
    """Logistic regression on the shots' vectors, which knows nothing of the classes' texts.

    Args:
        seed: of the shots that are held back.
        c: inverse of the L2 penalty, as scikit-learn has it. None is chosen from CS on a quarter of each class's
            shots: the highest accuracy, of equal ones the lowest cross-entropy; then all shots are fitted with it.
            Where a class has fewer than four shots it is C. The other arguments are as in tip_adapter.
    Raises:
        ValueError: as tip_adapter, or a single class.
    Reference: Radford et al. 2021, section 3.2 and appendix A.3.
    """
    data = _check(shots, labels, classes, logit_scale)
    if len(classes) < 2:
        raise ValueError("Expected at least two classes for a linear probe, got one.")
    vectors, truth = data.shots.double().cpu().numpy(), data.labels.cpu().numpy()
    c = _choose_c(vectors, truth, seed) if c is None else c
    weights, bias = (torch.from_numpy(part).to(data.shots) for part in logistic_regression(vectors, truth, c))
    return Predictor("linear_probe", _in_blocks(lambda rows: rows @ weights.T + bias, data.shots), {"c": c})


BASELINES = {
    "zero_shot": Baseline(zero_shot, "zero-shot CLIP"),
    "linear_probe": Baseline(linear_probe, "linear probe"),
    "tip_adapter": Baseline(tip_adapter, "Tip-Adapter"),
    "tip_adapter_f": Baseline(tip_adapter_f, "Tip-Adapter-F"),
}


# ---- the cache model --------------------------------------------------------------------------------------


def cache_logits(queries: Tensor, keys: Tensor, values: Tensor, beta: float) -> Tensor:
    """Votes of the keys for their classes: exp(-β (1 - q·k)) summed by class, (m, k).

    Args:
        queries: (m, d), unit rows.
        keys: (n, d), unit rows until they are tuned.
        values: the keys' classes one-hot, (n, k).
    Reference: Zhang et al. 2022, section 3.1.

    >>> votes = cache_logits(torch.tensor([[1.0, 0.0]]), torch.eye(2), torch.eye(2), beta=1.0)
    >>> [f"{vote:.3f}" for vote in votes[0]]
    ['1.000', '0.368']
    """
    return torch.exp(-beta * (1 - queries @ keys.T)) @ values  # md, nd -> mn; mn, nk -> mk


@dataclass(frozen=True, eq=False)
class _Shots:
    """Shots and texts that a method learns from, checked: unit rows in float32."""

    shots: Tensor  # nd
    labels: Tensor  # n
    values: Tensor  # nk, one-hot
    classes: Tensor  # kd
    logit_scale: float

    @property
    def has_others(self) -> bool:
        """Whether every class has at least two shots, so that one can be left out."""
        return int(self.values.sum(0).min()) >= 2


def _check(shots: Tensor, labels: Tensor, classes: Tensor, logit_scale: float) -> _Shots:
    vectors, texts = (part.float() for part in unit_pair(shots, classes, ("shots", "class texts")))
    check_labels(labels, len(vectors), len(texts))
    labels = labels.to(vectors.device, torch.int64)
    return _Shots(vectors, labels, F.one_hot(labels, len(texts)).float(), texts.to(vectors.device), logit_scale)


def _tip_adapter(name: str, data: _Shots, keys: Tensor, alpha: float, beta: float) -> Predictor:
    """The predictor with these keys."""

    def logits(queries: Tensor) -> Tensor:
        votes = cache_logits(queries, keys, data.values, beta)
        return zero_shot_logits(queries, data.classes, data.logit_scale) + alpha * votes

    return Predictor(name, _in_blocks(logits, data.shots), {"alpha": alpha, "beta": beta})


def _votes_of_others(cosines: Tensor, rows: Tensor, values: Tensor, beta: float) -> Tensor:
    """cache_logits of the shots `rows`, (m, k), from their cosines with all n keys, without the vote of their own.

    Of a class with M shots, M - 1 are left to vote for one of its own, and M for one of another class. Their votes are
    counted M / (M - 1) times, or leaving out would itself speak against the right class.
    """
    own = rows[:, None] == torch.arange(len(values), device=rows.device)  # mn
    weights = 1 + values[rows] / (values.sum(0) - 1)  # mk: M / (M - 1) for the own class, 1 for the others
    return weights * (torch.exp(-beta * (1 - cosines)).masked_fill(own, 0.0) @ values)


def _choose_alpha_and_beta(data: _Shots, alpha: float | None, beta: float | None) -> tuple[float, float]:
    """α and β; those that are None by leave-one-out, or the paper's where a class has one shot only."""
    if alpha is not None and beta is not None:
        return alpha, beta
    if not data.has_others:
        return ALPHA if alpha is None else alpha, BETA if beta is None else beta
    grid = [(a, b) for b in (BETAS if beta is None else (beta,)) for a in (ALPHAS if alpha is None else (alpha,))]
    return grid[_best(leave_one_out(data.shots, data.labels, data.classes, data.logit_scale, grid))]


def leave_one_out(
    shots: Tensor, labels: Tensor, classes: Tensor, logit_scale: float, grid: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Accuracy and cross-entropy of Tip-Adapter on each shot with the other ones as keys, for each (α, β).

    Args:
        shots, classes: unit rows, (n, d) and (k, d).
        labels: int64 (n,); at least two shots of each class.
    """
    values = F.one_hot(labels, len(classes)).float()
    hits, losses = [0] * len(grid), [0.0] * len(grid)
    for rows in torch.arange(len(shots), device=shots.device).split(BLOCK):
        cosines, truth = shots[rows] @ shots.T, labels[rows]
        texts = zero_shot_logits(shots[rows], classes, logit_scale)
        votes = {beta: _votes_of_others(cosines, rows, values, beta) for beta in {beta for _, beta in grid}}
        for i, (alpha, beta) in enumerate(grid):
            logits = texts + alpha * votes[beta]
            hits[i] += int((logits.argmax(1) == truth).sum())
            losses[i] += float(F.cross_entropy(logits, truth, reduction="sum"))
    return [(hit / len(shots), loss / len(shots)) for hit, loss in zip(hits, losses, strict=True)]


def _best(scores: Sequence[tuple[float, float]]) -> int:
    """The place of the highest accuracy, of equal ones of the lowest cross-entropy, of these the first."""
    return min(range(len(scores)), key=lambda i: (-scores[i][0], scores[i][1]))


# ---- the linear probe -------------------------------------------------------------------------------------


def _choose_c(vectors: np.ndarray, labels: np.ndarray, seed: int) -> float:
    """The best of CS on shots that are held back; C where they are too few."""
    if np.bincount(labels).min() < MIN_SHOTS_TO_HOLD_BACK:
        return C
    held_back = _a_quarter_of_each_class(labels, seed)
    truth = torch.from_numpy(labels[held_back])
    scores = []
    for c in CS:
        weights, bias = logistic_regression(vectors[~held_back], labels[~held_back], c)
        logits = torch.from_numpy(vectors[held_back] @ weights.T + bias)
        scores.append((float((logits.argmax(1) == truth).double().mean()), float(F.cross_entropy(logits, truth))))
    return CS[_best(scores)]


def _a_quarter_of_each_class(labels: np.ndarray, seed: int) -> np.ndarray:
    """Rows of the shots that are held back: bool (n,)."""
    generator = np.random.default_rng(seed)
    held_back = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        held_back[rows[: len(rows) // 4]] = True
    return held_back


def logistic_regression(vectors: np.ndarray, labels: np.ndarray, c: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights (k, d) and bias (k,) of a logistic regression; every class has a row."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        # a fit that stops at the limit is a fit with a little more penalty, and is chosen or not by what it scores
        warnings.simplefilter("ignore", ConvergenceWarning)
        model: Any = LogisticRegression(C=c, max_iter=MAX_ITERATIONS).fit(vectors, labels)
    weights, bias = model.coef_, model.intercept_
    if len(weights) == 1:  # of two classes scikit-learn keeps the logit of the second
        weights, bias = np.concatenate([0 * weights, weights]), np.concatenate([0 * bias, bias])
    return weights, bias


# ---- queries ----------------------------------------------------------------------------------------------


def _in_blocks(logits: Callable[[Tensor], Tensor], like: Tensor) -> Callable[[Tensor], Tensor]:
    """The same function of vectors of any length and number, checked, on the device of `like`."""

    @torch.no_grad()
    def of_any(queries: Tensor) -> Tensor:
        rows = unit_vectors(queries, "queries").float().to(like.device)
        check_same_dimension(rows, like, ("queries", "shots"))
        return torch.cat([logits(part) for part in rows.split(BLOCK)])

    return of_any
