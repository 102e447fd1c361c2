"""`synthset predict`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from synthset.cli import json_output
from synthset.cli.arguments import Positional
from synthset.cli.commands import command
from synthset.core.errors import FailureThresholdError, some
from synthset.core.options import Option


@dataclass(frozen=True, kw_only=True)
class PredictCall:
    """Which model, which images, and where the answers go."""

    model: Annotated[Path, Positional()]
    """Folder of a trained or tuned model."""
    images: Annotated[tuple[str, ...], Positional()] = ()
    """Images: files, folders, Synthset datasets, patterns such as "photos/*.jpg", URLs, Parquet files."""
    output: Annotated[Path | None, Option(default="CSV, or with --json lines of JSON, on standard output")] = None
    """Table of the answers, a new .csv, .jsonl or .parquet file."""
    top_k: Annotated[int, Option(at_least=1)] = 1
    """Classes of each image, the most probable first."""
    device: str = "auto"
    """Device to compute on: cpu, cuda, or auto, which is a GPU where there is one."""
    overwrite: bool = False
    """Replace the table if it is there."""


@command("predict")
def predict(call: PredictCall) -> None:
    """Classify images with a trained model: file, class, probability; of images of Synthset datasets their id and
    SHA-256 too. Exit code 3 where some cannot be read.

    Example: `synthset predict digits-model photos --output photos.csv`
    """
    from synthset.cli.model_tables import print_predict
    from synthset.prediction.stage import predict as run_predict
    from synthset.prediction.tables import CsvWriter, JsonLinesWriter

    form = JsonLinesWriter if json_output.is_wanted() else CsvWriter
    result = run_predict(
        call.model,
        call.images,
        call.output or partial(form, sys.stdout.buffer),
        top_k=call.top_k,
        device=call.device,
        overwrite=call.overwrite,
    )
    if call.output is not None:
        print_predict(result)
    if result.skipped:
        raise FailureThresholdError(
            f"{len(result.skipped):,} of {result.num_images + len(result.skipped):,} files could not be read and were "
            f"left out: {some(result.skipped)}."
        )
