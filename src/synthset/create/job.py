"""The job of a dataset: all that two runs must share to fill one folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from synthset.core.options import job_of
from synthset.core.plug_ins import find_plug_in
from synthset.create.config import CreateConfig
from synthset.create.real_guidance import InitialImages
from synthset.create.refill import RefillJob
from synthset.dataset.plan import Plan
from synthset.dataset.writer import check_folder
from synthset.filters import FilterConfig
from synthset.generators.base import EAGER, GenerationConfig
from synthset.generators.plug_in import describe_generation
from synthset.generators.sampling import SamplingOptions
from synthset.prompts.strategies import STRATEGIES, readers

AUGMENTATION_WORDS = 2  # version of the words and the form of prompt_augmentation; jobs that do not say have the first


def make_job(
    plan: Plan,
    config: CreateConfig,
    generation: GenerationConfig,
    initial: InitialImages | None = None,
    sentences: dict[str, Any] | None = None,
    refill: RefillJob | None = None,
) -> dict[str, Any]:
    """The whole job; it is compared, and named where it differs."""
    return {
        **job_of_config(plan.class_names, config),
        "generation": describe_generation(generation, config.generator),
        **({"initial_images": initial.describe(config.runs())} if initial else {}),
        "requests": len(plan),
        "plan_hash": plan.hash,
        **({"sentences": sentences} if sentences else {}),
        **({"refill": refill.describe()} if refill else {}),
    }


def job_of_config(class_names: Sequence[str], config: CreateConfig) -> dict[str, Any]:
    """The part of the job that is known before anything is planned or loaded."""
    return {
        "classes": list(class_names),
        "strategies": {run.name: str(run.guidance) for run in config.runs()},
        **job_of(config),
        **({"steps": config.steps} if ":" in str(config.steps) else {}),
        **({"plugins": plug_ins} if (plug_ins := _strategy_plug_ins(config)) else {}),
        **({"shared_noise": True} if config.shared_noise else {}),
        **({"augmentation_words": AUGMENTATION_WORDS} if _augments(config) and not config.style.first_words else {}),
    }


def _strategy_plug_ins(config: CreateConfig) -> dict[str, Any]:
    """Packages of the strategies that others add."""
    names = (run.name.partition("@")[0] for run in config.runs())
    found = {name: find_plug_in("strategy", name) for name in names if name not in STRATEGIES}
    return {name: plug_in.record() for name, plug_in in found.items() if plug_in}


def _augments(config: CreateConfig) -> bool:
    return bool(readers("augmentation", config.strategies))


def as_begun(config: CreateConfig, folder: Path) -> CreateConfig:
    """The config with the words of prompt augmentation that the dataset in the folder, if there is one, was begun with.

    Raises:
        UsageError: the folder holds something else than a dataset.
    """
    manifest = check_folder(folder) if _augments(config) else None
    if manifest is None or not any(name.startswith("prompt_augmentation") for name in manifest["job"]["strategies"]):
        return config
    return replace(config, style=replace(config.style, first_words="augmentation_words" not in manifest["job"]))


def default_job(generation: GenerationConfig | None = None) -> dict[str, Any]:
    """Entries that a job may lack, for a version before they were options wrote it.

    Of the parts of a checkpoint it then knows nothing: they count as those of `generation`, of this run.
    """
    described = {
        "sampling": asdict(SamplingOptions()),
        "engine": EAGER,
        "parts": generation.parts if generation else {},
    }
    return {
        **job_of(CreateConfig()),
        "shared_noise": False,
        "augmentation_words": 1,
        "generation": described,
        "refill": asdict(FilterConfig()),
    }
