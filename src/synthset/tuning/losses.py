"""Losses of classifier tuning: pure functions of logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Loss:
    """A loss by name: (logits, labels, the teacher's logits, soft_share, temperature) to a scalar; a line about it.

    Without a teacher, whose part zero-shot CLIP has, there is None instead of its logits.
    """

    apply: Callable[..., Tensor]
    summary: str
    has_teacher: bool = False


def soft_cross_entropy(
    logits: Tensor, labels: Tensor, teacher_logits: Tensor, soft_share: float = 0.5, temperature: float = 2.0
) -> Tensor:
    """Cross-entropy in part against labels and in part against a teacher's probabilities ("SCE").

    sl · CE(softmax(teacher / T), log_softmax(student)) + (1 - sl) · CE(label, log_softmax(student)), the mean over n.
    The temperature softens the teacher only.
    Args:
        logits, teacher_logits: (n, k), of the student and of zero-shot CLIP, to which no gradient goes.
        labels: int64 (n,), each in 0..k-1.
        soft_share, temperature: sl, in 0..1, and T, above 0.
    Reference: He et al. 2023, section 3.1 and appendix C.4, with the values of their released code.

    >>> import torch
    >>> logits, labels = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    >>> hard = soft_cross_entropy(logits, labels, torch.tensor([[0.0, 0.0]]), soft_share=0.0)
    >>> soft = soft_cross_entropy(logits, labels, torch.tensor([[0.0, 0.0]]), soft_share=1.0)
    >>> f"{hard:.3f} {soft:.3f}"
    '0.127 1.127'
    """
    targets = (teacher_logits.detach() / temperature).softmax(1)
    return soft_share * F.cross_entropy(logits, targets) + (1 - soft_share) * F.cross_entropy(logits, labels)


LOSSES = {
    "ce": Loss(lambda logits, labels, *_: F.cross_entropy(logits, labels), "cross-entropy against the labels"),
    "sce": Loss(soft_cross_entropy, "in part against the probabilities of zero-shot CLIP", has_teacher=True),
}
