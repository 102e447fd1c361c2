"""The job of a dataset: all that two runs must share to fill one folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from synthset.core.options import job_of
from synthset.create.config import CreateConfig
from synthset.create.real_guidance import InitialImages
from synthset.create.refill import RefillJob
from synthset.dataset.plan import Plan
from synthset.dataset.writer import check_folder
from synthset.filters import FilterConfig
from synthset.generators.base import EAGER, GenerationConfig
from synthset.generators.sampling import SamplingOptions
from synthset.prompts.strategies import readers

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
        "generation": generation.describe(),
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
        **({"shared_noise": True} if config.shared_noise else {}),
        **({"augmentation_words": AUGMENTATION_WORDS} if _augments(config) and not config.style.first_words else {}),
    }


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
