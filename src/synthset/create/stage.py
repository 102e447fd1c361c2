"""Create: plan × generator × executor -> dataset.

    plan       which images, each with its prompt, scale and seed     plan.py
    generator  draws a batch of requests                              generators/
    executor   works on shards of the plan, here or elsewhere         executors/, shards.py
    dataset    one file a shard, whole or not there                   dataset/

Running the same job again draws only the shards that are missing; another job into the same folder is refused.
Images that another dataset has may be copied from there, see reuse.py. With a filter to refill by, further rounds make
up for images that it rejected, see refill.py. With initial images, drawing begins at real ones or is conditioned on
them, see real_guidance.py. Language enhancement has sentences written before anything is planned, see
language_enhancement.py.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthset.core.errors import FailureThresholdError, setting
from synthset.core.files import is_local, to_path
from synthset.core.locks import reading, writing
from synthset.core.options import expect, with_options
from synthset.create.config import CreateConfig
from synthset.create.described import recall, record
from synthset.create.inputs import CreateInputs, read_inputs, synonyms_of, tell_texts, texts_of
from synthset.create.job import as_begun, default_job, job_of_config, make_job
from synthset.create.real_guidance import check_conditions, with_initial_images
from synthset.create.refill import Refill, prepare_refill, refill
from synthset.create.reuse import Reuse, check_reused
from synthset.create.shards import Filled, draw_missing
from synthset.dataset.card import write_card
from synthset.dataset.manifest import Accounting
from synthset.dataset.plan import Plan
from synthset.dataset.reader import Dataset, open_dataset
from synthset.dataset.writer import DatasetWriter, check_folder, check_part_of_job
from synthset.executors import Executor, LocalExecutor
from synthset.filters.run import check_other
from synthset.generators.source import Description, GeneratorSource
from synthset.prompts.language_enhancement import SentenceConfig
from synthset.prompts.sentences.cache import sentence_job, sentences_for
from synthset.prompts.strategies import mixing_strategies, readers
from synthset.real.sets import path_of

if TYPE_CHECKING:
    from synthset.encoders.clip import Encoder
    from synthset.generators.base import Generator

SHARDS_SHOWN = 64  # in the contact sheet; all of them up to 32,768 images


@dataclass(frozen=True)
class CreateResult:
    """A finished dataset, and the share of this run in it.

    Attributes:
        accounting: of the whole dataset.
        drawn, copied: images drawn by this run, and copied from other datasets; 0 where all was there already.
        seconds: that this run took.
        refill: outcome of refilling; None where the job has none.
    """

    dataset: Dataset
    accounting: Accounting
    drawn: int
    seconds: float
    refill: Refill | None = None
    copied: int = 0


def create(
    classes: Sequence[str] | Mapping[str, Sequence[str]],
    output_dir: str | Path,
    config: CreateConfig | None = None,
    *,
    generator: str | Generator | None = None,
    executor: Executor | None = None,
    encoder: Encoder | None = None,
    overwrite: bool = False,
    **options: Any,
) -> CreateResult:
    """Draw a synthetic dataset of `classes` into `output_dir`, or finish the one begun there.

    Args:
        classes: class names, in label order; or with the synonyms of each, which the manifest keeps.
        output_dir: folder of the dataset, or a URL that fsspec reads, such as s3://bucket/pets.
        config: options of the run; `options` are its fields, e.g. `strategies=["base"], images_per_class=500`.
        generator: a name as in the config, or an object of your own to draw with.
        executor: where to draw; this process by default. RayExecutor draws on many GPUs or machines.
        encoder: of the filter to refill by, instead of the one that the config names.
        overwrite: replace another Synthset dataset in the folder. Anything else there is refused.
    Raises:
        UsageError: an argument that cannot be right; nothing was written.
        ConfigChangedError: the folder holds another job; nothing was changed.
        FailureThresholdError: finished, but too many requests failed, or a class is short of images that the
            filter keeps; the dataset is complete and readable.
    Example:
        >>> synthset.create(["one", "two"], "digits-synthetic", strategies=["multi_domain"])  # doctest: +SKIP
    """
    start = time.monotonic()
    if isinstance(generator, str):
        options["generator"], generator = generator, None
    folder = to_path(output_dir)
    config = with_options(config or CreateConfig(), options)
    inputs = read_inputs(tuple(classes), config if overwrite else as_begun(config, folder), generator)
    inputs, sentences = _with_sentences(inputs, folder, overwrite=overwrite)
    plan, config, initial = _plan(inputs), inputs.config, inputs.initial_images
    _check_places(folder, config)
    executor, source = executor or LocalExecutor(), GeneratorSource(partial(load_with_images, inputs, generator))
    recalled = None if generator is not None or overwrite else _recall(folder, config, executor)
    (described,) = [recalled] if recalled else executor.map(source.describe, [texts_of(plan.table)])
    refill_job = prepare_refill(plan.class_names, config, described.config.model, encoder)
    job = make_job(plan, config, described.config, initial, sentences, refill_job)
    batch_size = min(config.shard_size, config.batch_size or described.preferred_batch_size)
    writer = DatasetWriter(folder, job, plan, config.shard_size, batch_size, defaults=default_job(described.config))
    recorded = record(config, described) if generator is None else None
    writer.generator, writer.synonyms = recorded, synonyms_of(classes)
    writer.check(overwrite)
    tell_texts(plan.table, described)
    with reading(*config.reuse, path_of(config.filter.real)), writing(folder):
        writer.open(overwrite, config.batch_size is None, initial.table() if initial else None)
        reuse = Reuse.open(config.reuse, job, writer.defaults)
        draw = partial(draw_missing, source=source, config=config, executor=executor, reuse=reuse)
        filled, refilled = draw(writer), None
        if refill_job:
            writer, refilled = refill(refill_job, writer, inputs.plan, draw)
            filled += refilled.filled
        dataset = _finish(writer, time.monotonic() - start, refilled, filled)
    took, total = time.monotonic() - start, dataset.accounting
    return _check_failures(CreateResult(dataset, total, filled.drawn, took, refilled, filled.copied), config)


def _recall(folder: Path, config: CreateConfig, executor: Executor) -> Description | None:
    """What the finished dataset in the folder tells of the generator, so that it need not be loaded, see `recall`."""
    manifest = check_folder(folder)
    is_finished = manifest is not None and manifest["status"] == "complete"
    return recall(manifest, config) if is_finished and isinstance(executor, LocalExecutor) else None


def _check_places(folder: Path, config: CreateConfig) -> None:
    """Raise UsageError for a folder of something else, or one that is to be compared with or copied from itself."""
    check_folder(folder)
    check_other(config.filter, folder)
    check_reused(config.reuse, folder)


def plan_images(classes: Sequence[str], config: CreateConfig, generator: Generator | None = None) -> Plan:
    """The requests of a run, checked as far as that is possible before a model is loaded.

    Args:
        classes, config, generator: as for `read_inputs`, which also says what it raises.
    Raises:
        UsageError: language enhancement without sentences in the style.
    """
    return _plan(read_inputs(classes, config, generator))


def _plan(inputs: CreateInputs) -> Plan:
    without = [name for name in inputs.class_names if name not in inputs.config.style.sentences]
    expect(
        not (without and readers("sentences", inputs.config.strategies)),
        f"sentences about every class in the style, to plan language_enhancement, got none about {without[:1]}",
    )
    return inputs.plan()


def _with_sentences(
    inputs: CreateInputs, folder: Path, *, overwrite: bool
) -> tuple[CreateInputs, dict[str, Any] | None]:
    """The inputs with the sentences of language enhancement, if it is wanted, and their entry in the job.

    They are written into the folder, or found there; whatever can be refused is refused before.
    """
    names, config = inputs.class_names, inputs.config
    if not readers("sentences", config.strategies):
        return inputs, None
    expect(not config.style.sentences, "sentences by the option 'sentences', which may name a file, got some in style")
    expect(is_local(folder), f"a folder on this machine with language_enhancement, got '{folder}'")
    job = job_of_config(names, config)  # raises for strategies that cannot be
    _check_places(folder, config)
    wanted = config.sentences or SentenceConfig()
    writer = wanted.load_writer(config.generator, config.device)
    if not overwrite:
        job["sentences"] = sentence_job(writer, wanted.count, {})
        check_part_of_job(folder, job, default_job(), unknown=["sentences.sha256"])
    phrases, others = config.style.phrases_by_class(), config.reuse
    with reading(*others), writing(folder):
        texts = sentences_for(names, phrases, writer, wanted.count, config.seed, folder, others=others)
    return inputs.with_sentences(texts), sentence_job(writer, wanted.count, texts)


def load(config: CreateConfig) -> Generator:
    """The generator that the config names."""
    from synthset.generators.base import StoredSize
    from synthset.generators.loading import load_generator

    return load_generator(
        config.generator,
        revision=config.revision,
        scheduler=config.scheduler,
        num_inference_steps=config.steps_range[1],
        height_px=config.height_px,
        width_px=config.width_px,
        dtype=config.dtype,
        device=config.device,
        sampling=config.sampling,
        stored=StoredSize(config.resize_px, config.antialias) if config.resize_px else None,
        image_conditions=bool(mixing_strategies(config.strategies)),
        engine=config.engine,
        layout=config.layout,
        additions=config.additions,
        memory=config.memory,
    )


def load_with_images(inputs: CreateInputs, generator: Generator | None = None) -> Generator:
    """The generator of a run: the object, or the one that the config names, with the real images at hand."""
    config, initial = inputs.config, inputs.initial_images
    generator = generator or load(config)
    negatives = (config.negative_prompt,) if isinstance(config.negative_prompt, str) else config.negative_prompt
    check_conditions(generator, config.runs(), negatives)
    return with_initial_images(generator, initial) if initial else generator


def _finish(writer: DatasetWriter, seconds: float, refilled: Refill | None, filled: Filled) -> Dataset:
    """Close the accounting and open the dataset, with a picture and a card of what is new."""
    from synthset.images.pictures import draw_contact_sheet

    writer.finish(seconds, refilled and refilled.notes())
    dataset = open_dataset(writer.folder)
    if filled != Filled() or not (writer.folder / "README.md").exists():
        if dataset.accounting.ok:
            draw_contact_sheet(dataset.part(SHARDS_SHOWN).images(kept=False), writer.folder / "preview.png")
        write_card(dataset)
    return dataset


def _check_failures(result: CreateResult, config: CreateConfig) -> CreateResult:
    """The result. Raises FailureThresholdError."""
    lost = result.accounting.requested - result.accounting.ok
    if lost > config.max_failures * result.accounting.requested:
        raise FailureThresholdError(
            f"Finished with {result.accounting}: more failed than "
            f"{setting('max_failures', f'{config.max_failures:g}')} allows. "
            f"See {result.dataset.folder / 'failures.parquet'}."
        )
    if result.refill is not None and result.refill.short:
        raise FailureThresholdError(f"Finished with {result.accounting}, but {result.refill.complaint()}")
    return result
