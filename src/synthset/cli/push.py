"""`synthset push`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from synthset.cli.arguments import Positional
from synthset.cli.commands import command
from synthset.core.options import Option


@dataclass(frozen=True, kw_only=True)
class PushCall:
    """What is pushed, and where to."""

    folder: Annotated[Path, Positional()]
    """Synthset dataset, the parts of a split one, a model, or an exported model."""
    repo: Annotated[str, Positional()]
    """Repository of the Hugging Face hub, as owner/name; it is made where there is none."""
    public: bool = False
    """Repository that all can see; else its owner alone does."""
    message: Annotated[str | None, Option(default="Push, and the folder's name")] = None
    """Message of the commits."""
    include_rejected: bool = False
    """Images of a dataset that filters or a person rejected are pushed too, with their verdicts."""
    overwrite: bool = False
    """Replace what else the repository holds; its history keeps that."""
    dry_run: bool = False
    """List the files that would be pushed, with their sizes; connect to nothing."""


@command("push")
def push(call: PushCall) -> None:
    """Push a dataset or a model to the Hugging Face hub, seen by its owner alone unless it shall be public.

    Never pushed are real images, files that Synthset does not know, logs, and paths of this machine. A push that was
    stopped goes on when it is run again.

    Example: `synthset push digits-synthetic ada/digits-synthetic --dry-run`
    """
    from synthset.cli.sharing_tables import print_push
    from synthset.publishing.stage import push as run_push

    print_push(
        run_push(
            call.folder,
            call.repo,
            public=call.public,
            message=call.message,
            include_rejected=call.include_rejected,
            overwrite=call.overwrite,
            dry_run=call.dry_run,
        )
    )
