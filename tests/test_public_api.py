"""Pins what the package exports, and that importing it stays cheap."""

import os
import subprocess
import sys

import pytest

import synthset

PUBLIC = [
    "Classifier",
    "CompareConfig",
    "ComparisonResult",
    "ConditionAnnealing",
    "CreateConfig",
    "CreateResult",
    "CurveResult",
    "Dataset",
    "DemoResult",
    "DetectConfig",
    "DetectResult",
    "DiagnoseConfig",
    "DiagnosisResult",
    "EvaluationResult",
    "FilterConfig",
    "FilterResult",
    "ImageSet",
    "Listing",
    "MergeConfig",
    "MergeResult",
    "PretrainConfig",
    "PretrainResult",
    "PromptStyle",
    "PushResult",
    "RedrawResult",
    "RelabelResult",
    "ReproduceConfig",
    "ReproductionResult",
    "SamplingOptions",
    "ShowConfig",
    "SplitConfig",
    "SplitResult",
    "SynthsetError",
    "TrainConfig",
    "TrainResult",
    "TransferConfig",
    "TransferResult",
    "TuneConfig",
    "TuneResult",
    "__version__",
    "build_report",
    "compare",
    "create",
    "demo",
    "detect",
    "diagnose",
    "evaluate",
    "export",
    "export_imagefolder",
    "filter_dataset",
    "load_classifier",
    "load_encoder",
    "load_generator",
    "load_real",
    "merge",
    "open_dataset",
    "pretrain",
    "push",
    "redraw",
    "relabel",
    "reproduce",
    "show",
    "split",
    "train",
    "transfer",
    "tune",
    "tune_curve",
]
STAGES = ("create", "train", "evaluate", "export", "demo", "diagnose", "tune")


def test_exported_names_are_pinned():
    assert sorted(synthset.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(synthset, name) is not None


def test_unknown_names_raise():
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = synthset.nothing_like_it


@pytest.mark.parametrize("first", ["CreateConfig", "DemoResult", "export_imagefolder"])
def test_stages_stay_functions_whatever_is_imported_first(first):
    code = f"import synthset; synthset.{first}; import synthset.demo; " + "; ".join(
        f"assert type(synthset.{stage}).__name__ == 'function', '{stage}'" for stage in STAGES
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "code",
    [
        "import synthset",
        "import synthset.cli; synthset.cli.main(['--help'])",
        "import synthset.cli; synthset.cli.main(['create', '--help'])",
        "import synthset.cli; synthset.cli.main(['diagnose', '--help'])",
        "import synthset.cli; synthset.cli.main(['create', '--classes', 'cat'])",
    ],
)
def test_heavy_libraries_are_loaded_only_when_needed(code):
    heavy = ("torch", "diffusers", "transformers", "timm", "datasets", "sklearn", "scipy")
    check = f"{code}; import sys; loaded = [m for m in {heavy!r} if m in sys.modules]; assert not loaded, loaded"
    narrow = os.environ | {"COLUMNS": "60"}  # no stored page of the help fits, so the command line renders it
    subprocess.run([sys.executable, "-c", check], check=True, capture_output=True, env=narrow)
