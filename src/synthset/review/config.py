"""How a dataset is reviewed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from synthset.core.options import Nested, Option, check_options
from synthset.create.recorded import RecordedConfig
from synthset.images.opening import ImagePath


@dataclass(frozen=True)
class ReviewConfig:
    """What the page shows, and where it is."""

    strategy: Annotated[tuple[str, ...], Option(default="all")] = ()
    """Strategies or combinations whose images alone are shown."""
    encoder: Annotated[str | None, Option(default="the miniature's for its images of digits, none for others")] = None
    """Encoder that says which images are near each other: a CLIP such as RN50, local-dir:FOLDER, or miniature."""
    real: Annotated[str | ImagePath | None, Option(default="none")] = None
    """Real images to show the nearest of: a known name, or a path."""
    predictions: Annotated[Path | None, Option(default="none")] = None
    """Table that `synthset predict` wrote about the images of the dataset: its classes and probabilities are shown."""
    phrases: Annotated[Path | None, Option(default="DATASET-phrases.yaml beside the dataset")] = None
    """YAML file of phrases to edit, such as the draft of `synthset diagnose`; it is made where there is none."""
    device: str = "auto"
    """Device of the encoder and of previews: cpu, cuda, or auto."""
    previews: Annotated[RecordedConfig, Nested("Previews", without=("device",))] = field(default_factory=RecordedConfig)
    port: Annotated[int | None, Option(at_least=1, at_most=65535, default="8642, or a free one")] = None
    """Port of the page on 127.0.0.1."""
    open_browser: Annotated[bool, Option(negative="no-browser")] = True
    """Browser that shows the page at once."""

    def __post_init__(self) -> None:
        check_options(self)
