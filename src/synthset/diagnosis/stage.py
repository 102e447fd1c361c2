"""Diagnose: why a synthetic set falls short of real images, in CLIP space, class by class.

    open       sets of images, the prompts behind them, one list of classes     diagnosis/inputs.py
    embed      each image and prompt once, cached by content                    embed.py
    measure    diversity, shift, verdicts; the reference × query matrix         diagnosis/summaries.py, matrix.py
    save       tables as Parquet and CSV, galleries                             diagnosis/tables.py, saving.py
    report     one HTML file from what was saved                                report/

Follows Marwood et al. 2023, "Diversity and Diffusion". Everything is measured in the space of one encoder: another
encoder is another opinion.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthset.classifiers.models import load_classifier
from synthset.core.errors import UsageError
from synthset.core.options import with_options
from synthset.core.versions import library_versions
from synthset.diagnosis.ambiguity import suggest_phrases, write_phrases_draft
from synthset.diagnosis.failure_modes import doubts
from synthset.diagnosis.features import penultimate_features, tune_head
from synthset.diagnosis.inputs import DiagnosedSet, embed_set, open_sets
from synthset.diagnosis.matrix import Pairing, pair_all
from synthset.diagnosis.saving import check_folder, read_evaluations, save
from synthset.diagnosis.summaries import ClassRow, SetSummary, measure_classes, measure_separability, summarise
from synthset.diagnosis.tables import (
    ambiguity_table,
    describe,
    filter_notes,
    filter_table,
    gallery_table,
    projection_table,
    prompt_table,
    rank_sets,
    table_of,
)
from synthset.encoders.clip import Encoder, load_encoder
from synthset.encoders.embed import EmbeddingCache, fill_cache
from synthset.executors import Executor
from synthset.images.imageset import ImageSet
from synthset.report import build_report

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger("synthset")

FORMAT_VERSION = 1
PHRASES_DRAFT = "phrases.yaml"


@dataclass(frozen=True)
class DiagnoseConfig:
    """How to diagnose.

    Attributes:
        encoder: see clip.load_encoder.
        by_strategy: take the strategies of each dataset apart.
        all_images: take in what filters reject.
        query_share: of each class, in (0, 1); the others are the references.
        tsne_images: of all sets together; 0 for no t-SNE.
        seed: of the split, of ties and of t-SNE.
        device: "cpu", "cuda" or "auto".
    """

    encoder: str = "miniature"
    by_strategy: bool = False
    all_images: bool = False
    query_share: float = 0.25
    tsne_images: int = 1000
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if not 0 < self.query_share < 1:
            raise UsageError(f"Expected --query-share between 0 and 1, got {self.query_share:g}.")
        if self.tsne_images < 0:
            raise UsageError(f"Expected --tsne-images of at least 0, got {self.tsne_images}.")


@dataclass(frozen=True)
class DiagnosisResult:
    """A finished diagnosis.

    Attributes:
        folder: where tables and report lie.
        summary: one row a set, the real one first.
        classes: one row a class of each synthetic set.
        matrix: one row a pairing.
        seconds: that it took.
    """

    folder: Path
    summary: tuple[SetSummary, ...]
    classes: tuple[ClassRow, ...]
    matrix: tuple[Pairing, ...]
    seconds: float

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder / "report.html"


def diagnose(
    synthetic: Sequence[str | Path | ImageSet] | str | Path,
    output_dir: str | Path,
    config: DiagnoseConfig | None = None,
    *,
    real: str | Path | ImageSet | None = None,
    evaluations: Sequence[str | Path] = (),
    classifier: str | Path | None = None,
    encoder: str | Encoder | None = None,
    cache: str | Path | None = None,
    executor: Executor | None = None,
    **options: Any,
) -> DiagnosisResult:
    """Compare synthetic sets with each other, with their prompts, and with real images.

    Args:
        synthetic: Synthset datasets, image folders, Parquet files or image sets.
        output_dir: folder of the diagnosis; an earlier diagnosis there is replaced.
        config: how; `options` are its fields, e.g. `by_strategy=True`.
        real: a name of real.known_sets(), a path, or an image set.
        evaluations: folders of models or evaluations to show in the report.
        classifier: folder of a model whose features the t-SNE shows in place of the encoder's; a head that is
            trained on those of real images is tested on the synthetic ones (Shipard et al. 2023, section 4.2.1).
        encoder: a name as in the config, or an object of your own to embed with.
        cache: folder of cached embeddings; the user's by default.
        executor: where to embed, if not here; the cache then lies in a folder that all workers reach.
    Raises:
        UsageError: an argument that cannot be right; nothing was written.
        DataError, ModelError: a set, an image or an encoder that cannot be read; no diagnosis was changed.
    """
    began = time.monotonic()
    if isinstance(encoder, str):
        options["encoder"], encoder = encoder, None
    config = with_options(config or DiagnoseConfig(), options)
    folder = Path(output_dir)
    check_folder(folder)
    copies = read_evaluations(evaluations)
    sets = open_sets(
        [synthetic] if isinstance(synthetic, str | Path) else synthetic,
        real,
        by_strategy=config.by_strategy,
        all_images=config.all_images,
    )
    if classifier is not None and real is None:
        raise UsageError("Expected real images beside a classifier, e.g. --real digits: its head is trained on them.")
    network = None if classifier is None else load_classifier(Path(classifier))
    encoder = encoder or load_encoder(config.encoder, device=config.device)
    store = EmbeddingCache(Path(cache) if cache else None)
    if executor is not None:
        for item in sets:
            fill_cache(item.images, encoder, store, executor)
    embedded = [embed_set(item, encoder, store, config.query_share, config.seed) for item in sets]
    real_set = next((item for item in embedded if item.source.kind == "real"), None)
    drawn = [item for item in embedded if item.source.kind == "synthetic"]

    features = [item.images.embeddings for item in embedded]
    if network is not None:
        features = [penultimate_features(network, item.images) for item in sets]
    rankings = rank_sets(drawn, encoder, store)
    summary = [summarise(item, real_set, config.seed) for item in embedded]
    classes = [row for item in drawn for row in measure_classes(item, real_set, config.seed)]
    matrix = pair_all(
        [item.images for item in embedded] + [item.prompts for item in embedded if item.prompts], config.seed
    )
    tables = {
        "summary": table_of(summary),
        "classes": table_of(classes),
        "matrix": table_of(matrix),
        "ambiguity": ambiguity_table(drawn, rankings),
        "tsne": projection_table(sets, features, config.tsne_images, config.seed),
        "prompts": prompt_table(sets),
        "galleries": gallery_table(sets, classes),
        "filters": filter_table(sets),
    }
    note = {
        "format_version": FORMAT_VERSION,
        "encoder": {"name": encoder.name, "fingerprint": encoder.fingerprint, "dimension": encoder.dimension},
        "class_names": list(sets[0].images.class_names),
        "config": asdict(config),
        "seed": config.seed,
        "sets": [describe(item) for item in sets],
        "separability": measure_separability(embedded, config.seed),
        "filters": filter_notes(sets),
        "doubts": find_doubts(classes),
        "tsne_features": encoder.name if network is None else network.config.architecture,
        "head_transfer": None if network is None else try_heads(sets, features, config.seed),
        "libraries": library_versions(),
        "seconds": round(time.monotonic() - began, 1),
    }
    save(folder, tables, note, copies)
    worst = min(drawn, key=lambda item: sum(found.accuracy for found in rankings[item.source.name]))
    write_phrases_draft(
        folder / PHRASES_DRAFT, suggest_phrases(rankings[worst.source.name]), dict(worst.source.phrases)
    )
    build_report(folder)
    for doubt in note["doubts"]:
        log.warning("%s", doubt)
    return DiagnosisResult(folder, tuple(summary), tuple(classes), tuple(matrix), time.monotonic() - began)


def try_heads(sets: Sequence[DiagnosedSet], features: Sequence[Tensor], seed: int = 0) -> dict[str, Any]:
    """By synthetic set: how a head trained on the features of the real set, which is the first, reads it."""
    import torch

    labels = [torch.from_numpy(item.images.labels) for item in sets]
    k = len(sets[0].images.class_names)
    return {
        item.name: asdict(tune_head(features[0], labels[0], features[number], labels[number], k, seed=seed))
        for number, item in enumerate(sets)
        if number
    }


def find_doubts(classes: Sequence[ClassRow]) -> list[str]:
    """What should make a reader cautious of the verdicts: of the set on which the encoder does best."""
    by_set: dict[str, list[float | None]] = {}
    for row in classes:
        by_set.setdefault(row.set, []).append(row.real_accuracy)
    known = [[value for value in values if value is not None] for values in by_set.values()]
    known = [values for values in known if values]
    return doubts(max(known, key=lambda values: sum(values) / len(values)) if known else None)
