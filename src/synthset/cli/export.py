"""`synthset export`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from synthset.cli.arguments import Given, Positional, data_before_names
from synthset.cli.commands import command
from synthset.core.errors import UsageError, setting
from synthset.core.options import Nested, Option
from synthset.dataset.export import FORMATS, ExportConfig, export_images
from synthset.images.opening import OPENING, ImagePath, Opening

if TYPE_CHECKING:
    from synthset.classifiers.export import ModelExport


def _formats() -> dict[str, Any]:
    from synthset.classifiers.export import MODEL_FORMATS

    return {**FORMATS, **MODEL_FORMATS}


@dataclass(frozen=True, kw_only=True)
class ExportCall:
    """Which images, in which form, and where to."""

    output_dir: Path
    """New folder."""
    data: Annotated[Path | None, Positional()] = None
    """Synthset dataset, image folder, or Parquet files; or the folder of a trained model."""
    format: Annotated[str | None, Option(choices=_formats, default="imagefolder; onnx for a model")] = None
    """Form of the copy: {choices}."""
    int8: bool = False
    """Second file of a model as ONNX, with weights and activations of eight bits."""
    trained_on: Annotated[Path | None, Option(default="the path that it was trained from")] = None
    """Images that a model was trained on: its export is compared with it on those that were held back."""
    strategy: Annotated[tuple[str, ...], Option(default="all")] = ()
    """Strategies or combinations whose images alone are taken."""
    all_images: bool = False
    """Take also images that filters rejected."""
    overwrite: bool = False
    """Replace an earlier export."""
    opening: Annotated[Opening, Nested(group=OPENING)] = field(default_factory=Opening)

    def __post_init__(self) -> None:
        data, strategy = data_before_names(self.data, self.strategy)
        object.__setattr__(self, "data", data)
        object.__setattr__(self, "strategy", strategy)


@command("export")
def export(call: ExportCall, config: Given[ExportConfig]) -> None:
    """Write a dataset, or a trained model, in another form, for other tools.

    Example: `synthset export digits-synthetic --format yolo --output-dir digits-files`; a model:
    `synthset export digits-model --format onnx --output-dir digits-onnx`
    """
    from synthset.classifiers.export import is_model
    from synthset.cli.model_tables import print_export
    from synthset.cli.printing import print_path
    from synthset.cli.sharing_tables import print_exported

    if call.data is None:
        raise UsageError("Expected a dataset or a model, e.g. 'synthset export digits-synthetic'. Name one.")
    if is_model(call.data):
        if named := [setting(path[-1]) for path in config.values]:
            raise UsageError(f"Expected no {' and '.join(named)} with '{call.data}', a model. Leave it out.")
        print_export(_export_model(call.data, call))
        return
    form = call.format or "imagefolder"
    if form not in FORMATS or call.int8 or call.trained_on:
        named = [setting("int8")] * call.int8 + [setting("trained_on")] * (call.trained_on is not None)
        wanted = form if form not in FORMATS else " and ".join(named)
        raise UsageError(f"Expected a trained model in '{call.data}' for {wanted}, found none. Train it first.")
    choice = {"strategy": call.strategy, "all_images": call.all_images, "overwrite": call.overwrite}
    data = ImagePath(str(call.data), call.opening)
    result = export_images(data, call.output_dir, form, config.build(), **choice)
    print_exported(result)
    print_path(result.folder)


def _export_model(model: Path, call: ExportCall) -> ModelExport:
    from synthset.classifiers.export import MODEL_FORMATS, export_model

    form, images = call.format or "onnx", None
    if form not in MODEL_FORMATS:
        raise UsageError(f"Expected {' or '.join(MODEL_FORMATS)} for '{model}', a model, got '{form}'.")
    if call.trained_on is not None:
        images = ImagePath(str(call.trained_on), call.opening)
    else:
        opening = {name: value != getattr(Opening(), name) for name, value in vars(call.opening).items()}
        asked = {"strategy": bool(call.strategy), "all_images": call.all_images, **opening}
        if named := [setting(name) for name, is_given in asked.items() if is_given]:
            raise UsageError(f"Expected {setting('trained_on')} with {' and '.join(named)}. Or leave it out.")
    options = {"format": form, "int8": call.int8, "trained_on": images, "strategy": call.strategy}
    return export_model(model, call.output_dir, overwrite=call.overwrite, **options)
