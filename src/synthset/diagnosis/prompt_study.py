"""Prompt study: what each prompt of one class changes in the images, against one fixed reference.

Marwood et al. 2023, appendix B and Figure 9: "school bus", "yellow school bus", "purple school bus" and "purple school
bus in a jungle" are drawn, and held against the centroids of a set that stays as it is. Accuracy and Centroid Distance
say how diverse the images are, the shift of their centroid how far it moved; modifiers.py says which words reach them.

    read     prompts from a file; the reference, and the class in it
    draw     each prompt by the generator and at the guidance of the reference        create/
    measure  each variant against the reference's centroids; words                    modifiers.py
    save     variants, modifiers (Parquet, CSV), samples, prompt-study.json, report.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from synthset.classifiers.scoring import wilson_interval
from synthset.core.errors import DataError, UsageError, closest, setting, some
from synthset.core.files import delete_parts, is_part, write_json, write_text
from synthset.core.locks import reading, writing
from synthset.core.options import expect
from synthset.core.parquet_files import write_table
from synthset.create.config import CreateConfig
from synthset.create.stage import create
from synthset.dataset.reader import is_dataset, open_dataset
from synthset.dataset.suited_encoder import model_of, suited_encoder
from synthset.diagnosis.ambiguity import judge_by_clip
from synthset.diagnosis.config import DiagnoseConfig, StudyConfig
from synthset.diagnosis.inputs import DiagnosedSet, open_synthetic
from synthset.diagnosis.modifiers import columns_of, find_class, scores, told_apart, try_adherence
from synthset.diagnosis.saving import to_csv
from synthset.diagnosis.tables import thumbnail
from synthset.encoders.clip import Encoder, load_encoder
from synthset.encoders.embed import EmbeddingCache, embed_images, embed_texts, fill_cache
from synthset.executors import Executor
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImageSource
from synthset.images.splits import FOR_TESTS
from synthset.measures.centroids import centroid_distance, centroid_shift, centroids
from synthset.prompts.classes import as_words
from synthset.prompts.phrases import name_key
from synthset.prompts.strategies import PromptStyle
from synthset.real import open_set
from synthset.real.sets import path_of
from synthset.report import write_report
from synthset.report.prompt_study import FORMAT, MARKER

if TYPE_CHECKING:
    from synthset.generators.base import Generator

MAX_PROMPTS = 50  # of a set: with more of them, all its images are one variant
SAMPLES = 8  # images of a variant that are shown
RESAMPLES = 200  # bootstrap samples behind an interval
FEWEST = 10  # images for which an interval is worth its name


@dataclass(frozen=True)
class VariantRow:
    """One variant of the prompt: its images against the reference.

    Attributes:
        prompt: empty where the images are of many prompts, or of unknown ones.
        accuracy: share of the images whose nearest centroid of the reference is their class's, with a 95 % Wilson
            interval; None where the reference has one class only.
        taken_for: the class that its other images are most often nearest to.
        centroid_distance: how diverse the images are, with a 95 % bootstrap interval where there are enough.
        centroid_shift: how far their centroid lies from that of the class in the reference; likewise.
        similarity: mean cosine of the images with their own prompt.
        adherence: whether the images are nearer to this prompt than those of the first are, see modifiers.Adherence.
        reach: of the words that are added to the first prompt, in words.
    """

    source: str
    prompt: str
    images: int
    accuracy: float | None
    low: float | None
    high: float | None
    taken_for: str | None
    centroid_distance: float
    distance_low: float | None
    distance_high: float | None
    centroid_shift: float
    shift_low: float | None
    shift_high: float | None
    similarity: float | None
    adherence: float | None
    adherence_low: float | None
    adherence_high: float | None
    p_value: float | None
    reach: str | None


@dataclass(frozen=True)
class ModifierRow:
    """Words around the class that some images were drawn with, and whether they reach these; see Adherence."""

    place: str
    modifier: str
    images: int
    others: int
    adherence: float
    adherence_low: float
    adherence_high: float
    p_value: float
    reach: str


@dataclass(frozen=True)
class StudyResult:
    """A finished study.

    Attributes:
        reference: name of the set that all are held against.
        reference_distance: Centroid Distance of its images of the class.
        variants: the first is what the others are compared with.
        modifiers: the most frequent first.
        doubts: reasons to be cautious, a sentence each.
    """

    folder: Path
    class_name: str
    reference: str
    reference_distance: float
    variants: tuple[VariantRow, ...]
    modifiers: tuple[ModifierRow, ...]
    doubts: tuple[str, ...]

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder / "report.html"


@dataclass(frozen=True, eq=False)
class _Variant:
    """Images of the class by one prompt, or of a set as a whole; `prompts` of each image, where they are known."""

    source: str
    images: ImageSet
    prompts: tuple[str, ...]

    @property
    def prompt(self) -> str:
        distinct = set(self.prompts)
        return self.prompts[0] if len(distinct) == 1 else ""


@dataclass(frozen=True, eq=False)
class _Reference:
    """The fixed set: its centroids (k, d), the class by its index, and how it was made, as far as that is known."""

    images: ImageSet
    label: int
    job: Mapping[str, Any] | None

    @property
    def class_name(self) -> str:
        return self.images.class_names[self.label]

    @property
    def own(self) -> ImageSet:
        return self.images.select(np.flatnonzero(self.images.labels == self.label))


def study_prompts(
    synthetic: Sequence[ImageSource],
    output_dir: str | Path,
    study: StudyConfig,
    config: DiagnoseConfig | None = None,
    *,
    generator: Generator | None = None,
    encoder: Encoder | None = None,
    cache: str | Path | None = None,
    executor: Executor | None = None,
) -> StudyResult:
    """Hold the images of each prompt of one class against one fixed reference.

    Args:
        synthetic: sets that have the class, whose prompts are variants; none where all are drawn here.
        output_dir: folder of the study; an earlier study there is replaced, and its images are used again.
        study: the class, the reference, the prompts to draw, and how.
        config: encoder, device and seed; which images of the sets.
        generator: an object of your own to draw with.
        encoder: one to embed with, in place of the config's.
        cache: folder of cached embeddings; the user's by default.
        executor: where to draw and embed, if not here.
    Raises:
        UsageError: an argument that cannot be right, a class that a set lacks, or images that are in the reference too.
        DataError, ModelError: a set, an image or an encoder that cannot be read.
    """
    config, folder = config or DiagnoseConfig(), Path(output_dir)
    expect(study.class_name is not None, f"{setting('class_name')} with a class to study, got none")
    expect(study.reference is not None, f"{setting('reference')}, the set that the prompts are held against, got none")
    expect(
        bool(synthetic) or study.prompts is not None,
        f"{setting('prompts')}, a file of prompts to draw, or sets that were drawn from several, got neither",
    )
    _check_folder(folder)
    with writing(folder), reading(*synthetic, path_of(study.reference)):
        reference = _open_reference(str(study.reference), str(study.class_name))
        if encoder is None:
            drawn_by = [model_of(data) for data in (study.reference, *synthetic)]
            name = suited_encoder(config.encoder, "encoder", drawn_by, study.reference)
            encoder = load_encoder(name, device=config.device)
        variants, doubts = _draw(study, config, reference, folder, generator, executor)
        for item in synthetic:
            variants += _variants_of(item, reference.class_name, config)
        _check_fresh(variants, reference)
        result = _measure(folder, variants, reference, doubts, _Embedder(encoder, cache, executor), config.seed)
        _save(result, variants, encoder)
        write_report(folder)
    return result


def read_prompts(path: str | Path, noun: str) -> list[str]:
    """The prompts of a text file, one a line; empty lines and those that begin with # are left out.

    Args:
        noun: the class, as words, which every prompt must have.
    Raises:
        UsageError: the file does not read, has no prompt, one twice, or one without the class.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not in UTF-8"
        raise UsageError(
            f"Expected a text file of prompts for {setting('prompts')}, one a line, '{path}' does not read ({reason}). "
            "Check the path."
        ) from error
    prompts = [" ".join(line.split()) for line in lines if line.strip() and not line.startswith("#")]
    expect(bool(prompts), f"prompts in '{path}', one a line, found none")
    for prompt in prompts:
        expect(prompts.count(prompt) == 1, f"each prompt once in '{path}', got '{prompt}' twice")
        expect(not prompt.startswith("- "), f"plain lines in '{path}', got a list's '{prompt}'. Drop the dashes")
        expect(
            find_class(prompt, noun) is not None,
            f"the class '{noun}' in every prompt of '{path}', got '{prompt}'. Write it out, in the singular",
        )
    return prompts


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(
            f"Expected a folder for the study, '{folder}' is a file. Choose another {setting('output_dir')}."
        )
    entries = [] if not folder.is_dir() else [path for path in folder.iterdir() if not is_part(path)]
    if entries and not (folder / MARKER).exists() and {path.name for path in entries} != {"images"}:
        raise UsageError(
            f"'{folder}' holds files that are no prompt study; nothing was changed. Choose another "
            f"{setting('output_dir')}."
        )


# ---- the reference, and the variants ----------------------------------------------------------------------


def _open_reference(source: str, class_name: str) -> _Reference:
    if is_dataset(source):
        dataset = open_dataset(source)
        images, job = dataset.images(), dataset.manifest["job"]
    else:
        images, job = open_set(source, FOR_TESTS), None
    label = _label_of(images, class_name)
    counts = np.bincount(images.labels, minlength=len(images.class_names))
    if missing := [name for name, count in zip(images.class_names, counts, strict=True) if not count]:
        raise DataError(
            f"Expected images of every class in the reference '{images.name}', found none of {some(missing)}."
        )
    return _Reference(images, label, job)


def _label_of(images: ImageSet, class_name: str) -> int:
    places = [i for i, name in enumerate(images.class_names) if name_key(name) == name_key(class_name)]
    if len(places) != 1:
        found = f"has {some(images.class_names, 8)}" if not places else "has several of that name"
        close = closest(class_name, images.class_names) if not places else None
        hint = f" Did you mean '{close}'?" if close else ""
        raise UsageError(f"Expected the class '{class_name}' in '{images.name}', which {found}.{hint}")
    return places[0]


def _variants_of(item: ImageSource, class_name: str, config: DiagnoseConfig) -> list[_Variant]:
    """The class in a set: a variant a prompt, or one where there are too many prompts, or unknown ones."""
    parts = open_synthetic(item, config.by_strategy, config.strategies, config.all_images)
    return [variant for part in parts for variant in _split(part, class_name)]


def _split(part: DiagnosedSet, class_name: str) -> list[_Variant]:
    rows = np.flatnonzero(part.images.labels == _label_of(part.images, class_name))
    prompts = [part.prompts[row] for row in rows] if part.prompts else []
    distinct = dict.fromkeys(prompts)
    if not 1 < len(distinct) <= MAX_PROMPTS:
        groups = [rows]
    else:
        groups = [rows[[prompt == one for prompt in prompts]] for one in distinct]
    short = min(map(len, groups))
    if short < 2:
        raise DataError(f"Expected at least 2 images of '{class_name}' by each prompt in '{part.name}', found {short}.")
    known = [tuple(part.prompts[row] for row in group) if part.prompts else () for group in groups]
    return [_Variant(part.name, part.images.select(group), own) for group, own in zip(groups, known, strict=True)]


def _draw(
    study: StudyConfig,
    config: DiagnoseConfig,
    reference: _Reference,
    folder: Path,
    generator: Generator | None,
    executor: Executor | None,
) -> tuple[list[_Variant], list[str]]:
    """A variant for each prompt of the file, a dataset each, and reasons to doubt that the reference is like them."""
    if study.prompts is None:
        return [], []
    noun, variants, doubts = as_words(reference.class_name), [], []
    options = drawing_options(study, reference.job, generator is not None)
    for prompt in read_prompts(study.prompts, noun):
        found = find_class(prompt, noun)
        assert found is not None  # as read_prompts has it
        template = f"{prompt[: found.start()]}{{class}}{prompt[found.end() :]}"
        config_of = CreateConfig(
            images_per_class=study.images_per_prompt,
            seed=config.seed,
            style=PromptStyle(template=template),
            device=config.device,
            **options,
        )
        place = folder / "images" / f"{hashlib.sha256(prompt.encode()).hexdigest()[:12]}"
        drawn = create([reference.class_name], place, config_of, generator=generator, executor=executor).dataset
        rows = drawn.rows.column("prompt").to_pylist()
        variants.append(_Variant("drawn", drawn.images(), tuple(rows)))
        if not doubts and reference.job is not None:
            doubts = _differences(drawn.manifest["job"], reference.job)
    return variants, doubts


def drawing_options(study: StudyConfig, job: Mapping[str, Any] | None, has_generator: bool = False) -> dict[str, Any]:
    """How the prompts are drawn, as options of CreateConfig: as the reference was, where that is known.

    Args:
        job: of the reference; None where it is no Synthset dataset.
        has_generator: whether one is given as an object.
    Raises:
        UsageError: no generator, or no guidance, can be taken from the reference.
    """
    job = job or {}
    made, images = job.get("generation", {}), job.get("images", {})
    options: dict[str, Any] = {}
    if study.generator is not None:
        options["generator"] = study.generator
    elif made:
        names = {"model": "generator", "revision": "revision", "scheduler": "scheduler", "num_inference_steps": "steps"}
        names |= {"height_px": "height_px", "width_px": "width_px"}
        options |= {ours: made[theirs] for theirs, ours in names.items() if made.get(theirs) is not None}
    else:
        expect(
            has_generator,
            f"{setting('generator')} to draw {setting('prompts')} with, as the reference is no Synthset dataset",
        )
    options |= {name: images[name] for name in ("resize_px", "antialias", "quality") if name in images}
    options |= {"image_format": images["format"]} if "format" in images else {}
    options |= {"negative_prompt": job["negative_prompt"]} if isinstance(job.get("negative_prompt"), str) else {}
    scales = set(job.get("strategies", {}).values())
    if study.guidance_scale is not None:
        options["guidance_scale"] = study.guidance_scale
    else:
        expect(
            len(scales) < 2,
            f"{setting('guidance_scale')}, as the reference was drawn at several: {', '.join(sorted(scales))}",
        )
        options["guidance_scale"] = next(iter(scales), None)
    return options


def _differences(job: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Why the reference is not like what was drawn, prompts apart."""
    own, theirs = ({**one.get("generation", {}), "guidance": set(one["strategies"].values())} for one in (job, other))
    names = [name for name in own if name != "parts" and own[name] != theirs.get(name)]
    if not names:
        return []
    return [
        f"The reference was drawn otherwise ({', '.join(names)}): what parts it from them is not the prompts alone."
    ]


def _check_fresh(variants: Sequence[_Variant], reference: _Reference) -> None:
    """Refuse images that the reference has too: they would find themselves."""
    known = {hashlib.sha256(reference.own.read(i)).digest() for i in range(len(reference.own))}
    for variant in variants:
        files = (variant.images.read(i) for i in range(len(variant.images)))
        if any(hashlib.sha256(file).digest() in known for file in files):
            raise UsageError(
                f"Expected other images than those of the reference, '{variant.source}' has some of them. Give another "
                f"{setting('reference')}, or another {setting('seed')} to draw by."
            )


# ---- measures ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Embedder:
    """Vectors of images and texts, unit rows, kept in a cache."""

    encoder: Encoder
    cache: str | Path | None
    executor: Executor | None

    def images(self, images: ImageSet) -> Tensor:
        cache = EmbeddingCache(self.cache)
        if self.executor is not None:
            fill_cache(images, self.encoder, cache, self.executor)
        return embed_images(images, self.encoder, cache)

    def texts(self, texts: Sequence[str]) -> Tensor:
        return embed_texts(texts, self.encoder, EmbeddingCache(self.cache))


def _measure(
    folder: Path,
    variants: Sequence[_Variant],
    reference: _Reference,
    doubts: Sequence[str],
    embed: _Embedder,
    seed: int,
) -> StudyResult:
    fixed, labels = embed.images(reference.images), torch.from_numpy(reference.images.labels)
    centres = centroids(fixed, labels, len(reference.images.class_names))
    own = fixed[labels == reference.label]
    vectors = [embed.images(variant.images) for variant in variants]
    adherences = _try_prompts(variants, vectors, embed)
    rows = [
        _measure_variant(variant, points, centres, reference, embed, seed) | columns_of(adherence)
        for variant, points, adherence in zip(variants, vectors, adherences, strict=True)
    ]
    if len(centres) == 1:
        doubts = [*doubts, "The reference has one class: without others there is no accuracy."]
    return StudyResult(
        folder=folder,
        class_name=reference.class_name,
        reference=reference.images.name,
        reference_distance=float(centroid_distance(own, torch.zeros(len(own), dtype=torch.int64), 1)[0]),
        variants=tuple(VariantRow(**row) for row in rows),
        modifiers=tuple(_try_modifiers(variants, vectors, as_words(reference.class_name), embed)),
        doubts=tuple(doubts),
    )


def _measure_variant(
    variant: _Variant, vectors: Tensor, centres: Tensor, reference: _Reference, embed: _Embedder, seed: int
) -> dict[str, Any]:
    """The columns of a variant, but for its adherence."""
    n, zeros = len(vectors), torch.zeros(len(vectors), dtype=torch.int64)
    row: dict[str, Any] = dict.fromkeys(("accuracy", "low", "high", "taken_for"))
    if len(centres) > 1:
        counts = torch.bincount(judge_by_clip(vectors, centres), minlength=len(centres))
        correct = int(counts[reference.label])
        counts[reference.label] = 0
        row["accuracy"], (row["low"], row["high"]) = correct / n, wilson_interval(correct, n)
        row["taken_for"] = reference.images.class_names[int(counts.argmax())] if correct < n else None
    centre = centres[reference.label][None]
    distance, shift = _resample(vectors, centre[0], seed) if n >= FEWEST else ((None, None), (None, None))
    similarity = None
    if variant.prompts:
        similarity = float((vectors.double() * embed.texts(variant.prompts).double()).sum(1).mean())
    return {
        "source": variant.source,
        "prompt": variant.prompt,
        "images": n,
        **row,
        "centroid_distance": float(centroid_distance(vectors, zeros, 1)[0]),
        "distance_low": distance[0],
        "distance_high": distance[1],
        "centroid_shift": float(centroid_shift(centroids(vectors, zeros, 1), centre)[0]),
        "shift_low": shift[0],
        "shift_high": shift[1],
        "similarity": similarity,
    }


def _resample(vectors: Tensor, centre: Tensor, seed: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """95 % bootstrap intervals of the Centroid Distance, and of the shift from `centre` (d,); vectors are unit rows."""
    n, points = len(vectors), vectors.double()
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), RESAMPLES)
    weights = torch.from_numpy(draws).double() / n  # (r, n)
    means = torch.nn.functional.normalize(weights @ points, dim=1)  # (r, d)
    distances = (weights * (1 - means @ points.T).square()).sum(1)
    ends = torch.tensor([0.025, 0.975], dtype=torch.float64)
    (d_low, d_high), (s_low, s_high) = (values.quantile(ends).tolist() for values in (distances, 1 - means @ centre))
    return (d_low, d_high), (s_low, s_high)


def _try_prompts(variants: Sequence[_Variant], vectors: Sequence[Tensor], embed: _Embedder) -> list[Any]:
    """Whether each prompt reaches its images, beside those of the first; None for the first, and without one prompt."""
    found: list[Any] = [None] * len(variants)
    base = variants[0].prompt
    tried = [i for i, variant in enumerate(variants) if i and base and variant.prompt not in ("", base)]
    if not tried:
        return found
    plain, *texts = embed.texts([base, *(variants[i].prompt for i in tried)])
    tries = [
        (scores(vectors[i], text, plain), scores(vectors[0], text, plain)) for i, text in zip(tried, texts, strict=True)
    ]
    for i, adherence in zip(tried, try_adherence(tries), strict=True):
        found[i] = adherence
    return found


def _try_modifiers(
    variants: Sequence[_Variant], vectors: Sequence[Tensor], noun: str, embed: _Embedder
) -> list[ModifierRow]:
    """The words that some of all images were drawn with, and whether they reach these."""
    known = [i for i, variant in enumerate(variants) if variant.prompts]
    prompts = [prompt for i in known for prompt in variants[i].prompts]
    apart = told_apart(prompts, noun)
    if not apart:
        return []
    points = torch.cat([vectors[i] for i in known])
    plain, *texts = embed.texts([noun, *(one.text(noun) for one in apart)])
    values = [scores(points, text, plain) for text in texts]
    tries = [(own[has], own[~has]) for own, has in zip(values, apart.values(), strict=True)]
    return [
        ModifierRow(one.place, one.words, adherence.images, adherence.others, **columns_of(adherence))
        for one, adherence in zip(apart, try_adherence(tries), strict=True)
    ]


# ---- files ------------------------------------------------------------------------------------------------


def _save(result: StudyResult, variants: Sequence[_Variant], encoder: Encoder) -> None:
    """Write the study, in place of an earlier one; its marker is last."""
    folder = result.folder
    (folder / MARKER).unlink(missing_ok=True)
    delete_parts(folder)
    for name, rows in (("variants", result.variants), ("modifiers", result.modifiers)):
        if not rows:
            for suffix in ("parquet", "csv"):
                (folder / f"{name}.{suffix}").unlink(missing_ok=True)
            continue
        table = pa.Table.from_pylist([asdict(row) for row in rows])
        write_table(folder / f"{name}.parquet", table)
        write_text(folder / f"{name}.csv", to_csv(table))
    samples = [
        {"variant": place, "image": thumbnail(variant.images, index), **variant.images.identity_of(index)}
        for place, variant in enumerate(variants)
        for index in range(min(SAMPLES, len(variant.images)))
    ]
    write_table(folder / "samples.parquet", pa.Table.from_pylist(samples))
    note = {name: value for name, value in vars(result).items() if name not in ("folder", "variants", "modifiers")}
    write_json(folder / MARKER, {"format": FORMAT, **note, "encoder": encoder.name})
