"""The job: what two runs must share to fill one folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from synthset.create.config import CreateConfig
from synthset.create.real_guidance import InitialImages
from synthset.dataset.plan import Plan
from synthset.generators.base import GenerationConfig


def _job(
    plan: Plan, config: CreateConfig, generation: GenerationConfig, initial: InitialImages | None
) -> dict[str, Any]:
    """What two runs must share to fill one folder; it is compared, and named where it differs."""
    return {
        **_prompt_job(plan.class_names, config),
        "generation": generation.describe(),
        "images": {
            "resize_px": config.resize_px,
            "antialias": config.antialias,
            "format": config.image_format,
            "quality": config.quality,
        },
        **({"initial_images": initial.describe(config.runs())} if initial else {}),
        "shard_size": config.shard_size,
        "requests": len(plan),
        "plan_hash": plan.hash,
    }


def _prompt_job(names: Sequence[str], config: CreateConfig) -> dict[str, Any]:
    """The part of the job that decides about the prompts, beside sentences."""
    style = asdict(replace(config.style, sentences={}))
    del style["sentences"]  # the job has a hash of them, see sentences.sentence_job
    return {
        "classes": list(names),
        "seed": config.seed,
        "images_per_class": config.images_per_class,
        "strategies": {run.name: str(run.guidance) for run in config.runs()},
        "negative_prompt": config.negative_prompt,
        **({"steps": config.steps} if ":" in str(config.steps) else {}),
        "prompts": style,
    }
