"""Another job into the folder of a dataset: refused by exit code 2, the difference named, not one byte changed."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fault_report import FaultReport, changes, contents

import synthset
from synthset.core.errors import SynthsetError
from synthset.dataset.reader import open_dataset
from synthset.generators.base import GenerationConfig
from synthset.testing import FakeGenerator

JOB: dict[str, Any] = {"classes": ("cat", "dog"), "strategies": ("base", "random_guidance"), "images_per_class": 5}


@dataclass
class OtherModel(FakeGenerator):
    """The fake, said to be otherwise in some respect."""

    other: dict[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> GenerationConfig:
        return replace(super().config, **self.other)


# what is changed, and the word that names it
CHANGES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"classes": ("dog", "cat")}, "classes"),
    ({"seed": 65}, "seed"),
    ({"generator": OtherModel(other={"num_inference_steps": 2})}, "num_inference_steps"),
    ({"generator": OtherModel(other={"revision": "main"})}, "revision"),
    ({"generator": OtherModel(other={"dtype": "bfloat16"})}, "dtype"),
    ({"generator": OtherModel(other={"scheduler": "euler"})}, "scheduler"),
    ({"generator": OtherModel(other={"weights_hash": "1" * 64})}, "weights_hash"),
    ({"images_per_class": 6}, "images_per_class"),
    ({"strategies": ("base", "multi_domain")}, "strategies"),
    ({"guidance_scale": "2"}, "strategies.base"),
    ({"negative_prompt": "blur"}, "negative_prompt"),
    ({"image_format": "jpeg"}, "images.format"),
    ({"resize_px": 4}, "images.resize_px"),
    ({"shard_size": 100}, "shard_size"),
)


def run(count: int) -> list[FaultReport]:
    """The first `count` changes, against one finished dataset."""
    lost = []
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        draw(scratch / "pets")
        before = contents(scratch)
        for change, word in CHANGES[:count]:
            try:
                draw(scratch / "pets", **change)
                lost.append(f"another {word} was taken")
            except SynthsetError as error:
                if error.exit_code != 2 or word not in str(error) or "\n" in str(error):
                    lost.append(f"another {word} was refused with exit code {error.exit_code}: {error}")
            lost += changes(before, scratch)
        total = open_dataset(scratch / "pets").accounting
    return [FaultReport("another job", len(CHANGES[:count]), total.requested, total.ok, lost=tuple(lost))]


def draw(folder: Path, **change: Any) -> None:
    """The job, but for a change."""
    job: dict[str, Any] = {"generator": OtherModel(), **JOB, **change}
    synthset.create(job.pop("classes"), folder, **job)
