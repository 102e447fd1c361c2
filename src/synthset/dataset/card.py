"""The dataset card: README.md with the YAML head that Hugging Face reads, and a page for people, see card.md.j2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from synthset.core.errors import DataError
from synthset.core.files import write_text
from synthset.dataset.reader import Dataset, is_dataset, open_dataset
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


@dataclass(frozen=True)
class _Kept:
    """What is known of the verdicts: how many images are kept, and how many each filter rejects.

    Attributes:
        rejected_ids: of the images that are left out, in order.
        trouble: why nothing is left out though there are verdicts; empty where that is not so.
    """

    kept: int
    rejected_by: Mapping[str, int]
    rejected_ids: tuple[int, ...] = ()
    trouble: str = ""


def write_card(dataset: Dataset, name: str = "") -> None:
    """Write README.md into the dataset folder, see `card_text`."""
    write_text(dataset.folder / "README.md", card_text(dataset, name))


def card_text(dataset: Dataset, name: str = "") -> str:
    """The card of a dataset, from its manifest, its rows and what filters say of them.

    Args:
        name: of the dataset, where it is not that of the folder.
    """
    from jinja2 import Environment  # 40 ms that reading a dataset need not take

    kept = _look_at_verdicts(dataset)
    files = [{"split": "train", "path": "data/train-*.parquet"}]
    head = _as_yaml(_head(dataset, dataset.accounting.ok, kept.rejected_ids, files))
    page = Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    page.filters |= {"plain": _plain, "code": _code, "grouped": "{:,}".format}
    body = page.from_string(Path(__file__).with_suffix(".md.j2").read_text(encoding="utf-8")).render(
        dataset=dataset,
        name=name or dataset.folder.resolve().name,
        drawings=_drawings(dataset),
        kept=kept,
        relabelled=_count_relabelled(dataset),
        manifest=dataset.manifest,
        job=dataset.manifest["job"],
        counts=dataset.strategy_counts(),
        columns=column_texts(dataset.columns),
    )
    return f"---\n{head}---\n\n{body}"


def refresh_card(dataset: Dataset) -> None:
    """Write the card anew, as verdicts or relabels changed; whoever took it away does not get it back.

    Of a part of a dataset, that of the parts together too.
    """
    folder = dataset.folder
    if (folder / "README.md").exists():
        write_card(open_dataset(folder))
    if dataset.split is not None and (folder.parent / "README.md").exists():
        names = list(dataset.split.shares)
        if folder.resolve().name == dataset.split.part and all(is_dataset(folder.parent / name) for name in names):
            write_parts_card(folder.parent, names)


def write_parts_card(folder: Path, names: Sequence[str], name: str = "") -> None:
    """Write README.md into a folder that holds the parts of a dataset, so that `datasets` reads them as its splits.

    Args:
        names: of the parts, which are datasets in folders of these names.
        name: of the folder, where it is not its own.
    """
    parts = [open_dataset(folder / part) for part in names]
    looks = [_look_at_verdicts(part) for part in parts]
    ids = tuple(number for look in looks for number in look.rejected_ids)  # which no two parts share
    files = [{"split": part, "path": f"{part}/data/train-*.parquet"} for part in names]
    head = _head(parts[0], sum(part.accounting.ok for part in parts), ids, files)
    rows = [
        f"| [{part}]({part}/README.md) | {one.accounting.ok:,} | {look.kept:,} |"
        for part, one, look in zip(names, parts, looks, strict=True)
    ]
    whole = parts[0].split.dataset if parts[0].split else ""
    lines = (
        f"# {_plain(name or folder.resolve().name)}\n",
        f"Parts of the synthetic dataset `{_code(whole)}`. Each is a dataset, whose card says how it was drawn.\n",
        "| part | images | kept by filters |\n|---|---|---|",
        *rows,
        '\n`datasets.load_dataset(…)` gives those that are kept, `datasets.load_dataset(…, "all")` all of them.\n',
    )
    write_text(folder / "README.md", f"---\n{_as_yaml(head)}---\n\n" + "\n".join(lines))


def licences(dataset: Dataset) -> list[str]:
    """The licences that hold for the images, as those of the models that drew them; "other" is to be looked up."""
    models = [job["generation"].get("model") for job in jobs_of(dataset)]
    return list(dict.fromkeys(MODEL_LICENCES.get(model, "other") for model in models))


def jobs_of(dataset: Dataset) -> list[Mapping[str, Any]]:
    """The jobs that the images were drawn by: its own, or those of the datasets that it was merged from."""
    return [source.job for source in dataset.merged.sources] if dataset.merged else [dataset.manifest["job"]]


def _look_at_verdicts(dataset: Dataset) -> _Kept:
    try:
        keep, verdicts = dataset.kept(), dataset.verdicts()
    except DataError as error:  # the card says so, and whoever uses the images is told again
        return _Kept(dataset.accounting.ok, {}, trouble=str(error))
    rejected = {method: int((~verdict.keep).sum()) for method, verdict in verdicts.items()}
    ids = dataset.rows.column("request_id").to_numpy()
    return _Kept(int(keep.sum()), rejected, tuple(ids[~keep].tolist()))


def _count_relabelled(dataset: Dataset) -> int:
    """Images whose class is another than their shards have."""
    if dataset.rows is dataset.drawn_rows:
        return 0
    return int((dataset.rows.column("label").to_numpy() != dataset.drawn_rows.column("label").to_numpy()).sum())


def _drawings(dataset: Dataset) -> list[dict[str, Any]]:
    """How images were drawn, for each job: the generation config, the seed, and where sampling departs."""
    names = [source.name for source in dataset.merged.sources] if dataset.merged else [""]
    return [
        {"name": name, "job": job, "generation": job["generation"], "sampling": _departures(job)}
        for name, job in zip(names, jobs_of(dataset), strict=True)
    ]


class _Inline(list):
    """A list that stands on one line, for there may be thousands in it."""


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True  # what stands twice is written twice: not every reader of cards knows anchors


_Dumper.add_representer(
    _Inline, lambda dumper, value: dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)
)


def _as_yaml(head: Mapping[str, Any]) -> str:
    return yaml.dump(head, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _head(dataset: Dataset, count: int, rejected: Sequence[int], files: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    described = features(dataset.columns, dataset.class_names)
    shown = [_yaml_feature(*item) for item in described.items()]
    licence = licences(dataset)
    # no image is copied or moved for it: `datasets` reads the shards and leaves these rows out
    left_out = {"filters": [_Inline(["request_id", "not in", _Inline(rejected)])]} if rejected else {}
    return {
        "license": licence[0] if len(licence) == 1 else licence,
        "tags": ["synthetic", "synthset"],
        "task_categories": ["image-classification"],
        "size_categories": [next((name for limit, name in _SIZES if count < limit), "n>1M")],
        "configs": [
            # without these, preview.png and the plan would be taken for data
            {"config_name": "default", "default": True, "data_files": files, **left_out},
            {"config_name": "all", "data_files": files},
        ],
        "dataset_info": [{"config_name": name, "features": shown} for name in ("default", "all")],
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
