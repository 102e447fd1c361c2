"""A classifier as one ONNX file: uint8 pixels in, logits and probabilities out, with a script that runs it.

Scaling and normalisation are part of it, the class names stand in its metadata, and a batch may have any size.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from synthset.classifiers.export.checking import (
    BATCH,
    CheckImages,
    ModelRow,
    check_equal,
    compare,
    pixels_of,
    torch_runner,
)
from synthset.classifiers.models import Classifier, normalise
from synthset.core.errors import UsageError
from synthset.core.libraries import library_errors

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
FILE, INT8_FILE, SCRIPT = "model.onnx", "model-int8.onnx", "predict.py"
# the arithmetic that takes the time; a mean and a division in eight bits would only lose
QUANTISED = ("Conv", "Gemm", "MatMul")


class FromPixels(nn.Module):
    """A classifier with what comes before and after it: uint8 (n, size, size, 3) -> logits, probabilities (n, k)."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.model, self.config = classifier.model, classifier.config

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """As the class says."""
        pixels = images.permute(0, 3, 1, 2).float() / 255  # NHWC uint8 -> NCHW float32 in [0, 1]
        logits = self.model(normalise(pixels, self.config))
        return logits, logits.softmax(1)


def write_onnx(classifier: Classifier, images: CheckImages, folder: Path, *, int8: bool = False) -> list[ModelRow]:
    """Write the file, with `int8` a second one, and the script; each is compared with the classifier.

    Raises:
        UsageError: onnx, onnxscript or onnxruntime are not installed.
        ModelError: the architecture cannot be exported, or predicts otherwise then.
    """
    _check_installed()
    path = folder / FILE
    with library_errors(f"'{classifier.config.architecture}' cannot be exported as ONNX"):
        path.write_bytes(_as_onnx(classifier))
    pixels, labels = pixels_of(images.compared, classifier), images.compared.labels
    weights = sum(value.numel() * value.element_size() for value in classifier.model.state_dict().values())
    own, expected = compare("PyTorch", weights, torch_runner(classifier), pixels, labels)
    row, logits = compare(FILE, path.stat().st_size, _runner(path), pixels, labels)
    check_equal(logits, expected, FILE)
    rows = [own, replace(row, agreement=_agreement(logits, expected))]
    if int8:
        path = folder / INT8_FILE
        with library_errors(f"'{classifier.config.architecture}' cannot be written in eight bits"):
            _quantise(folder / FILE, path, pixels_of(images.trained_on, classifier))
        row, logits = compare(INT8_FILE, path.stat().st_size, _runner(path), pixels, labels)
        rows.append(replace(row, agreement=_agreement(logits, expected)))
    (folder / SCRIPT).write_text(Path(__file__).with_name("run_onnx.txt").read_text(encoding="utf-8"))
    return rows


def _check_installed() -> None:
    try:
        for name in PACKAGES:
            import_module(name)
    except ImportError as error:
        raise UsageError(
            f"Expected the packages of ONNX, '{error.name}' is not installed. Run: pip install 'synthset[onnx]'."
        ) from error


def _as_onnx(classifier: Classifier) -> bytes:
    size, config = classifier.config.image_size_px, classifier.config
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)  # of one image, the batch would be taken for a constant
    program: Any = torch.onnx.export(
        FromPixels(classifier).eval(),
        (example,),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        input_names=["images"],
        output_names=["logits", "probabilities"],
        external_data=False,
        verbose=False,
    )
    model = program.model_proto
    notes = {"class_names": list(config.class_names), "image_size_px": size, "antialias": config.antialias}
    for key, value in notes.items():
        model.metadata_props.add(key=key, value=json.dumps(value, ensure_ascii=False))
    return model.SerializeToString()


def _runner(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    import onnxruntime

    session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(["logits"], {"images": pixels})[0]


def _quantise(source: Path, target: Path, pixels: np.ndarray) -> None:
    """Weights by channel and activations in eight bits, their ranges as they are over `pixels`."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches: Iterator[np.ndarray] = iter(
                [pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH)]
            )

        def get_next(self) -> Any:
            batch = next(self.batches, None)
            return None if batch is None else {"images": batch}

    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared))
        quantize_static(
            str(prepared),
            str(target),
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=list(QUANTISED),
        )


def _agreement(logits: np.ndarray, expected: np.ndarray) -> float:
    return float(np.mean(logits.argmax(1) == expected.argmax(1)))
