"""The stage: judge the images of a dataset, and write the verdicts beside them."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from synthset.core.errors import DataError, UnknownNameError, UsageError, setting
from synthset.core.files import delete_parts
from synthset.core.locks import reading, writing
from synthset.core.options import declared_options, with_options
from synthset.core.plug_ins import PlugIn, find_plug_in, is_unicode, plug_in_names
from synthset.dataset.card import refresh_card
from synthset.dataset.reader import Dataset, open_dataset
from synthset.dataset.suited_encoder import model_of, suited_encoder
from synthset.dataset.verdicts import BY_HAND, JUDGED_AS, SCHEMA, Verdicts, delete_verdicts, write_verdicts
from synthset.encoders.embed import fill_cache
from synthset.executors import Executor
from synthset.filters.base import Filter, FilterInputs, Judgement
from synthset.filters.clip import CLIP
from synthset.filters.config import FilterConfig
from synthset.filters.duplicates import DUPLICATES
from synthset.filters.real import REAL, no_real_images
from synthset.images.imageset import ImageSet, readable
from synthset.images.opening import ImagePath, ImageSource, open_strictly
from synthset.images.splits import FOR_TESTS
from synthset.real.sets import path_of

if TYPE_CHECKING:
    from synthset.encoders.clip import Encoder
    from synthset.encoders.embed import EmbeddingCache

log = logging.getLogger("synthset")

FILTERS: dict[str, Filter] = {
    "clip": CLIP,
    "real": REAL,
    "duplicates": DUPLICATES,
}
FEW_SHARE = 0.1  # a class with less of its images left is spoken of


@dataclass(frozen=True, eq=False)
class FilterResult:
    """Verdicts of filters on a dataset.

    Attributes:
        class_names: the k names, in label order.
        labels: int64 (n,), of all images that were drawn.
        verdicts: of the filters that were run, by method.
        keep: bool (n,), what every filter keeps, those of earlier runs among them.
    """

    folder: Path
    class_names: tuple[str, ...]
    labels: np.ndarray
    verdicts: Mapping[str, Verdicts]
    keep: np.ndarray

    def counts(self, mask: np.ndarray | None = None) -> np.ndarray:
        """Images of each class, int64 (k,): all, or those where `mask`, bool (n,), is true."""
        labels = self.labels if mask is None else self.labels[mask]
        return np.bincount(labels, minlength=len(self.class_names))

    def short_classes(self) -> dict[str, tuple[int, int]]:
        """Classes with few or no images left: name -> (kept, drawn)."""
        drawn, kept = self.counts().tolist(), self.counts(self.keep).tolist()
        named = zip(self.class_names, kept, drawn, strict=True)
        return {name: (left, total) for name, left, total in named if left < FEW_SHARE * total}


def filter_dataset(
    folder: str | Path,
    methods: Sequence[str] | Mapping[str, Filter] = ("clip",),
    config: FilterConfig | None = None,
    *,
    encoder: Encoder | None = None,
    cache: EmbeddingCache | None = None,
    real: ImageSource | None = None,
    executor: Executor | None = None,
    **options: Any,
) -> FilterResult:
    """Judge every image of a dataset and write keep, reason and score to `filters/<method>.parquet`.

    Deletes nothing: `Dataset.images`, and so training and export, leave out what a filter rejects. Running a
    method again replaces its file. A class left with few images or none is warned of, never filled up.

    Args:
        folder: of a finished dataset.
        methods: keys of FILTERS, or filters of your own by name.
        config: what they do; `options` are its fields, e.g. `threshold=0.5`.
        encoder: an object to embed with, instead of the one that the config names.
        cache: of embeddings; the user's by default.
        real: real images to compare with: a known name, a path (an ImagePath says how it is opened), or an ImageSet.
        executor: where to embed, if not here; the cache then lies in a folder that all workers reach.
    Raises:
        UsageError: an argument that cannot be right; nothing was written.
        DataError, ModelError: what cannot be read; nothing was written.
    Example:
        >>> from synthset.filters import filter_dataset
        >>> filter_dataset("digits-synthetic", ["clip"], threshold=0.5)  # doctest: +SKIP
    """
    if real is not None and not isinstance(real, ImageSet):
        options["real"], real = ImagePath.of(real), None
    config = with_options(config or FilterConfig(), options)
    filters = _find(methods)
    check_read(filters, config, real)
    if "real" in filters and config.real is None and real is None:  # said before a model is loaded
        raise no_real_images()
    dataset = open_dataset(folder)
    check_other(config, dataset.folder)
    with writing(dataset.folder), reading(path_of(config.real)):
        dataset = open_dataset(folder)  # nobody writes into it from here on
        if not dataset.rows.num_rows:
            raise DataError(f"Expected images in '{folder}', found none. Run 'synthset create' first.")
        inputs = prepare(config, [model_of(folder)], encoder=encoder, cache=cache, real=real, phrases=dataset.phrases)
        for one in filters.values():
            one.settings(dataset.class_names, inputs)  # raises before anything is computed
        if executor is not None and inputs.cache is not None:
            for images in (dataset.images(kept=False), *filter(None, {inputs.real, inputs.pool})):
                fill_cache(images, inputs.encoder, inputs.cache, executor)
        log.debug("judging '%s' by %s", folder, ", ".join(filters))
        verdicts = {method: judge(dataset, method, one, inputs) for method, one in filters.items()}
        delete_parts(dataset.folder)
        for written in verdicts.values():
            write_verdicts(dataset.folder, written)
        labels = dataset.rows.column("label").to_numpy().astype(np.int64)
        result = FilterResult(dataset.folder, dataset.class_names, labels, verdicts, _kept(dataset, verdicts))
        refresh_card(dataset)
    _warn(result)
    return result


def prepare(
    config: FilterConfig,
    drawn_by: Sequence[str | None] = (),
    *,
    encoder: Encoder | None = None,
    cache: EmbeddingCache | None = None,
    real: ImageSet | None = None,
    phrases: Mapping[str, str] | None = None,
) -> FilterInputs:
    """Inputs of filters, loaded. Raises UsageError, DataError, ModelError where one cannot be.

    Args:
        drawn_by: models that drew the images, by which an encoder is chosen where none is named.
    """
    from synthset.encoders.clip import load_encoder
    from synthset.encoders.embed import EmbeddingCache
    from synthset.real import match_set, open_set
    from synthset.real.learning import few_shot_pool

    if encoder is None:  # said before real images are read
        source = config.real if real is None else real
        config = replace(config, encoder=suited_encoder(config.encoder, "encoder", drawn_by, source))
    pool = real
    if real is None and config.real is not None:
        real = open_set(config.real, FOR_TESTS)
        has_parts = match_set(str(config.real)) is not None or bool(real.split)
        is_said = ImagePath.of(config.real).opening.split is not None
        pool = few_shot_pool(config.real) if has_parts and not is_said else real
    is_one, strict = pool is real, open_strictly(config.real)
    real = None if real is None else readable(real, strict=strict)
    pool = real if is_one or pool is None else readable(pool, strict=strict)
    encoder = encoder or load_encoder(str(config.encoder), device=config.device)
    return FilterInputs(config, encoder, EmbeddingCache() if cache is None else cache, real, pool, phrases or {})


def judge(dataset: Dataset, method: str, judging: Filter, inputs: FilterInputs) -> Verdicts:
    """Verdicts of one filter on a dataset; writes nothing."""
    ids = dataset.rows.column("request_id").to_numpy()
    images = replace(dataset.images(kept=False), origin=lambda row: f"request {ids[row]}")
    judgement = judging.judge(images, inputs)
    columns = [ids, judgement.keep, list(judgement.reasons), np.asarray(judgement.score, np.float64)]
    table = pa.Table.from_arrays([pa.array(column) for column in columns], names=SCHEMA.names)
    if judging.by_class:
        table = table.append_column(JUDGED_AS, dataset.rows.column("class_name").cast(JUDGED_AS.type))
    return Verdicts(method, judging.settings(dataset.class_names, inputs), table, dataset.rows_hash)


def clear_filters(folder: str | Path) -> list[str]:
    """Delete the verdicts of the filters in FILTERS, damaged or not, and of no others.

    Returns:
        The methods whose verdicts were there.
    """
    dataset = open_dataset(folder)
    with writing(dataset.folder):
        deleted = delete_verdicts(dataset.folder, known_filters())
        refresh_card(dataset)
        return deleted


def _find(methods: Sequence[str] | Mapping[str, Filter]) -> dict[str, Filter]:
    """The filters by name."""
    if not methods:
        raise UsageError(f"Expected at least one filter. Valid: {', '.join(known_filters())}.")
    if isinstance(methods, Mapping):
        for name in methods:
            if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):  # it becomes the name of a file
                raise UsageError(f"Expected small letters, digits, - and _ as the name of a filter, got '{name}'.")
            if name == BY_HAND:
                raise UsageError(f"Expected another name of a filter than '{name}', which holds verdicts by hand.")
        return dict(methods)
    names = [methods] if isinstance(methods, str) else methods
    return {name: find_filter(name) for name in names}


def find_filter(name: str) -> Filter:
    """The filter of a name: Synthset's, or one that another package adds, whose verdicts name the package.

    Raises:
        UnknownNameError: there is none.
        UsageError: one of a package that cannot be loaded, or that is no filter.
    """
    if name in FILTERS:
        return FILTERS[name]
    plug_in = find_plug_in("filter", name)
    if plug_in is None:
        raise UnknownNameError("filter", name, known_filters())
    added = plug_in.value
    if not isinstance(added, Filter):
        raise plug_in.is_wrong("a synthset.filters.base.Filter")
    return replace(
        added,
        settings=lambda names, inputs: _settings_of(plug_in, plug_in.call(added.settings, names, inputs)),
        judge=lambda images, inputs: _judgement_of(plug_in, plug_in.call(added.judge, images, inputs), len(images)),
    )


def _settings_of(plug_in: PlugIn, settings: Any) -> dict[str, Any]:
    """What a package's filter says of itself, with the package. Raises UsageError for what JSON cannot hold."""
    try:
        json.dumps(settings)
    except (TypeError, ValueError):
        settings = None
    if not isinstance(settings, dict):
        raise plug_in.is_wrong("settings that are a mapping as JSON can hold it", "others")
    return {**settings, "plugin": plug_in.record()}


def _judgement_of(plug_in: PlugIn, judgement: Any, count: int) -> Judgement:
    """What a package's filter answers. Raises UsageError for what is no answer to so many images."""
    if not isinstance(judgement, Judgement):
        raise plug_in.is_wrong("a synthset.filters.base.Judgement", type(judgement).__name__)
    keep, score, reasons = np.asarray(judgement.keep), np.asarray(judgement.score), list(judgement.reasons)
    if keep.dtype != bool or keep.shape != (count,) or score.shape != (count,) or len(reasons) != count:
        raise plug_in.is_wrong(
            f"keep, bool ({count},), score ({count},) and {count} reasons",
            f"{keep.dtype} {keep.shape}, {score.shape} and {len(reasons)}",
        )
    if not all(reason is None or is_unicode(reason) for reason in reasons):
        raise plug_in.is_wrong("reasons that are text in Unicode", "others")
    return Judgement(keep, score, reasons)


def known_filters() -> list[str]:
    """The names of all filters, those that other packages add behind Synthset's own."""
    return [*FILTERS, *(name for name in plug_in_names("filter") if name not in FILTERS)]


def check_other(config: FilterConfig, folder: Path) -> None:
    """Raise UsageError where the real images to compare with are those of the dataset itself."""
    path = path_of(config.real)
    if path and path.exists() and folder.exists() and path.samefile(folder):
        raise UsageError(
            f"Expected real images to compare '{folder}' with, got {setting('real', path)}, the same folder. Name "
            "another, or leave it out."
        )


def check_read(filters: Mapping[str, Filter], config: FilterConfig, real: ImageSet | None = None) -> None:
    """Refuse an option that no filter reads: its user expects something else to happen."""
    if any(FILTERS.get(name) is not filters[name] for name in filters):
        return  # what one of the user's own reads is not known
    for option in declared_options(FilterConfig):
        readers = [name for name, known in FILTERS.items() if option.name in known.reads]
        is_set = getattr(config, option.name) != option.default or (option.name == "real" and real is not None)
        if readers and is_set and not set(readers) & set(filters):
            raise UsageError(
                f"Expected the filter {' or '.join(readers)} with {setting(option.name)}, got {', '.join(filters)}. "
                "Leave one out."
            )


def _kept(dataset: Dataset, verdicts: Mapping[str, Verdicts]) -> np.ndarray:
    """Rows that all filters keep; where the verdicts of another one are stale, those that this run's keep."""
    try:
        return dataset.kept()
    except DataError as error:
        log.warning("%s", error)
        return np.logical_and.reduce([one.keep for one in verdicts.values()])


def _warn(result: FilterResult) -> None:
    short = result.short_classes()
    none = [name for name, (left, _) in short.items() if not left]
    few = [f"{name} ({left:,} of {total:,})" for name, (left, total) in short.items() if left]
    remedy = (
        "Clarify its phrase and draw it again, refill it, or lower the threshold; "
        "'synthset diagnose' says what is wrong with a class."
    )
    if few:
        log.warning("Few images are left of: %s. %s", _list(few), remedy)
    if none:
        log.warning("No image is left of: %s. Nothing can be trained on such a class. %s", _list(none), remedy)


def _list(names: Sequence[str], most: int = 10) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
