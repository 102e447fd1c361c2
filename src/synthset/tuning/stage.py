"""The stage: synthetic images, shots, or both to a tuned classifier in a folder.

    images ─▶ vectors ─▶ phases ─▶ steps ─▶ model.safetensors, config.json, training.json
                 ▲
    class names ─┴▶ templates ─▶ the classifier to begin with

Everything that can be wrong is found before anything is written. Tuning never reads the test part of the real set.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from synthset.classifiers.checkpoints import Job, check_folder, delete_own_files, read_finished
from synthset.classifiers.training_set import hold_back
from synthset.core.devices import choose_device
from synthset.core.errors import DataError
from synthset.core.files import delete_parts
from synthset.core.options import job_of, with_options
from synthset.encoders.clip import Encoder, load_encoder
from synthset.encoders.embed import EmbeddingCache, embed_classes
from synthset.images.imageset import ImageSet
from synthset.tuning.config import USES_OF_SHOTS, TuneConfig, resolve_config
from synthset.tuning.encoder_tuning import TunedModel, changed_state, make_model, open_clip_encoder, tuned_share
from synthset.tuning.features import Features, Pixels, compute_features, compute_pixels
from synthset.tuning.few_shot import filter_by_shots
from synthset.tuning.head import resolve_templates, zero_shot_head
from synthset.tuning.inputs import Synthetic, TuneInputs, open_inputs
from synthset.tuning.loop import StepInfo, TuneSession, make_optimizer, run
from synthset.tuning.phases import Source, arrange
from synthset.tuning.results import TuneEpoch, TuneResult, read_result, write_result
from synthset.tuning.saving import TunedConfig, save_tuned

log = logging.getLogger("synthset")


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
    source, folder = Synthetic(data, prompt_strategy, all_images), Path(output_dir)
    inputs = open_inputs(source, real, config)
    device = choose_device(config.device)
    encoder = encoder or load_encoder(config.clip, device=config.device, dtype=config.dtype)
    cache = EmbeddingCache() if cache is None else cache
    templates = resolve_templates(config.templates, inputs.real)
    texts = embed_classes(inputs.class_names, encoder, templates, cache)
    teacher = zero_shot_head(texts, encoder.logit_scale).requires_grad_(False)
    model = make_model(config, encoder, teacher)
    clip = _Clip(encoder, cache, templates)
    material = _prepare(inputs, config, clip, {} if features is None else features, source.key)
    job = _job(material, config, clip)
    check_folder(folder, job, overwrite=overwrite)
    if not overwrite and (note := read_finished(folder)):
        return read_result(folder, config, inputs.class_names, note)
    sources = _sources(material, config, encoder)  # the last that can be refused
    if overwrite:
        delete_own_files(folder)
    model, teacher = model.to(device), teacher.to(device)
    session = TuneSession(folder, job, model, make_optimizer(model, config), len(material.held_back), watch=watch)
    return _tune(session, model, sources, material, config, clip, teacher)


@dataclass(frozen=True, eq=False)
class _Clip:
    """The CLIP that is tuned, with its cache, and the sentences in which it reads a class."""

    encoder: Encoder
    cache: EmbeddingCache
    templates: tuple[str, ...]


# ---- what is learned from ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Material:
    """Images as vectors, and which of the synthetic ones are learned from.

    Attributes:
        rows, held_back: int64, of the synthetic images: to learn from, and to choose the epoch by.
        num_filtered: synthetic images that the shots left out.
    """

    inputs: TuneInputs
    synthetic: Features | None
    shots: Features | None
    rows: np.ndarray
    held_back: np.ndarray
    num_filtered: int = 0


def _prepare(inputs: TuneInputs, config: TuneConfig, clip: _Clip, memory: dict[str, Features], key: str) -> _Material:
    """Compute vectors; those of the synthetic images only where `memory` has none under the key and the encoder."""
    shots = None if inputs.shots is None else compute_features(inputs.shots, clip.encoder, clip.cache)
    held_back = np.empty(0, np.int64)
    if inputs.synthetic is None:
        return _Material(inputs, None, shots, held_back, held_back)
    key = f"{key} {clip.encoder.fingerprint}"
    if key not in memory:
        memory[key] = compute_features(inputs.synthetic, clip.encoder, clip.cache)
    synthetic = memory[key]
    rows = np.arange(len(synthetic))
    if USES_OF_SHOTS[config.use_of_shots].filters and shots is not None:
        rows = np.flatnonzero(filter_by_shots(synthetic, shots))
    _check_every_class(synthetic, rows, shots is not None)
    num_filtered = len(synthetic) - len(rows)
    if config.validation_fraction:
        learned, chosen_by = hold_back(synthetic.labels[rows], config.validation_fraction, config.seed)
        rows, held_back = rows[learned], rows[chosen_by]
    return _Material(inputs, synthetic, shots, rows, held_back, num_filtered)


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


def _job(material: _Material, config: TuneConfig, clip: _Clip) -> Job:
    """All that makes two tunings the same; where they run does not."""
    resolved = {
        "templates": list(clip.templates),
        "encoder": clip.encoder.fingerprint,
        "real": material.inputs.real,
    }
    marks = [features.fingerprint() for features in (material.synthetic, material.shots) if features is not None]
    fingerprint = hashlib.sha256(" ".join(marks).encode()).hexdigest()
    return Job(job_of(config) | resolved, fingerprint, job_of(TuneConfig()))


# ---- tuning -----------------------------------------------------------------------------------------------


def _tune(
    session: TuneSession,
    model: TunedModel,
    sources: tuple[Source | None, Source | None],
    material: _Material,
    config: TuneConfig,
    clip: _Clip,
    teacher: nn.Linear,
) -> TuneResult:
    """Tune the model of the session and save it; the folder is free, or holds this very tuning."""
    synthetic, _ = sources
    phases = arrange(*sources, config)
    held_back = replace(synthetic, rows=material.held_back) if synthetic and len(material.held_back) else None
    session.folder.mkdir(parents=True, exist_ok=True)
    delete_parts(session.folder)
    session.restore()
    run(session, phases, held_back, teacher, config)
    model.load_state_dict(session.best_state)
    _save_model(session.folder, model, material.inputs, config, clip)
    share = tuned_share(model, clip.encoder)
    result = _result(session, material, config, sum(phase.steps_per_epoch for phase in phases), share)
    write_result(result, session.job, material.inputs, teacher.weight.device.type)
    return result


def _sources(material: _Material, config: TuneConfig, encoder: Encoder) -> tuple[Source | None, Source | None]:
    """The synthetic and the real images to learn from; pixels only where they are needed."""

    def pixels(images: ImageSet | None) -> Pixels | None:
        if images is None or not config.encodes_each_epoch:
            return None
        return compute_pixels(images, open_clip_encoder(encoder))

    synthetic = real = None
    if material.synthetic is not None:
        size, weight = config.batch_size, config.synthetic_weight
        images = pixels(material.inputs.synthetic)
        synthetic = Source("synthetic", material.synthetic, images, material.rows, size, weight, config.loss)
    if material.shots is not None:
        size, weight = config.real_batch_size, config.real_weight
        images = pixels(material.inputs.shots)
        real = Source("real", material.shots, images, np.arange(len(material.shots)), size, weight, "ce")
    return synthetic, real


def _save_model(folder: Path, model: TunedModel, inputs: TuneInputs, config: TuneConfig, clip: _Clip) -> None:
    visual = changed_state(model.encoder, freeze_batch_norm=config.freeze_batch_norm) if model.encoder else {}
    tuned = TunedConfig(
        clip=config.clip,
        dtype=config.dtype,
        fingerprint=clip.encoder.fingerprint,
        class_names=inputs.class_names,
        templates=clip.templates,
        real=inputs.real,
        shots=config.shots,
    )
    save_tuned(folder, tuned, model.head.state_dict(), visual)


def _result(
    session: TuneSession, material: _Material, config: TuneConfig, steps_per_epoch: int, share: float
) -> TuneResult:
    assert session.best is not None
    return TuneResult(
        folder=session.folder,
        config=config,
        class_names=material.inputs.class_names,
        chosen=TuneEpoch.of(session.best),
        num_synthetic=len(material.rows),
        num_real=0 if material.shots is None else len(material.shots),
        num_held_back=len(material.held_back),
        num_filtered=material.num_filtered,
        steps_per_epoch=steps_per_epoch,
        tuned_share=share,
        seconds=round(sum(epoch.seconds for epoch in session.history), 3),
        history=tuple(TuneEpoch.of(epoch) for epoch in session.history),
    )
