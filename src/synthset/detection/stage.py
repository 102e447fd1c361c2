"""Train and test a detector as one call: a backbone and a devkit -> a detector, detections and scores in a folder.

read       the sets that are learned from; the test set is not opened before the end     voc.py
begin      a Faster R-CNN over the backbone, nothing frozen                              start.py, detector.py
learn      batches of resized photographs, steps of SGD, a checkpoint now and then       batches.py, session.py
test       detections of the test set, average precision, a picture                      scores.py, pictures.py
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from synthset.classifiers.learned_from import check_unseen
from synthset.classifiers.models import ModelConfig, plain_state, write_model
from synthset.classifiers.optimizers import make_optimizer
from synthset.core.cpu import tune_for_cpu
from synthset.core.devices import choose_device, seeded
from synthset.core.errors import DataError, ModelError, UsageError, setting
from synthset.core.files import write_json
from synthset.core.json_records import Count, Seconds, read_record
from synthset.core.options import Option, job_of, with_options
from synthset.core.parquet_files import write_table
from synthset.core.progress import track
from synthset.core.seeds import derive_seed
from synthset.detection.average_precision import Detections
from synthset.detection.batches import Photographs, Sample, ahead, as_network_sees, resized, targets_of
from synthset.detection.config import USUAL_BATCH, USUAL_RATE, DetectConfig, rate_at, split_set
from synthset.detection.detector import build_detector, default_form
from synthset.detection.pictures import PICTURE_FILE, draw_detections
from synthset.detection.scores import RESULTS_FILE, Scores, score
from synthset.detection.start import Beginning, find_beginning, load_backbone
from synthset.detection.voc import AnnotatedImage, DetectionSet, check_apart, find_parts, read_voc
from synthset.images.imageset import ImageSet
from synthset.pretraining.session import OWN_FILES, Kind, PassRecord, RecordedJob, Session, claim, read_finished

DETECTIONS_FILE = "detections.parquet"
DETECTOR: Literal["detector"] = "detector"
REPORT_FILE = "report.html"  # that `synthset report` makes of what is here, and which would outlive it
KIND = Kind("synthset-detection-1", "detector", (*OWN_FILES, RESULTS_FILE, DETECTIONS_FILE, PICTURE_FILE, REPORT_FILE))
USUAL_SETS = (("2007", "trainval"), ("2012", "trainval"))


@dataclass(frozen=True)
class DetectSettings(DetectConfig):
    """A config that leaves nothing open."""

    learning_rate: float = 0.0
    form: str = ""
    train_sets: tuple[str, ...] = ("2007-trainval",)


@dataclass(frozen=True)
class DetectorConfig:
    """What a saved detector depends on beside its weights.

    Attributes:
        backbone: the network that it began with, and how images are normalised.
        seen: images that its backbone learned from, in words.
    """

    kind: Literal["detector"]
    class_names: tuple[str, ...]
    form: str
    anchor_sizes_px: tuple[int, ...]
    test_side_px: Annotated[int, Option(at_least=1)]
    longest_side_px: Annotated[int, Option(at_least=1)]
    backbone: ModelConfig
    seen: str


@dataclass(frozen=True)
class DetectResult:
    """A detector that was trained and tested; it lies in `folder`.

    Attributes:
        scores: on the test set.
        history: every pass over the images; the last one may be a part.
        seconds: spent on training, over all sessions.
        was_finished: the folder held it already; nothing was done.
    """

    folder: Path
    scores: Scores
    num_images: Count
    history: tuple[PassRecord, ...]
    seconds: Seconds
    was_finished: bool = False


def detect(
    model: str | Path,
    devkit: str | Path,
    output_dir: str | Path,
    config: DetectConfig | None = None,
    *,
    overwrite: bool = False,
    when_ready: Callable[[DetectionSet, DetectSettings], object] = lambda images, settings: None,
    **options: Any,
) -> DetectResult:
    """Train a detector that begins with a model, and test it; the same call again goes on where one was interrupted.

    Args:
        model: folder of a backbone or a classifier, "random", "imagenet", or a .safetensors file.
        devkit: folder in Pascal VOC's layout, see `read_voc`.
        output_dir: folder of the detector.
        config: how; `options` are its fields, e.g. `iterations=1000, form="fpn"`.
        overwrite: replace another detector in the folder.
        when_ready: is given the images and the settings before training begins.
    Raises:
        UsageError: a setting, a set or a folder that cannot be right; nothing was written.
        DataError: images or annotations that cannot be read.
        ModelError: weights that do not fit, or a loss that is no number.
    """
    config, folder = with_options(config or DetectConfig(), options), Path(output_dir)
    beginning = find_beginning(str(model), config)
    device = choose_device(config.device)
    parts = [split_set(name) for name in config.train_sets] if config.train_sets else _usual_parts(devkit)
    test_part = split_set(config.test_set)
    check_apart(devkit, parts, test_part)
    images = read_voc(devkit, parts)
    settings, detector = _begin(config, beginning, parts, images)
    job = RecordedJob(
        json.loads(json.dumps(job_of(settings) | {"weights": beginning.start and beginning.start.identity})),
        _fingerprint(images),
    )
    with claim(folder, job, job_of(DetectConfig()), kind=KIND, overwrite=overwrite):
        if read_finished(folder, KIND) is not None:
            return read_result(folder)
        when_ready(images, settings)
        if device.type == "cpu":
            tune_for_cpu()
        detector.to(device)
        optimizer = make_optimizer("momentum", _groups(detector, settings.weight_decay), settings.learning_rate)
        session = Session(folder, job, detector, optimizer, settings.checkpoint_minutes * 60, kind=KIND)
        session.restore()
        _learn(session, Photographs(images.images, settings), beginning.model, settings, device)
        session.save()  # a kill in the test costs the test alone
        _test(folder, session, beginning, settings, read_voc(devkit, [test_part], images.class_names), images)
    return replace(read_result(folder), was_finished=False)


def read_result(folder: Path) -> DetectResult:
    """The detector in a folder as it was tested. Raises UsageError if there is none."""
    note = read_finished(folder, KIND)
    if note is None:
        raise UsageError(f"Expected a finished detector in '{folder}', found none. Run 'synthset detect' first.")
    scores = read_record(Scores, folder / RESULTS_FILE, "Run 'synthset detect' again.")
    return DetectResult(folder, scores, note.num_images, note.history, note.seconds, True)


def _usual_parts(devkit: str | Path) -> list[tuple[str, str]]:
    there = find_parts(devkit, "trainval")
    if usual := [part for part in USUAL_SETS if part in there]:
        return usual
    named = ", ".join(f"{year}-{split}" for year, split in there[:5])
    raise UsageError(f"Expected VOC2007 or VOC2012 in '{devkit}', found {named}. Give {setting('train_sets')}.")


def _begin(
    config: DetectConfig, beginning: Beginning, parts: Sequence[tuple[str, str]], images: DetectionSet
) -> tuple[DetectSettings, nn.Module]:
    """The config with nothing left open, and the detector as it begins."""
    backbone = load_backbone(beginning, config.seed)
    given = {item.name: getattr(config, item.name) for item in fields(config)}
    given |= {
        "architecture": beginning.model.architecture,
        "train_sets": tuple(f"{year}-{split}" for year, split in parts),
        "learning_rate": config.learning_rate or USUAL_RATE * config.batch_size / USUAL_BATCH,
        "form": config.form or default_form(backbone),
    }
    settings = DetectSettings(**given)
    with seeded(derive_seed(config.seed, "detector")):
        name, num_classes = beginning.model.architecture, len(images.class_names)
        return settings, build_detector(backbone, name, num_classes, settings.form, settings)


def _groups(detector: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """All weights; those of norms do not decay."""
    norms = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)
    of_norms = {one for module in detector.modules() if isinstance(module, norms) for one in module.parameters()}
    others = [one for one in detector.parameters() if one not in of_norms]
    ordered = [one for one in detector.parameters() if one in of_norms]
    return [{"params": others, "weight_decay": weight_decay}, {"params": ordered, "weight_decay": 0.0}]


def _fingerprint(images: DetectionSet) -> str:
    """Of names, photographs and objects."""
    digest = hashlib.blake2b(json.dumps(images.class_names).encode(), digest_size=16)
    for one in images.images:
        digest.update(f"{one.name}\0{one.sha256}\0".encode())
        for array, kind in ((one.boxes, "<f4"), (one.labels, "<i8"), (one.difficult, "<i8")):
            digest.update(array.astype(kind).tobytes())
    return digest.hexdigest()


# ---- training ---------------------------------------------------------------------------------------------


def _learn(
    session: Session, photographs: Photographs, model: ModelConfig, settings: DetectSettings, device: torch.device
) -> None:
    """Every step from where the session stands to the end."""
    total, per_pass = settings.iterations, math.ceil(len(photographs.images) / settings.batch_size)
    what = f"detect with {settings.architecture}"
    session.network.train()
    with track(total, what, "steps", done=session.step) as bar:
        for samples in photographs.batches(session.step, total):
            began = time.monotonic()
            session.loss_sum += _step(session, samples, model, settings, device)
            session.step += 1
            session.seconds += time.monotonic() - began
            bar.advance(1)
            if session.step % per_pass == 0 or session.step == total:
                first = (session.step - 1) // per_pass * per_pass
                loss = session.loss_sum / (session.step - first)
                bar.describe(f"{what}, loss {loss:.3f}")
                rate = rate_at(first, settings, settings.learning_rate)
                session.end_pass(PassRecord(first // per_pass + 1, loss, rate, session.seconds))
            if session.is_due:
                session.save()


def _step(
    session: Session, samples: Sequence[Sample], model: ModelConfig, settings: DetectSettings, device: torch.device
) -> float:
    """One step of the optimiser; the sum of the four losses."""
    rate = rate_at(session.step, settings, settings.learning_rate)
    with seeded(derive_seed(settings.seed, "samples", session.step), device):
        with _cast(settings, device):
            losses = session.network(as_network_sees(samples, model, device), targets_of(samples, device))
            loss = sum(losses.values(), torch.zeros((), device=device))
        session.optimizer.zero_grad(set_to_none=True)
        loss.backward()
    value = loss.item()
    if not math.isfinite(value):
        raise ModelError(
            f"Expected a finite loss, got {value} in step {session.step + 1} of '{session.folder}'. Choose a learning "
            f"rate below {rate:g}, or {setting('max_grad_norm', 1)}."
        )
    if settings.max_grad_norm is not None:
        nn.utils.clip_grad_norm_(session.network.parameters(), settings.max_grad_norm)
    for group in session.optimizer.param_groups:
        group["lr"] = rate
    session.optimizer.step()
    return value


def _cast(settings: DetectConfig, device: torch.device) -> Any:
    is_bf16 = settings.precision == "bf16" or (settings.precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, torch.bfloat16) if is_bf16 else nullcontext()


# ---- test -------------------------------------------------------------------------------------------------


def _test(
    folder: Path,
    session: Session,
    beginning: Beginning,
    settings: DetectSettings,
    test: DetectionSet,
    learned: DetectionSet,
) -> None:
    """Detections of the test set, their scores, a picture; then the detector, by which all is complete."""
    _refuse_seen(beginning, learned, test)
    device = next(session.network.parameters()).device
    found = find(session.network, test.images, beginning.model, settings, device)
    scores = score(test.name, test.class_names, test.images, found)
    write_table(folder / DETECTIONS_FILE, detections_table(test.images, found), {"class_names": test.class_names})
    draw_detections(test.images, found, test.class_names, folder / PICTURE_FILE)
    write_json(folder / RESULTS_FILE, asdict(scores))
    described = DetectorConfig(
        DETECTOR,
        test.class_names,
        settings.form,
        settings.anchor_sizes_px,
        settings.test_side_px,
        settings.longest_side_px,
        beginning.model,
        beginning.start.seen if beginning.start else "",
    )
    about = {"images": learned.name, "num_images": len(learned), "test": test.name}
    session.finish(lambda: write_model(folder, plain_state(session.network), asdict(described)), about)


def find(
    detector: nn.Module,
    images: Sequence[AnnotatedImage],
    model: ModelConfig,
    config: DetectConfig,
    device: torch.device,
) -> list[Detections]:
    """What a detector finds in images, in their own pixels; it is put into evaluation mode."""
    detector.eval()
    found: list[Detections] = []
    jobs = ([lambda one=one: resized(one, config.test_side_px, config.longest_side_px)] for one in images)
    with track(len(images), "test the detector") as bar, torch.inference_mode():
        for image, (sample,) in zip(images, ahead(jobs, config.workers), strict=True):
            with _cast(config, device):
                (result,) = detector(as_network_sees([sample], model, device))
            found.append(_detections(result, image, sample))
            bar.advance(1)
    return found


def _detections(result: dict[str, Tensor], image: AnnotatedImage, sample: Sample) -> Detections:
    height, width = sample.pixels.shape[1:]
    boxes, labels, scores = (result[name].float().cpu().numpy() for name in ("boxes", "labels", "scores"))
    boxes = boxes * np.array([image.width / width, image.height / height] * 2, np.float32)
    return Detections(boxes, labels.astype(np.int64) - 1, scores)


def detections_table(images: Sequence[AnnotatedImage], found: Sequence[Detections]) -> pa.Table:
    """A row a detection: image, class number, score, box in pixels."""
    counts = [len(one.scores) for one in found]
    boxes = np.concatenate([one.boxes for one in found]).astype(np.float32)
    columns: dict[str, Any] = {
        "image": np.repeat([image.name for image in images], counts).tolist(),
        "label": np.concatenate([one.labels for one in found]),
        "score": np.concatenate([one.scores for one in found]),
    }
    columns |= {name: boxes[:, index] for index, name in enumerate(("left", "top", "right", "bottom"))}
    return pa.table(columns)


def _refuse_seen(beginning: Beginning, learned: DetectionSet, test: DetectionSet) -> None:
    """Refuse a test on images that the detector or its backbone learned from."""
    hashes = {one.sha256: one.name for one in learned.images}
    if twice := [one for one in test.images if one.sha256 in hashes]:
        raise DataError(
            f"Expected other images in {test.name} than in {learned.name}, '{twice[0].name}' is "
            f"'{hashes[twice[0].sha256]}' there. Take it off one of the lists."
        )
    if beginning.folder is not None:
        files = [one.file for one in test.images]
        images = ImageSet(test.name, ("images",), np.zeros(len(files), np.int64), lambda row: files[row].read_bytes())
        try:
            check_unseen(beginning.folder, images)
        except UsageError as error:
            raise UsageError(
                f"Expected photographs in {test.name} that '{beginning.folder}' did not learn from, got more than half "
                "that it did. Begin with another model."
            ) from error
