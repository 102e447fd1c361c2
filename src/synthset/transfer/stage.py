"""Transfer as one call: a model by path -> how well its weights serve a real set.

open       the training split, and the test split, whose files are hashed alone     inputs.py
choose     a learning rate, a penalty or neighbours, on held-out training images    finetune.py, linear.py, knn.py
learn      of all training images
test       once a seed, on the test split                                           evaluation
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from synthset.classifiers.checkpoints import TRAINING_FILE, TRAINING_FORMAT, EpochRecord
from synthset.classifiers.evaluate import write_evaluation
from synthset.classifiers.models import ModelConfig, save_classifier
from synthset.classifiers.scoring import Answers, EvaluationResult, score, seed_interval
from synthset.classifiers.settings import Settings, settle
from synthset.classifiers.train import new_model
from synthset.classifiers.training_set import check_images, fingerprint, hold_back
from synthset.core.cpu import tune_for_cpu
from synthset.core.devices import choose_device
from synthset.core.errors import ConfigChangedError, UsageError, setting
from synthset.core.files import delete_parts, is_part, write_json
from synthset.core.jobs import differences
from synthset.core.json_records import read_record
from synthset.core.locks import reading, writing
from synthset.core.options import job_of, with_options
from synthset.core.progress import track
from synthset.core.versions import library_versions
from synthset.evaluation.stage import evaluate
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImageSource
from synthset.images.sketch import Sketch, hash_files
from synthset.real.few_shot import readable_shots
from synthset.real.sets import path_of
from synthset.transfer import finetune, knn, linear
from synthset.transfer.config import TransferConfig
from synthset.transfer.features import features_of, linear_head
from synthset.transfer.inputs import folder_of, open_test_part, open_training_part, training_of
from synthset.transfer.results import MARKER, RESULT, Attempt, TransferResult, Trial, best_of


@dataclass(frozen=True)
class _Marker:
    """What marks the folder of a transfer, and what it is of."""

    synthset_transfer: Literal[1]
    job: dict[str, Any]


@dataclass(frozen=True)
class _Seed:
    """One seed's work.

    Attributes:
        images: that are learned from.
        parts: rows to learn from and held-out ones, while something is chosen; None where too few images are there.
        test: opened for the final test alone.
        settings: of the training, with its seed.
        allowed: whether images that were learned from may be tested on.
    """

    images: ImageSet
    parts: tuple[np.ndarray, np.ndarray] | None
    test: ImageSet
    config: TransferConfig
    settings: Settings
    folder: Path
    allowed: bool

    @property
    def home(self) -> Path:
        """Of the seed's model and test."""
        return self.folder / "models" / f"seed-{self.settings.seed}"


def transfer(
    model: str | Path,
    output_dir: str | Path,
    config: TransferConfig | None = None,
    *,
    real: ImageSource,
    strict: bool = False,
    allow_training_images: bool = False,
    **options: Any,
) -> TransferResult:
    """Learn a real set's training split on top of a model, and test on its test split, once a seed.

    The same call again goes on where one was interrupted; more seeds are added in the same folder.
    Args:
        model: the folder of a backbone or a classifier; `imagenet` or a .safetensors file for timm's weights; or
            `random`, to compare with.
        output_dir: folder of the results.
        config: how; `options` are its fields, e.g. `mode="linear", shots=5`.
        real: a known set, a path with splits, or images without any, which are halved.
        strict: refuse a class that one of the splits lacks, and unreadable images.
        allow_training_images: test on images that the model learned from, too.
    Raises:
        UsageError: settings, a folder or a set that cannot be right; nothing was written.
        DataError, ModelError: images or weights that cannot be read, or that do not fit.
    """
    config, folder = with_options(config or TransferConfig(), options), Path(output_dir)
    with reading(path_of(real), folder_of(model)):
        pool = open_training_part(real)
        first = _shots(pool, config, 0, strict)
        check_images(first, 0.0)
        settings = settle(training_of(model, config, 0), first)
        network, described = new_model(first, settings)  # or what is wrong, before anything is written
        if config.mode != "finetune":
            linear_head(network, described)
        del network
        test = open_test_part(real, pool, model, strict=strict, allowed=allow_training_images)
        job = job_of(config) | {"weights": settings.start.identity if settings.start else None}
        job |= {"architecture": settings.architecture, "images": fingerprint(pool), "test": fingerprint(test)}
        _check_folder(folder, job)
        with writing(folder):
            _check_folder(folder, job)
            write_json(folder / MARKER, asdict(_Marker(1, job)))
            delete_parts(folder, below=False)
            trials = []
            with track(config.seeds, f"transfer by {config.mode}", "seeds") as bar:
                for seed in range(config.first_seed, config.first_seed + config.seeds):
                    trials.append(_trial(model, config, pool, test, seed, folder, strict, allow_training_images))
                    bar.advance()
            result = _result(folder, str(model), config, settings, test.name, described, trials)
            write_json(folder / RESULT, asdict(result) | {"folder": str(folder)})
    return result


def _shots(pool: ImageSet, config: TransferConfig, seed: int, strict: bool) -> ImageSet:
    return pool if config.shots is None else readable_shots(pool, config.shots, seed, strict=strict)


def _trial(
    model: str | Path,
    config: TransferConfig,
    pool: ImageSet,
    test: ImageSet,
    seed: int,
    folder: Path,
    strict: bool,
    allowed: bool,
) -> Trial:
    """The trial of a seed, read where it was done before."""
    path = folder / "trials" / f"seed-{seed}.json"
    if path.exists():
        return read_record(Trial, path, "Delete it to have it done again.")
    started = time.monotonic()
    images = _shots(pool, config, seed, strict)
    settings = settle(training_of(model, config, seed), images)
    can_hold_out = np.bincount(images.labels, minlength=len(images.class_names)).min() >= 2
    parts = hold_back(images.labels, config.held_out_fraction, seed) if can_hold_out else None
    work = _Seed(images, parts, test, config, settings, folder, allowed)
    attempts, chosen, tested = MODES_OF_WORK[config.mode](work)
    accuracy = chosen.accuracy if attempts else None
    spent = round(time.monotonic() - started, 3)
    scores = (tested.score, tested.low, tested.high, tested.n)
    trial = Trial(seed, len(images), chosen.settings, accuracy, tuple(attempts), *scores, spent)
    write_json(path, asdict(trial))
    return trial


Outcome = tuple[list[Attempt], Attempt, EvaluationResult]  # what was tried, the best of it, and the test


def _finetune(work: _Seed) -> Outcome:
    rates = work.config.learning_rates or finetune.rates_around(work.settings.learning_rate)
    usual = Attempt({"learning_rate": rates[len(rates) // 2]})
    attempts: list[Attempt] = []
    if work.parts is not None and len(rates) > 1:
        place = work.folder / "rates" / f"seed-{work.settings.seed}"
        attempts = finetune.choose(work.images, work.settings, rates, work.config.held_out_fraction, place)
    chosen = best_of(attempts) if attempts else usual
    rate = chosen.settings["learning_rate"]
    assert rate is not None
    finetune.fit(work.images, work.settings, rate, work.home)
    return attempts, chosen, _test_classifier(work)


def _linear(work: _Seed) -> Outcome:
    started = time.monotonic()
    network, described, features, labels = _embed(work)
    attempts = [] if work.parts is None else linear.choose(features, labels, work.parts)
    chosen = best_of(attempts) if attempts else Attempt({"c": linear.USUAL})
    c = chosen.settings["c"]
    assert c is not None
    weights, bias = linear.fit(features, labels, c)
    head = linear_head(network, described)
    with torch.no_grad():
        head.weight.copy_(weights)
        head.bias.copy_(bias)
        logits = features @ weights.T + bias
        loss = float(nn.functional.cross_entropy(logits, labels))
    save_classifier(work.home, network, described)
    _write_training(work, c, EpochRecord(1, loss, None, None, 0.0, round(time.monotonic() - started, 3)))
    return attempts, chosen, _test_classifier(work)


def _write_training(work: _Seed, c: float, epoch: EpochRecord) -> None:
    """The notes of a probe's training, as those of `train` are, so that export and tests know it."""
    start, images = work.settings.start, work.images
    settings = job_of(work.settings) | {"weights": start.identity if start else None, "freeze": True}
    settings |= {"optimizer": "lbfgs", "epochs": 1, "batch_size": len(images), "inverse_penalty": c}
    settings |= {"augmentation": "none", "learning_rate": 0.0, "weight_decay": 0.0, "label_smoothing": 0.0}
    note = {
        "format": TRAINING_FORMAT,
        "job": {"config": settings, "fingerprint": fingerprint(images)},
        "images": images.name,
        "data": None,
        "num_training": len(images),
        "num_held_back": 0,
        "chance": None,
        "chosen_by": "being the last, as no images were held back",
        "learned_from": asdict(Sketch.of(hash_files(images))),
        "chosen": asdict(epoch),
        "seconds": epoch.seconds,
        "device": str(choose_device(work.settings.device)),
        "libraries": library_versions(),
        "history": [asdict(epoch)],
    }
    write_json(work.home / TRAINING_FILE, note)


def _knn(work: _Seed) -> Outcome:
    network, described, features, labels = _embed(work)
    numbers, device = work.config.neighbours, work.settings.device
    attempts: list[Attempt] = []
    if work.parts is not None:
        attempts = knn.choose(features, labels, work.parts, numbers, device)
    chosen = best_of(attempts) if attempts else Attempt({"neighbours": min(numbers), "temperature": None})
    k, temperature = chosen.settings["neighbours"], chosen.settings["temperature"]
    assert k is not None

    def predict(images: ImageSet) -> Answers:
        queries = features_of(network, described, images)
        named, shares = knn.classify(queries, features, labels, int(k), temperature, device)
        return Answers(named.numpy(), shares.numpy())

    tested = score(work.test, described.class_names, predict)
    write_evaluation(tested, work.home / "evaluation", {"settings": dict(chosen.settings)})
    return attempts, chosen, tested


MODES_OF_WORK: dict[str, Callable[[_Seed], Outcome]] = {"finetune": _finetune, "linear": _linear, "knn": _knn}


def _embed(work: _Seed) -> tuple[nn.Module, ModelConfig, torch.Tensor, torch.Tensor]:
    """The network as it begins, its config, and features (n, d) and labels (n,) of the images."""
    network, described = new_model(work.images, work.settings)
    device = choose_device(work.settings.device)
    if device.type == "cpu":
        tune_for_cpu()
    network = network.to(device).eval()
    labels = torch.from_numpy(np.ascontiguousarray(work.images.labels))
    return network, described, features_of(network, described, work.images), labels


def _test_classifier(work: _Seed) -> EvaluationResult:
    test = partial(evaluate, work.home, work.test, work.home / "evaluation")
    return test(allow_training_images=work.allowed)


def _result(
    folder: Path,
    model: str,
    config: TransferConfig,
    settings: Settings,
    real: str,
    described: ModelConfig,
    trials: list[Trial],
) -> TransferResult:
    mean = fmean(trial.score for trial in trials)
    low, high = trials[0].low, trials[0].high
    if len(trials) > 1:
        low, high = seed_interval([trial.score for trial in trials])
    place = (folder, model, settings.architecture, config.mode, real, described.seen, config.shots)
    return TransferResult(*place, tuple(trials), mean, max(low, 0.0), min(high, 1.0))


def _check_folder(folder: Path, job: dict[str, Any]) -> None:
    """Refuse a folder that holds something else, or another transfer; nothing is changed."""
    advice = f"nothing was changed. Choose another {setting('output_dir')}."
    if (folder / MARKER).exists():
        recorded = read_record(_Marker, folder / MARKER, f"'{folder}' may hold another transfer.", ConfigChangedError)
        if changes := differences(recorded.job, job):
            raise ConfigChangedError(f"'{folder}' holds another transfer ({'; '.join(changes[:4])}); {advice}")
    elif folder.exists() and (not folder.is_dir() or not all(map(is_part, folder.iterdir()))):
        raise UsageError(f"'{folder}' holds something else; {advice}")
