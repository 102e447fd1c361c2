"""Synthset trains image classifiers without a single real image.

    import synthset

    made = synthset.create(["one", "two"], "digits-synthetic", strategies=["all_combined"])
    trained = synthset.train("digits-synthetic", "model", architecture="small_cnn")
    print(synthset.evaluate("model", "digits").accuracy)

Names are loaded when they are first used: `import synthset` starts no torch.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

from synthset.version import __version__

TYPE_CHECKING = False  # as in typing, which takes longer to load than this package
if TYPE_CHECKING:
    from typing import Any

    from synthset.classifiers.config import TrainConfig
    from synthset.classifiers.models import Classifier, load_classifier
    from synthset.classifiers.scoring import EvaluationResult
    from synthset.classifiers.stage import train
    from synthset.classifiers.train import TrainResult
    from synthset.comparison.config import CompareConfig
    from synthset.comparison.results import ComparisonResult
    from synthset.comparison.stage import compare
    from synthset.core.errors import SynthsetError
    from synthset.create.config import CreateConfig
    from synthset.create.stage import CreateResult, create
    from synthset.curation.listing import Listing, ShowConfig, show
    from synthset.curation.merge import MergeConfig, MergeResult, merge
    from synthset.curation.redraw import RedrawResult, redraw
    from synthset.curation.relabel import RelabelResult, relabel
    from synthset.curation.split import SplitConfig, SplitResult, split
    from synthset.dataset.export import export, export_imagefolder
    from synthset.dataset.reader import Dataset, open_dataset
    from synthset.demo import DemoResult, demo
    from synthset.detection.config import DetectConfig
    from synthset.detection.stage import DetectResult, detect
    from synthset.diagnosis.config import DiagnoseConfig
    from synthset.diagnosis.stage import DiagnosisResult, diagnose
    from synthset.encoders.clip import load_encoder
    from synthset.evaluation.stage import evaluate
    from synthset.filters import FilterConfig, FilterResult, filter_dataset
    from synthset.findings.results import ReproductionResult
    from synthset.findings.stage import ReproduceConfig, reproduce
    from synthset.generators.loading import load_generator
    from synthset.generators.sampling import ConditionAnnealing, SamplingOptions
    from synthset.images.imageset import ImageSet
    from synthset.pretraining.config import PretrainConfig
    from synthset.pretraining.stage import PretrainResult, pretrain
    from synthset.prompts.strategies import PromptStyle
    from synthset.publishing.stage import PushResult, push
    from synthset.real import load_real
    from synthset.report import build_report
    from synthset.transfer.config import TransferConfig
    from synthset.transfer.results import TransferResult
    from synthset.transfer.stage import transfer
    from synthset.tuning.config import TuneConfig
    from synthset.tuning.curve import tune_curve
    from synthset.tuning.curve_results import CurveResult
    from synthset.tuning.results import TuneResult
    from synthset.tuning.stage import tune

_HOMES = {
    "synthset.classifiers.config": ("TrainConfig",),
    "synthset.classifiers.models": ("Classifier", "load_classifier"),
    "synthset.classifiers.scoring": ("EvaluationResult",),
    "synthset.classifiers.stage": ("train",),
    "synthset.classifiers.train": ("TrainResult",),
    "synthset.comparison.config": ("CompareConfig",),
    "synthset.comparison.results": ("ComparisonResult",),
    "synthset.comparison.stage": ("compare",),
    "synthset.core.errors": ("SynthsetError",),
    "synthset.create.config": ("CreateConfig",),
    "synthset.create.stage": ("CreateResult", "create"),
    "synthset.curation.listing": ("Listing", "ShowConfig", "show"),
    "synthset.curation.merge": ("MergeConfig", "MergeResult", "merge"),
    "synthset.curation.redraw": ("RedrawResult", "redraw"),
    "synthset.curation.relabel": ("RelabelResult", "relabel"),
    "synthset.curation.split": ("SplitConfig", "SplitResult", "split"),
    "synthset.dataset.export": ("export", "export_imagefolder"),
    "synthset.dataset.reader": ("Dataset", "open_dataset"),
    "synthset.demo": ("DemoResult", "demo"),
    "synthset.detection.config": ("DetectConfig",),
    "synthset.detection.stage": ("DetectResult", "detect"),
    "synthset.diagnosis.config": ("DiagnoseConfig",),
    "synthset.diagnosis.stage": ("DiagnosisResult", "diagnose"),
    "synthset.encoders.clip": ("load_encoder",),
    "synthset.evaluation.stage": ("evaluate",),
    "synthset.filters": ("FilterConfig", "FilterResult", "filter_dataset"),
    "synthset.findings.results": ("ReproductionResult",),
    "synthset.findings.stage": ("ReproduceConfig", "reproduce"),
    "synthset.generators.loading": ("load_generator",),
    "synthset.generators.sampling": ("ConditionAnnealing", "SamplingOptions"),
    "synthset.images.imageset": ("ImageSet",),
    "synthset.pretraining.config": ("PretrainConfig",),
    "synthset.pretraining.stage": ("PretrainResult", "pretrain"),
    "synthset.prompts.strategies": ("PromptStyle",),
    "synthset.publishing.stage": ("PushResult", "push"),
    "synthset.real": ("load_real",),
    "synthset.report": ("build_report",),
    "synthset.transfer.config": ("TransferConfig",),
    "synthset.transfer.results": ("TransferResult",),
    "synthset.transfer.stage": ("transfer",),
    "synthset.tuning.config": ("TuneConfig",),
    "synthset.tuning.curve": ("tune_curve",),
    "synthset.tuning.curve_results": ("CurveResult",),
    "synthset.tuning.results": ("TuneResult",),
    "synthset.tuning.stage": ("tune",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
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


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        value = getattr(import_module(_HOME_OF[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'synthset' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """Keeps `synthset.create` the function, though importing the package of that name would put it there."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) and name in _HOME_OF):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
