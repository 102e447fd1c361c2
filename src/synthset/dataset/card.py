"""The dataset card: README.md with the YAML head that Hugging Face reads, and a page for people, see card.md.j2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
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
    from jinja2 import Environment  # 40 ms that reading a dataset need not take

    head = yaml.safe_dump(_head(dataset), sort_keys=False, allow_unicode=True)
    page = Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    page.filters |= {"plain": _plain, "code": _code, "grouped": "{:,}".format}
    body = page.from_string(Path(__file__).with_suffix(".md.j2").read_text(encoding="utf-8")).render(
        dataset=dataset,
        manifest=dataset.manifest,
        job=dataset.manifest["job"],
        counts=dataset.strategy_counts(),
        sampling=_departures(dataset.manifest["job"]),
        columns=column_texts(dataset.columns),
    )
    write_text(dataset.folder / "README.md", f"---\n{head}---\n\n{body}")


def _head(dataset: Dataset) -> dict[str, Any]:
    count = dataset.accounting.ok
    described = features(dataset.columns, dataset.class_names)
    return {
        "license": MODEL_LICENCES.get(dataset.manifest["job"]["generation"]["model"], "other"),
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


def _departures(job: Mapping[str, Any]) -> list[str]:
    """Where sampling departs from plain sampling, in words."""
    phrases = SamplingOptions.from_job(job["generation"].get("sampling")).phrases()
    negatives = job["negative_prompt"]
    texts = [negatives] if isinstance(negatives, str) else negatives
    if any(texts):
        quoted = ", ".join(f'"{_plain(text)}"' for text in texts)
        phrases.append(f"each image away from one of {quoted}" if len(texts) > 1 else f"away from {quoted}")
    return phrases


def _code(text: str) -> str:
    """Text that may stand between backticks, where Markdown leaves everything else alone."""
    return " ".join(text.replace("`", "'").split())


def _plain(text: str) -> str:
    """Text that Markdown and HTML leave alone."""
    return text.translate({ord(character): f"&#{ord(character)};" for character in "\\`*_{}[]<>|#!&"})
