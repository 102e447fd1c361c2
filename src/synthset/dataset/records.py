"""One image's record: what it depended on, and what became of it; the columns of plans and shards follow from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from synthset.core.seeds import derive_seed


@dataclass(frozen=True)
class Request:
    """All that one image depends on, beside the generation config that the whole run shares.

    Attributes:
        id: row in the plan.
        class_name, class_index: what to draw, and its label 0..k-1.
        strategy: the plain strategy.
        index: number of the image within its class and strategy.
        prompt, negative_prompt: texts for the generator.
        guidance_scale: classifier-free guidance; no guidance at 1 or less.
        seed: of the initial noise, 0 .. 2^63 - 1.
        initial_image: SHA-256 of the real image's file that drawing begins at, in hexadecimal; empty for none.
        strength: share of the sampler's steps that it passes, in (0, 1]; all of them where there is no image.
        num_inference_steps: of the sampler for this image; 0 for those that all images share.
        condition_images: SHA-256 of the files of the real images that the image is conditioned on; empty for none.
        condition_weights: how much of the embedding of each is in the mixture: at least 0, and 1 together.
    """

    id: int
    class_name: str
    class_index: int
    strategy: str
    index: int
    prompt: str
    negative_prompt: str
    guidance_scale: float
    seed: int
    initial_image: str = ""
    strength: float = 1.0
    num_inference_steps: int = 0
    condition_images: tuple[str, ...] = ()
    condition_weights: tuple[float, ...] = ()

    def retried(self, attempt: int) -> Request:
        """The request with another seed, for the `attempt`-th retry; attempt 0 is the request itself."""
        return self if attempt == 0 else replace(self, seed=derive_seed(self.seed, "retry", attempt))


WORDS = pa.dictionary(pa.int32(), pa.string())  # columns whose few values repeat


SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("class_name", WORDS),
        ("class_index", pa.int32()),
        ("strategy", WORDS),
        ("index", pa.int32()),
        ("prompt", WORDS),
        ("negative_prompt", WORDS),
        ("guidance_scale", pa.float64()),
        ("seed", pa.int64()),
    ]
)


# only plans that need these columns have them: all others stay as they were before there were any
GUIDED_FIELDS = [pa.field("initial_image", pa.string()), pa.field("strength", pa.float64())]


STEPS_FIELD = pa.field("num_inference_steps", pa.int32())


CONDITION_FIELDS = [
    pa.field("condition_images", pa.list_(WORDS)),
    pa.field("condition_weights", pa.list_(pa.float32())),
]


IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


COLUMNS = {
    "image": IMAGE_TYPE,
    "label": pa.int64(),
    "class_name": pa.string(),
    "strategy": pa.string(),
    "prompt": pa.string(),
    "negative_prompt": pa.string(),
    "guidance_scale": pa.float64(),
    "seed": pa.int64(),
    "index": pa.int32(),
    "request_id": pa.int64(),
    "attempts": pa.int32(),
    "sha256": pa.string(),
}


# only of jobs with initial images: that begin at them, and that are conditioned on them
GUIDED_COLUMNS = {item.name: item.type for item in GUIDED_FIELDS}


CONDITION_COLUMNS = {"condition_images": pa.list_(pa.string()), "condition_weights": pa.list_(pa.float32())}


FAILURE_SCHEMA = pa.schema(
    [
        ("request_id", pa.int64()),
        ("class_name", pa.string()),
        ("strategy", pa.string()),
        ("prompt", pa.string()),
        ("guidance_scale", pa.float64()),
        ("seed", pa.int64()),
        ("attempts", pa.int32()),
        ("status", pa.string()),
        ("reason", pa.string()),
    ]
)


def columns_of(job: Mapping[str, Any]) -> dict[str, pa.DataType]:
    """The columns of a job's shards."""
    real = job.get("initial_images", {})
    return COLUMNS | (GUIDED_COLUMNS if "strength" in real else {}) | (CONDITION_COLUMNS if "mixed" in real else {})


def features(job: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a job's shards as Hugging Face features, in their JSON form."""
    described = {name: _feature(kind) for name, kind in columns_of(job).items()}
    described["image"] = {"_type": "Image"}
    described["label"] = {"names": list(job["classes"]), "_type": "ClassLabel"}
    return described


def _feature(kind: pa.DataType) -> Any:
    return [_feature(kind.value_type)] if pa.types.is_list(kind) else {"dtype": str(kind), "_type": "Value"}


def _hugging_face_metadata(job: Mapping[str, Any]) -> dict[bytes, bytes]:
    return {b"huggingface": json.dumps({"info": {"features": features(job)}}).encode()}
