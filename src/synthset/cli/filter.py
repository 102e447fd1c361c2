"""`synthset filter`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from synthset.cli.arguments import Given, Positional
from synthset.cli.commands import command
from synthset.cli.machines import Machines
from synthset.cli.opening import image_path
from synthset.core.errors import UsageError, setting
from synthset.core.options import Nested, Option
from synthset.filters import FILTERS, FilterConfig
from synthset.images.opening import OPENING, Opening


@dataclass(frozen=True, kw_only=True)
class FilterCall:
    """Which images, and by which filters."""

    data: Annotated[Path, Positional()]
    """Synthset dataset."""
    method: Annotated[tuple[str, ...], Option(listed=FILTERS, default="clip")] = ("clip",)
    """Filters, each with what it keeps: {choices}. Several may be given; none takes the verdicts of all away."""
    cache: Annotated[Path | None, Option(default="SYNTHSET_CACHE, or synthset in the user's cache folder")] = None
    """Folder of cached embeddings."""
    opening: Annotated[Opening, Nested(group=OPENING)] = field(default_factory=Opening)


@command("filter")
def filter_images(call: FilterCall, given: Given[FilterConfig], machines: Machines) -> None:
    """Say which images of a dataset to use, and why not the others. Deletes nothing.

    Training and export leave out what any filter rejects, unless they are given --all-images. Running a
    method again replaces its verdicts, which lie in filters/ in the dataset's folder.

    Example: `synthset filter digits-synthetic --method clip duplicates`
    """
    from synthset.cli.create_tables import print_cleared, print_filter
    from synthset.encoders.embed import EmbeddingCache
    from synthset.filters import clear_filters, filter_dataset

    executor = machines.load_remote()
    if "none" in call.method:
        if call.method != ("none",):
            raise UsageError(f"Expected {setting('method', 'none')} alone, for it takes all verdicts away.")
        if named := [path[-1] for path in given.values]:
            raise UsageError(
                f"Expected a filter with {' and '.join(map(setting, named))}, got {setting('method', 'none')}, which "
                "takes all verdicts away. Drop one."
            )
        print_cleared(clear_filters(call.data), call.data)
        return
    real = image_path(given.values.get(("real",)), call.opening, "real")
    config = replace(given.build(), real=real)
    cache = EmbeddingCache(call.cache)
    print_filter(filter_dataset(call.data, call.method, config, cache=cache, executor=executor))
