"""Registers a network of 1,154 weights with timm, and runs a command line of Synthset: `--model` takes any timm name.

Of the names that come with timm and Synthset the smallest has 99,710 weights: too many for a repository, and four
times as many for an interrupted training.
"""

import sys

import timm
from torch import nn


def golden_net(pretrained: bool = False, num_classes: int = 10, **_: object) -> nn.Module:
    """For images of 8 px: convolutions, BatchNorm with its counter, dropout, and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(32, num_classes),
    )


if not timm.is_model("golden_net"):  # doctests import this file under another name
    timm.models.register_model(golden_net)

if __name__ == "__main__":
    from synthset.cli import main

    sys.exit(main())
