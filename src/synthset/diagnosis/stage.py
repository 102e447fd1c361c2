"""Diagnose: why a synthetic set falls short of real images, in CLIP space, class by class.

    open       sets of images, the prompts behind them, one list of classes     inputs.py
    embed      each image and prompt once, cached by content                    encoders/embed.py
    measure    every entry of measures/registry.py                              summaries.py, matrix.py
    judge      tests of each class, with their chance; verdicts                 evidence.py, class_verdicts.py
    save       tables as Parquet and CSV, galleries                             tables.py, saving.py
    report     one HTML file from what was saved                                report/

Follows Marwood et al. 2023, "Diversity and Diffusion". Everything is measured in the space of one encoder: another
encoder is another opinion.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthset.core.errors import UsageError, setting
from synthset.core.locks import reading, writing
from synthset.core.options import with_options
from synthset.core.versions import library_versions
from synthset.dataset.suited_encoder import suited_encoder
from synthset.diagnosis import tables
from synthset.diagnosis.ambiguity import ClassAmbiguity, suggest_phrases, write_phrases_draft
from synthset.diagnosis.backbones import add_features, load_backbone
from synthset.diagnosis.class_verdicts import evidence_rows, measure_classes, try_classes
from synthset.diagnosis.config import DiagnoseConfig
from synthset.diagnosis.correlations import correlate_sets
from synthset.diagnosis.failure_modes import VERDICTS, ClassTests, doubts
from synthset.diagnosis.features import penultimate_features, tune_head
from synthset.diagnosis.inputs import DiagnosedSet, EmbeddedSet, embed_set, open_sets
from synthset.diagnosis.judges import Judged, judge_sets, judged_table, load_judge, load_network
from synthset.diagnosis.matrix import MatrixAverages, average_pairings, merge_prompts, merged_prompts, pair_sets
from synthset.diagnosis.rows import ClassRow, EvidenceRow, Pairing, SetSummary
from synthset.diagnosis.saving import check_folder, read_evaluations, save
from synthset.diagnosis.summaries import doubt_distances, measure_separability, summarise
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
        judged: what the judge made of the sets, where there was one.
    """

    folder: Path
    summary: tuple[SetSummary, ...]
    classes: tuple[ClassRow, ...]
    matrix: tuple[Pairing, ...]
    averages: MatrixAverages | None
    seconds: float
    judged: Judged | None = None

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
    judge: str | Path | None = None,
    judge_classes: str | Path | None = None,
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
        classifier: model whose features the t-SNE shows in place of the encoder's: its folder, or one of timm's, see
            judges.load_network; a head that is trained on those of real images is tested on the synthetic ones, and
            the other way round (Shipard et al. 2023, section 4.2.1).
        judge: model that says which class each image shows, named as `classifier` is; see judges.py.
        judge_classes: file of what of the judge stands for a class, see judges.read_outputs.
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
    with writing(folder), reading(*inputs, path_of(real), classifier, judge):
        check_folder(folder)  # as it is now that nobody else writes into it
        copies = read_evaluations(evaluations)
        sets = _open(inputs, real, config)
        config, encoder = _with_encoder(config, encoder, sets, real)
        network = _load_network(classifier, real, config.device)
        judged = _judge(judge, judge_classes, sets, config.device)
        findings = _find(sets, copies, encoder, cache, executor, network, config)
        note = {**_describe(findings, encoder, network, config), "judged": judged and judged.note()}
        made = _make_tables(findings, judged, config)
        save(folder, made, {**note, "seconds": round(time.monotonic() - began, 1)}, copies)
        _draft_phrases(folder / PHRASES_DRAFT, findings)
        write_report(folder)
    for doubt in note["doubts"]:
        log.warning("%s", doubt)
    return DiagnosisResult(folder, *findings.shown, time.monotonic() - began, judged)


@dataclass(frozen=True, eq=False)
class _Findings:
    """The sets, the real one first, and all that was measured of them; see DiagnosisResult."""

    sets: tuple[EmbeddedSet, ...]
    features: tuple[Tensor, ...]  # (n, d) of the images of each set, as the t-SNE shows them
    rankings: Mapping[str, Sequence[ClassAmbiguity]]  # by synthetic set, see rank_sets
    tests: Mapping[str, Sequence[ClassTests]]  # by synthetic set, of its classes
    summary: tuple[SetSummary, ...]
    classes: tuple[ClassRow, ...]
    matrix: tuple[Pairing, ...]
    averages: MatrixAverages | None
    correlations: pa.Table | None
    uncorrelated: str  # why there are none, or not all

    @property
    def shown(self) -> tuple[tuple[SetSummary, ...], tuple[ClassRow, ...], tuple[Pairing, ...], MatrixAverages | None]:
        """What the result has of them, in its order."""
        return self.summary, self.classes, self.matrix, self.averages

    @property
    def sources(self) -> list[DiagnosedSet]:
        return [item.source for item in self.sets]

    @property
    def synthetic(self) -> list[EmbeddedSet]:
        return [item for item in self.sets if not item.source.is_real]

    @property
    def evidence(self) -> list[EvidenceRow]:
        return [row for item in self.synthetic for row in evidence_rows(item, self.tests[item.source.name])]

    def drafts(self) -> dict[str, list[ClassAmbiguity]]:
        """By set, the classes whose phrases are worth a look, the worst recognised first; none without prompts.

        Those whose verdict calls for a phrase, and of the worst recognised those that chance does not explain.
        """
        of_words = {verdict.name for verdict in VERDICTS if verdict.is_of_words}
        calling = {(row.set, row.class_index) for row in self.classes if row.verdict in of_words}
        drafts = {}
        for name, ranking in self.rankings.items():
            tests, worst = self.tests[name], suggest_phrases(ranking)
            drafts[name] = [
                place
                for place in ranking
                if tests[place.class_index].has_prompts
                and (
                    (name, place.class_index) in calling
                    or (place in worst and tests[place.class_index].drawn.state == "low")
                )
            ]
        return drafts


def _open(inputs: Sequence[ImageSource], real: ImageSource | None, config: DiagnoseConfig) -> list[DiagnosedSet]:
    """The sets, the real one first, as the config has them."""
    which = {"by_strategy": config.by_strategy, "strategies": config.strategies, "all_images": config.all_images}
    return open_sets(inputs, real, **which)


def _with_encoder(
    config: DiagnoseConfig, encoder: Encoder | None, sets: Sequence[DiagnosedSet], real: ImageSource | None
) -> tuple[DiagnoseConfig, Encoder]:
    """The encoder that is meant, and the config that names it. Raises UsageError where one must be named."""
    if encoder is not None:
        return config, encoder
    models = [item.manifest["job"]["generation"].get("model") for item in sets if item.manifest]
    config = replace(config, encoder=suited_encoder(config.encoder, "encoder", models, real))
    return config, load_encoder(str(config.encoder), device=config.device)


def _judge(
    source: str | Path | None, classes: str | Path | None, sets: Sequence[DiagnosedSet], device: str
) -> Judged | None:
    if source is None and classes is not None:
        raise UsageError(f"Expected {setting('judge')} with {setting('judge_classes')}. Or leave it out.")
    if source is None:
        return None
    return judge_sets(load_judge(source, sets[0].images.class_names, classes, device), sets)


def _load_network(source: str | Path | None, real: Any, device: str) -> Classifier | None:
    if source is not None and real is None:
        raise UsageError(
            f"Expected real images beside a classifier, e.g. {setting('real', 'digits')}: its head is trained on them."
        )
    return None if source is None else load_network(source, device)


def _find(
    opened: Sequence[DiagnosedSet],
    evaluations: Mapping[str, Any],
    encoder: Encoder,
    cache_folder: str | Path | None,
    executor: Executor | None,
    network: Classifier | None,
    config: DiagnoseConfig,
) -> _Findings:
    cache = EmbeddingCache(Path(cache_folder) if cache_folder else None)
    if executor is not None:
        for item in opened:
            fill_cache(item.images, encoder, cache, executor)
    backbone = load_backbone(config.frechet_backbone, config.device) if config.frechet_backbone else None
    sets = merge_prompts([embed_set(item, encoder, cache, config.query_share, config.seed) for item in opened])
    sets = add_features(sets, backbone)
    real = next((item for item in sets if item.source.is_real), None)
    points = [(item, item.against(real, config.seed)) for item in sets]
    drawn = [pair for pair in points if not pair[0].source.is_real]
    tests = {item.source.name: try_classes(own) for item, own in drawn}
    summary, matrix = tuple(summarise(*pair) for pair in points), tuple(pair_sets(sets, config.seed))
    correlations, uncorrelated = correlate_sets([item.source for item in sets], summary, evaluations)
    return _Findings(
        sets=tuple(sets),
        features=tuple(
            penultimate_features(network, item.source.images) if network else item.images.embeddings for item in sets
        ),
        rankings=tables.rank_sets(drawn, encoder, cache),
        tests=tests,
        summary=summary,
        classes=tuple(row for item, own in drawn for row in measure_classes(item, own, tests[item.source.name])),
        matrix=matrix,
        averages=average_pairings(matrix),
        correlations=correlations,
        uncorrelated=uncorrelated,
    )


def _make_tables(findings: _Findings, judged: Judged | None, config: DiagnoseConfig) -> dict[str, pa.Table | None]:
    sets = findings.sources
    return {
        "summary": tables.table_of(findings.summary),
        "classes": tables.table_of(findings.classes),
        "matrix": tables.table_of(findings.matrix),
        "correlations": findings.correlations,
        "evidence": tables.table_of(findings.evidence),
        "ambiguity": tables.ambiguity_table(findings.synthetic, findings.rankings, findings.classes, findings.drafts()),
        "tsne": tables.projection_table(sets, findings.features, config.tsne_images, config.seed),
        "prompts": tables.prompt_table(sets),
        "galleries": tables.gallery_table(sets, findings.classes),
        "filters": tables.filter_table(sets),
        "judged": judged and judged_table(judged),
    }


def _describe(
    findings: _Findings, encoder: Encoder, network: Classifier | None, config: DiagnoseConfig
) -> dict[str, Any]:
    """All that has no table, for diagnosis.json."""
    sets, averages = findings.sources, findings.averages
    return {
        "format_version": FORMAT_VERSION,
        "encoder": {"name": encoder.name, "fingerprint": encoder.fingerprint, "dimension": encoder.dimension},
        "class_names": list(sets[0].images.class_names),
        "config": asdict(config),
        "seed": config.seed,
        "sets": [tables.describe(item) for item in sets],
        "backbone": _describe_backbone(findings.sets, config),
        "averages": averages and asdict(averages),
        "uncorrelated": findings.uncorrelated,
        "merged_prompts": merged_prompts(findings.sets),
        "separability": measure_separability(findings.sets, config.seed),
        "filters": tables.filter_notes(sets),
        "doubts": [*find_doubts(findings.classes), *doubt_distances(findings.summary)],
        "tsne_features": encoder.name if network is None else network.config.architecture,
        "head_transfer": None if network is None else try_heads(sets, findings.features, config.seed),
        "libraries": library_versions(),
    }


def _describe_backbone(sets: Sequence[EmbeddedSet], config: DiagnoseConfig) -> dict[str, Any] | None:
    features = sets[0].features
    return None if features is None else {"name": config.frechet_backbone, "dimension": features.shape[1]}


def _draft_phrases(path: Path, findings: _Findings) -> None:
    """A file of phrases to edit, each class as it stands in the set where the fewest of its images are recognised.

    Where no class calls for a phrase there is none.
    """
    places = [(place, name) for name, draft in findings.drafts().items() for place in draft]
    worst: dict[int, tuple[ClassAmbiguity, str]] = {}
    for place, name in sorted(places, key=lambda pair: pair[0].accuracy):
        worst.setdefault(place.class_index, (place, name))
    if not worst:
        path.unlink(missing_ok=True)
        return
    of_sets = {item.source.name: item.source.phrases for item in findings.synthetic}
    verdicts = {(row.set, row.class_index): row.verdict for row in findings.classes}
    names = {place.class_name: (name, place.class_index) for place, name in worst.values()}
    write_phrases_draft(
        path,
        [place for place, _ in worst.values()],
        {own: of_sets[name][own] for own, (name, _) in names.items() if own in of_sets[name]},
        {own: verdicts[where] for own, where in names.items()},
    )


def try_heads(sets: Sequence[DiagnosedSet], features: Sequence[Tensor], seed: int = 0) -> dict[str, Any]:
    """By synthetic set: how a head trained on the features of the real set, which is the first, reads it.

    And the other way round: how one trained on its own features reads the real ones.
    """
    import torch

    labels = [torch.from_numpy(item.images.labels) for item in sets]
    k = len(sets[0].images.class_names)
    (_, real, real_labels), *synthetic = zip([item.name for item in sets], features, labels, strict=True)
    return {
        name: {
            **asdict(tune_head(real, real_labels, own, own_labels, k, seed=seed)),
            "real_by_synthetic": tune_head(own, own_labels, real, real_labels, k, seed=seed).synthetic_accuracy,
        }
        for name, own, own_labels in synthetic
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
        drawn_accuracy=_drawn_accuracy(classes),
        without_prompts=list(dict.fromkeys(row.set for row in classes if row.synthetic_accuracy is None)),
    )


def _drawn_accuracy(classes: Sequence[ClassRow]) -> dict[str, float]:
    """By set, the mean over classes of what tests its images: the prompts, or where none are known each other."""
    by_set: dict[str, list[float]] = {}
    for row in classes:
        value = row.own_accuracy if row.synthetic_accuracy is None else row.synthetic_accuracy
        by_set.setdefault(row.set, []).append(value)
    return {name: sum(values) / len(values) for name, values in by_set.items()}
