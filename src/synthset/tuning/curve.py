"""Tuning over shots and seeds, with and without synthetic images: Figure 1 of He et al. 2023 for any real set.

curve.json   every tuning, and what they come to at each number of shots, with intervals
curve.csv    the same, a row a tuning
curve.png    the picture
models/      the tuned classifiers; the same command again goes on with those that are missing
"""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthset.core.errors import UnknownNameError, UsageError
from synthset.core.files import write_json, write_text
from synthset.core.options import with_options
from synthset.images.imageset import ImageSet
from synthset.tuning.config import TuneConfig
from synthset.tuning.curve_results import FORMAT, CurvePoint, CurveResult, summarise

if TYPE_CHECKING:
    from torch import Tensor

    from synthset.classifiers.scoring import EvaluationResult
    from synthset.encoders.clip import Encoder
    from synthset.encoders.embed import EmbeddingCache
    from synthset.tuning.features import Features
    from synthset.tuning.stage import TuneResult

log = logging.getLogger("synthset")

WITH, WITHOUT, RANDOM_HEAD = "real + synthetic", "real", "random_head"
JSON_FILE, CSV_FILE, PICTURE_FILE, MODELS = "curve.json", "curve.csv", "curve.png", "models"


def tune_curve(
    data: str | Path | ImageSet | None,
    output_dir: str | Path,
    shots: Sequence[int] = (1, 2, 4, 8, 16),
    seeds: Sequence[int] | int = 3,
    config: TuneConfig | None = None,
    *,
    real: str | Path | ImageSet,
    compare: Sequence[str] = (),
    prompt_strategy: str | None = None,
    all_images: bool = False,
    encoder: Encoder | None = None,
    cache: EmbeddingCache | None = None,
    overwrite: bool = False,
    **options: Any,
) -> CurveResult:
    """Tune at each number of shots and seed, once with the synthetic images and once without; test all on one part.

    Both take as many steps. Shots of one seed are nested, so a curve adds images and replaces none.
    Args:
        data: synthetic images as `tune` takes them; a path may hold `{shots}` and `{seed}`, where each number has a
            dataset of its own, as with real guidance. None for real images alone.
        shots: numbers of real images a class; 0 is zero-shot tuning.
        seeds: of the shots and the order; a number for 0, 1, …
        config: for all, as `tune` takes it; `options` are its fields.
        compare: further methods at the same shots: keys of baselines.BASELINES, or "random_head", tuning that does
            not begin with the texts.
        overwrite: replace what is in the folder.
    Raises:
        UsageError, DataError, ModelError: as `tune`.
    """
    from synthset.encoders.clip import load_encoder
    from synthset.encoders.embed import EmbeddingCache
    from synthset.tuning.few_shot import load_test_part

    numbers = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    config = _check(config, options, shots, numbers, compare)
    folder = Path(output_dir)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"Expected a folder for the curve, '{folder}' is a file. Choose another --output-dir.")
    encoder = encoder or load_encoder(config.clip, device=config.device, dtype=config.dtype)
    cache = EmbeddingCache() if cache is None else cache
    run = _Run(data, folder / MODELS, config, real, prompt_strategy, all_images, encoder, cache, overwrite)
    results = [run.tune(count, seed, compare) for seed in numbers for count in sorted(set(shots))]

    tester = _Tester(load_test_part(real), encoder, cache)
    points: list[CurvePoint] = []
    zero_shot = None
    for result in results:
        zero_shot = zero_shot or tester.zero_shot(next(iter(result.tuned.values())).folder)
        scored = {method: tester.test(tuned.folder) for method, tuned in result.tuned.items()}
        scored |= {
            method: tester.fit(method, result, next(iter(result.tuned.values())).folder) for method in result.fits
        }
        points += [
            CurvePoint(method, result.shots, result.seed, test.score, test.accuracy, test.n)
            for method, test in scored.items()
        ]
    assert zero_shot is not None
    points.sort(key=lambda point: (point.method, point.shots, point.seed))
    curve = CurveResult(folder, zero_shot.real, zero_shot.metric, zero_shot.score, tuple(points), summarise(points))
    _write(curve, run.config, encoder)
    return curve


# ---- tuning -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Cell:
    """What was tuned at one number of shots and seed, and what else is to be fitted there."""

    shots: int
    seed: int
    tuned: Mapping[str, TuneResult]
    fits: Sequence[str]
    images: ImageSet | None


class _Run:
    """The tunings of a curve; the synthetic images become vectors once."""

    def __init__(
        self,
        data: str | Path | ImageSet | None,
        folder: Path,
        config: TuneConfig,
        real: str | Path | ImageSet,
        prompt_strategy: str | None,
        all_images: bool,
        encoder: Encoder,
        cache: EmbeddingCache,
        overwrite: bool,
    ) -> None:
        self.data, self.folder, self.config, self.real = data, folder, config, real
        self._choice = {"prompt_strategy": prompt_strategy, "all_images": all_images}
        self._tools = {"encoder": encoder, "cache": cache, "overwrite": overwrite}
        self._features: dict[str, Features] = {}

    def tune(self, shots: int, seed: int, compare: Sequence[str]) -> _Cell:
        """All tunings at one number of shots and seed."""
        from synthset.tuning.few_shot import draw_shots

        config = replace(self.config, shots=shots, seed=seed)
        place = self.folder / f"shots-{shots:02d}" / f"seed-{seed}"
        tuned: dict[str, TuneResult] = {}
        steps = None
        if self.data is not None:
            # without shots there is nothing to mix with, to filter by, or to be guided by
            with_images = config if shots else replace(config, strategy="basic", order="mix")
            tuned[WITH] = self._one(self._data(shots, seed), place / "with-synthetic", with_images)
            steps = tuned[WITH].steps_per_epoch
        names = tuned[WITH].class_names if tuned else None
        if shots:
            alone = replace(
                config, loss="ce", strategy="basic", order="mix", validation_fraction=None, steps_per_epoch=steps
            )
            tuned[WITHOUT] = self._one(None, place / "real-only", alone)
            if RANDOM_HEAD in compare:
                tuned[RANDOM_HEAD] = self._one(None, place / "random-head", replace(alone, text_initialisation=False))
        fits = [name for name in compare if name != RANDOM_HEAD] if shots else []
        images = draw_shots(self.real, names or tuned[WITHOUT].class_names, shots, seed) if fits else None
        return _Cell(shots, seed, tuned, fits, images)

    def _one(self, data: str | Path | ImageSet | None, folder: Path, config: TuneConfig) -> TuneResult:
        from synthset.tuning.stage import tune

        choice = self._choice if data is not None else {}
        known = self._features if data is not None else None
        return tune(data, folder, config, real=self.real, features=known, **choice, **self._tools)

    def _data(self, shots: int, seed: int) -> str | Path | ImageSet | None:
        if isinstance(self.data, ImageSet) or self.data is None:
            return self.data
        return str(self.data).replace("{shots}", str(shots)).replace("{seed}", str(seed))


# ---- testing ----------------------------------------------------------------------------------------------


class _Tester:
    """Classifiers on one test part, whose vectors are computed once where the encoder is the same."""

    def __init__(self, images: ImageSet, encoder: Encoder, cache: EmbeddingCache) -> None:
        from synthset.encoders.embed import embed_images

        self.images, self.encoder, self.cache = images, encoder, cache
        self.vectors = embed_images(images, encoder, cache)

    def test(self, folder: Path) -> EvaluationResult:
        """A tuned classifier."""
        from synthset.tuning.saving import evaluate_tuned, load_tuned

        classifier = load_tuned(folder, encoder=self.encoder)
        if classifier.encoder is not self.encoder:
            return evaluate_tuned(classifier, self.images, self.cache)
        return self._count(classifier.logits(self.vectors), classifier.config.class_names)

    def zero_shot(self, folder: Path) -> EvaluationResult:
        """The classifier that the one in `folder` would have been without tuning."""
        from synthset.tuning.saving import load_tuned, zero_shot_of

        before = zero_shot_of(load_tuned(folder, encoder=self.encoder), self.encoder, self.cache)
        return self._count(before.logits(self.vectors), before.config.class_names)

    def fit(self, method: str, cell: _Cell, folder: Path) -> EvaluationResult:
        """A method of baselines.py, fitted to the shots of a cell."""
        import torch

        from synthset.encoders.embed import embed_classes, embed_images
        from synthset.tuning.baselines import fit
        from synthset.tuning.saving import read_tuned_config

        assert cell.images is not None
        config = read_tuned_config(folder)
        classes = embed_classes(config.class_names, self.encoder, config.templates, self.cache)
        shots = embed_images(cell.images, self.encoder, self.cache)
        labels = torch.from_numpy(cell.images.labels.copy())
        predictor = fit(method, shots, labels, classes, self.encoder.logit_scale, cell.seed)
        return self._count(predictor.logits(self.vectors), config.class_names)

    def _count(self, logits: Tensor, class_names: tuple[str, ...]) -> EvaluationResult:
        from synthset.classifiers.scoring import count, match_classes

        true = match_classes(class_names, self.images)[self.images.labels]
        return count(true, logits.argmax(1).numpy(), class_names, self.images.name, self.images.metric)


# ---- settings and files -----------------------------------------------------------------------------------


def _check(
    config: TuneConfig | None,
    options: Mapping[str, Any],
    shots: Sequence[int],
    seeds: Sequence[int],
    compare: Sequence[str],
) -> TuneConfig:
    if not shots or min(shots) < 0:
        raise UsageError(f"Expected numbers of shots of at least 0, e.g. --shots 1 2 4 8 16, got {list(shots)}.")
    if not seeds or min(seeds) < 0:
        raise UsageError(f"Expected at least 1 seed, got {len(seeds)}.")
    if compare:
        from synthset.tuning.baselines import BASELINES

        for name in compare:
            if name not in (RANDOM_HEAD, *BASELINES):
                raise UnknownNameError("method", name, (RANDOM_HEAD, *BASELINES))
    return with_options(config or TuneConfig(), options)


def _write(curve: CurveResult, config: TuneConfig, encoder: Encoder) -> None:
    from synthset.core.versions import library_versions
    from synthset.tuning.curve_chart import draw_curve

    note = {
        "format": FORMAT,
        "real": curve.real,
        "metric": curve.metric,
        "clip": {"name": encoder.name, "fingerprint": encoder.fingerprint},
        "config": {key: value for key, value in asdict(config).items() if key not in ("shots", "seed", "device")},
        "zero_shot": curve.zero_shot,
        "means": [asdict(mean) for mean in curve.means],
        "points": [asdict(point) for point in curve.points],
        "libraries": library_versions(),
    }
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("method", "shots", "seed", "score", "accuracy", "n"))
    for point in curve.points:
        writer.writerow((point.method, point.shots, point.seed, point.score, point.accuracy, point.n))
    draw_curve(curve, curve.folder / PICTURE_FILE)
    write_text(curve.folder / CSV_FILE, text.getvalue())
    write_json(curve.folder / JSON_FILE, note)
