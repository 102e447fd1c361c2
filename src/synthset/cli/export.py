"""`synthset export`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from synthset.cli.arguments import Positional
from synthset.cli.commands import command
from synthset.cli.tables import print_path
from synthset.core.errors import UsageError
from synthset.core.options import Nested, Option
from synthset.dataset.export import FORMATS
from synthset.dataset.export import export as run_export
from synthset.images.opening import OPENING, ImagePath, Opening


def _formats() -> dict[str, Any]:
    from synthset.classifiers.export import MODEL_FORMATS

    return {**FORMATS, **MODEL_FORMATS}


@dataclass(frozen=True, kw_only=True)
class ExportCall:
    """Which images, in which form, and where to."""

    data: Annotated[Path, Positional()]
    """Synthset dataset, image folder, or Parquet files; or the folder of a trained model."""
    output_dir: Path
    """New folder."""
    format: Annotated[str | None, Option(choices=_formats, default="imagefolder; onnx for a model")] = None
    """Form of the copy: {choices}."""
    int8: bool = False
    """Second file of a model as ONNX, with weights and activations of eight bits."""
    trained_on: Annotated[Path | None, Option(default="the path that it was trained from")] = None
    """Images that a model was trained on: its export is compared with it on those that were held back."""
    strategy: Annotated[str | None, Option(default="all")] = None
    """Strategy or combination whose images alone are taken."""
    all_images: bool = False
    """Take also images that filters rejected."""
    overwrite: bool = False
    """Replace an earlier export."""
    opening: Annotated[Opening, Nested(group=OPENING)] = field(default_factory=Opening)


@command("export")
def export(call: ExportCall) -> None:
    """Write a dataset, or a trained model, in another form, for other tools.

    Example: `synthset export digits --format imagefolder --output-dir digits-files`; a model:
    `synthset export digits-model --format onnx --output-dir digits-onnx`
    """
    from synthset.classifiers.export import MODEL_FORMATS, export_model, is_model
    from synthset.cli.tables import print_export

    if is_model(call.data):
        form = call.format or "onnx"
        if form not in MODEL_FORMATS:
            raise UsageError(f"Expected {' or '.join(MODEL_FORMATS)} for '{call.data}', a model, got '{form}'.")
        print_export(
            export_model(
                call.data,
                call.output_dir,
                format=form,
                int8=call.int8,
                trained_on=call.trained_on,
                overwrite=call.overwrite,
            )
        )
        return
    form = call.format or "imagefolder"
    if form not in FORMATS or call.int8 or call.trained_on:
        raise UsageError(f"Expected a trained model in '{call.data}' for {form}, found none. Train it first.")
    options = {"format": form, "strategy": call.strategy, "all_images": call.all_images}
    data = ImagePath(str(call.data), call.opening)
    print_path(run_export(data, call.output_dir, overwrite=call.overwrite, **options), "export")
