"""The dataset card: README.md with the YAML head that Hugging Face reads, and a page for people."""

from __future__ import annotations

from typing import Any

import yaml

from synthset.core.files import write_text
from synthset.dataset.reader import Dataset
from synthset.dataset.records import column_texts, features
from synthset.generators.sampling import SamplingOptions

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
# The licence of the images follows the model's; of other models it must be looked up.
MODEL_LICENCES = {
    "miniature": "apache-2.0",
    "CompVis/stable-diffusion-v1-4": "creativeml-openrail-m",
    "stable-diffusion-v1-5/stable-diffusion-v1-5": "creativeml-openrail-m",
    "stabilityai/stable-diffusion-2-1": "openrail++",
}


def write_card(dataset: Dataset) -> None:
    """Write README.md into the dataset folder, from its manifest and rows."""
    job = dataset.manifest["job"]
    head = yaml.safe_dump(_head(dataset), sort_keys=False, allow_unicode=True)
    write_text(dataset.folder / "README.md", f"---\n{head}---\n\n{_body(dataset, job)}")


def _head(dataset: Dataset) -> dict[str, Any]:
    count = dataset.accounting.ok
    described = features(dataset.columns, dataset.class_names)
    licence = MODEL_LICENCES.get(dataset.manifest["job"]["generation"]["model"])
    return {
        **({"license": licence} if licence else {"license": "other"}),
        "tags": ["synthetic", "synthset"],
        "task_categories": ["image-classification"],
        "size_categories": [next((name for limit, name in _SIZES if count < limit), "n>1M")],
        # without this, preview.png and the plan would be taken for data
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*.parquet"}]}],
        "dataset_info": {"features": [_yaml_feature(*item) for item in described.items()]},
    }


def _yaml_feature(name: str, feature: Any) -> dict[str, Any]:
    if isinstance(feature, list):
        return {"name": name, "sequence": feature[0]["dtype"]}
    if feature["_type"] == "Image":
        return {"name": name, "dtype": "image"}
    if feature["_type"] == "ClassLabel":
        names = {str(i): class_name for i, class_name in enumerate(feature["names"])}
        return {"name": name, "dtype": {"class_label": {"names": names}}}
    return {"name": name, "dtype": feature["dtype"]}


def _body(dataset: Dataset, job: dict[str, Any]) -> str:
    generation = job["generation"]
    counts = dataset.strategy_counts()
    rows = "\n".join(
        f"| {_plain(name)} | {guidance} | {counts[name]:,} |" for name, guidance in job["strategies"].items()
    )
    columns = "\n".join(f"| `{name}` | {_plain(text)} |" for name, text in column_texts(dataset.columns).items())
    classes = ", ".join(_plain(name) for name in job["classes"])
    return f"""# {_plain(dataset.folder.resolve().name)}

Synthetic images of {len(job["classes"])} classes, drawn by a text-to-image model from {_origin(job)}. No real
image is among them.

![A few images of each class and strategy](preview.png)

**Classes:** {classes}

| strategy | guidance scale | images |
|---|---|---|
{rows}

**Model:** `{_code(generation["model"])}`, revision `{generation["revision"] or "default"}`, weights
`{generation["weights_hash"]}`; {generation["scheduler"]}, {_steps(job)},
{generation["width_px"]}×{generation["height_px"]} px, {generation["dtype"]}, run seed {job["seed"]}. The licence of
the model, and any restrictions of use that it carries, hold for these images.

**Sampling:** {_sampling(job)}

**Accounting:** {dataset.accounting}. `plan.parquet` has every request, `failures.parquet` those that could not be
drawn.

**Rows:** all that an image depended on beside the model, and what came of it.

| column | content |
|---|---|
{columns}

**Filters:** {_filters(dataset)}

Made with Synthset {dataset.manifest["libraries"]["synthset"]}.
"""


def _steps(job: dict[str, Any]) -> str:
    if "steps" not in job:
        return f"{job['generation']['num_inference_steps']} steps"
    return "{} to {} steps, each image its own number".format(*str(job["steps"]).split(":"))


def _sampling(job: dict[str, Any]) -> str:
    phrases = SamplingOptions.from_job(job["generation"].get("sampling")).phrases()
    negatives = job["negative_prompt"]
    if isinstance(negatives, str):
        negatives = [negatives] if negatives else []
    if negatives:
        quoted = ", ".join(f'"{_plain(text)}"' for text in negatives)
        phrases.append(f"each image away from one of {quoted}" if len(negatives) > 1 else f"away from {quoted}")
    return f"{'; '.join(phrases)}." if phrases else "plain."


def _origin(job: dict[str, Any]) -> str:
    initial = job.get("initial_images")
    sentences = job.get("sentences")
    names = "class names"
    if sentences:
        names = f"class names, put\ninto sentences by `{_code(sentences['writer'])}` (see `sentences.jsonl`)"
    if initial is None:
        return names if sentences else "class names alone"
    mixed, strength = initial.get("mixed", {}), initial.get("strength")
    uses = [f"an image of `{name}` is drawn from a mixture of {count} of its class" for name, count in mixed.items()]
    if strength is not None:
        other = "any other image" if mixed else "each image"
        uses.append(f"{other} begins at one of them, noised, and takes the last {strength:.0%} of\nthe steps")
    return (
        f"{names} and {initial['images']:,} real\nimages, which lie in `real-images.parquet`: {'; '.join(uses)}. Do "
        "not test on these real images; their own terms hold for them"
    )


def _filters(dataset: Dataset) -> str:
    refill = dataset.manifest.get("refill")
    drawn = (
        f"Images were drawn until the filter `{refill['method']}` kept enough of each class: it keeps "
        f"{refill['kept']:,} and rejects {refill['rejected']:,}. "
        if refill
        else ""
    )
    return (
        f"{drawn}Verdicts of filters lie in `filters/`, by `request_id`, where any was run; the "
        "images that they reject stay in `data/`."
    )


def _code(text: str) -> str:
    """Text that may stand between backticks, where Markdown leaves everything else alone."""
    return " ".join(text.replace("`", "'").split())


def _plain(text: str) -> str:
    """Text that Markdown and HTML leave alone."""
    return text.translate({ord(character): f"&#{ord(character)};" for character in "\\`*_{}[]<>|#!&"})
