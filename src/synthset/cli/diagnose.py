"""`synthset diagnose`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from synthset.cli.app import MACHINES, app, flag, switch


@app.command
def diagnose(
    *data: Path,
    real: Annotated[str | None, flag("--real", "--real-data-location")] = None,
    output_dir: Annotated[Path, flag("--output-dir", "--outdir")] = Path("diagnosis"),
    evaluations: Annotated[list[Path] | None, flag("--evaluations", several=True)] = None,
    classifier: Path | None = None,
    encoder: str = "miniature",
    by_strategy: Annotated[bool, switch()] = False,
    all_images: Annotated[bool, switch()] = False,
    query_share: float = 0.25,
    tsne_images: int = 1000,
    seed: int = 0,
    device: str = "auto",
    cache: Path | None = None,
    executor: Annotated[str, flag(group=MACHINES)] = "local",
    address: Annotated[str | None, flag(group=MACHINES)] = None,
    workers: Annotated[int | None, flag(group=MACHINES)] = None,
) -> None:
    """Say in CLIP space why synthetic images fall short of real ones, class by class; one HTML report.

    Example: `synthset diagnose digits --real digits --by-strategy --output-dir digits-diagnosis`

    Parameters
    ----------
    data
        Synthetic sets: Synthset datasets, image folders or Parquet files.
    real
        Real images to compare with: a known name or a path. [default: none; verdicts are weaker without]
    output_dir
        Where tables (Parquet and CSV) and report.html go.
    evaluations
        Folders of models or evaluations, as eval writes them: their accuracies join the report.
    classifier
        Folder of a model: the t-SNE shows its features, and a head trained on real ones is tried on synthetic ones.
    encoder
        miniature (digits), RN50, ViT-B-16, ViT-L-14, ViT-B-16-SigLIP, any open_clip ARCH/TAG, a hub id, or
        local-dir:PATH.
    by_strategy
        Take the strategies of each dataset apart, into a set each.
    all_images
        Take in what filters reject.
    query_share
        Share of each class that is compared with the others, which are the references.
    tsne_images
        Images of all sets together in the t-SNE; 0 leaves it out.
    seed
        Of the split into references and queries, of ties, and of t-SNE.
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
    from synthset.cli.tables import print_diagnosis
    from synthset.diagnosis.stage import diagnose as run_diagnose
    from synthset.executors import load_executor

    result = run_diagnose(
        data,
        output_dir,
        real=real,
        evaluations=evaluations or (),
        classifier=classifier,
        encoder=encoder,
        by_strategy=by_strategy,
        all_images=all_images,
        query_share=query_share,
        tsne_images=tsne_images,
        seed=seed,
        device=device,
        cache=cache,
        executor=None if executor == "local" else load_executor(executor, address, workers),
    )
    print_diagnosis(result)
