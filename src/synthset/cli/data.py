"""`synthset filter` and `synthset export`: what is done with the images of a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from synthset.cli.app import MACHINES, app, flag, switch
from synthset.core.errors import UsageError


@app.command(name="filter")
def filter_images(
    data: Path,
    /,
    *,
    method: Annotated[list[str] | None, flag("--method", several=True)] = None,
    encoder: str = "miniature",
    template: Annotated[list[str] | None, flag("--template", several=True)] = None,
    threshold: float | None = None,
    keep_share: float | None = None,
    real: Annotated[str | None, flag("--real", "--real-data-location")] = None,
    hash_distance: int = 4,
    similarity: float = 0.95,
    device: str = "auto",
    cache: Path | None = None,
    executor: Annotated[str, flag(group=MACHINES)] = "local",
    address: Annotated[str | None, flag(group=MACHINES)] = None,
    workers: Annotated[int | None, flag(group=MACHINES)] = None,
) -> None:
    """Say which images of a dataset to use, and why not the others. Deletes nothing.

    Training and export leave out what any filter rejects, unless they are given --all-images. Running a
    method again replaces its verdicts, which lie in filters/ in the dataset's folder.

    Example: `synthset filter digits --method clip duplicates`

    Parameters
    ----------
    data
        A Synthset dataset.
    method
        clip: an encoder must take the image for its class. real: its nearest real image must be of its class.
        duplicates: it is no near copy of an earlier image, nor of a real one. Several may be given; none takes
        the verdicts of all three away. [default: clip]
    encoder
        miniature (digits), RN50, ViT-B-16, ViT-L-14, ViT-B-16-SigLIP, any open_clip ARCH/TAG, a hub id, or
        local-dir:PATH.
    template
        Of clip: sentences that describe a class, with {} for its name; their embeddings are averaged.
    threshold
        Of clip: keep images with p(class) above it. [default: 1 / number of classes]
    keep_share
        Of clip: keep this share of each class, those with the highest p, instead of a threshold.
    real
        Real images for real and duplicates: a known name or a path.
    hash_distance
        Of duplicates: near copies differ in at most so many of the 64 bits of a perceptual hash…
    similarity
        …and their embeddings have at least this cosine.
    device
        cpu, cuda, or auto.
    cache
        Folder of cached embeddings. [default: SYNTHSET_CACHE, or synthset in the user's cache folder]
    executor
        local, or ray: embed on many GPUs or machines, which share the folder of the cache.
    address
        Of a running Ray cluster. [default: Ray is started on this machine]
    workers
        That share the work of --executor ray. [default: one a GPU, or one a core]
    """
    from synthset.cli.tables import print_cleared, print_filter
    from synthset.executors import load_executor
    from synthset.filters import FilterConfig, clear_filters, filter_dataset

    methods = method or ["clip"]
    if "none" in methods:
        if methods != ["none"]:
            raise UsageError("Expected --method none alone, for it takes all verdicts away.")
        print_cleared(clear_filters(data), data)
        return
    from synthset.encoders.embed import EmbeddingCache

    config = FilterConfig(
        encoder, tuple(template or ()), threshold, keep_share, real, hash_distance, similarity, device
    )
    machines = None if executor == "local" else load_executor(executor, address, workers)
    print_filter(filter_dataset(data, methods, config, cache=EmbeddingCache(cache), executor=machines))


@app.command
def export(
    data: Path,
    /,
    *,
    output_dir: Annotated[Path, flag("--output-dir", "--outdir")],
    format: str = "imagefolder",
    strategy: str | None = None,
    all_images: Annotated[bool, switch()] = False,
    overwrite: Annotated[bool, switch()] = False,
) -> None:
    """Write a dataset in another form, for tools that read files.

    Example: `synthset export digits --format imagefolder --output-dir digits-files`

    Parameters
    ----------
    data
        A Synthset dataset, an image folder, or Parquet files.
    output_dir
        The new folder.
    format
        imagefolder: one folder of image files a class, as torchvision reads them.
    strategy
        Only the images of one strategy or combination. [default: all]
    all_images
        Take also what filters rejected.
    overwrite
        Replace an earlier export.
    """
    from synthset.dataset.export import export as run_export

    print(run_export(data, output_dir, format=format, strategy=strategy, all_images=all_images, overwrite=overwrite))
