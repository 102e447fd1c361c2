"""Tuning over shots and seeds, with and without synthetic images: Figure 1 of He et al. 2023 for any real set.

curve.json   every tuning, and what they come to at each number of shots, with intervals
curve.csv    the same, a row a tuning
curve.png    the picture
models/      the tuned classifiers; the same command again goes on with those that are missing
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synthset.classifiers.scoring import EvaluationResult, count
from synthset.core.errors import UnknownNameError, UsageError, setting
from synthset.core.files import delete_parts
from synthset.core.locks import reading, writing
from synthset.core.options import with_options
from synthset.encoders.clip import Encoder, load_encoder
from synthset.encoders.embed import EmbeddingCache, embed_classes, embed_images
from synthset.images.imageset import ImageSet, of_readable
from synthset.images.opening import ImagePath, ImageSource
from synthset.real.learning import load_test_part
from synthset.real.matching import with_classes
from synthset.real.sets import path_of
from synthset.tuning.baselines import BASELINES, fit
from synthset.tuning.config import TuneConfig, resolve_config
from synthset.tuning.curve_chart import draw_curve
from synthset.tuning.curve_results import CurvePoint, CurveResult, summarise, write_curve
from synthset.tuning.evaluate import evaluate_tuned, zero_shot_of
from synthset.tuning.few_shot import draw_shots
from synthset.tuning.inputs import TuneInputs
from synthset.tuning.results import TuneResult
from synthset.tuning.saving import TunedClassifier, TunedConfig, load_tuned
from synthset.tuning.stage import tune, with_clip

WITH, WITHOUT = "real + synthetic", "real"
# further tunings on the real images alone, and what each has of its own
TUNINGS: Mapping[str, Mapping[str, Any]] = {
    "random_head": {"text_initialisation": False},
    "coop": {
        "method": "coop",
        "steps_per_epoch": None,
        "text_initialisation": True,
        "encoder_share": 0.0,
        "freeze_batch_norm": True,
    }
    | dict.fromkeys(("epochs", "learning_rate", "weight_decay", "max_grad_norm")),
}
PICTURE_FILE, MODELS = "curve.png", "models"


def tune_curve(
    data: ImageSource | None,
    output_dir: str | Path,
    shots: Sequence[int] = (1, 2, 4, 8, 16),
    seeds: Sequence[int] | int = 3,
    config: TuneConfig | None = None,
    *,
    real: ImageSource,
    compare: Sequence[str] = (),
    prompt_strategy: str | None = None,
    all_images: bool = False,
    encoder: Encoder | None = None,
    cache: EmbeddingCache | None = None,
    overwrite: bool = False,
    when_ready: Callable[[TuneInputs], object] = lambda inputs: None,
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
        compare: further methods at the same shots: keys of baselines.BASELINES; "random_head", tuning that does not
            begin with the texts; "coop", by its paper's settings, whatever those of the others are.
        overwrite: replace what is in the folder.
        when_ready: is given the images of the first tuning before that begins.
    Raises:
        UsageError, DataError, ModelError: as `tune`.
    """
    config = with_options(config or TuneConfig(), options)
    numbers = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    _check(shots, numbers, compare, config, has_synthetic=data is not None)
    folder = Path(output_dir)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"Expected a folder for the curve, '{folder}' is a file. Choose another.")
    config = with_clip(config, [_of_cell(data, count, seed) for count in shots for seed in numbers], real, encoder)
    encoder = encoder or load_encoder(str(config.clip), device=config.device, dtype=config.dtype)
    cache = EmbeddingCache() if cache is None else cache
    source: dict[str, Any] = {"real": real, "prompt_strategy": prompt_strategy, "all_images": all_images}
    with writing(folder), reading(path_of(real)):
        delete_parts(folder, below=False)
        test_images = load_test_part(real)  # before the tuning, which may take hours
        source |= {"encoder": encoder, "cache": cache, "overwrite": overwrite, "when_ready": _once(when_ready)}
        tune_one = partial(tune, **source, features={})  # the synthetic images become vectors once
        tuned = {}
        for seed, count in product(numbers, sorted(set(shots))):
            place, one = folder / MODELS, replace(config, shots=count, seed=seed)
            tuned[count, seed] = _tune_methods(data, place, one, compare, tune_one)
        fits = [name for name in compare if name in BASELINES]
        first = next(iter(next(iter(tuned.values())).values()))
        curve = _test(folder, tuned, fits, real, _Tester(test_images, first, encoder, cache))
        draw_curve(curve, folder / PICTURE_FILE)
        write_curve(curve, config, encoder)
    return curve


def _check(
    shots: Sequence[int], seeds: Sequence[int], compare: Sequence[str], config: TuneConfig, *, has_synthetic: bool
) -> None:
    fewest = 0 if has_synthetic else 1
    if not shots or min(shots) < fewest:
        example = setting("shots", "1 2 4 8 16")
        raise UsageError(f"Expected numbers of shots of at least {fewest}, e.g. {example}, got {list(shots)}.")
    if not seeds or min(seeds) < 0:
        raise UsageError(f"Expected at least 1 seed, got {len(seeds)}.")
    for name in compare:
        if name not in (*TUNINGS, *BASELINES):
            raise UnknownNameError("method", name, (*TUNINGS, *BASELINES))
        if name in TUNINGS and max(shots):
            resolve_config(replace(config, shots=max(shots), **TUNINGS[name]))


def _once(call: Callable[[TuneInputs], object]) -> Callable[[TuneInputs], object]:
    """Its first call alone."""
    calls = [call]
    return lambda inputs: calls.pop()(inputs) if calls else None


# ---- tuning -----------------------------------------------------------------------------------------------


def _of_cell(data: ImageSource | None, shots: int, seed: int) -> ImageSource | None:
    """The synthetic images of one number of shots and one seed."""
    if data is None or isinstance(data, ImageSet):
        return data
    source = ImagePath.of(data)
    return replace(source, path=source.path.replace("{shots}", str(shots)).replace("{seed}", str(seed)))


def _tune_methods(
    data: ImageSource | None,
    folder: Path,
    config: TuneConfig,
    compare: Sequence[str],
    tune_one: Callable[..., TuneResult],
) -> dict[str, Path]:
    """The folders of all classifiers at the shots and the seed of the config, by method."""
    place = folder / f"shots-{config.shots:02d}" / f"seed-{config.seed}"
    tuned, steps = {}, None
    if data is not None:
        data = _of_cell(data, config.shots, config.seed)
        # without shots there is nothing to mix with, to filter by, or to be guided by
        with_images = config if config.shots else replace(config, use_of_shots="basic", order="mix")
        result = tune_one(data, place / "with-synthetic", with_images)
        tuned[WITH], steps = result.folder, result.steps_per_epoch
    if config.shots:
        alone = replace(
            config, loss="ce", use_of_shots="basic", order="mix", validation_fraction=None, steps_per_epoch=steps
        )
        tuned[WITHOUT] = tune_one(None, place / "real-only", alone).folder
        for name in (name for name in compare if name in TUNINGS):
            tuned[name] = tune_one(None, place / name.replace("_", "-"), replace(alone, **TUNINGS[name])).folder
    return tuned


# ---- testing ----------------------------------------------------------------------------------------------


class _Tester:
    """Tests classifiers on one test part, whose vectors are computed once where the encoder is the same."""

    def __init__(self, images: ImageSet, first: Path, encoder: Encoder, cache: EmbeddingCache) -> None:
        self.encoder, self.cache = encoder, cache
        self.first = self.load(first)  # of the classifiers, which all have its classes
        images = with_classes(images, self.first.config.class_names)
        self.images, self.vectors = of_readable(images, lambda some: embed_images(some, encoder, cache))

    def load(self, folder: Path) -> TunedClassifier:
        """A tuned classifier."""
        return load_tuned(folder, encoder=self.encoder)

    def test(self, classifier: TunedClassifier) -> EvaluationResult:
        """Score a classifier."""
        if classifier.encoder is not self.encoder:
            return evaluate_tuned(classifier, self.images, self.cache)
        return self._count(classifier.logits(self.vectors), classifier.config.class_names)

    def fit(self, method: str, shots: ImageSet, texts: TunedConfig, seed: int) -> EvaluationResult:
        """Score a method of baselines.py, fitted to shots and to the texts of a config."""
        classes = embed_classes(texts.class_names, self.encoder, texts.templates, self.cache)
        vectors, labels = embed_images(shots, self.encoder, self.cache), torch.tensor(shots.labels)
        predictor = fit(method, vectors, labels, classes, self.encoder.logit_scale, seed)
        return self._count(predictor.logits(self.vectors), texts.class_names)

    def _count(self, logits: Tensor, class_names: tuple[str, ...]) -> EvaluationResult:
        return count(self.images.labels, logits.argmax(1).numpy(), class_names, self.images.name, self.images.metric)


def _test(
    folder: Path,
    tuned: Mapping[tuple[int, int], Mapping[str, Path]],
    fits: Sequence[str],
    real: ImageSource,
    tester: _Tester,
) -> CurveResult:
    """The scores at all shots and seeds, and their means over seeds."""
    before = zero_shot_of(tester.first, tester.encoder, tester.cache)  # all begin as the same zero-shot CLIP
    points = []
    for (num_shots, seed), folders in tuned.items():
        scores = {method: tester.test(tester.load(place)) for method, place in folders.items()}
        if num_shots and fits:
            shots = draw_shots(real, before.config.class_names, num_shots, seed)
            scores |= {method: tester.fit(method, shots, before.config, seed) for method in fits}
        points += [
            CurvePoint(method, num_shots, seed, test.score, test.accuracy, test.n) for method, test in scores.items()
        ]
    points.sort(key=lambda point: (point.method, point.shots, point.seed))
    zero_shot = tester.test(before)
    return CurveResult(folder, zero_shot.real, zero_shot.metric, zero_shot.score, tuple(points), summarise(points))
