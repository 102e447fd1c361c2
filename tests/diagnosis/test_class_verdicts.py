"""The words of the evidence behind a class's verdict."""

import numpy as np
import pytest

from synthset.diagnosis.class_verdicts import describe_evidence
from synthset.diagnosis.evidence import Counts, weigh
from synthset.diagnosis.failure_modes import ClassTests


def evidence_of(share, others, images, num_classes=10):
    """What is said of one class that its prompts recognise by a share, beside others."""
    totals = np.full(num_classes, images)
    shares = np.where(np.arange(num_classes) == 0, share, others)
    (first, *_) = weigh({"drawn": Counts(np.rint(shares * images).astype(int), totals, totals)})["drawn"]
    return describe_evidence(ClassTests(first, None, None, has_prompts=True, scatter=(1.0, 0.0)), num_classes)


@pytest.mark.parametrize(
    ("share", "others", "images", "lack"),
    [
        (0.4, 0.8, 5, "too few: about 11 images of each class would tell"),
        (0.8, 0.93, 30, "which may be chance: more images would tell"),
        (0.85, 0.96, 200, "lower, but perhaps by less than 10 points: more images would tell"),
    ],
)
def test_a_class_that_is_open_is_told_what_is_lacking(share, others, images, lack):
    assert evidence_of(share, others, images).endswith(f", {lack}.")
