"""`synthset detect`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from synthset.cli.arguments import Positional
from synthset.cli.commands import command
from synthset.core.errors import UsageError, setting
from synthset.detection.config import DetectConfig

if TYPE_CHECKING:
    from synthset.detection.stage import DetectSettings
    from synthset.detection.voc import DetectionSet


@dataclass(frozen=True)
class DetectCall:
    """Which model and photographs, and where to."""

    model: Annotated[str, Positional()] = ""
    """Folder of a backbone or a classifier; random; imagenet, for timm's usual weights; or a .safetensors file."""
    real: str | None = None
    """Photographs with their objects: a devkit of Pascal VOC, the folder that holds VOC2007."""
    output_dir: Path = Path("detector")
    """Folder of the detector."""
    overwrite: bool = False
    """Replace another detector in the folder."""


@command("detect")
def detect(call: DetectCall, config: DetectConfig) -> None:
    """Train an object detector that begins with a backbone, and test it on Pascal VOC. Run again, it goes on.

    Example: `synthset detect digits-backbone --real VOCdevkit --output-dir digits-detector`
    """
    from synthset.cli.backbone_tables import print_detect, print_detect_settings
    from synthset.detection.stage import detect as run_detect

    if not call.model:
        raise UsageError("Expected a model to begin with, e.g. 'synthset detect backbone'. Or name it 'random'.")
    if call.real is None:
        raise UsageError(f"Expected photographs with their objects, got none. Name a devkit with {setting('real')}.")

    def show(images: DetectionSet, settings: DetectSettings) -> None:
        print_detect_settings(settings, images)

    result = run_detect(call.model, call.real, call.output_dir, config, overwrite=call.overwrite, when_ready=show)
    print_detect(result)
