"""The command lines of Shipard et al. 2023, and the presets of the papers."""

import json
import logging
import re
import sys
from pathlib import Path

import pytest
from one_two import CLASSES, manifest

from outcomes import the_error
from synthset.classifiers.models import read_config
from synthset.core.errors import ModelError, UsageError, setting
from synthset.dataset.reader import open_dataset

pytestmark = pytest.mark.usefixtures("own_folder")


def test_class_prompt_as_in_their_script(create):
    assert create("--trick", "class_prompt", "--outdir", "X")[0] == 0
    assert set(open_dataset("X").rows.column("prompt").to_pylist()) == {"one", "two"}


def test_multidomain_as_in_their_script(create):
    line = ("--trick", "multidomain", "--domains", "photo", "sketch", "--images-per-class", 4, "--outdir", "X")
    assert create(*line)[0] == 0
    prompts = open_dataset("X").rows.column("prompt").to_pylist()
    assert sorted(prompts) == sorted(
        2 * [f"a {style} of a {name}" for style in ("photo", "sketch") for name in ("one", "two")]
    )


def test_random_scale_as_in_their_script(create):
    line = ("--trick", "random_scale", "--min_scale", 2, "--max_scale", 3, "--images-per-class", 4, "--outdir", "X")
    assert create(*line)[0] == 0
    scales = open_dataset("X").rows.column("guidance_scale").to_pylist()
    assert len(set(scales)) == 8
    assert all(2 <= scale <= 3 for scale in scales)


def test_their_flags_of_stable_diffusion(create):
    size = ("--H", 8, "--W", 24)
    code, _, _ = create("--n_samples", 2, "--n_iter", 3, "--ddim_steps", 2, "--seed", 64, *size, "--outdir", "X")
    assert code == 0
    job = manifest("X")
    assert (job["images_per_class"], job["seed"], job["requests"]) == (6, 64, 12)
    generation = job["generation"]
    assert (generation["num_inference_steps"], generation["scheduler"]) == (2, "ddim")
    assert (generation["height_px"], generation["width_px"]) == (8, 24)
    assert open_dataset("X").images().image(0).size == (24, 8)


@pytest.mark.parametrize(
    ("line", "each", "told"),
    [
        ("--trick multidomain --domains photo sketch --n_iter 3", "12", "2 × 3 images of each class and domain"),
        ("--trick class_prompt --dataset digits", "100", ""),
    ],
)
def test_their_numbers_of_images(run, tiny, caplog, line, each, told):
    classes = () if "--dataset" in line else CLASSES
    code, out, _ = run("create", *classes, *line.split(), "--steps", 2, "--generator", tiny, "--dry-run")
    total = next(line.split()[-1] for line in out.splitlines() if line.startswith("total"))
    assert (code, total, told in caplog.text, bool(caplog.text)) == (0, each, True, bool(told))


def test_their_n_samples_is_the_batch(create, monkeypatch):
    from synthset.create import stage

    def see(_names, _folder, config, **_options):
        raise UsageError(f"batch {config.batch_size}, {config.images_per_class} images")

    monkeypatch.setattr(stage, "create", see)
    assert "batch 3, 6 images" in create("--trick", "class_prompt", "--n_samples", 3, "--n_iter", 2)[2]
    assert "batch 5, 6 images" in create("--n_samples", 3, "--n_iter", 2, "--batch-size", 5)[2]
    assert "batch None, 2000 images" in create("--trick", "class_prompt", "--config", config_of(""))[2]


def config_of(text):
    Path("own.yaml").write_text(text)
    return "own.yaml"


def test_their_example_without_a_generator_names_two_commands_that_work(refuse, run):
    message = refuse("create", "--classes", "dog", "polar bear", "--trick", "class_prompt")
    assert "cannot draw 'dog'" in message
    assert (
        "'synthset create --classes dog 'polar bear' --trick class_prompt --generator CompVis/stable-diffusion-v1-4'"
        in message
    )
    second = re.findall("'synthset (create --classes one two --trick class_prompt)'", message)
    assert run(*second[0].split(), "--dry-run")[0] == 0
    assert "'synthset create --dataset cifar10 --strategy base --gen" in refuse("create", "--dataset", "cifar10")


def their_training(model, epochs, data, real):
    line = f"train --model {model} --epoch {epochs} --batch_size 8 --dataset cifar10 --model_path saved_models/"
    return [*line.split(), "--syn_data_location", data, "--real_data_location", real]


def test_training_and_testing_as_in_their_scripts(run, dataset, real):
    code, out, err = run(*their_training("small_cnn", 1, dataset, real))
    assert (code, err) == (0, "")
    assert "on 6 real images" in out  # the path, not CIFAR-10
    assert "one " in out
    training = json.loads(Path("saved_models/training.json").read_text())
    assert '"dataset": "cifar10"' in json.dumps(training)
    line = "eval --model small_cnn --model_path saved_models/trained_model.pt --dataset cifar10 --real_data_location"
    code, again, err = run(*line.split(), real)
    assert (code, err) == (0, "")
    assert again in out
    assert "Expected a resnet50" in the_error(run(*line.replace("small_cnn", "ResNet50").split(), real)[2])


@pytest.mark.slow
def test_their_literal_training_line(run, dataset, real):
    assert run(*their_training("Vit-B", 1, dataset, real))[0] == 0
    assert read_config(Path("saved_models")).architecture == "vit_b"


def test_presets_of_the_papers(create):
    code, out, err = create("--dataset", "cifar10", "--dry-run", "--outdir", "X", classes=())
    assert (code, err) == (0, "")
    assert "base      7.5       50,000       5,000" in out
    prompts = [" ".join(line.split()) for line in out[out.index("Sample prompts") :].splitlines()]
    for name in ("an airplane", "an automobile", "a bird", "a cat", "a deer", "a dog", "a frog", "a horse", "a ship"):
        assert f"7.50 an image of {name}" in prompts, name
    assert "stored at 32 × 32 px, resized with anti-aliasing" in out
    assert "Nothing was written" in out
    assert list(Path().iterdir()) == []


def test_the_preset_of_satellite_images(create, caplog):
    out = create("--dataset", "eurosat", "--dry-run", classes=())[1]
    assert "27,000       2,700" in out
    assert "an image of a river" in out
    assert "stored at 64 × 64 px, resized without anti-aliasing" in out
    out = create("--dataset", "eurosat", "--strategy", "all_combined", "--dry-run", classes=())[1]
    assert [line.split()[0] for line in out.splitlines()[1:5]] == ["base", "multi_domain", "random_guidance", "total"]
    assert "all_combined of 'eurosat' is all_but_class_prompt, as in its paper" in caplog.text
    assert "7.50      an image of an annual crop " in out
    assert re.search("a satellite photo of a[a-z ]+ in the style of a realistic photo", out)
    line = ("--dataset", "eurosat", "--dry-run", "--antialias", "--resize", 32)
    out = create(*line, "--satellite", classes=())[1]
    assert "a satellite photo of a river" in out  # as older versions drew it, whose folders go on so
    assert "stored at 32 × 32 px, resized with anti-aliasing" in out
    assert "an image of a river" in create(*line, "--strategy", "multi_domain", "base", "--no-satellite", classes=())[1]


def test_a_dry_run_shows_ten_prompts_and_an_estimate(create):
    out = create("--strategy", "all_combined", "--images-per-class", "20", "--dry-run")[1]
    table, prompts = out.split("Sample prompts (of 160):\n")
    assert [line.split()[0] for line in table.splitlines() if line][1:] == [
        "base", "class_prompt", "multi_domain", "random_guidance", "total",
    ]  # fmt: skip
    assert len(prompts.split("\n\n")[0].splitlines()) == 1 + 10
    assert re.search(r"About .+ on this machine\. About [\d.]+ KB in 1 file\.\nNothing was written\.", prompts)
    assert list(Path().iterdir()) == []


def test_a_dry_run_without_the_model_still_plans(run, monkeypatch):
    def load(config):
        raise ModelError(f"It does not fit. Give {setting('dtype', 'bfloat16')}.")

    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as in a process of its own
    monkeypatch.setattr(sys.modules["synthset.create.stage"], "load", load)
    code, out, err = run("create", *CLASSES, "--generator", "nobody/nothing", "--dry-run")
    assert code == 0
    assert "No estimate of time" in out
    assert err == "WARNING: It does not fit. Give --dtype bfloat16.\n"
