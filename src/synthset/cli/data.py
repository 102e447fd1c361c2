"""`synthset export`: what is done with the images of a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from synthset.cli.app import app, flag, switch


@app.command
def export(
    data: Path,
    /,
    *,
    output_dir: Annotated[Path, flag("--output-dir", "--outdir")],
    format: str = "imagefolder",
    strategy: str | None = None,
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
    overwrite
        Replace an earlier export.
    """
    from synthset.export import export as run_export

    print(run_export(data, output_dir, format=format, strategy=strategy, overwrite=overwrite))
