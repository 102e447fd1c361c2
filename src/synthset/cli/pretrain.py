"""`synthset pretrain`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from synthset.cli.arguments import Positional
from synthset.cli.commands import command
from synthset.core.errors import UsageError, setting
from synthset.core.options import Nested, Option
from synthset.images.opening import OPENING, ImagePath, Opening
from synthset.pretraining.config import PretrainConfig

if TYPE_CHECKING:
    from synthset.images.imageset import ImageSet
    from synthset.pretraining.settings import Settings


@dataclass(frozen=True)
class PretrainCall:
    """Which images, and where to."""

    data: Annotated[tuple[Path, ...], Positional()] = ()
    """Synthset datasets, image folders or Parquet files; for moco, images without classes will do."""
    opening: Annotated[Opening, Nested(group=OPENING)] = field(default_factory=Opening)
    output_dir: Path = Path("backbone")
    """Folder of the backbone."""
    overwrite: bool = False
    """Replace another pre-training in the folder."""
    dry_run: bool = False
    """Print what is learned from, how, and an estimate of time; write nothing."""
    processes: Annotated[int, Option(at_least=1)] = 1
    """Processes that share every batch, one a GPU. `accelerate launch -m synthset pretrain` starts them too."""


@command("pretrain")
def pretrain(call: PretrainCall, config: PretrainConfig) -> None:
    """Pre-train a backbone on synthetic images, with their classes or without. Run again, it goes on where it stopped.

    Example: `synthset pretrain digits-synthetic --method moco --architecture small_cnn --output-dir digits-backbone`
    """
    from synthset.classifiers.distributed import is_first
    from synthset.cli.backbone_tables import print_pretrain, print_pretrain_plan, print_pretrain_settings
    from synthset.pretraining.dry_run import rehearse
    from synthset.pretraining.stage import pretrain as run_pretrain

    if not call.data:
        example = "e.g. 'synthset pretrain digits-synthetic'"
        raise UsageError(f"Expected images to pre-train on, {example}. Run 'synthset create' first.")

    def show(images: ImageSet, settings: Settings) -> None:
        print_pretrain_settings(settings, images)

    data = [ImagePath(str(path), call.opening) for path in call.data]
    if call.dry_run and call.processes > 1:
        raise UsageError(
            f"Expected one process with {setting('dry_run', True)}, got {call.processes}: the estimate is of one. "
            f"Leave {setting('processes')} out."
        )
    if call.dry_run:
        print_pretrain_plan(rehearse(data, config, when_ready=show))
        return
    ways = {"overwrite": call.overwrite, "processes": call.processes, "when_ready": show}
    result = run_pretrain(data, call.output_dir, config, **ways)
    if is_first():
        print_pretrain(result)
