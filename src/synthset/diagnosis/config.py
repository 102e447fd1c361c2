"""How a diagnosis is made: every option of `diagnose` that a config holds, declared once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from synthset.core.options import Option, check_options
from synthset.encoders.clip import DEFAULT_ENCODER


@dataclass(frozen=True)
class DiagnoseConfig:
    """How to diagnose."""

    encoder: Annotated[str | None, Option(default=DEFAULT_ENCODER)] = None
    """Encoder in whose space everything is measured: miniature (digits), RN50, ViT-B-16, ViT-L-14, ViT-B-16-SigLIP,
    any open_clip ARCH/TAG, a hub id, or local-dir:PATH."""
    frechet_backbone: Annotated[str | None, Option(default="the encoder's space alone")] = None
    """Backbone of a second Fréchet distance, between its features: a model of timm such as inception_v3, NAME@FILE with
    weights of your own (safetensors), torchvision:NAME@FILE, or the folder of a classifier."""
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


STUDY = "Prompts of one class"


@dataclass(frozen=True)
class StudyConfig:
    """Which prompts of one class are studied, and what they are held against."""

    class_name: Annotated[str | None, Option(flag="class", group=STUDY, default="diagnose all classes")] = None
    """Class whose prompts are studied: how each changes what is drawn, against one fixed reference."""
    reference: Annotated[str | None, Option(group=STUDY)] = None
    """Reference set, which has the class: a Synthset dataset, an image folder, Parquet files or a known real set."""
    prompts: Annotated[str | None, Option(group=STUDY, default="those that the sets were drawn from")] = None
    """Prompts to draw the class by: a text file, one a line, each with the class in it. The others are compared with
    the first."""
    images_per_prompt: Annotated[int, Option(at_least=2, group=STUDY)] = 100
    """Images to draw of each prompt; their noise follows from `seed`, and is the same for all prompts."""
    generator: Annotated[str | None, Option(group=STUDY, default="that of the reference")] = None
    """Generator to draw with."""
    guidance_scale: Annotated[float | None, Option(at_least=0, group=STUDY, default="that of the reference")] = None
    """Scale of classifier-free guidance to draw at."""

    def __post_init__(self) -> None:
        check_options(self)
