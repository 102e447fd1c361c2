"""Every measure that a diagnosis takes, each declared once, as an entry of `MEASURES`.

The column of the saved table, the attribute of a result's row, the column of the report with its heading and
explanation, and the line in the docs follow from the entry. To add a measure, write one here. Its function takes the
points of one set, or of one pairing: see points.py. A long one gets a file of its own in this folder.

Reports and docs read the declarations without torch: a function that needs it imports it when it is called.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

Of = Literal["set", "class", "pairing"]


@dataclass(frozen=True)
class Measure:
    """A measure of a set, of each class of a synthetic set, or of a pairing of the reference × query matrix.

    Attributes:
        of: "set", "class" or "pairing".
        name: of its column, and of the attribute of a row; unique among those of the same `of`.
        label: heading of its column in the report.
        help: one sentence: meaning, range and source.
        function: of `SetPoints`, to a number for a set and to one number a class, (k,), for its classes; of `Pair`,
            to a number for a pairing. None where there is no value.
        format: "share" is shown in percent with a bar, "percent" without one, "number" with three digits.
        needs_prompts, needs_real, needs_features: there is no value for a set without prompts, without a real set
            beside it, or without a backbone's features of both.
        interval: names of two further columns for the 95 % interval; for a measure that is a share of the queries.
        section: of the report, whose table shows it; for a measure of a set.
    """

    of: Of
    name: str
    label: str
    help: str
    function: Callable[[Any], Any]
    format: Literal["share", "percent", "number"] = "number"
    needs_prompts: bool = False
    needs_real: bool = False
    needs_features: bool = False
    interval: tuple[str, str] | None = None
    section: Literal["diversity", "backbone", "errors"] = "diversity"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it fills in the saved table."""
        return (self.name, *(self.interval or ()))

    def take(self, points: Any) -> Any:
        """Its value of `SetPoints` or of a `Pair`; None where something that it needs is lacking."""
        needs = {"prompts": self.needs_prompts, "real": self.needs_real, "features": self.needs_features}
        if any(is_needed and getattr(points, name) is None for name, is_needed in needs.items()):
            return None
        return self.function(points)


of_set = partial(Measure, "set")
of_set_and_real = partial(Measure, "set", needs_real=True)
of_features = partial(Measure, "set", needs_real=True, needs_features=True, section="backbone")
of_error = partial(Measure, "set", needs_prompts=True, section="errors")
of_class = partial(Measure, "class")
of_class_and_prompts = partial(Measure, "class", needs_prompts=True)
of_class_and_real = partial(Measure, "class", needs_real=True)
of_pairing = partial(Measure, "pairing")

# In the order of the columns of saved tables.
MEASURES: tuple[Measure, ...] = (
    of_set(
        "centroid_distance",
        "Centroid Distance",
        "Diversity: mean squared cosine complement of images to the centroid of their class, averaged over classes, "
        "in 0..4 (Marwood et al. 2023, section 3).",
        lambda points: float(points.distances.mean()),
    ),
    of_set(
        "average_cosine_similarity",
        "Avg cos. sim.",
        "Mean cosine of images with the centroid of their class, in -1..1 (Marwood et al. 2023, appendix A).",
        lambda points: points.similarity,
    ),
    of_set(
        "vendi_score",
        "Vendi",
        "Effective number of different images of a class, averaged over classes, at least 1 (Friedman & Dieng 2022).",
        lambda points: float(points.vendi_scores.mean()),
    ),
    of_set_and_real(
        "precision",
        "Precision",
        "Share of the synthetic images that lie among real ones, in 0..1 (Kynkäänniemi et al. 2019).",
        lambda points: points.coverage.precision,
    ),
    of_set_and_real(
        "recall",
        "Recall",
        "Share of the real images that lie among synthetic ones, in 0..1 (Kynkäänniemi et al. 2019).",
        lambda points: points.coverage.recall,
    ),
    of_set_and_real(
        "density",
        "Density",
        "Number of real images that a synthetic one has near by, relative to the number expected, at least 0 "
        "(Naeem et al. 2020).",
        lambda points: points.coverage.density,
    ),
    of_set_and_real(
        "coverage",
        "Coverage",
        "Share of the real images with a synthetic one near by, in 0..1 (Naeem et al. 2020).",
        lambda points: points.coverage.coverage,
    ),
    of_set_and_real(
        "frechet_distance",
        "Fréchet",
        "Squared Fréchet distance to the real set, at least 0 (Heusel et al. 2017).",
        lambda points: points.frechet.total,
    ),
    of_set_and_real(
        "frechet_mean",
        "Mean term",
        "First term of the Fréchet distance: how far the means lie apart, at least 0 (Marwood et al. 2023, section 3).",
        lambda points: points.frechet.mean_term,
    ),
    of_set_and_real(
        "frechet_covariance",
        "Cov. term",
        "Second term of the Fréchet distance: how much the spreads differ, at least 0 (Marwood et al. 2023, "
        "section 3).",
        lambda points: points.frechet.covariance_term,
    ),
    of_set_and_real(
        "frechet_rows_a_dimension",
        "Images / dim.",
        "Images of the smaller of the two sets for each dimension of the encoder, at least 0: with fewer than 1 the "
        "Fréchet distance says mostly how few they are (Chong & Forsyth 2020, on its bias).",
        lambda points: points.frechet.rows_a_dimension,
    ),
    of_features(
        "backbone_frechet_distance",
        "Fréchet",
        "Squared Fréchet distance to the real set between the features of a backbone, at least 0 (Heusel et al. 2017, "
        "with another network than theirs).",
        lambda points: points.backbone_frechet.total,
    ),
    of_features(
        "backbone_frechet_mean",
        "Mean term",
        "Its first term: how far the means lie apart, at least 0 (Marwood et al. 2023, section 3).",
        lambda points: points.backbone_frechet.mean_term,
    ),
    of_features(
        "backbone_frechet_covariance",
        "Cov. term",
        "Its second term: how much the spreads differ, at least 0 (Marwood et al. 2023, section 3).",
        lambda points: points.backbone_frechet.covariance_term,
    ),
    of_features(
        "backbone_rows_a_dimension",
        "Images / dim.",
        "Images of the smaller of the two sets for each dimension of the features, at least 0: with fewer than 1 the "
        "distance says mostly how few they are (Chong & Forsyth 2020, on its bias).",
        lambda points: points.backbone_frechet.rows_a_dimension,
    ),
    of_set_and_real(
        "centroid_shift",
        "Shift",
        "Cosine complement of the synthetic and the real centroid of a class, averaged over classes, in 0..2 "
        "(Marwood et al. 2023, section 3).",
        lambda points: float(points.shifts.mean()),
    ),
    of_error(
        "prompt_accuracy",
        "Right by prompts",
        "Share of the images whose nearest centroid of prompts is that of their class, in 0..1 (Marwood et al. 2023, "
        "experiment 17).",
        lambda points: 1 - points.error_split.total,
        "share",
    ),
    of_error(
        "own_accuracy",
        "Right by own centroids",
        "Share of the images whose nearest centroid of the set's own images is that of their class, in 0..1 "
        "(Marwood et al. 2023, experiment 15).",
        lambda points: 1 - points.error_split.diversity,
        "share",
    ),
    of_error(
        "diversity_error",
        "Error by diversity",
        "Share of the images that are misread by the set's own centroids too, in 0..1 (Marwood et al. 2023, section "
        "3).",
        lambda points: points.error_split.diversity,
        "percent",
    ),
    of_error(
        "shift_error",
        "Error by shift",
        "Rest of the error by prompts: these lie elsewhere than the images, in -1..1 (Marwood et al. 2023, section 3).",
        lambda points: points.error_split.shift,
        "percent",
    ),
    of_set_and_real(
        "transfer_accuracy",
        "Real images right",
        "Share of the real images whose nearest centroid of synthetic images is that of their class, in 0..1 "
        "(Marwood et al. 2023, appendix A).",
        lambda points: points.transfer_accuracy,
        "share",
        section="errors",
    ),
    of_class_and_prompts(
        "real_accuracy",
        "Real",
        "Share of the real images whose nearest centroid of prompts is that of their class, in 0..1 (Marwood et al. "
        "2023, experiment 5).",
        lambda points: points.real_by_prompts.per_class_accuracy,
        "share",
        needs_real=True,
    ),
    of_class_and_prompts(
        "synthetic_accuracy",
        "Synthetic",
        "Share of the synthetic images whose nearest centroid of prompts is that of their class, in 0..1 (Marwood et "
        "al. 2023, experiment 17).",
        lambda points: points.drawn_by_prompts.per_class_accuracy,
        "share",
    ),
    of_class(
        "own_accuracy",
        "Own",
        "Share of the synthetic images whose nearest centroid of the set's own images is that of their class, in 0..1 "
        "(Marwood et al. 2023, experiment 15).",
        lambda points: points.own.per_class_accuracy,
        "share",
    ),
    of_class_and_real(
        "transfer_accuracy",
        "Transfer",
        "Share of the real images whose nearest centroid of synthetic images, from which a classifier learns, is that "
        "of their class, in 0..1 (Marwood et al. 2023, appendix A).",
        lambda points: points.transfer.per_class_accuracy,
        "share",
    ),
    of_class(
        "centroid_distance",
        "Diversity",
        "Centroid Distance of the synthetic images, in 0..4 (Marwood et al. 2023, section 3).",
        lambda points: points.distances,
    ),
    of_class_and_real(
        "real_centroid_distance",
        "Real div.",
        "Centroid Distance of the real images, in 0..4 (Marwood et al. 2023, section 3).",
        lambda points: points.real_distances,
    ),
    of_class_and_real(
        "centroid_shift",
        "Shift",
        "Cosine complement of the synthetic and the real centroid, in 0..2 (Marwood et al. 2023, section 3).",
        lambda points: points.shifts,
    ),
    of_pairing(
        "centroid_accuracy",
        "Centroid",
        "Centroid Accuracy: share of the queries whose nearest centroid of references is that of their class, in 0..1 "
        "(Marwood et al. 2023, appendix A).",
        lambda pair: pair.accuracy,
        "share",
        interval=("low", "high"),
    ),
    of_pairing(
        "knn1_accuracy",
        "1-nn",
        "Share of the queries whose nearest reference is of their class, in 0..1 (Marwood et al. 2023, Table 6).",
        lambda pair: pair.neighbour_accuracy.get(1),
        "percent",
    ),
    of_pairing(
        "knn5_accuracy",
        "5-nn",
        "Share of the queries whose 5 nearest references vote for their class, in 0..1 (Marwood et al. 2023, Table 6).",
        lambda pair: pair.neighbour_accuracy.get(5),
        "percent",
    ),
    of_pairing(
        "average_cosine_similarity",
        "Avg cos. sim.",
        "Mean cosine of queries with the centroid of references of their class, in -1..1 (Marwood et al. 2023, "
        "appendix A).",
        lambda pair: pair.similarity,
    ),
)


def measures_of(of: Of) -> tuple[Measure, ...]:
    """The measures of sets, of classes or of pairings, in the order of their columns."""
    return tuple(measure for measure in MEASURES if measure.of == of)
