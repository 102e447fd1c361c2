"""Train a classifier on synthetic images; the checkpoint is chosen on held-back synthetic images.

There is no test set here, so none can leak into a choice. All images are decoded once into one uint8 tensor;
a batch is a selection of its rows, augmented as a whole on the device.

Training is interrupted and resumed without a trace: every random draw follows from (seed, purpose, epoch),
and `resume.safetensors`, one file and no pickle, holds everything else that a next epoch depends on.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from synthset.classifiers.augment import AUGMENTATIONS, augment
from synthset.classifiers.models import (
    CONFIG_FILE,
    FORMAT,
    NORMALISATIONS,
    WEIGHTS_FILE,
    Classifier,
    ModelConfig,
    build_model,
    choose_device,
    normalise,
    plain_state,
    read_config,
    resolve_architecture,
    save_classifier,
)
from synthset.dataset import library_versions
from synthset.errors import ConfigChangedError, DataError, ModelError, UnknownNameError, UsageError
from synthset.files import atomic_write, delete_parts, write_json
from synthset.imageset import ImageSet
from synthset.progress import track

TRAINING_FILE = "training.json"
RESUME_FILE = "resume.safetensors"
TRAINING_FORMAT = "synthset-training-1"
CHECKPOINT_SECONDS = 10.0  # at least, between two checkpoints, so that fast epochs do not wait for the disk
CHECKPOINT_SHARE = 0.05  # of the time at most goes into checkpoints
PRECISIONS = ("auto", "float32", "bf16")


@dataclass(frozen=True)
class TrainConfig:
    """How to train; the defaults are the recipe of Shipard et al. 2023, section 5.1.

    Attributes:
        architecture: a key of models.ARCHITECTURES or any timm name, in any spelling.
        dataset: name of the real data that the synthetic images stand for; picks the weight decay.
        epochs, batch_size: passes over the training images; images a step.
        learning_rate: of AdamW at the start; a cosine takes it to zero, step by step.
        weight_decay: of AdamW, on all weights; None is the paper's (see `paper_weight_decay`).
        label_smoothing: probability spread over all classes, in [0, 1).
        max_grad_norm: gradients are scaled down to this norm, where given.
        augmentation: a key of augment.AUGMENTATIONS.
        normalisation: a key of models.NORMALISATIONS.
        image_size_px, small_images, antialias: see models.ModelConfig.
        validation_fraction: share of each class's images that is held back to choose the checkpoint.
        seed: of initial weights, held-back images, order, augmentation and dropout.
        device: 'auto' (the GPU where there is one), 'cpu', 'cuda', …
        precision: 'float32', 'bf16' (autocast) or 'auto' (bf16 on a GPU, float32 on a CPU).
    """

    architecture: str = "resnet50"
    dataset: str | None = None
    epochs: int = 200
    batch_size: int = 128
    learning_rate: float = 2e-4
    weight_decay: float | None = None
    label_smoothing: float = 0.0
    max_grad_norm: float | None = None
    augmentation: str = "standard"
    normalisation: str = "dataset"
    image_size_px: int = 32
    small_images: bool = False
    antialias: bool = True
    validation_fraction: float = 0.1
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"


@dataclass(frozen=True)
class EpochRecord:
    """One line of the training's history; `epoch` counts from 1, losses are means over images."""

    epoch: int
    train_loss: float
    held_back_loss: float
    held_back_accuracy: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class TrainResult:
    """A finished training: what was kept and why. The classifier lies in `folder`.

    Attributes:
        folder: holds model.safetensors, config.json and training.json.
        model_config: with it, load_classifier(folder) makes the same predictions.
        chosen: the epoch that was kept, best on the held-back synthetic images.
        num_training, num_held_back: synthetic images that were learned from, and chosen by.
        seconds: spent on training, over all sessions.
        history: every epoch.
        was_finished: the folder already held this training; nothing was done.
    """

    folder: Path
    model_config: ModelConfig
    chosen: EpochRecord
    num_training: int
    num_held_back: int
    seconds: float
    history: tuple[EpochRecord, ...]
    was_finished: bool = False


def train_classifier(
    images: ImageSet,
    config: TrainConfig,
    output_dir: Path | str,
    *,
    resume: bool = True,
    overwrite: bool = False,
) -> TrainResult:
    """Train on `images` from random initialisation and save the best checkpoint in `output_dir`.

    The same call again resumes an interrupted training, and returns at once when it was finished.
    Args:
        images: synthetic images; part of each class is held back (`config.validation_fraction`).
        resume: without it, a folder that holds a training is refused.
        overwrite: a classifier in the folder is replaced, whatever it is; other files are never touched.
    Raises:
        UsageError: a setting or folder that cannot be right; UnknownNameError, ConfigChangedError likewise.
        DataError: classes without enough images, or unreadable images.
        ModelError: the loss became infinite or not a number.
    """
    config = _resolve(config)
    _check_images(images)
    device = choose_device(config.device)
    folder = Path(output_dir)
    job = {"config": _comparable(config), "fingerprint": fingerprint(images)}
    _check_folder(folder, job, resume, overwrite)
    if not overwrite and (finished := _read_finished(folder)):
        return finished

    training_rows, held_back_rows = hold_back(images.labels, config.validation_fraction, config.seed)
    model_config = _model_config(images, config)
    model = build_model(model_config, derive_seed(config.seed, "weights"))
    _check_batch_size(model, config)
    pixels = images.tensor(config.image_size_px, config.antialias)  # NCHW uint8
    if config.normalisation == "dataset":
        mean, std = channel_statistics(pixels, training_rows)
        model_config = replace(model_config, mean=mean, std=std)

    if overwrite:
        _delete_own_files(folder)
    folder.mkdir(parents=True, exist_ok=True)
    delete_parts(folder)
    session = _Session(folder, job, model.to(device), _make_optimizer(model, config))
    session.restore()
    labels = torch.from_numpy(np.ascontiguousarray(images.labels))
    data = _Data(pixels, labels, torch.from_numpy(training_rows), torch.from_numpy(held_back_rows))
    _train(session, _place(data, device), model_config, config)
    return _finish(session, data, model_config, images.name)


def paper_weight_decay(architecture: str, dataset: str | None) -> float:
    """The weight decay of Shipard et al. 2023, section 5.1: by architecture first, then by dataset."""
    if architecture.startswith("mobilenetv3"):
        return 0.1
    return 0.3 if "eurosat" in (dataset or "").lower() else 0.9


def hold_back(labels: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split rows into training and held-back ones, class by class, at random from `seed`.

    Of each class `fraction`, at least one image and not all, is held back.
    Returns:
        Two sorted, disjoint int64 arrays that cover 0..n-1.
    """
    generator = np.random.default_rng(derive_seed(seed, "hold back"))
    held_back = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        count = min(max(1, round(fraction * len(rows))), len(rows) - 1)
        held_back.append(generator.permutation(rows)[:count])
    chosen = np.sort(np.concatenate(held_back))
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen


def fingerprint(images: ImageSet) -> str:
    """A hash of class names, labels and encoded images, in order: what a training depends on."""
    digest = hashlib.blake2b(json.dumps(images.class_names).encode(), digest_size=16)
    digest.update(np.asarray(images.labels, "<i8").tobytes())
    for index in range(len(images)):
        digest.update(hashlib.blake2b(images.read(index), digest_size=16).digest())
    return digest.hexdigest()


def channel_statistics(
    pixels: Tensor, rows: np.ndarray
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of each channel over the images `rows` of uint8 (n, 3, h, w), in [0, 1]."""
    counts = np.zeros((3, 256), np.int64)  # histograms are exact and need little memory
    for start in range(0, len(rows), 1024):
        chunk = pixels[torch.from_numpy(rows[start : start + 1024])]
        for channel in range(3):
            counts[channel] += np.bincount(chunk[:, channel].flatten().numpy(), minlength=256)
    levels = np.arange(256) / 255
    shares = counts / counts.sum(1, keepdims=True)
    mean = shares @ levels
    std = np.sqrt(np.maximum(shares @ levels**2 - mean**2, 0)).clip(1 / 255)
    return tuple(mean.tolist()), tuple(std.tolist())


def derive_seed(seed: int, purpose: str, number: int = 0) -> int:
    """An independent 63-bit seed for each purpose and number."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


# ---- the loop ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Data:
    """All images in one uint8 tensor (n, 3, size, size), their labels (n,), and the two sets of rows."""

    pixels: Tensor
    labels: Tensor
    training_rows: Tensor
    held_back_rows: Tensor


@dataclass
class _Session:
    """What changes from epoch to epoch, and its file."""

    folder: Path
    job: dict[str, Any]
    model: nn.Module
    optimizer: torch.optim.Optimizer
    history: list[EpochRecord] = field(default_factory=list)
    best: EpochRecord | None = None
    best_state: dict[str, Tensor] = field(default_factory=dict)
    saved_at: float = field(default_factory=time.monotonic)
    save_seconds: float = 0.0

    def record(self, epoch: EpochRecord) -> None:
        """Add a finished epoch; keep its weights if they are the best so far."""
        self.history.append(epoch)
        if self.best is None or _rank(epoch) > _rank(self.best):
            self.best = epoch
            self.best_state = plain_state(self.model)

    def save(self) -> None:
        """Write the checkpoint, unless the last one is too recent for what writing it costs."""
        started = time.monotonic()
        if started - self.saved_at < max(CHECKPOINT_SECONDS, self.save_seconds / CHECKPOINT_SHARE):
            return
        tensors = {f"model.{name}": value for name, value in plain_state(self.model).items()}
        tensors |= {f"best.{name}": value for name, value in self.best_state.items()}
        for index, parameter in enumerate(self.model.parameters()):
            for key, value in self.optimizer.state[parameter].items():
                copy = value.detach().to("cpu", memory_format=torch.contiguous_format)
                tensors[f"optimizer.{index}.{key}"] = copy.clone()
        note = {
            "format": TRAINING_FORMAT,
            "job": self.job,
            "history": [asdict(epoch) for epoch in self.history],
            "best": asdict(self.best) if self.best else None,
        }
        with atomic_write(self.folder / RESUME_FILE) as file:
            file.write(save(tensors, {"training": json.dumps(note)}))
        self.saved_at = time.monotonic()
        self.save_seconds = self.saved_at - started

    def restore(self) -> None:
        """Continue from the checkpoint, if there is one."""
        note = _read_checkpoint_note(self.folder)
        if note is None:
            return
        tensors = load_file(self.folder / RESUME_FILE)
        self.model.load_state_dict(_under(tensors, "model."))
        for index, parameter in enumerate(self.model.parameters()):
            saved = _under(tensors, f"optimizer.{index}.")
            # moments in the memory layout of their weights, as if they had never been away
            self.optimizer.state[parameter] = {
                key: value.to(parameter.device) if key == "step" else torch.empty_like(parameter).copy_(value)
                for key, value in saved.items()
            }
        self.history = [EpochRecord(**epoch) for epoch in note["history"]]
        self.best = EpochRecord(**note["best"])
        self.best_state = _under(tensors, "best.")


def _rank(epoch: EpochRecord) -> tuple[float, float, int]:
    """Higher accuracy on held-back images first, then lower loss, then the later epoch."""
    return epoch.held_back_accuracy, -epoch.held_back_loss, epoch.epoch


def _train(session: _Session, data: _Data, model_config: ModelConfig, config: TrainConfig) -> None:
    num_images = len(data.training_rows)
    what = f"train {config.architecture}"
    with track(config.epochs * num_images, what, "images") as bar:
        bar.advance(len(session.history) * num_images)
        for epoch in range(len(session.history), config.epochs):
            started = time.monotonic()
            learning_rate, train_loss = _train_epoch(session, data, model_config, config, epoch, bar.advance)
            if not math.isfinite(train_loss):
                raise ModelError(
                    f"Expected a finite loss, got {train_loss} in epoch {epoch + 1} of '{session.folder}'. "
                    f"Choose a learning rate below {config.learning_rate:g}, or limit max_grad_norm to 1."
                )
            loss, accuracy = _score_held_back(session.model, data, model_config, config)
            seconds = time.monotonic() - started
            session.record(EpochRecord(epoch + 1, train_loss, loss, accuracy, learning_rate, seconds))
            bar.describe(f"{what}, epoch {epoch + 1}/{config.epochs}, held-back {accuracy:.1%}")
            session.save()


def _train_epoch(
    session: _Session,
    data: _Data,
    model_config: ModelConfig,
    config: TrainConfig,
    epoch: int,
    advance: Callable[[int], None],
) -> tuple[float, float]:
    """One pass over the training images, in the order and with the draws of (seed, epoch).

    Returns:
        The learning rate of the first step, and the mean loss over the images.
    """
    model, optimizer = session.model, session.optimizer
    device = next(model.parameters()).device
    order = torch.Generator().manual_seed(derive_seed(config.seed, "order", epoch))
    draws = torch.Generator(device).manual_seed(derive_seed(config.seed, "augmentation", epoch))
    shuffled = data.training_rows[torch.randperm(len(data.training_rows), generator=order)]
    batches = split_batches(shuffled, config.batch_size)
    first_step, num_steps = epoch * len(batches), config.epochs * len(batches)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=_is_bf16(config.precision, device))

    model.train()
    total_loss = torch.zeros((), device=device)
    with _own_random_state(device, derive_seed(config.seed, "dropout", epoch)):
        for step, rows in enumerate(batches, first_step):
            rows = rows.to(data.pixels.device)
            images = data.pixels[rows].to(device)  # NCHW uint8
            labels = data.labels[rows].to(device)
            pixels = normalise(augment(images, config.augmentation, draws), model_config)
            with autocast:
                loss = F.cross_entropy(model(pixels), labels, label_smoothing=config.label_smoothing)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if config.max_grad_norm is not None:
                nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
            _set_learning_rate(optimizer, cosine(config.learning_rate, step, num_steps))
            optimizer.step()
            total_loss += loss.detach() * len(rows)
            advance(len(rows))
    return cosine(config.learning_rate, first_step, num_steps), total_loss.item() / len(shuffled)


def _score_held_back(
    model: nn.Module, data: _Data, model_config: ModelConfig, config: TrainConfig
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy on the held-back images, as they are."""
    rows = data.held_back_rows.to(data.pixels.device)
    logits = Classifier(model_config, model).predict(data.pixels[rows], max(config.batch_size, 256))
    labels = data.labels[rows].cpu()
    correct = int((logits.argmax(1) == labels).sum())
    return F.cross_entropy(logits, labels).item(), correct / len(labels)


def cosine(learning_rate: float, step: int, num_steps: int) -> float:
    """Half a cosine from `learning_rate` at step 0 to zero at `num_steps`."""
    return learning_rate * (1 + math.cos(math.pi * step / num_steps)) / 2


def split_batches(rows: Tensor, batch_size: int) -> list[Tensor]:
    """Consecutive batches; a last one of a single image joins the one before, as BatchNorm needs two."""
    batches = list(rows.split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1 and batch_size > 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def _set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def _make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    device = next(model.parameters()).device
    return torch.optim.AdamW(
        model.parameters(),
        lr=config.learning_rate,
        weight_decay=config.weight_decay or 0.0,
        fused=device.type in ("cpu", "cuda"),
    )


def _is_bf16(precision: str, device: torch.device) -> bool:
    return precision == "bf16" or (precision == "auto" and device.type == "cuda")


def _place(data: _Data, device: torch.device) -> _Data:
    """Everything on the GPU where half of its free memory holds it; else batches are sent one by one."""
    if device.type != "cuda" or data.pixels.nbytes > torch.cuda.mem_get_info(device)[0] / 2:
        return data
    return replace(data, pixels=data.pixels.to(device), labels=data.labels.to(device))


@contextmanager
def _own_random_state(device: torch.device, seed: int) -> Iterator[None]:
    """Dropout has no generator argument: seed the global state for a while, then put it back."""
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_gpu else []):
        torch.default_generator.manual_seed(seed)
        with torch.cuda.device(device) if on_gpu else nullcontext():
            if on_gpu:
                torch.cuda.manual_seed(seed)
            yield


# ---- settings and inputs -----------------------------------------------------------------------------


def _resolve(config: TrainConfig) -> TrainConfig:
    """Names in their one spelling, defaults filled in, every value checked."""
    architecture = resolve_architecture(config.architecture)
    for kind, name, valid in (
        ("augmentation", config.augmentation, AUGMENTATIONS),
        ("normalisation", config.normalisation, NORMALISATIONS),
        ("precision", config.precision, PRECISIONS),
    ):
        if name not in valid:
            raise UnknownNameError(kind, name, valid)
    weight_decay = config.weight_decay
    if weight_decay is None:
        weight_decay = paper_weight_decay(architecture, config.dataset)
    held_back, norm = config.validation_fraction, config.max_grad_norm
    for name, value, is_valid, expected in (
        ("epochs", config.epochs, config.epochs >= 1, "at least 1"),
        ("batch_size", config.batch_size, config.batch_size >= 1, "at least 1"),
        ("image_size_px", config.image_size_px, config.image_size_px >= 1, "at least 1"),
        ("learning_rate", config.learning_rate, 0 < config.learning_rate < math.inf, "above 0"),
        ("weight_decay", weight_decay, 0 <= weight_decay < math.inf, "at least 0"),
        ("label_smoothing", config.label_smoothing, 0 <= config.label_smoothing < 1, "in [0, 1)"),
        ("validation_fraction", held_back, 0 < held_back < 1, "above 0 and below 1"),
        ("max_grad_norm", norm, norm is None or norm > 0, "above 0, or none"),
    ):
        if not is_valid:
            raise UsageError(f"Expected {name} {expected}, got {value}.")
    return replace(config, architecture=architecture, weight_decay=weight_decay)


def _check_images(images: ImageSet) -> None:
    if len(images.class_names) < 2:
        raise DataError(f"Expected at least two classes in '{images.name}', got {len(images.class_names)}.")
    counts = np.bincount(images.labels, minlength=len(images.class_names))
    few = [f"{images.class_names[i]} ({counts[i]})" for i in np.flatnonzero(counts < 2)]
    if few:
        named = ", ".join(few[:10]) + (" …" if len(few) > 10 else "")
        raise DataError(
            f"Expected at least two images of each class in '{images.name}', one to train on and one to "
            f"hold back, got fewer of {named}. Create more images."
        )


def _check_batch_size(model: nn.Module, config: TrainConfig) -> None:
    has_batch_norm = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
    if config.batch_size == 1 and has_batch_norm:
        raise UsageError(
            f"Expected batch_size of at least 2 for '{config.architecture}', whose BatchNorm compares the "
            "images of a batch, got 1."
        )


def _model_config(images: ImageSet, config: TrainConfig) -> ModelConfig:
    return ModelConfig(
        architecture=config.architecture,
        class_names=tuple(images.class_names),
        image_size_px=config.image_size_px,
        small_images=config.small_images,
        antialias=config.antialias,
        normalisation=config.normalisation,
    )


# ---- the folder --------------------------------------------------------------------------------------


def _comparable(config: TrainConfig) -> dict[str, Any]:
    """What makes two trainings the same; where they run does not."""
    return {name: value for name, value in asdict(config).items() if name != "device"}


def _check_folder(folder: Path, job: dict[str, Any], resume: bool, overwrite: bool) -> None:
    """Refuse a folder that is not ours or holds another training; nothing is changed."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"Expected a folder for the classifier, '{folder}' is a file. Choose another.")
    if not folder.is_dir() or all(entry.name.startswith(".") for entry in folder.iterdir()):
        return
    note = _read_json(folder / TRAINING_FILE, TRAINING_FORMAT) or _read_checkpoint_note(folder)
    if note is None and _read_json(folder / CONFIG_FILE, FORMAT) is None:
        raise UsageError(
            f"'{folder}' holds files that are no Synthset classifier; nothing was changed. "
            "Choose another output folder."
        )
    if overwrite:
        return
    if note is None or not resume:
        raise UsageError(
            f"'{folder}' already holds a classifier; nothing was changed. "
            "Choose another output folder, or overwrite it."
        )
    if differences := _differences(note.get("job", {}), job):
        raise ConfigChangedError(
            f"'{folder}' holds another training ({'; '.join(differences[:4])}); nothing was changed. "
            "Choose another output folder, or overwrite it."
        )


def _differences(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    config_there, config_here = there.get("config", {}), here["config"]
    differences = [
        f"{name}: {config_there.get(name)} there, {config_here.get(name)} here"
        for name in dict.fromkeys([*config_here, *config_there])
        if config_there.get(name) != config_here.get(name)
    ]
    if there.get("fingerprint") != here["fingerprint"]:
        differences.append("images: other images or labels")
    return differences


def _finish(session: _Session, data: _Data, model_config: ModelConfig, name: str) -> TrainResult:
    """Write the best checkpoint, then training.json, which marks completion, then drop the resume file."""
    assert session.best is not None
    session.model.load_state_dict(session.best_state)
    save_classifier(session.folder, session.model, model_config)
    seconds = sum(epoch.seconds for epoch in session.history)
    note = {
        "format": TRAINING_FORMAT,
        "job": session.job,
        "images": name,
        "num_training": len(data.training_rows),
        "num_held_back": len(data.held_back_rows),
        "chosen": asdict(session.best),
        "seconds": round(seconds, 3),
        "device": str(next(session.model.parameters()).device),
        "libraries": library_versions(),
        "history": [asdict(epoch) for epoch in session.history],
    }
    write_json(session.folder / TRAINING_FILE, note)
    (session.folder / RESUME_FILE).unlink(missing_ok=True)
    return _to_result(session.folder, model_config, note, was_finished=False)


def _read_finished(folder: Path) -> TrainResult | None:
    """The result that `folder` holds, if it is complete."""
    note = _read_json(folder / TRAINING_FILE, TRAINING_FORMAT)
    files = (folder / CONFIG_FILE, folder / WEIGHTS_FILE)
    if note is None or not all(file.is_file() for file in files):
        return None
    (folder / RESUME_FILE).unlink(missing_ok=True)  # left where the end was interrupted
    return _to_result(folder, read_config(folder), note, was_finished=True)


def _to_result(folder: Path, model_config: ModelConfig, note: dict[str, Any], was_finished: bool) -> TrainResult:
    return TrainResult(
        folder=folder,
        model_config=model_config,
        chosen=EpochRecord(**note["chosen"]),
        num_training=note["num_training"],
        num_held_back=note["num_held_back"],
        seconds=note["seconds"],
        history=tuple(EpochRecord(**epoch) for epoch in note["history"]),
        was_finished=was_finished,
    )


def _delete_own_files(folder: Path) -> None:
    """Delete a classifier and nothing else; training.json goes last, so the folder stays known as ours."""
    for name in (WEIGHTS_FILE, CONFIG_FILE, RESUME_FILE, TRAINING_FILE):
        (folder / name).unlink(missing_ok=True)


def _read_json(file: Path, expected_format: str) -> dict[str, Any] | None:
    """The content of one of our files; None where it is not there, or not ours."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_ours = isinstance(content, dict) and content.get("format") == expected_format
    return content if is_ours else None


def _read_checkpoint_note(folder: Path) -> dict[str, Any] | None:
    file = folder / RESUME_FILE
    if not file.is_file():
        return None
    try:
        with safe_open(file, "pt") as checkpoint:
            note = json.loads((checkpoint.metadata() or {})["training"])
    except (SafetensorError, OSError, KeyError, ValueError):
        return None
    return note if isinstance(note, dict) and note.get("format") == TRAINING_FORMAT else None


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
