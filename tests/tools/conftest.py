"""What tests of the trainers share: a world without fonts, which a machine may lack, and their command lines."""

import json

import numpy as np
import pytest
from tools.miniature.settings import DIGITS


@pytest.fixture(scope="session")
def small_world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    for part in (folder, folder / "validation"):
        write_noise(part)
    return folder


def write_noise(folder, size=20):
    folder.mkdir(exist_ok=True)
    np.save(folder / "images.npy", np.random.default_rng(0).integers(0, 256, (size, 32, 32, 3), np.uint8))
    np.save(folder / "digits.npy", np.arange(size, dtype=np.int8) % 10)
    captions = [f"the digit {DIGITS[i % 10]}" if i % 4 else "" for i in range(size)]
    (folder / "captions.json").write_text(json.dumps(captions))


@pytest.fixture
def run_trainer(monkeypatch):
    def run(module, *flags):
        monkeypatch.setattr(module, "prepare", lambda args: None)  # it sets what is the whole process's
        line = [module.__name__, *flags, "--threads", 1, "--batch-size", 6, "--precision", "float32"]
        monkeypatch.setattr("sys.argv", [str(word) for word in line])
        module.main()

    return run
