"""`synthset review`."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from synthset.cli.arguments import Given, Positional
from synthset.cli.commands import command
from synthset.cli.opening import OF_REAL, real_path
from synthset.core.options import Option
from synthset.images.opening import Opening
from synthset.review import ReviewConfig


@dataclass(frozen=True, kw_only=True)
class ReviewCall:
    """Which dataset."""

    data: Annotated[Path, Positional()]
    """Synthset dataset."""
    cache: Annotated[Path | None, Option(default="SYNTHSET_CACHE, or synthset in the user's cache folder")] = None
    """Folder of cached embeddings."""
    real_opening: Annotated[Opening, OF_REAL] = field(default_factory=Opening)


@command("review")
def review_images(call: ReviewCall, given: Given[ReviewConfig]) -> None:
    """Look at the images of a dataset on a page on this machine, and keep, reject or relabel them by hand.

    Each verdict is on disk at once, and training, export and diagnosis obey it; nothing is deleted. The page works by
    the keyboard alone: ? lists the keys. Ctrl-C ends it.

    Example: `synthset review digits-synthetic --real digits`
    """
    from synthset.cli.create_tables import print_review
    from synthset.encoders.embed import EmbeddingCache
    from synthset.review import review

    config = given.build()
    real = real_path(str(config.real) if config.real is not None else None, call.real_opening)
    config = replace(config, real=real)
    print_review(review(call.data, config, cache=EmbeddingCache(call.cache), when_ready=_tell))


def _tell(address: str) -> None:
    """Say where the page is; nobody could find it otherwise."""
    print(f"The page is at {address}\nCtrl-C ends it.", file=sys.stderr, flush=True)
