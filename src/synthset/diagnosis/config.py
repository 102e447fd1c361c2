"""How a diagnosis is made: every option of `diagnose` that a config holds, declared once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from synthset.core.options import Option, check_options


@dataclass(frozen=True)
class DiagnoseConfig:
    """How to diagnose."""

    encoder: str = "miniature"
    """Encoder in whose space everything is measured: miniature (digits), RN50, ViT-B-16, ViT-L-14, ViT-B-16-SigLIP,
    any open_clip ARCH/TAG, a hub id, or local-dir:PATH."""
    by_strategy: bool = False
    """Strategies of each dataset taken apart, into a set each."""
    strategies: Annotated[tuple[str, ...], Option(flag="strategy", default="all its images")] = ()
    """Strategies or combinations of each dataset to diagnose, together, or a set each with `by_strategy`."""
    all_images: bool = False
    """All images taken in, also those that filters reject."""
    query_share: Annotated[float, Option(above=0, below=1)] = 0.25
    """Share of each class that is compared with the others, which are the references."""
    tsne_images: Annotated[int, Option(at_least=0)] = 1000
    """Images of all sets together in the t-SNE; 0 leaves it out."""
    seed: Annotated[int, Option(at_least=0, below=2**32)] = 0
    """Seed of the split into references and queries, of ties, and of the t-SNE."""
    device: str = "auto"
    """Device to embed on: cpu, cuda, or auto, which is the GPU where there is one."""

    def __post_init__(self) -> None:
        check_options(self)
