"""`synthset filter`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from synthset.cli.arguments import Positional
from synthset.cli.commands import command
from synthset.cli.machines import Machines
from synthset.core.errors import UsageError, setting
from synthset.core.options import Option
from synthset.filters import FILTERS, FilterConfig


@dataclass(frozen=True, kw_only=True)
class FilterCall:
    """Which images, and by which filters."""

    data: Annotated[Path, Positional()]
    """Synthset dataset."""
    method: Annotated[tuple[str, ...], Option(listed=FILTERS, default="clip")] = ("clip",)
    """Filters, each with what it keeps: {choices}. Several may be given; none takes the verdicts of all away."""
    cache: Annotated[Path | None, Option(default="SYNTHSET_CACHE, or synthset in the user's cache folder")] = None
    """Folder of cached embeddings."""


@command("filter")
def filter_images(call: FilterCall, config: FilterConfig, machines: Machines) -> None:
    """Say which images of a dataset to use, and why not the others. Deletes nothing.

    Training and export leave out what any filter rejects, unless they are given --all-images. Running a
    method again replaces its verdicts, which lie in filters/ in the dataset's folder.

    Example: `synthset filter digits --method clip duplicates`
    """
    from synthset.cli.tables import print_cleared, print_filter
    from synthset.encoders.embed import EmbeddingCache
    from synthset.filters import clear_filters, filter_dataset

    if "none" in call.method:
        if call.method != ("none",):
            raise UsageError(f"Expected {setting('method', 'none')} alone, for it takes all verdicts away.")
        print_cleared(clear_filters(call.data), call.data)
        return
    cache = EmbeddingCache(call.cache)
    print_filter(filter_dataset(call.data, call.method, config, cache=cache, executor=machines.load_remote()))
