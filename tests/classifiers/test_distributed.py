"""Two processes train what one trains; refusals are said once; a kill costs what it costs one process."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from bars import CONFIG, FILES, make_set
from synthset.classifiers import stage
from synthset.classifiers.augment import AUGMENTATIONS, Share, augment
from synthset.core.errors import ConfigChangedError, DataError, UsageError
from synthset.core.locks import writing

# What remains is rounding: sums are taken in another order. 45 images in batches of 11 leave one of 12, and every
# batch has an odd share for one of the two.
RECIPE = dataclasses.replace(CONFIG, batch_size=11)
WEIGHTS_TOLERANCE = 1e-3  # weights are of order 0.1, and 4 epochs move them by about as much


@pytest.fixture(scope="module")
def bars(tmp_path_factory):
    """The tiny problem as a folder, which processes can all open."""
    folder, images = tmp_path_factory.mktemp("data") / "bars", make_set()
    for index, label in enumerate(images.labels):
        file = folder / images.class_names[label] / f"{index:03}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(images.read(index))
    return folder


@pytest.fixture(scope="module")
def by_one(bars, tmp_path_factory):
    """What one process makes of it."""
    return stage.train(bars, tmp_path_factory.mktemp("one") / "model", RECIPE)


def assert_same_up_to_rounding(one, other):
    for expected, epoch in zip(one.history, other.history, strict=True):
        assert epoch.train_loss == pytest.approx(expected.train_loss, abs=1e-3)
        assert epoch.held_back_loss == pytest.approx(expected.held_back_loss, abs=1e-3)
        assert epoch.held_back_accuracy == expected.held_back_accuracy
    assert other.chosen.epoch == one.chosen.epoch
    expected, weights = (load_file(result.folder / "model.safetensors") for result in (one, other))
    assert list(weights) == list(expected)
    for name, value in weights.items():
        torch.testing.assert_close(value, expected[name], atol=WEIGHTS_TOLERANCE, rtol=0)


def test_two_processes_train_what_one_trains(bars, by_one, tmp_path):
    # the images in one file that both map, as where memory does not hold them
    by_two = stage.train(bars, tmp_path / "model", RECIPE, processes=2, memory_bytes=0)
    assert_same_up_to_rounding(by_one, by_two)
    assert sorted(path.name for path in by_two.folder.iterdir()) == FILES
    notes = [json.loads((result.folder / "training.json").read_text()) for result in (by_two, by_one)]
    for name in ("job", "data", "images"):
        assert notes[0][name] == notes[1][name]
    assert stage.train(bars, by_two.folder, RECIPE).was_finished  # one process takes it for its own


def test_a_training_of_one_process_that_was_killed_goes_on_with_two_that_are_killed(bars, by_one, tmp_path):
    config = dataclasses.asdict(RECIPE)
    for processes in (1, 2):
        done = kill_after_an_epoch(bars, tmp_path / "model", config, processes)
        assert done < RECIPE.epochs
    by_two = stage.train(bars, tmp_path / "model", RECIPE, processes=2)
    assert_same_up_to_rounding(by_one, by_two)


def kill_after_an_epoch(data, folder, config, processes):
    """Train in processes of their own until there is a checkpoint of another epoch; gives its number."""
    before = epochs_done(folder)
    script = (
        "import json, sys; from synthset import TrainConfig; from synthset.classifiers import stage\n"
        "config = TrainConfig(**json.loads(sys.argv[3]))\n"
        "stage.train(sys.argv[1], sys.argv[2], config, processes=int(sys.argv[4]))"
    )
    # slow epochs, each with a checkpoint: sitecustomize is how it reaches processes that others start
    patch = folder.parent / "patch"
    patch.mkdir(exist_ok=True)
    (patch / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'synthset.classifiers.launched' in ' '.join(sys.orig_argv) or '-c' in sys.orig_argv:\n"
        "    from synthset.classifiers import checkpoints, train\n"
        "    import time\n"
        "    checkpoints.CHECKPOINT_SECONDS, checkpoints.CHECKPOINT_SHARE = 0.0, float('inf')\n"
        "    epoch = train.train_epoch\n"
        "    def slow(*args):\n"
        "        time.sleep(1)\n"
        "        return epoch(*args)\n"
        "    train.train_epoch = slow\n"
    )
    command = [sys.executable, "-c", script, str(data), str(folder), json.dumps(config), str(processes)]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": os.pathsep.join([str(patch), *sys.path])})
    try:
        deadline = time.monotonic() + 60
        while epochs_done(folder) == before:
            assert process.poll() is None, "ended before it was killed"
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    with writing(folder, 60):  # the others see that their launcher is gone
        pass
    return epochs_done(folder)


def epochs_done(folder):
    file = folder / "resume.safetensors"
    if not file.is_file():
        return 0
    with safe_open(file, "pt") as checkpoint:
        return len(json.loads(checkpoint.metadata()["training"])["history"])


def test_what_the_processes_refuse_is_raised_once(bars, by_one, tmp_path, capfd):
    with pytest.raises(ConfigChangedError, match="seed: 0 there, 1 here") as raised:
        stage.train(bars, by_one.folder, RECIPE, seed=1, processes=2)
    assert "or give --overwrite" in raised.value.worded(lambda name, value: f"--{name}")  # whoever shows it words it
    assert capfd.readouterr().err == ""


def test_what_cannot_run_in_processes_is_refused_before_any_starts(bars, tmp_path, monkeypatch):
    for options, message in (
        ({"processes": 0}, "at least one process, got 0"),
        ({"processes": 2, "device": "cpu:0"}, "as the device of several processes, got 'cpu:0'"),
    ):
        with pytest.raises(UsageError, match=message):
            stage.train(bars, tmp_path / "out", RECIPE, **options)
    with pytest.raises(UsageError, match="path of the images for 2 processes"):
        stage.train(make_set(), tmp_path / "out", RECIPE, processes=2)
    with pytest.raises(DataError, match="found nothing"):
        stage.train(tmp_path / "nowhere", tmp_path / "out", RECIPE, processes=2)
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(UsageError, match="started 4 processes, and 2 were asked for"):
        stage.train(bars, tmp_path / "out", RECIPE, processes=2)
    assert not (tmp_path / "out").exists()


def test_one_process_does_not_import_accelerate(bars, tmp_path):
    script = (
        "import sys; from synthset.classifiers import stage; from bars import CONFIG\n"
        "stage.train(sys.argv[1], sys.argv[2], CONFIG, epochs=1); assert 'accelerate' not in sys.modules"
    )
    here = os.pathsep.join(sys.path)
    command = [sys.executable, "-c", script, str(bars), str(tmp_path / "model")]
    assert subprocess.run(command, env=os.environ | {"PYTHONPATH": here}).returncode == 0


@pytest.mark.parametrize("recipe", AUGMENTATIONS)
def test_the_part_of_a_batch_is_augmented_as_in_the_whole(recipe):
    images = torch.randint(0, 256, (7, 3, 16, 16), generator=torch.Generator().manual_seed(0)).byte()
    whole = augment(images, recipe, torch.Generator().manual_seed(1))
    part = augment(images[3:6], recipe, torch.Generator().manual_seed(1), Share(3, 7))
    torch.testing.assert_close(part, whole[3:6], atol=1e-6, rtol=0)
    assert augment(images[:0], recipe, torch.Generator().manual_seed(1), Share(0, 7)).shape == (0, 3, 16, 16)
