"""A dry run of `create`: counts, a few prompts and an estimate. Nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from synthset.core.errors import ModelError
from synthset.core.locks import reading
from synthset.create.config import CreateConfig
from synthset.create.estimate import Estimate, estimate_run
from synthset.create.inputs import CreateInputs, read_inputs, tell_cut, tell_tokens, texts_of
from synthset.create.job import as_begun, default_job, make_job
from synthset.create.plan import Part
from synthset.create.refill import MAX_FACTOR
from synthset.create.reuse import Reuse, check_reused
from synthset.create.stage import load_with_images
from synthset.dataset.manifest import Copied
from synthset.dataset.records import Request
from synthset.generators.base import GenerationConfig
from synthset.generators.source import GeneratorSource
from synthset.prompts.language_enhancement import SampleSentences, SentenceConfig, sample_sentences
from synthset.prompts.strategies import readers

SAMPLE_PROMPTS = 10
SAMPLED_IMAGES = 32  # that the estimate draws in a batch at most
SAMPLED_CLASSES = 10  # at most


@dataclass(frozen=True)
class Sample:
    """A few requests of every strategy, and how many `images` each strategy has, over all classes."""

    requests: tuple[Request, ...]
    images: dict[str, int]

    @property
    def total(self) -> int:
        """Requests of the whole run."""
        return sum(self.images.values())


@dataclass(frozen=True)
class Reused:
    """What a run would copy.

    Attributes:
        copied: images from each dataset that some come from.
        complaints: of each of the others, why none do.
        unknown: images among those to draw that may be there, for their sentences are not written yet.
    """

    copied: tuple[Copied, ...]
    complaints: tuple[str, ...]
    unknown: int = 0

    @property
    def total(self) -> int:
        """Images that are copied."""
        return sum(part.images for part in self.copied)


@dataclass(frozen=True)
class DryRun:
    """A run as it would be.

    Attributes:
        config: of the run, with sample sentences in its style.
        guidance: scale, or range of scales, by strategy.
        sentences: their writer, and its speed; None without language enhancement.
        reused: what would be copied; None where nothing shall be, or where the model is not at hand.
        generation, estimate: of the model, and of the whole run with it; None where the model is not at hand.
        reason: why it is not.
        is_on_gpu: whether it draws on a GPU here.
    """

    config: CreateConfig
    num_classes: int
    sample: Sample
    guidance: dict[str, str]
    sentences: SampleSentences | None = None
    generation: GenerationConfig | None = None
    is_on_gpu: bool = False
    reason: ModelError | None = None
    estimate: Estimate | None = None
    reused: Reused | None = None

    @property
    def shown(self) -> list[Request]:
        """A few requests from all over the sample."""
        requests = self.sample.requests
        count = min(SAMPLE_PROMPTS, len(requests))
        return [requests[i * len(requests) // count] for i in range(count)]

    @property
    def max_draws(self) -> int:
        """Images of one class and strategy that refilling draws at most."""
        return self.config.max_draws or MAX_FACTOR * self.config.images_per_class


def rehearse(classes: Sequence[str], config: CreateConfig, folder: Path) -> DryRun:
    """A dry run of `create`: a few prompts of a run of any size, and an estimate from drawing some images.

    Args:
        classes, config: as for `create`.
        folder: of the dataset; sentences that it keeps are used, and nothing is written into it.
    Raises:
        UsageError, DataError: as for `create`.
    """
    check_reused(config.reuse, folder)
    inputs, sentences = _with_sample_sentences(read_inputs(classes, as_begun(config, folder)), folder)
    sample, config, num_classes = sample_plan(inputs, SAMPLED_IMAGES), inputs.config, len(inputs.class_names)
    run = DryRun(config, num_classes, sample, {run.name: str(run.guidance) for run in config.runs()}, sentences)
    try:
        generator = load_with_images(inputs)
    except ModelError as error:
        return replace(run, reason=error)
    requests = pa.table({name: [getattr(r, name) for r in sample.requests] for name in ("prompt", "negative_prompt")})
    described = GeneratorSource(lambda: generator).describe(texts_of(requests))
    tell_cut(requests, described)
    tell_tokens(replace(described, unused_tokens=()))  # others of its prompts may have them
    is_on_gpu = getattr(getattr(generator, "device", None), "type", "") == "cuda"
    reused = _find_reused(inputs, generator.config, sentences.unasked if sentences else 0)
    estimate = estimate_run(sample.requests, sample.total, generator, config, reused.total if reused else 0)
    return replace(run, generation=generator.config, is_on_gpu=is_on_gpu, estimate=estimate, reused=reused)


def _find_reused(inputs: CreateInputs, generation: GenerationConfig, unasked: int) -> Reused | None:
    """What the first round of a run would copy, of which the whole is planned for it; None for nothing to copy from.

    Args:
        unasked: classes whose sentences are not known.
    """
    config = inputs.config
    if not config.reuse:
        return None
    with reading(*config.reuse):
        plan = inputs.plan()
        job = make_job(plan, config, generation, inputs.initial_images)
        reuse = Reuse.open(config.reuse, job, default_job(generation))
        copies = reuse.find(plan)
    enhanced = sum(run.images_per_class for run in config.runs() if readers("sentences", [run.name]))
    return Reused(tuple(copies.records(0, len(plan))), tuple(reuse.complaints(copies)), unasked * enhanced)


def sample_plan(inputs: CreateInputs, count: int) -> Sample:
    """About `count` requests of a run of any size, at the cost of planning these alone."""
    runs, num_classes = inputs.config.runs(), len(inputs.class_names)
    cells = [(run, label) for run in runs for label in range(min(num_classes, SAMPLED_CLASSES))]
    places = np.linspace(0, len(cells) - 1, min(count, len(cells))).astype(int)
    indices = {}
    for run, label in (cells[place] for place in places):
        each = min(run.images_per_class, max(1, count // len(cells)))
        stride = run.images_per_class // each
        indices[run.name, label] = range(0, each * stride, stride)
    requests = tuple(inputs.plan(Part(indices)).requests())
    return Sample(requests, {run.name: run.images_per_class * num_classes for run in runs})


def _with_sample_sentences(inputs: CreateInputs, folder: Path) -> tuple[CreateInputs, SampleSentences | None]:
    """The inputs with sentences about some classes, if language enhancement is wanted; others are called by name."""
    names, config = inputs.class_names, inputs.config
    if not readers("sentences", config.strategies):
        return inputs, None
    config.runs()  # raises for strategies that cannot be
    wanted = config.sentences or SentenceConfig()
    writer = wanted.load_writer(config.generator, config.device)
    phrases = config.style.phrases_by_class()
    sample = sample_sentences(names, phrases, writer, wanted.count, config.seed, folder, SAMPLE_PROMPTS, config.reuse)
    return inputs.with_sentences(sample.texts), sample
