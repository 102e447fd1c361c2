"""Tuning over shots and seeds, with and without synthetic images: Figure 1 of He et al. 2023 for any real set.

curve.json   every tuning, and what they come to at each number of shots, with intervals
curve.csv    the same, a row a tuning
curve.png    the picture
models/      the tuned classifiers; the same command again goes on with those that are missing
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synthset.classifiers.scoring import EvaluationResult, count, match_classes
from synthset.core.errors import UnknownNameError, UsageError, setting
from synthset.core.options import with_options
from synthset.encoders.clip import Encoder, load_encoder
from synthset.encoders.embed import EmbeddingCache, embed_classes, embed_images
from synthset.images.imageset import ImageSet
from synthset.real.learning import load_test_part
from synthset.tuning.baselines import BASELINES, fit
from synthset.tuning.config import TuneConfig
from synthset.tuning.curve_chart import draw_curve
from synthset.tuning.curve_results import CurvePoint, CurveResult, summarise, write_curve
from synthset.tuning.evaluate import evaluate_tuned, zero_shot_of
from synthset.tuning.features import Features
from synthset.tuning.few_shot import draw_shots
from synthset.tuning.inputs import Synthetic
from synthset.tuning.results import TuneResult
from synthset.tuning.saving import load_tuned, read_tuned_config
from synthset.tuning.stage import tune

WITH, WITHOUT, RANDOM_HEAD = "real + synthetic", "real", "random_head"
PICTURE_FILE, MODELS = "curve.png", "models"


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
    config = with_options(config or TuneConfig(), options)
    numbers = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    _check(shots, numbers, compare, has_synthetic=data is not None)
    folder = Path(output_dir)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"Expected a folder for the curve, '{folder}' is a file. Choose another.")
    encoder = encoder or load_encoder(config.clip, device=config.device, dtype=config.dtype)
    cache = EmbeddingCache() if cache is None else cache
    source = Synthetic(data, prompt_strategy, all_images)
    tuner = _Tuner(folder / MODELS, source, real, config, tuple(compare), encoder, cache, overwrite)
    cells = [tuner.tune(count, seed) for seed in numbers for count in sorted(set(shots))]
    curve = _test(folder, cells, _Tester(load_test_part(real), encoder, cache))
    draw_curve(curve, folder / PICTURE_FILE)
    write_curve(curve, config, encoder)
    return curve


def _check(shots: Sequence[int], seeds: Sequence[int], compare: Sequence[str], *, has_synthetic: bool) -> None:
    fewest = 0 if has_synthetic else 1
    if not shots or min(shots) < fewest:
        example = setting("shots", "1 2 4 8 16")
        raise UsageError(f"Expected numbers of shots of at least {fewest}, e.g. {example}, got {list(shots)}.")
    if not seeds or min(seeds) < 0:
        raise UsageError(f"Expected at least 1 seed, got {len(seeds)}.")
    for name in compare:
        if name not in (RANDOM_HEAD, *BASELINES):
            raise UnknownNameError("method", name, (RANDOM_HEAD, *BASELINES))


# ---- tuning -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Cell:
    """All of one number of shots and seed.

    Attributes:
        tuned: by method.
        fits: further methods, to be fitted to `images`.
        images: the shots; None where nothing is fitted to them.
    """

    shots: int
    seed: int
    tuned: Mapping[str, TuneResult]
    fits: Sequence[str]
    images: ImageSet | None

    @property
    def folder(self) -> Path:
        """A classifier of the cell: they all begin as the same zero-shot CLIP."""
        return next(iter(self.tuned.values())).folder


@dataclass(frozen=True, eq=False)
class _Tuner:
    """Tunes the classifiers of a curve; the synthetic images become vectors once."""

    folder: Path
    source: Synthetic
    real: str | Path | ImageSet
    config: TuneConfig
    compare: tuple[str, ...]
    encoder: Encoder
    cache: EmbeddingCache
    overwrite: bool
    features: dict[str, Features] = field(default_factory=dict)

    def tune(self, shots: int, seed: int) -> _Cell:
        """All classifiers of one number of shots and seed."""
        config = replace(self.config, shots=shots, seed=seed)
        place = self.folder / f"shots-{shots:02d}" / f"seed-{seed}"
        tuned: dict[str, TuneResult] = {}
        steps = None
        if self.source.data is not None:
            # without shots there is nothing to mix with, to filter by, or to be guided by
            with_images = config if shots else replace(config, use_of_shots="basic", order="mix")
            tuned[WITH] = self._tune_one(self._source_of(shots, seed), place / "with-synthetic", with_images)
            steps = tuned[WITH].steps_per_epoch
        if not shots:
            return _Cell(shots, seed, tuned, (), None)
        alone = replace(
            config, loss="ce", use_of_shots="basic", order="mix", validation_fraction=None, steps_per_epoch=steps
        )
        nothing = Synthetic(None)
        tuned[WITHOUT] = self._tune_one(nothing, place / "real-only", alone)
        if RANDOM_HEAD in self.compare:
            random_start = replace(alone, text_initialisation=False)
            tuned[RANDOM_HEAD] = self._tune_one(nothing, place / "random-head", random_start)
        fits = [name for name in self.compare if name != RANDOM_HEAD]
        class_names = next(iter(tuned.values())).class_names
        return _Cell(shots, seed, tuned, fits, draw_shots(self.real, class_names, shots, seed) if fits else None)

    def _tune_one(self, source: Synthetic, folder: Path, config: TuneConfig) -> TuneResult:
        return tune(
            source.data,
            folder,
            config,
            real=self.real,
            prompt_strategy=source.prompt_strategy,
            all_images=source.all_images,
            encoder=self.encoder,
            cache=self.cache,
            overwrite=self.overwrite,
            features=self.features,
        )

    def _source_of(self, shots: int, seed: int) -> Synthetic:
        if isinstance(self.source.data, ImageSet):
            return self.source
        path = str(self.source.data).replace("{shots}", str(shots)).replace("{seed}", str(seed))
        return replace(self.source, data=path)


# ---- testing ----------------------------------------------------------------------------------------------


class _Tester:
    """Tests classifiers on one test part, whose vectors are computed once where the encoder is the same."""

    def __init__(self, images: ImageSet, encoder: Encoder, cache: EmbeddingCache) -> None:
        self.images, self.encoder, self.cache = images, encoder, cache
        self.vectors = embed_images(images, encoder, cache)

    def test(self, folder: Path) -> EvaluationResult:
        """A tuned classifier."""
        classifier = load_tuned(folder, encoder=self.encoder)
        if classifier.encoder is not self.encoder:
            return evaluate_tuned(classifier, self.images, self.cache)
        return self._count(classifier.logits(self.vectors), classifier.config.class_names)

    def zero_shot(self, folder: Path) -> EvaluationResult:
        """The classifier that the one in `folder` would have been without tuning."""
        before = zero_shot_of(load_tuned(folder, encoder=self.encoder), self.encoder, self.cache)
        return self._count(before.logits(self.vectors), before.config.class_names)

    def fit(self, method: str, cell: _Cell) -> EvaluationResult:
        """A method of baselines.py, fitted to the shots of a cell."""
        assert cell.images is not None
        config = read_tuned_config(cell.folder)
        classes = embed_classes(config.class_names, self.encoder, config.templates, self.cache)
        shots = embed_images(cell.images, self.encoder, self.cache)
        labels = torch.from_numpy(cell.images.labels.copy())
        predictor = fit(method, shots, labels, classes, self.encoder.logit_scale, cell.seed)
        return self._count(predictor.logits(self.vectors), config.class_names)

    def _count(self, logits: Tensor, class_names: tuple[str, ...]) -> EvaluationResult:
        true = match_classes(class_names, self.images)[self.images.labels]
        return count(true, logits.argmax(1).numpy(), class_names, self.images.name, self.images.metric)


def _test(folder: Path, cells: Sequence[_Cell], tester: _Tester) -> CurveResult:
    """The scores of all cells, and their means over seeds."""
    zero_shot = tester.zero_shot(cells[0].folder)
    points = []
    for cell in cells:
        scores = {method: tester.test(tuned.folder) for method, tuned in cell.tuned.items()}
        scores |= {method: tester.fit(method, cell) for method in cell.fits}
        points += [
            CurvePoint(method, cell.shots, cell.seed, test.score, test.accuracy, test.n)
            for method, test in scores.items()
        ]
    points.sort(key=lambda point: (point.method, point.shots, point.seed))
    return CurveResult(folder, zero_shot.real, zero_shot.metric, zero_shot.score, tuple(points), summarise(points))
