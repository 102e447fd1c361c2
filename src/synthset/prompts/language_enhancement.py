"""Language enhancement: sentences about each class, written before a run is planned and kept in its folder.

    writer ─▶ sentences of each class, in sentences.jsonl ─▶ PromptStyle.sentences ─▶ the plan

He et al. 2023, section 3.1 ("LE"). Who writes the sentences stands in sentences/, how they become prompts in
prompts.sentence_prompt.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from synthset.core.options import Option, check_options
from synthset.prompts.sentences import default_writer, load_writer
from synthset.prompts.sentences.base import DEFAULT_COUNT, SentenceWriter, WritesSideBySide
from synthset.prompts.sentences.cache import kept_sentences, sentences_for
from synthset.prompts.sentences.file import FileWriter


@dataclass(frozen=True)
class SentenceConfig:
    """What the sentences of language enhancement depend on, beside classes, phrases and the seed of the run."""

    count: Annotated[int, Option(at_least=1)] = DEFAULT_COUNT
    """Sentences of each class, which are its prompts, equally often."""
    source: Annotated[
        str | None, Option(default="miniature with the generator miniature, else mrm8488/t5-base-finetuned-common_gen")
    ] = None
    """Writer of the sentences: miniature, the folder or hub id of an encoder-decoder such as T5, the URL of an
    OpenAI-compatible server, or a YAML file with lines such as `five: [a child wrote a five]`."""
    model: str | None = None
    """Name of the model on the server, with a URL."""
    revision: str | None = None
    """Branch, tag or commit, with a hub id."""
    requests: Annotated[int | None, Option(flag="sentence-requests", at_least=1, at_most=64, default="4")] = None
    """Requests that are made to the server at once, with a URL; fewer while it refuses them as too many."""
    require_mention: Annotated[
        bool,
        Option(flag="no-require-mention", inverted="Take sentences of a model that do not mention the class, too."),
    ] = True
    """Leave out a model's sentences that do not mention the class; those of a file count as they are."""

    def __post_init__(self) -> None:
        check_options(self)

    def load_writer(self, generator: str, device: str) -> SentenceWriter:
        """Who writes, for images by `generator`. Raises UsageError and ModelError as sentences.load_writer does."""
        source = default_writer(generator) if self.source is None else self.source
        return load_writer(
            source,
            revision=self.revision,
            model=self.model,
            requests=self.requests,
            device=device,
            require_mention=self.require_mention,
        )


@dataclass(frozen=True)
class SampleSentences:
    """Sentences for a dry run.

    Attributes:
        texts: of each class; where there was no time to ask the writer, what stands for the class in prompts.
        writer: name of the writer.
        seconds_a_class: that the slowest class took, or of those that are written side by side the average; near 0
            where they are kept or stand in a file.
        unasked: classes that the writer was not asked about.
    """

    texts: Mapping[str, tuple[str, ...]]
    writer: str
    seconds_a_class: float
    unasked: int = 0


def sample_sentences(
    class_names: Sequence[str],
    phrases: Mapping[str, str],
    writer: SentenceWriter,
    count: int,
    seed: int,
    folder: Path,
    max_classes: int,
    others: Sequence[str] = (),
) -> SampleSentences:
    """Sentences for a dry run: of `max_classes` classes, and nothing is written into `folder`.

    A thousand classes can take a model hours, and a service money; a file is read for all of them.
    Arguments and errors as for `sentences_for`; sentences that `folder` keeps, or one of the `others`, are taken from
    there.
    """
    kept = kept_sentences(class_names, phrases, writer, count, seed, [folder, *others])
    sample = class_names if isinstance(writer, FileWriter) else class_names[:max_classes]
    asked = [name for name in sample if name not in kept]
    times = [time.monotonic()]
    with tempfile.TemporaryDirectory() as scratch:
        written = sentences_for(asked, phrases, writer, count, seed, scratch, lambda _: times.append(time.monotonic()))
    known = kept | written
    texts = {name: known.get(name) or (phrases.get(name, name),) for name in class_names}
    seconds = max((later - earlier for earlier, later in itertools.pairwise(times)), default=0.0)
    if isinstance(writer, WritesSideBySide) and asked:
        seconds = (times[-1] - times[0]) / len(asked)
    return SampleSentences(texts, writer.name, seconds, len(set(class_names) - set(known)))
