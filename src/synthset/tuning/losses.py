"""Losses of classifier tuning: pure functions of logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Loss:
    """A loss by name.

    Attributes:
        apply: (logits, labels, the teacher's logits or None, soft_share, temperature) -> a scalar.
        summary: a line about it.
        has_teacher: whether it looks at the logits of zero-shot CLIP.
    """

    apply: Callable[[Tensor, Tensor, Tensor | None, float, float], Tensor]
    summary: str
    has_teacher: bool = False


def cross_entropy(
    logits: Tensor, labels: Tensor, teacher_logits: Tensor | None = None, soft_share: float = 0, temperature: float = 1
) -> Tensor:
    """Cross-entropy against labels ("CE"): the mean over n. The other arguments have no part in it."""
    return F.cross_entropy(logits, labels)


def soft_cross_entropy(
    logits: Tensor, labels: Tensor, teacher_logits: Tensor | None, soft_share: float = 0.5, temperature: float = 2.0
) -> Tensor:
    """Cross-entropy in part against labels and in part against a teacher's probabilities ("SCE").

    sl · CE(softmax(teacher / T), log_softmax(student)) + (1 - sl) · CE(label, log_softmax(student)).
    The temperature softens the teacher only.
    Args:
        logits: of the student, (n, k).
        labels: int64 (n,), each in 0..k-1.
        teacher_logits: (n, k), of zero-shot CLIP; no gradient goes there.
        soft_share: sl, in 0..1.
        temperature: T, above 0.
    Returns:
        The mean over n, a scalar.
    Reference: He et al. 2023, section 3.1 and appendix C.4, with the values of their released code.

    >>> import torch
    >>> logits, labels = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    >>> hard = soft_cross_entropy(logits, labels, torch.tensor([[0.0, 0.0]]), soft_share=0.0)
    >>> soft = soft_cross_entropy(logits, labels, torch.tensor([[0.0, 0.0]]), soft_share=1.0)
    >>> f"{hard:.3f} {soft:.3f}"
    '0.127 1.127'
    """
    assert teacher_logits is not None
    targets = (teacher_logits.detach() / temperature).softmax(1)
    return soft_share * F.cross_entropy(logits, targets) + (1 - soft_share) * F.cross_entropy(logits, labels)


LOSSES = {
    "ce": Loss(cross_entropy, "cross-entropy against the labels"),
    "sce": Loss(soft_cross_entropy, "in part against the probabilities of zero-shot CLIP", has_teacher=True),
}
