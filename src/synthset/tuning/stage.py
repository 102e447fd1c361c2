"""The stage: synthetic images, shots, or both to a tuned classifier in a folder; and its test on real images.

    images ─▶ vectors ─▶ phases ─▶ steps ─▶ model.safetensors, config.json, training.json
                 ▲
    class names ─┴▶ templates ─▶ the classifier to begin with

Everything that can be wrong is found before anything is written. Tuning never reads the test part of the real set.
"""

from __future__ import annotations

import copy
import hashlib
import logging
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthset.core.errors import DataError, ModelError, UnknownNameError, UsageError
from synthset.core.options import with_options
from synthset.core.seeds import derive_seed
from synthset.dataset.opening import open_images
from synthset.dataset.reader import Dataset, is_dataset, open_dataset
from synthset.images.imageset import ImageSet
from synthset.tuning.config import TuneConfig, resolve_config

if TYPE_CHECKING:
    from synthset.classifiers.scoring import EvaluationResult
    from synthset.encoders.clip import Encoder
    from synthset.encoders.embed import EmbeddingCache
    from synthset.tuning.features import Features
    from synthset.tuning.few_shot import Source
    from synthset.tuning.loop import StepInfo

log = logging.getLogger("synthset")


@dataclass(frozen=True)
class TuneEpoch:
    """One line of the history; `epoch` counts from 1, the rate is that of the epoch's first step.

    What concerns held-back images is None where none are held back.
    """

    epoch: int
    train_loss: float
    held_back_loss: float | None
    held_back_accuracy: float | None
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class TuneResult:
    """A finished tuning. The classifier lies in `folder`.

    Attributes:
        config: with every default filled in.
        class_names: the k classes, in the order of the logits.
        chosen: the epoch that was kept: by held-back synthetic images, or the last where none are held back.
        num_synthetic, num_real, num_held_back: images that were learned from, and chosen by.
        num_filtered: synthetic images that real filtering left out.
        steps_per_epoch: of all phases together.
        tuned_share: share of the parameters of image encoder and classifier that were tuned.
        seconds: spent on tuning, over all sessions.
        history: every epoch.
        was_finished: the folder already held this tuning; nothing was done.
    """

    folder: Path
    config: TuneConfig
    class_names: tuple[str, ...]
    chosen: TuneEpoch
    num_synthetic: int
    num_real: int
    num_held_back: int
    num_filtered: int
    steps_per_epoch: int
    tuned_share: float
    seconds: float
    history: tuple[TuneEpoch, ...]
    was_finished: bool = False


def tune(
    data: str | Path | ImageSet | None,
    output_dir: str | Path,
    config: TuneConfig | None = None,
    *,
    real: str | Path | ImageSet | None = None,
    prompt_strategy: str | None = None,
    all_images: bool = False,
    encoder: Encoder | None = None,
    cache: EmbeddingCache | None = None,
    overwrite: bool = False,
    features: dict[str, Features] | None = None,
    watch: Callable[[StepInfo], None] | None = None,
    **options: Any,
) -> TuneResult:
    """Tune the classifier of a CLIP. The same call again goes on where it stopped, or returns what is there.

    Args:
        data: synthetic images: a Synthset dataset, an image folder, Parquet files, an ImageSet; None for none, which
            takes shots.
        output_dir: folder of the model.
        config: how; `options` are its fields, e.g. `shots=16, loss="sce"`.
        real: the real set that shots are drawn from, never from its test part; known by name, it says the templates.
        prompt_strategy: of a Synthset dataset, the prompt strategy or combination to tune on.
        all_images: of a Synthset dataset, also what filters rejected.
        encoder: the CLIP, instead of the one that the config names.
        cache: of vectors; the user's by default.
        overwrite: replace another model in the folder.
        features: where the vectors of the data are kept for further calls with the same data and encoder.
        watch: is told of every step.
    Raises:
        UsageError, DataError, ModelError: what came cannot be tuned on; nothing was written.
    Example:
        >>> import synthset
        >>> synthset.tune("digits", "tuned", real="digits", shots=4)  # doctest: +SKIP
    """
    config = resolve_config(with_options(config or TuneConfig(), options), has_synthetic=data is not None)
    if config.shots and real is None:
        raise UsageError("Expected a real set to draw shots from, e.g. --real digits, got none.")
    from synthset.encoders.clip import load_encoder
    from synthset.encoders.embed import EmbeddingCache
    from synthset.tuning.features import compute_features

    images = None if data is None else open_images(data, prompt_strategy, all_images=all_images)
    dataset = open_dataset(data) if isinstance(data, str | Path) and is_dataset(data) else None
    inputs = _open(images, dataset, real, config)
    encoder = encoder or load_encoder(config.clip, device=config.device, dtype=config.dtype)
    cache = EmbeddingCache() if cache is None else cache
    memory = {} if features is None else features
    key = f"{data if isinstance(data, str | Path) else id(data)} {prompt_strategy} {all_images} {encoder.fingerprint}"

    def vectors_of(images: ImageSet) -> Features:
        if key not in memory:
            memory[key] = compute_features(images, encoder, cache)
        return memory[key]

    return _tune(inputs, Path(output_dir), config, encoder, cache, vectors_of, overwrite, watch)


def evaluate_on(
    folder: str | Path,
    real: str | Path | ImageSet,
    *,
    encoder: Encoder | None = None,
    cache: EmbeddingCache | None = None,
) -> tuple[EvaluationResult, EvaluationResult]:
    """Test a tuned classifier, and zero-shot CLIP beside it, on the part of a real set that tuning never reads.

    Returns:
        Of zero-shot CLIP with the same templates, and of the tuned classifier, on the same images.
    Raises:
        UsageError, DataError, ModelError: one of the two cannot be read, or they do not go together.
    """
    from synthset.encoders.clip import load_encoder
    from synthset.encoders.embed import EmbeddingCache
    from synthset.tuning.few_shot import load_test_part
    from synthset.tuning.saving import evaluate_tuned, load_tuned, read_tuned_config, zero_shot_of

    config = read_tuned_config(folder)
    encoder = encoder or load_encoder(config.clip, dtype=config.dtype)
    cache = EmbeddingCache() if cache is None else cache
    classifier = load_tuned(folder, encoder=encoder)
    images = load_test_part(real)
    before = evaluate_tuned(zero_shot_of(classifier, encoder, cache), images, cache)
    return before, evaluate_tuned(classifier, images, cache)


def evaluate_folder(folder: str | Path, real: str | Path | ImageSet) -> EvaluationResult:
    """Test a tuned classifier on a real set: of the one that its shots are from, only on the test part.

    Raises:
        UsageError, DataError, ModelError: as `evaluate_on`.
    """
    from synthset.encoders.embed import EmbeddingCache
    from synthset.real import load_real
    from synthset.tuning.few_shot import load_test_part
    from synthset.tuning.saving import evaluate_tuned, load_tuned, read_tuned_config

    tuned_for = read_tuned_config(folder).real
    classifier = load_tuned(folder)
    if isinstance(real, ImageSet):
        return evaluate_tuned(classifier, real, EmbeddingCache())
    if tuned_for is not None and _is_same_set(tuned_for, str(real)):
        return evaluate_tuned(classifier, load_test_part(real), EmbeddingCache())
    return evaluate_tuned(classifier, load_real(real), EmbeddingCache())


def _is_same_set(name: str, other: str) -> bool:
    from synthset.real import match_set

    known, other_known = match_set(name), match_set(other)
    if known is not None or other_known is not None:
        return known is other_known
    return Path(name).resolve() == Path(other).resolve()


# ---- what is tuned on -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Inputs:
    """Images with one list of classes, checked."""

    class_names: tuple[str, ...]
    synthetic: ImageSet | None
    shots: ImageSet | None
    real: str | None


def _open(
    synthetic: ImageSet | None, dataset: Dataset | None, real: str | Path | ImageSet | None, config: TuneConfig
) -> _Inputs:
    """Open and check all images, before a model is loaded."""
    from synthset.tuning.features import check_two_classes
    from synthset.tuning.few_shot import check_initial_images, draw_shots, hash_images

    if synthetic is not None and not len(synthetic):
        raise DataError(f"Expected images in '{synthetic.name}', found none. Run 'synthset create' first.")
    name = real.name if isinstance(real, ImageSet) else None if real is None else str(real)
    shots = None
    if config.shots and real is not None:
        shots = draw_shots(real, synthetic.class_names if synthetic else None, config.shots, config.seed)
    elif real is not None and synthetic is not None:
        _check_classes_of(real, synthetic)
    if synthetic is not None:
        check_initial_images(dataset, hash_images(shots) if shots else (), config, name or "REAL")
    given = synthetic if synthetic is not None else shots
    assert given is not None  # resolve_config saw to it
    check_two_classes(given.class_names, given.name)
    return _Inputs(tuple(given.class_names), synthetic, shots, name)


def _check_classes_of(real: str | Path | ImageSet, synthetic: ImageSet) -> None:
    """Refuse other classes than those of the real set; a known one need not be at hand for that."""
    from synthset.classifiers.scoring import match_classes
    from synthset.real import class_names_of, match_set
    from synthset.real.learning import few_shot_pool

    known = None if isinstance(real, ImageSet) else match_set(str(real))
    if known is None:
        match_classes(synthetic.class_names, few_shot_pool(real))
    else:
        names = class_names_of(known.name)
        match_classes(synthetic.class_names, ImageSet(known.name, names, np.zeros(0, np.int64), lambda _: b""))


def _check_every_class(features: Features, rows: np.ndarray, has_shots: bool) -> None:
    """A class without any image would only ever be learned not to be there."""
    counts = np.bincount(features.labels[rows], minlength=len(features.class_names))
    missing = [features.class_names[label] for label in np.flatnonzero(counts == 0)]
    if not missing:
        return
    named = ", ".join(missing[:10]) + (" …" if len(missing) > 10 else "")
    if has_shots:
        log.warning("No synthetic image is left of: %s. They are learned from their real images alone.", named)
        return
    raise DataError(
        f"Expected images of every class in '{features.name}', found none of: {named}. Create more, lower the "
        "threshold of the filter, or take all images."
    )


# ---- tuning -----------------------------------------------------------------------------------------------


def _tune(
    inputs: _Inputs,
    folder: Path,
    config: TuneConfig,
    encoder: Encoder,
    cache: EmbeddingCache,
    vectors_of: Callable[[ImageSet], Features],
    overwrite: bool,
    watch: Callable[[StepInfo], None] | None,
) -> TuneResult:
    from synthset.classifiers.augment import AUGMENTATIONS
    from synthset.classifiers.checkpoints import check_folder, delete_own_files, read_finished
    from synthset.core.devices import choose_device
    from synthset.core.files import delete_parts
    from synthset.encoders.embed import embed_classes
    from synthset.tuning.encoder_tuning import changed_state
    from synthset.tuning.features import compute_features
    from synthset.tuning.few_shot import arrange
    from synthset.tuning.head import resolve_templates
    from synthset.tuning.loop import TuneSession, make_optimizer, run
    from synthset.tuning.saving import TunedConfig, save_tuned

    if config.augmentation not in AUGMENTATIONS:
        raise UnknownNameError("augmentation", config.augmentation, AUGMENTATIONS)
    device = choose_device(config.device)
    templates = resolve_templates(config.templates, inputs.real)
    model, head = _make_model(inputs, config, encoder, embed_classes(inputs.class_names, encoder, templates, cache))
    synthetic = vectors_of(inputs.synthetic) if inputs.synthetic else None
    shots = compute_features(inputs.shots, encoder, cache) if inputs.shots else None
    rows, held, num_filtered = _choose_rows(synthetic, shots, config)

    job = _describe_job(config, encoder, templates, synthetic, shots, inputs.real)
    check_folder(folder, job, True, overwrite)
    if not overwrite and (note := read_finished(folder)):
        return _to_result(folder, config, inputs.class_names, note, was_finished=True)

    sources = _make_sources(inputs, config, encoder, synthetic, shots, rows)
    phases = arrange(*sources, config)
    held_back = replace(sources[0], rows=held) if sources[0] is not None and len(held) else None

    if overwrite:
        delete_own_files(folder)
    folder.mkdir(parents=True, exist_ok=True)
    delete_parts(folder)
    model.to(device)
    session = TuneSession(folder, job, model, make_optimizer(model, config), len(held), watch=watch)
    session.restore()
    run(session, phases, held_back, head.to(device), config)

    model.load_state_dict(session.best_state)
    visual = changed_state(model.encoder, freeze_batch_norm=config.freeze_batch_norm) if model.encoder else {}
    saved = TunedConfig(
        config.clip, config.dtype, encoder.fingerprint, inputs.class_names, templates, inputs.real, config.shots
    )
    save_tuned(folder, saved, model.head.state_dict(), visual)
    steps = sum(phase.steps_per_epoch for phase in phases)
    counts = (len(rows), len(held), num_filtered)
    note = _write_note(session, inputs, counts, steps, _tuned_share(model, encoder), device.type)
    return _to_result(folder, config, inputs.class_names, note, was_finished=False)


def _choose_rows(
    synthetic: Features | None, shots: Features | None, config: TuneConfig
) -> tuple[np.ndarray, np.ndarray, int]:
    """The synthetic images to learn from, those that are held back, and how many the shots left out."""
    from synthset.classifiers.training_set import hold_back
    from synthset.tuning.few_shot import filter_by_shots

    if synthetic is None:
        return np.empty(0, np.int64), np.empty(0, np.int64), 0
    rows = np.arange(len(synthetic))
    if config.strategy == "real_filtering" and shots is not None:
        rows = np.flatnonzero(filter_by_shots(synthetic, shots))
    _check_every_class(synthetic, rows, shots is not None)
    num_filtered = len(synthetic) - len(rows)
    if not config.validation_fraction:
        return rows, np.empty(0, np.int64), num_filtered
    learned, held = hold_back(synthetic.labels[rows], config.validation_fraction, config.seed)
    return rows[learned], rows[held], num_filtered


def _make_model(inputs: _Inputs, config: TuneConfig, encoder: Any, class_vectors: Any) -> tuple[Any, Any]:
    """What is tuned, and zero-shot CLIP's classifier, which stays."""
    from synthset.tuning.encoder_tuning import PixelEncoder, TunedModel, check_batch_norm, unfreeze_top
    from synthset.tuning.head import random_head, zero_shot_head

    head = zero_shot_head(class_vectors, encoder.logit_scale).requires_grad_(False)
    tower = None
    if config.encodes_each_epoch:
        if not hasattr(encoder, "model"):
            raise UsageError(
                f"Expected an encoder that open_clip built, to encode in each epoch, got '{encoder.name}'."
            )
        tower = PixelEncoder(copy.deepcopy(encoder.model))
        if not config.freeze_batch_norm:
            check_batch_norm(tower, config.clip)
        unfreeze_top(tower.visual, config.encoder_share)
    own = copy.deepcopy(head)
    if not config.text_initialisation:
        own = random_head(len(inputs.class_names), encoder.dimension, derive_seed(config.seed, "head"))
    own.requires_grad_(True)
    return TunedModel(own, tower, freeze_batch_norm=config.freeze_batch_norm), head


def _tuned_share(model: Any, encoder: Any) -> float:
    """Share of the parameters of image encoder and classifier that are tuned, as Table 3 counts."""
    from synthset.tuning.encoder_tuning import count_parameters, tuned_share

    if model.encoder is not None:
        return tuned_share(model)
    size = count_parameters(model.head)
    return size / (size + (count_parameters(encoder.model.visual) if hasattr(encoder, "model") else 0))


def _make_sources(
    inputs: _Inputs,
    config: TuneConfig,
    encoder: Any,
    synthetic: Features | None,
    shots: Features | None,
    rows: np.ndarray,
) -> tuple[Source | None, Source | None]:
    """The synthetic and the real images to learn from; pixels only where they are needed."""
    from synthset.tuning.features import compute_pixels
    from synthset.tuning.few_shot import Source

    def pixels(images: ImageSet | None) -> Any:
        return compute_pixels(images, encoder) if config.encodes_each_epoch and images is not None else None

    first = second = None
    if synthetic is not None:
        size, weight = config.batch_size, config.synthetic_weight
        first = Source("synthetic", synthetic, pixels(inputs.synthetic), rows, size, weight, config.loss)
    if shots is not None:
        everything = np.arange(len(shots))
        size, weight = config.real_batch_size, config.real_weight
        second = Source("real", shots, pixels(inputs.shots), everything, size, weight, "ce")
    return first, second


# ---- settings and notes -----------------------------------------------------------------------------------


def _describe_job(
    config: TuneConfig,
    encoder: Encoder,
    templates: tuple[str, ...],
    synthetic: Features | None,
    shots: Features | None,
    real: str | None,
) -> dict[str, Any]:
    """What makes two tunings the same; where they run does not."""
    settings = {name: value for name, value in asdict(config).items() if name != "device"}
    settings |= {"templates": list(templates), "encoder": encoder.fingerprint, "real": real}
    marks = [features.fingerprint() for features in (synthetic, shots) if features is not None]
    return {"config": settings, "fingerprint": hashlib.sha256(" ".join(marks).encode()).hexdigest()}


def _write_note(
    session: Any, inputs: _Inputs, counts: tuple[int, int, int], steps: int, share: float, device: str
) -> dict[str, Any]:
    """Write training.json, which marks completion, then drop the resume file."""
    from synthset.classifiers.checkpoints import RESUME_FILE, TRAINING_FILE, TRAINING_FORMAT
    from synthset.core.files import write_json
    from synthset.core.versions import library_versions

    history = [_plain(asdict(epoch)) for epoch in session.history]
    num_synthetic, num_held_back, num_filtered = counts
    note = {
        "format": TRAINING_FORMAT,
        "job": session.job,
        "images": inputs.synthetic.name if inputs.synthetic else None,
        "real": inputs.real,
        "num_synthetic": num_synthetic,
        "num_real": len(inputs.shots) if inputs.shots else 0,
        "num_held_back": num_held_back,
        "num_filtered": num_filtered,
        "steps_per_epoch": steps,
        "tuned_share": share,
        "chosen": _plain(asdict(session.best)),
        "seconds": round(sum(epoch["seconds"] for epoch in history), 3),
        "device": device,
        "libraries": library_versions(),
        "history": history,
    }
    write_json(session.folder / TRAINING_FILE, note)
    (session.folder / RESUME_FILE).unlink(missing_ok=True)
    return note


def _plain(epoch: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN, which stands for what was not measured."""
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in epoch.items()}


def _to_result(
    folder: Path, config: TuneConfig, class_names: tuple[str, ...], note: dict[str, Any], *, was_finished: bool
) -> TuneResult:
    try:
        return TuneResult(
            folder=folder,
            config=config,
            class_names=class_names,
            chosen=TuneEpoch(**note["chosen"]),
            num_synthetic=note["num_synthetic"],
            num_real=note["num_real"],
            num_held_back=note["num_held_back"],
            num_filtered=note["num_filtered"],
            steps_per_epoch=note["steps_per_epoch"],
            tuned_share=note["tuned_share"],
            seconds=note["seconds"],
            history=tuple(TuneEpoch(**epoch) for epoch in note["history"]),
            was_finished=was_finished,
        )
    except (KeyError, TypeError) as error:
        raise ModelError(
            f"Expected the notes of a tuning in '{folder}', got others ({error!r}). Give --overwrite to replace them."
        ) from error
