"""Diagnose: why a synthetic set falls short of real images, in CLIP space, class by class.

    open       sets of images, the prompts behind them, one list of classes     inputs.py
    embed      each image and prompt once, cached by content                    encoders/embed.py
    measure    every entry of measures/registry.py; verdicts                    summaries.py, matrix.py
    save       tables as Parquet and CSV, galleries                             tables.py, saving.py
    report     one HTML file from what was saved                                report/

Follows Marwood et al. 2023, "Diversity and Diffusion". Everything is measured in the space of one encoder: another
encoder is another opinion.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthset.classifiers.models import load_classifier
from synthset.core.errors import UsageError, setting
from synthset.core.locks import reading, writing
from synthset.core.options import with_options
from synthset.core.versions import library_versions
from synthset.diagnosis import tables
from synthset.diagnosis.ambiguity import ClassAmbiguity, suggest_phrases, write_phrases_draft
from synthset.diagnosis.config import DiagnoseConfig
from synthset.diagnosis.failure_modes import doubts
from synthset.diagnosis.features import penultimate_features, tune_head
from synthset.diagnosis.inputs import DiagnosedSet, EmbeddedSet, embed_set, open_sets
from synthset.diagnosis.matrix import MatrixAverages, average_pairings, merge_prompts, merged_prompts, pair_sets
from synthset.diagnosis.rows import ClassRow, Pairing, SetSummary
from synthset.diagnosis.saving import check_folder, read_evaluations, save
from synthset.diagnosis.summaries import doubt_distances, measure_classes, measure_separability, summarise
from synthset.encoders.clip import Encoder, load_encoder
from synthset.encoders.embed import EmbeddingCache, fill_cache
from synthset.executors import Executor
from synthset.images.opening import ImageSource
from synthset.real.sets import path_of
from synthset.report import write_report

if TYPE_CHECKING:
    import pyarrow as pa
    from torch import Tensor

    from synthset.classifiers.models import Classifier

log = logging.getLogger("synthset")

FORMAT_VERSION = 1
PHRASES_DRAFT = "phrases.yaml"


@dataclass(frozen=True)
class DiagnosisResult:
    """A finished diagnosis.

    Attributes:
        summary: one row a set, the real one first.
        classes: one row a class of each synthetic set.
        matrix: one row a pairing.
        averages: of the pairings; None where none has neighbours to vote.
    """

    folder: Path
    summary: tuple[SetSummary, ...]
    classes: tuple[ClassRow, ...]
    matrix: tuple[Pairing, ...]
    averages: MatrixAverages | None
    seconds: float

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder / "report.html"


def diagnose(
    synthetic: Sequence[ImageSource] | str | Path,
    output_dir: str | Path,
    config: DiagnoseConfig | None = None,
    *,
    real: ImageSource | None = None,
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
    inputs = [synthetic] if isinstance(synthetic, str | Path) else synthetic
    with writing(folder), reading(*inputs, path_of(real), classifier):
        check_folder(folder)  # as it is now that nobody else writes into it
        copies = read_evaluations(evaluations)
        which = {"by_strategy": config.by_strategy, "strategies": config.strategies, "all_images": config.all_images}
        sets = open_sets(inputs, real, **which)
        network = _load_network(classifier, real)
        encoder = encoder or load_encoder(config.encoder, device=config.device)
        findings = _find(sets, encoder, EmbeddingCache(Path(cache) if cache else None), executor, network, config)
        note = _describe(findings, encoder, network, config)
        save(folder, _make_tables(findings, config), {**note, "seconds": round(time.monotonic() - began, 1)}, copies)
        _draft_phrases(folder / PHRASES_DRAFT, findings)
        write_report(folder)
    for doubt in note["doubts"]:
        log.warning("%s", doubt)
    found = (findings.summary, findings.classes, findings.matrix, average_pairings(findings.matrix))
    return DiagnosisResult(folder, *found, time.monotonic() - began)


@dataclass(frozen=True, eq=False)
class _Findings:
    """The sets, the real one first, and all that was measured of them; see DiagnosisResult."""

    sets: tuple[EmbeddedSet, ...]
    features: tuple[Tensor, ...]  # (n, d) of the images of each set, as the t-SNE shows them
    rankings: Mapping[str, Sequence[ClassAmbiguity]]  # by synthetic set, see rank_sets
    summary: tuple[SetSummary, ...]
    classes: tuple[ClassRow, ...]
    matrix: tuple[Pairing, ...]

    @property
    def sources(self) -> list[DiagnosedSet]:
        return [item.source for item in self.sets]

    @property
    def synthetic(self) -> list[EmbeddedSet]:
        return [item for item in self.sets if not item.source.is_real]


def _load_network(folder: str | Path | None, real: Any) -> Classifier | None:
    if folder is not None and real is None:
        raise UsageError(
            f"Expected real images beside a classifier, e.g. {setting('real', 'digits')}: its head is trained on them."
        )
    return None if folder is None else load_classifier(Path(folder))


def _find(
    opened: Sequence[DiagnosedSet],
    encoder: Encoder,
    cache: EmbeddingCache,
    executor: Executor | None,
    network: Classifier | None,
    config: DiagnoseConfig,
) -> _Findings:
    if executor is not None:
        for item in opened:
            fill_cache(item.images, encoder, cache, executor)
    sets = merge_prompts([embed_set(item, encoder, cache, config.query_share, config.seed) for item in opened])
    rankings = tables.rank_sets([item for item in sets if not item.source.is_real], encoder, cache)
    real = next((item for item in sets if item.source.is_real), None)
    points = [(item, item.against(real, config.seed)) for item in sets]
    return _Findings(
        sets=tuple(sets),
        features=tuple(
            penultimate_features(network, item.source.images) if network else item.images.embeddings for item in sets
        ),
        rankings=rankings,
        summary=tuple(summarise(*pair) for pair in points),
        classes=tuple(row for pair in points if not pair[0].source.is_real for row in measure_classes(*pair)),
        matrix=tuple(pair_sets(sets, config.seed)),
    )


def _make_tables(findings: _Findings, config: DiagnoseConfig) -> dict[str, pa.Table | None]:
    sets = findings.sources
    return {
        "summary": tables.table_of(findings.summary),
        "classes": tables.table_of(findings.classes),
        "matrix": tables.table_of(findings.matrix),
        "ambiguity": tables.ambiguity_table(findings.synthetic, findings.rankings),
        "tsne": tables.projection_table(sets, findings.features, config.tsne_images, config.seed),
        "prompts": tables.prompt_table(sets),
        "galleries": tables.gallery_table(sets, findings.classes),
        "filters": tables.filter_table(sets),
    }


def _describe(
    findings: _Findings, encoder: Encoder, network: Classifier | None, config: DiagnoseConfig
) -> dict[str, Any]:
    """All that has no table, for diagnosis.json."""
    sets, averages = findings.sources, average_pairings(findings.matrix)
    return {
        "format_version": FORMAT_VERSION,
        "encoder": {"name": encoder.name, "fingerprint": encoder.fingerprint, "dimension": encoder.dimension},
        "class_names": list(sets[0].images.class_names),
        "config": asdict(config),
        "seed": config.seed,
        "sets": [tables.describe(item) for item in sets],
        "averages": averages and asdict(averages),
        "merged_prompts": merged_prompts(findings.sets),
        "separability": measure_separability(findings.sets, config.seed),
        "filters": tables.filter_notes(sets),
        "doubts": [*find_doubts(findings.classes), *doubt_distances(findings.summary)],
        "tsne_features": encoder.name if network is None else network.config.architecture,
        "head_transfer": None if network is None else try_heads(sets, findings.features, config.seed),
        "libraries": library_versions(),
    }


def _draft_phrases(path: Path, findings: _Findings) -> None:
    """A file of phrases to edit, for the set whose images are recognised worst."""
    phrases = {item.source.name: dict(item.source.phrases) for item in findings.synthetic}
    worst = min(findings.rankings, key=lambda name: sum(row.accuracy for row in findings.rankings[name]))
    write_phrases_draft(path, suggest_phrases(findings.rankings[worst]), phrases[worst])


def try_heads(sets: Sequence[DiagnosedSet], features: Sequence[Tensor], seed: int = 0) -> dict[str, Any]:
    """By synthetic set: how a head trained on the features of the real set, which is the first, reads it."""
    import torch

    labels = [torch.from_numpy(item.images.labels) for item in sets]
    k = len(sets[0].images.class_names)
    (_, real, real_labels), *synthetic = zip([item.name for item in sets], features, labels, strict=True)
    return {
        name: asdict(tune_head(real, real_labels, own, own_labels, k, seed=seed)) for name, own, own_labels in synthetic
    }


def find_doubts(classes: Sequence[ClassRow]) -> list[str]:
    """Reasons to be cautious of the verdicts, by the set on which the encoder does best."""
    by_set: dict[str, list[float]] = {}
    for row in classes:
        if row.real_accuracy is not None:
            by_set.setdefault(row.set, []).append(row.real_accuracy)
    return doubts(
        max((sum(values) / len(values) for values in by_set.values()), default=None),
        has_real=any(row.transfer_accuracy is not None for row in classes),
        without_prompts=list(dict.fromkeys(row.set for row in classes if row.synthetic_accuracy is None)),
    )
