"""`synthset eval`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from synthset.cli.arguments import Positional, one_path
from synthset.cli.commands import command
from synthset.cli.compat import SCRIPT
from synthset.core.errors import UsageError, setting
from synthset.core.options import Nested, Option
from synthset.images.opening import OPENING, ImagePath, Opening


@dataclass(frozen=True)
class EvaluateCall:
    """Which model, and which real images."""

    model: Annotated[Path | None, Positional()] = None
    """Folder of a trained model, or clip: and the name of a CLIP, e.g. clip:miniature, clip:RN50, clip:ViT-B-16."""
    real: str | None = None
    """Real images: digits, cifar10, cifar100, eurosat, mnist, imagenet, or the path of an image folder or Parquet
    files."""
    dataset: str | None = None
    """Known real set to test on, where `real` is not given. With clip: and a path as `real`, the set whose class names,
    templates and metric are meant."""
    architecture: Annotated[str | None, Option(flag="model", default="any")] = None
    """Architecture that the model must have."""
    opening: Annotated[Opening, Nested(group=OPENING)] = field(default_factory=Opening)
    allow_training_images: Annotated[bool, Option(group=OPENING)] = False
    """Test on images that the model learned from, too."""
    templates: Annotated[tuple[str, ...], Option(default="those of the real set")] = ()
    """Sentences in which a CLIP reads a class, e.g. "a photo of a {class}.", or the name of a list of them: default,
    imagenet80, imagenet7, eurosat, …; eurosat@he2023 calls the classes as the code of He et al. does."""
    output_dir: Annotated[Path | None, Option(default="evaluation/ in the model's folder, or clip-NAME-evaluation")] = (
        None
    )
    """Folder of the JSON, the confusion matrix and the predictions."""
    model_path: Annotated[Path | None, Option(group=SCRIPT)] = None
    """Other way to name the model."""


@command("eval")
def evaluate(call: EvaluateCall) -> None:
    """Test a classifier on real images: accuracy with its interval, by class, and what is taken for what.

    Example: `synthset eval digits-model --real digits`; zero-shot CLIP: `synthset eval clip:miniature --real digits`
    """
    from synthset.classifiers.evaluate import file_name, predictions_file
    from synthset.classifiers.models import find_folder
    from synthset.cli.model_tables import print_evaluation, print_predictions_file
    from synthset.evaluation.stage import CLIP, is_clip
    from synthset.evaluation.stage import evaluate as run_evaluate
    from synthset.real import find_set, match_set

    folder = one_path(call.model, call.model_path, "the model", "model_path")
    if call.dataset is not None:
        known = find_set(call.dataset)
        if call.real is not None and match_set(call.real) not in (None, known):
            raise UsageError(
                f"Expected {setting('real')} or {setting('dataset')}, got two known sets, '{call.real}' and "
                f"'{known.name}'. Drop one."
            )
    real = call.real or call.dataset
    if folder is None:
        raise UsageError("Expected the folder of a model, e.g. 'synthset eval digits-model --real digits'.")
    if real is None:
        raise UsageError(
            f"Expected real images to test on, e.g. {setting('real', 'digits')}, or {setting('real')} with a path."
        )
    if is_clip(folder):
        if call.allow_training_images:
            raise UsageError(
                f"Expected a trained model with {setting('allow_training_images', True)}, got '{folder}'. Leave it out."
            )
        target = call.output_dir or Path(f"clip-{file_name(str(folder).removeprefix(CLIP))}-evaluation")
    else:
        folder = find_folder(folder)
        target = call.output_dir or folder / "evaluation"
    result = run_evaluate(
        folder,
        ImagePath(real, call.opening),
        target,
        architecture=call.architecture,
        dataset=call.dataset,
        templates=call.templates,
        strict=call.opening.strict,
        allow_training_images=call.allow_training_images,
        when_scored=lambda result: print_evaluation(result, target),  # the picture may take a while
    )
    print_predictions_file(predictions_file(result, target))
