"""`synthset diagnose`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from synthset.cli.arguments import Positional
from synthset.cli.commands import command
from synthset.cli.machines import Machines
from synthset.cli.opening import OF_REAL, real_path
from synthset.core.errors import UsageError, setting
from synthset.core.options import Nested, Option
from synthset.diagnosis.config import DiagnoseConfig, StudyConfig
from synthset.images.opening import OPENING, ImagePath, Opening


@dataclass(frozen=True)
class DiagnoseCall:
    """Which sets, and where to."""

    data: Annotated[tuple[Path, ...], Positional()] = ()
    """Synthetic sets: Synthset datasets, image folders or Parquet files."""
    opening: Annotated[Opening, Nested(group=OPENING)] = field(default_factory=Opening)
    real: Annotated[str | None, Option(default="none; verdicts are weaker without")] = None
    """Real images to compare with: a known name or a path."""
    real_opening: Annotated[Opening, OF_REAL] = field(default_factory=Opening)
    output_dir: Path = Path("diagnosis")
    """Folder of the tables (Parquet and CSV) and of report.html."""
    evaluations: tuple[Path, ...] = ()
    """Folders of models or evaluations, as eval writes them: their accuracies join the report."""
    classifier: str | None = None
    """Model, by its folder or as one of timm's, NAME or NAME@FILE.safetensors: the t-SNE shows its features, and a head
    trained on real ones is tried on synthetic ones, and the other way round."""
    judge: str | None = None
    """Model that says which class each image shows, named as `classifier` is; ImageNet's classes are found by name or
    WordNet id."""
    judge_classes: Annotated[Path | None, Option(default="by their names")] = None
    """Classes of the judge that stand for those of the images: a YAML file with lines such as "cat: [tabby, Egyptian
    cat]" or "dog: n02085620:n02113978", a range of ImageNet's WordNet ids."""
    cache: Annotated[Path | None, Option(default="SYNTHSET_CACHE, or synthset in the user's cache folder")] = None
    """Folder of cached embeddings."""


@command("diagnose")
def diagnose(call: DiagnoseCall, config: DiagnoseConfig, study: StudyConfig, machines: Machines) -> None:
    """Say in CLIP space why synthetic images fall short of real ones, class by class; one HTML report.

    With `--class`, what each prompt of one class changes, against one fixed reference.

    Example: `synthset diagnose digits-synthetic --real digits --by-strategy --output-dir digits-diagnosis`
    """
    from synthset.cli.diagnosis_tables import print_diagnosis
    from synthset.diagnosis.stage import diagnose as run_diagnose

    if study != StudyConfig():
        _study(call, config, study, machines)
        return

    result = run_diagnose(
        [ImagePath(str(path), call.opening) for path in call.data],
        call.output_dir,
        config,
        real=real_path(call.real, call.real_opening, strict=call.opening.strict),
        evaluations=call.evaluations,
        classifier=call.classifier,
        judge=call.judge,
        judge_classes=call.judge_classes,
        cache=call.cache,
        executor=machines.load_remote(),
    )
    print_diagnosis(result)


def _study(call: DiagnoseCall, config: DiagnoseConfig, study: StudyConfig, machines: Machines) -> None:
    from synthset.cli.diagnosis_tables import print_study
    from synthset.diagnosis.prompt_study import study_prompts

    asked = {name: getattr(call, name) for name in ("real", "evaluations", "classifier", "judge", "judge_classes")}
    if given := [setting(name) for name, value in asked.items() if value]:
        raise UsageError(
            f"Expected no {' and '.join(given)} in a study of prompts, which is held against {setting('reference')} "
            "alone. Leave it out."
        )
    print_study(
        study_prompts(
            [ImagePath(str(path), call.opening) for path in call.data],
            call.output_dir,
            study,
            config,
            cache=call.cache,
            executor=machines.load_remote(),
        )
    )
