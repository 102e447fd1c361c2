"""The stage: synthetic images, shots, or both to a tuned classifier in a folder.

    images ─▶ vectors ─▶ phases ─▶ steps ─▶ model.safetensors, config.json, training.json
                 ▲
    class names ─┴▶ templates ─▶ the classifier to begin with

Everything that can be wrong is found before anything is written. Tuning never reads the test part of the real set.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from synthset.classifiers.checkpoints import Job, Session, claim, delete_own_files, finish
from synthset.classifiers.doubts import doubt_of_epoch
from synthset.classifiers.training_set import hold_back, read_sides
from synthset.core.devices import choose_device
from synthset.core.errors import DataError, setting, some
from synthset.core.files import delete_parts
from synthset.core.locks import reading
from synthset.core.options import job_of, with_options
from synthset.dataset.suited_encoder import model_of, suited_encoder
from synthset.encoders.clip import Encoder, load_encoder
from synthset.encoders.embed import EmbeddingCache, embed_classes
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImageSource
from synthset.images.sketch import Sketch
from synthset.miniature import NAME as MINIATURE
from synthset.real.sets import path_of
from synthset.tuning.config import USES_OF_SHOTS, TuneConfig, resolve_config
from synthset.tuning.encoder_tuning import TunedModel, changed_state, make_model, tuned_share
from synthset.tuning.features import Features, compute_features, compute_pixels
from synthset.tuning.few_shot import filter_by_shots
from synthset.tuning.head import resolve_templates, zero_shot_head
from synthset.tuning.inputs import Synthetic, TuneInputs, open_inputs
from synthset.tuning.loop import StepInfo, make_optimizer, run
from synthset.tuning.phases import Source, arrange
from synthset.tuning.results import TuneResult, read_result
from synthset.tuning.saving import TunedConfig, save_tuned

log = logging.getLogger("synthset")


def tune(
    data: ImageSource | None,
    output_dir: str | Path,
    config: TuneConfig | None = None,
    *,
    real: ImageSource | None = None,
    prompt_strategy: str | None = None,
    all_images: bool = False,
    encoder: Encoder | None = None,
    cache: EmbeddingCache | None = None,
    overwrite: bool = False,
    features: dict[str, Features] | None = None,
    watch: Callable[[StepInfo], None] | None = None,
    when_ready: Callable[[TuneInputs], object] = lambda inputs: None,
    **options: Any,
) -> TuneResult:
    """Tune the classifier of a CLIP. The same call again goes on where it stopped, or returns what is there.

    Args:
        data: synthetic images: a Synthset dataset, an image folder, Parquet files or an ImageSet; with shots also None.
        output_dir: folder of the model.
        config: how; `options` are its fields, e.g. `shots=16, loss="sce"`.
        real: the real set that shots are drawn from, never from its test part; known by name, it says the templates.
        prompt_strategy: of a Synthset dataset, the prompt strategy or combination to tune on.
        all_images: of a Synthset dataset, also what filters rejected.
        encoder: the CLIP, instead of the one that the config names.
        cache: of vectors; the user's by default.
        overwrite: replace another model in the folder.
        features: where the vectors of the data are kept for further calls with the same data and encoder.
        watch, when_ready: are told of every step, and of the images that are learned from before that begins.
    Raises:
        UsageError, DataError, ModelError: what came cannot be tuned on; nothing was written.
    A warning says where the classifier cannot be told from guessing on the held-back images, if there are any.
    Example:
        >>> import synthset
        >>> synthset.tune("digits-synthetic", "tuned", real="digits", shots=4)  # doctest: +SKIP
    """
    config = resolve_config(with_options(config or TuneConfig(), options), has_synthetic=data is not None)
    source, folder = Synthetic(data, prompt_strategy, all_images), Path(output_dir)
    with reading(data, path_of(real)) as held:
        config = with_clip(config, [data], real, encoder)
        inputs = open_inputs(source, real, config)
        device = choose_device(config.device)
        encoder = encoder or load_encoder(str(config.clip), device=config.device, dtype=config.dtype)
        cache = EmbeddingCache() if cache is None else cache
        templates, teacher, model = _load(inputs, config, encoder, cache)
        when_ready(inputs)
        memory, key = {} if features is None else features, f"{source.key} {encoder.fingerprint}"
        sources, learned_from = _compute_sources(inputs, config, encoder, cache, memory, key)
        about = (encoder.fingerprint, inputs.class_names, templates, inputs.real, config.shots)
        tuned = TunedConfig(str(config.clip), config.dtype, *about)
        job = _job(sources, config, tuned)
        with claim(folder, job, overwrite=overwrite):
            if not overwrite and (done := read_result(folder, config, inputs.class_names, was_finished=True)):
                return _with_doubt(done)
            if config.encodes_each_epoch:  # the last that can be refused
                sources = [_with_pixels(one, encoder) for one in sources]
            held.close()  # from here on no image is read
            session = _session(folder, job, model.to(device), config, sources, overwrite=overwrite)
            return _with_doubt(_tune(session, sources, teacher.to(device), config, tuned, encoder, learned_from, watch))


def _with_pixels(source: Source, encoder: Encoder) -> Source:
    images = source.features.images
    return replace(source, pixels=compute_pixels(images, encoder), native_px=read_sides(images).median_px)


def with_clip(
    config: TuneConfig, data: Sequence[ImageSource | None], real: ImageSource | None, encoder: Encoder | None
) -> TuneConfig:
    """The config with the CLIP that is meant where it names none. Raises UsageError where one must be named.

    Args:
        encoder: that is tuned instead, if any.
    """
    if encoder is not None:
        return replace(config, clip=config.clip or MINIATURE)
    return replace(config, clip=suited_encoder(config.clip, "clip", map(model_of, data), real))


def _with_doubt(result: TuneResult) -> TuneResult:
    """The result, with a warning where it cannot be told from guessing."""
    config = result.config
    usual = _usual(config)
    remedies = [
        (config.clip == MINIATURE, f"another {setting('clip')}, for this one has seen digits alone"),
        ((config.epochs or 0) < (usual.epochs or 0), setting("epochs", usual.epochs)),
        (config.learning_rate != usual.learning_rate, setting("learning_rate", usual.learning_rate)),
    ]
    named = [words for is_other, words in remedies if is_other] or [f"another {setting('clip')}"]
    chance, fraction = result.chance or 1 / len(result.class_names), config.validation_fraction or 0.0
    counts = len(result.history), result.num_held_back
    if result.num_held_back and (doubt := doubt_of_epoch(result.chosen, *counts, chance, fraction, named)):
        log.warning("%s", doubt)
    return result


def _usual(config: TuneConfig) -> TuneConfig:
    """The defaults of the same method at as many shots."""
    return resolve_config(TuneConfig(method=config.method, shots=config.shots))


def _load(
    inputs: TuneInputs, config: TuneConfig, encoder: Encoder, cache: EmbeddingCache
) -> tuple[tuple[str, ...], nn.Linear, TunedModel]:
    """The templates, the zero-shot classifier that they make, and the model that begins as it, or at random."""
    templates = resolve_templates(config.templates, inputs.real)
    teacher = zero_shot_head(embed_classes(inputs.class_names, encoder, templates, cache), encoder.logit_scale)
    return templates, teacher, make_model(config, encoder, inputs.class_names, teacher.requires_grad_(False))


def _session(
    folder: Path, job: Job, model: TunedModel, config: TuneConfig, sources: Sequence[Source], *, overwrite: bool
) -> Session:
    if overwrite:
        delete_own_files(folder)
    num_held_back = sum(len(source.held_back) for source in sources)
    return Session(folder, job, model, make_optimizer(model, config), num_held_back)


def _tune(
    session: Session,
    sources: Sequence[Source],
    teacher: nn.Linear,
    config: TuneConfig,
    tuned: TunedConfig,
    encoder: Encoder,
    learned_from: Sketch,
    watch: Callable[[StepInfo], None] | None,
) -> TuneResult:
    """Tune the model of the session and save it; the folder is free, or holds this very tuning."""
    model = session.model
    assert isinstance(model, TunedModel)

    def save() -> None:
        visual = changed_state(model.encoder, freeze_batch_norm=config.freeze_batch_norm) if model.encoder else {}
        save_tuned(session.folder, tuned, model.head_tensors(), visual)

    delete_parts(session.folder)
    session.restore()
    phases = arrange(sources, config)
    for phase in phases:
        kinds = ", ".join(f"{len(source.rows)} {source.kind}" for source in phase.sources)
        log.debug("phase of %d epochs of %d steps: %s images", phase.epochs, phase.steps_per_epoch, kinds)
    run(session, phases, teacher, config, watch)
    by_kind = {source.kind: source for source in sources}
    about = {
        "images": by_kind["synthetic"].features.images.name if "synthetic" in by_kind else None,
        "real": tuned.real,
        **{f"num_{kind}": len(by_kind[kind].rows) if kind in by_kind else 0 for kind in ("synthetic", "real")},
        "num_held_back": session.num_held_back,
        "chance": _chance(sources),
        "num_filtered": sum(len(one.features) - len(one.rows) - len(one.held_back) for one in sources),
        "steps_per_epoch": sum(phase.steps_per_epoch for phase in phases),
        "tuned_share": tuned_share(model, encoder),
        "learned_from": asdict(learned_from),
    }
    finish(session, save, about)
    result = read_result(session.folder, config, tuned.class_names, was_finished=False)
    assert result is not None
    return result


def _chance(sources: Sequence[Source]) -> float | None:
    """What naming the largest class alone gets on the held-back images, if there are any."""
    labels = [source.features.labels[source.held_back] for source in sources if len(source.held_back)]
    return max(np.bincount(one).max() / len(one) for one in labels) if labels else None


def _compute_sources(
    inputs: TuneInputs,
    config: TuneConfig,
    encoder: Encoder,
    cache: EmbeddingCache,
    memory: dict[str, Features],
    key: str,
) -> tuple[list[Source], Sketch]:
    """The images to learn from as vectors, and which they are; of synthetic ones, what `memory` has under the key."""
    shots = None if inputs.shots is None else compute_features(inputs.shots, encoder, cache)
    sources = []
    if inputs.synthetic is not None:
        if key not in memory:
            memory[key] = compute_features(inputs.synthetic, encoder, cache)
        rows, held_back = _choose_rows(memory[key], shots, config)
        size, weight = config.batch_size, config.synthetic_weight
        sources.append(Source("synthetic", memory[key], rows, size, weight, config.loss, held_back))
    if shots is not None:
        sources.append(Source("real", shots, np.arange(len(shots)), config.real_batch_size, config.real_weight))
    return sources, Sketch.of(*(source.features.file_hashes for source in sources))


def _choose_rows(synthetic: Features, shots: Features | None, config: TuneConfig) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the synthetic images to learn from, and to choose the epoch by, without those that shots leave out."""
    rows = np.arange(len(synthetic))
    if USES_OF_SHOTS[config.use_of_shots].filters and shots is not None:
        rows = np.flatnonzero(filter_by_shots(synthetic, shots))
    _check_every_class(synthetic.images, rows, shots is not None)
    if not config.validation_fraction:
        return rows, rows[:0]
    learned, held_back = hold_back(synthetic.labels[rows], config.validation_fraction, config.seed)
    return rows[learned], rows[held_back]


def _check_every_class(images: ImageSet, rows: np.ndarray, has_shots: bool) -> None:
    """A class without any image would only ever be learned not to be there."""
    missing = sorted(set(range(len(images.class_names))).difference(images.labels[rows].tolist()))
    named = some([images.class_names[label] for label in missing], 10)
    if missing and not has_shots:
        raise DataError(
            f"Expected images of every class in '{images.name}', found none of: {named}. Create more, lower the "
            "threshold of the filter, or take all images."
        )
    if missing:
        log.warning("No synthetic image is left of: %s. They are learned from their real images alone.", named)


def _job(sources: Sequence[Source], config: TuneConfig, tuned: TunedConfig) -> Job:
    """All that makes two tunings the same; where they run does not."""
    resolved = {"templates": list(tuned.templates), "encoder": tuned.fingerprint, "real": tuned.real}
    marks = " ".join(source.features.fingerprint() for source in sources)
    images = hashlib.sha256(marks.encode()).hexdigest()
    first = resolve_config(TuneConfig(shots=config.shots))  # there was one method before there were several
    return Job(job_of(config) | resolved, images, job_of(first), {"clip": "encoder", "real": ""})
