"""`synthset transfer`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from synthset.cli.arguments import Positional
from synthset.cli.commands import command
from synthset.core.errors import UsageError, setting
from synthset.core.options import Nested, Option
from synthset.images.opening import OPENING, ImagePath, Opening
from synthset.transfer.config import TransferConfig


@dataclass(frozen=True)
class TransferCall:
    """Which model, which real set, and where to."""

    model: Annotated[str | None, Positional()] = None
    """Folder of a backbone or a classifier; imagenet, or a .safetensors file with timm's names; or random."""
    real: str | None = None
    """Real set to learn and be tested on: a known name, or a path with a split to learn from and one to test on; images
    without splits are halved."""
    opening: Annotated[Opening, Nested(group=OPENING)] = field(default_factory=Opening)
    allow_training_images: Annotated[bool, Option(group=OPENING)] = False
    """Test on images that the model learned from, too."""
    output_dir: Path = Path("transfer")
    """Folder of the results, with a classifier for each seed of finetune and linear."""


@command("transfer")
def transfer(call: TransferCall, config: TransferConfig) -> None:
    """Learn a real set on top of a model, and test on its test split. Run again, it goes on where it stopped.

    Example: `synthset transfer digits-backbone --real digits --mode linear --shots 5 --seeds 3`
    """
    from synthset.cli.transfer_tables import print_transfer
    from synthset.transfer.stage import transfer as run_transfer

    if call.model is None:
        raise UsageError("Expected a model, e.g. 'synthset transfer digits-backbone'. Run 'synthset pretrain' first.")
    if call.real is None:
        raise UsageError(f"Expected a real set to learn and be tested on, e.g. {setting('real', 'digits')}.")
    real, strict = ImagePath(call.real, call.opening), call.opening.strict
    ways = {"strict": strict, "allow_training_images": call.allow_training_images}
    print_transfer(run_transfer(call.model, call.output_dir, config, real=real, **ways))
