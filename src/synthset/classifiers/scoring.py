"""From images to scores: classes matched, images classified and counted, intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import numpy as np

from synthset.core.json_records import Count, Share
from synthset.core.options import Option
from synthset.images.imageset import ImageSet, of_readable
from synthset.real.matching import with_classes

if TYPE_CHECKING:
    from scipy.sparse import csr_array
    from torch import Tensor


MAX_DENSE = 1000  # classes whose confusion matrix is kept and written whole


@dataclass(frozen=True)
class EvaluationResult:
    """Scores of a classifier on one set of real images; shares are in [0, 1].

    Attributes:
        real: name of the real set.
        class_names: the k names, in the model's order.
        n, correct, accuracy: images, those that were classified correctly, and their share.
        low, high: 95 % Wilson interval of the accuracy.
        per_class_accuracy: None for a class without real images.
        mean_class_accuracy: mean over the classes that have images; also called `mean_per_class`.
        confusion: k × k counts; rows are true classes, columns predicted ones. Empty for more than MAX_DENSE classes,
            whose counts are in `cells`.
        metric: which of the two the field scores the set by, accuracy or mean_per_class.
        kind: of images, see ImageSet: "real", or "synthetic" where it was tested on such.
        split: of the set, where it has several.
        unreadable: images that were left out, for they could not be read.
        cells: of more than MAX_DENSE classes, each true class, predicted class and count that is not zero.
    """

    real: str
    class_names: tuple[str, ...]
    n: Count
    correct: Count
    accuracy: Share
    low: Share
    high: Share
    per_class_accuracy: tuple[Share | None, ...]
    mean_class_accuracy: Share
    confusion: tuple[tuple[Count, ...], ...] = ()
    metric: Annotated[str, Option(choices=("accuracy", "mean_per_class"))] = "accuracy"
    kind: str = "real"
    split: str = ""
    unreadable: Count = 0
    cells: tuple[tuple[Count, Count, Count], ...] = ()

    @property
    def counts(self) -> csr_array:
        """The confusion matrix, sparse: int64 (k, k); k² numbers are too many for thousands of classes."""
        from scipy.sparse import csr_array

        if self.confusion:
            return csr_array(np.array(self.confusion, np.int64))
        cells, k = np.array(self.cells, np.int64).reshape(-1, 3), len(self.class_names)
        return csr_array((cells[:, 2], (cells[:, 0], cells[:, 1])), (k, k))

    @property
    def mean_per_class(self) -> float:
        """Accuracy as its mean over classes, in which a rare class counts as much as a common one."""
        return self.mean_class_accuracy

    @property
    def score(self) -> float:
        """The value of `metric`, in [0, 1]."""
        return self.mean_per_class if self.metric == "mean_per_class" else self.accuracy

    def to_json(self) -> dict[str, Any]:
        """Plain Python values, ready for json.dumps."""
        return asdict(self) | {"mean_per_class": self.mean_per_class, "score": self.score}


@dataclass(frozen=True)
class SavedEvaluation(EvaluationResult):
    """An evaluation as it stands in a file, whose numbers must follow from its confusion matrix.

    Attributes:
        name: of the classifier, in the copy that a diagnosis keeps.
    """

    name: str = ""

    def __post_init__(self) -> None:
        k = len(self.class_names)
        fits = [len(row) for row in self.confusion] == [k] * k if self.confusion else self.cells != ()
        fits = fits and all(max(true, predicted) < k for true, predicted, _ in self.cells)
        if not k or not fits or (self.confusion and self.cells) or len(self.per_class_accuracy) != k:
            raise ValueError(f"a confusion matrix that does not fit {k} classes")
        counted = _of_counts(self.counts, self.class_names, self.real, self.metric)
        for key in ("n", "correct", "accuracy", "low", "high", "per_class_accuracy", "mean_class_accuracy"):
            stored, right = (np.array(getattr(result, key), float) for result in (self, counted))  # NaN for None
            if not np.allclose(stored, right, rtol=0, atol=1e-6, equal_nan=True):
                raise ValueError(f"'{key}' does not follow from its confusion matrix")


@dataclass(frozen=True, eq=False)
class Answers:
    """What a classifier says of n images.

    Attributes:
        labels: index of the most probable class of each, int64 (n,).
        probabilities: of that class, float32 (n,), in [0, 1].
    """

    labels: np.ndarray
    probabilities: np.ndarray

    @classmethod
    def of(cls, logits: Iterable[Tensor]) -> Answers:
        """From the logits (·, k) of some images after others, for nobody needs those of all at once."""
        tops = [(rows.argmax(1).cpu().numpy(), rows.float().softmax(1).amax(1).cpu().numpy()) for rows in logits]
        labels, probabilities = zip(*tops, strict=True)
        return cls(np.concatenate(labels), np.concatenate(probabilities))


WhenAnswered: TypeAlias = Callable[[ImageSet, Answers], object]
"""Is given the images that were tested on, under the classifier's classes, and what it says of each."""


def score(
    images: ImageSet,
    class_names: Sequence[str],
    predict: Callable[[ImageSet], Answers],
    *,
    strict: bool = False,
    when_answered: WhenAnswered = lambda images, answers: None,
) -> EvaluationResult:
    """Match the classes, classify every image that can be read, and count.

    Args:
        predict: says the class of each image, by its index in `class_names`.
        strict: refuse images that cannot be read, and classes that are missing or added, which are left out otherwise.
    Raises:
        UsageError: the images are of other classes.
        DataError: no images, or unreadable ones; all are named.
    """
    known = images if images.origin else replace(images, origin="row {}".format)  # which some rows have when left alone
    matched = with_classes(known, class_names, strict=strict)
    readable, answers = of_readable(matched, predict, strict=strict)
    when_answered(readable, answers)
    result = count(readable.labels, answers.labels, class_names, images.name, images.metric)
    return replace(result, kind=images.kind, split=images.split, unreadable=len(matched) - len(readable))


def count(
    true: np.ndarray, predicted: np.ndarray, class_names: Sequence[str], real: str, metric: str = "accuracy"
) -> EvaluationResult:
    """Everything of an evaluation that follows from true and predicted labels (n,), each in 0..k-1."""
    from scipy.sparse import coo_array

    k = len(class_names)
    counts = coo_array((np.ones(len(true), np.int64), (true, predicted)), (k, k)).tocsr()  # equal places are added up
    return _of_counts(counts, class_names, real, metric)


def _of_counts(counts: csr_array, class_names: Sequence[str], real: str, metric: str) -> EvaluationResult:
    totals, hits, n = np.asarray(counts.sum(1)), counts.diagonal(), int(counts.sum())
    is_dense, places = len(class_names) <= MAX_DENSE, counts.tocoo()
    cells = zip(places.row.tolist(), places.col.tolist(), places.data.tolist(), strict=True)
    per_class = tuple(hit / total if total else None for hit, total in zip(hits.tolist(), totals.tolist(), strict=True))
    correct = int(hits.sum())
    low, high = wilson_interval(correct, n)
    return EvaluationResult(
        real=real,
        class_names=tuple(class_names),
        n=n,
        correct=correct,
        accuracy=correct / n,
        low=low,
        high=high,
        per_class_accuracy=per_class,
        mean_class_accuracy=float(np.mean([value for value in per_class if value is not None])),
        confusion=tuple(map(tuple, counts.toarray().tolist())) if is_dense else (),
        metric=metric,
        cells=() if is_dense else tuple(cells),
    )


def wilson_interval(correct: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Score interval of a share: where the true share lies, given `correct` of `n` independent trials.

    centre ± half, with centre = (p + z²/2n) / (1 + z²/n) and
    half = z / (1 + z²/n) · √(p(1-p)/n + z²/4n²). Unlike p ± z·s it stays within [0, 1].
    Reference: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    Raises:
        ValueError: not 0 ≤ correct ≤ n with n ≥ 1.
    Example:
        >>> low, high = wilson_interval(90, 100)
        >>> f"{low:.4f} {high:.4f}"
        '0.8256 0.9448'
    """
    if n < 1 or not 0 <= correct <= n:
        raise ValueError(f"Expected 0 <= correct <= n and n >= 1, got correct={correct}, n={n}.")
    share, shrink = correct / n, 1 + z * z / n
    centre = (share + z * z / (2 * n)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # at the ends the interval touches 0 or 1 exactly; rounding would miss by an ulp
    return (0.0 if correct == 0 else centre - half), (1.0 if correct == n else centre + half)


def chance_of(correct: int, n: int, share: float) -> float:
    """Probability that guesses get at least `correct` of `n` right, each right with probability `share`.

    The one-sided p-value of the exact binomial test: P(X ≥ c) = I_p(c, n - c + 1), the regularised incomplete beta
    function.
    Example:
        >>> f"{chance_of(8, 10, 0.5):.4f} {chance_of(0, 10, 0.5):.4f}"
        '0.0547 1.0000'
    """
    from scipy.special import betainc

    return 1.0 if correct == 0 else float(betainc(correct, n - correct + 1, share))


def seed_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a mean over seeds: mean ± t·s/√n with n - 1 degrees of freedom.

    Raises:
        ValueError: fewer than two values, as one seed says nothing about their spread.
    Example:
        >>> low, high = seed_interval([0.90, 0.92, 0.94])
        >>> f"{low:.4f} {high:.4f}"
        '0.8703 0.9697'
    """
    from scipy.stats import t

    n = len(values)
    if n < 2:
        raise ValueError(f"Expected at least two seeds, got {n}.")
    mean = math.fsum(values) / n
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * spread / math.sqrt(n)
    return mean - half, mean + half
