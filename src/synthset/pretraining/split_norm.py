"""Batch norm that sees a batch in groups, as if each were on a GPU of its own.

Contrastive learning needs it: in one group a query and its key share statistics, by which they know each other.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class SplitBatchNorm(nn.Module):
    """A batch norm by the statistics of each of `groups` equal parts of the batch; its state is that of the norm.

    The running statistics are the mean of what the groups' would be. `norm` may be one of timm's, with an activation.
    """

    def __init__(self, norm: _BatchNorm, groups: int) -> None:
        super().__init__()
        self.weight, self.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers(recurse=False):
            self.register_buffer(name, buffer)
        self.running_mean: Tensor
        self.running_var: Tensor
        self.num_batches_tracked: Tensor
        self.eps, self.groups = norm.eps, groups
        self.momentum = 0.1 if norm.momentum is None else norm.momentum
        self.drop = getattr(norm, "drop", nn.Identity())
        self.act = getattr(norm, "act", nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) or (n, c) to the same shape; n is a multiple of the groups."""
        if not self.training:
            normalised = F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0, self.eps
            )
            return self.act(self.drop(normalised))
        means, variances = (value.repeat(self.groups, 1) for value in (self.running_mean, self.running_var))
        # a group at a time, in whatever memory format it comes: to make them channels of one call would copy it twice
        parts = [
            F.batch_norm(part, mean, variance, self.weight, self.bias, True, self.momentum, self.eps)
            for part, mean, variance in zip(x.chunk(self.groups), means, variances, strict=True)
        ]
        self.running_mean.copy_(means.mean(0))
        self.running_var.copy_(variances.mean(0))
        self.num_batches_tracked += 1
        return self.act(self.drop(torch.cat(parts)))


def split_norms(module: nn.Module, groups: int) -> nn.Module:
    """The module with every batch norm replaced; its weights keep their names."""
    if isinstance(module, _BatchNorm):
        return SplitBatchNorm(module, groups)
    for name, child in module.named_children():
        setattr(module, name, split_norms(child, groups))
    return module
