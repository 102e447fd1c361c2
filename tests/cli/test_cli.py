import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from outcomes import the_error
from synthset.classifiers.models import read_config
from synthset.cli import main
from synthset.core.errors import FailureThresholdError, ModelError, UsageError, setting
from synthset.dataset.reader import open_dataset

pytestmark = pytest.mark.usefixtures("own_folder")

COMMANDS = ("demo", "create", "filter", "train", "tune", "eval", "diagnose", "report", "export")
CLASSES = ("--classes", "one", "two")


# ---- the stage: a random Stable Diffusion model, and what the commands make of it --------------------------


@pytest.fixture(scope="session")
def dataset(tiny, tmp_path_factory):
    """Two classes, 4 images each of every strategy."""
    folder = tmp_path_factory.mktemp("datasets") / "one-two"
    line = ["create", *CLASSES, "--strategy", "all_combined", "--images-per-class", "4", "--steps", "2"]
    assert main([*line, "--generator", str(tiny), "--output-dir", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def model(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifiers") / "one-two"
    line = ["train", str(dataset), "--model", "small_cnn", "--epochs", "1", "--batch-size", "8"]
    assert main([*line, "--output-dir", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def real(tmp_path_factory):
    """Three images of each of the two classes, as an image folder."""
    folder = tmp_path_factory.mktemp("real")
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        (folder / name).mkdir()
        for i in range(3):
            Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture
def create(run, tiny):
    """`synthset create` with the random checkpoint, two steps, and one image a class unless told otherwise."""

    def create_line(*words, classes=CLASSES):
        counted = {"--images-per-class", "--images_per_class", "--n_samples", "--config", "--dataset"} & set(words)
        count = () if counted else ("--images-per-class", "1")
        steps = () if {"--steps", "--ddim_steps"} & set(words) else ("--steps", "2")
        return run("create", *classes, *words, *count, *steps, "--generator", tiny)

    return create_line


def manifest(folder):
    return json.loads((Path(folder) / "manifest.json").read_text())["job"]


# ---- the whole way ----------------------------------------------------------------------------------------


def test_create_train_eval_export(run, tiny, real):
    line = ("create", *CLASSES, "--strategy", "base", "multi_domain", "--images-per-class", 3, "--steps", 2)
    code, out, err = run(*line, "--generator", tiny, "--output-dir", "made")
    assert (code, err) == (0, "")
    assert "12 requested = 12 ok + 0 flagged + 0 failed" in out
    assert "made/preview.png" in out

    code, out, err = run("train", "made", "--model", "small_cnn", "--epochs", 2, "--real", real, "--output-dir", "m")
    assert (code, err) == (0, "")
    assert "10 training and 2 held-back synthetic images" in out
    assert "of 2, " in out  # the chosen epoch
    assert "on 6 real images" in out

    code, again, err = run("eval", "m", "--real", real)
    assert (code, err) == (0, "")
    assert again in out  # what train tested at its end
    (saved,) = Path("m/evaluation").glob("*.json")
    assert json.loads(saved.read_text())["n"] == 6
    assert list(Path("m/evaluation").glob("*-confusion.png"))

    code, out, err = run("export", "made", "--format", "imagefolder", "--output-dir", "files")
    assert (code, out, err) == (0, "files\n", "")
    names = [".export.json", "classes.json", "metadata.jsonl", "one", "two"]
    assert sorted(path.name for path in Path("files").iterdir()) == names
    assert len(list(Path("files").rglob("*.png"))) == 12
    assert run("eval", "m", "--real", "files")[0] == 2  # it has learned from them


def test_real_digits_by_name(create, run):
    assert create("--dataset", "digits", "--images-per-class", "2", "--outdir", "d", classes=())[0] == 0
    assert manifest("d")["images"]["resize_px"] == 32
    code, out, _ = run("train", "d", "--model", "small_cnn", "--image-size", 8, "--epochs", 1, "--real", "digits")
    assert code == 0
    assert "on 1,797 real images of digits (95 % interval" in out
    assert {line.split()[0] for line in out.splitlines()} >= {"zero", "nine"}
    assert Path("model/evaluation/digits.json").exists()


def test_running_again_says_that_all_was_there(create, run, dataset):
    create("--outdir", "d")
    code, out, _ = create("--outdir", "d")
    assert code == 0
    assert "all of it was there already" in out
    line = ("train", dataset, "--model", "small_cnn", "--epochs", 1)
    assert "already" not in run(*line)[1]
    assert "all of it was there already" in run(*line)[1]


def test_results_go_to_stdout_and_everything_else_to_stderr(tiny, tmp_path):
    line = ["create", "--classes", "one", "w" * 60, "--images-per-class", "1", "--steps", "2", "--outdir", "d"]
    done = subprocess.run(
        [sys.executable, "-m", "synthset.cli", *line, "--generator", str(tiny)],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert [text.split()[0] for text in done.stdout.splitlines()] == ["2", "dataset", "preview"]
    assert done.stderr.startswith("WARNING: ")
    assert "reads 30 tokens of a prompt" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_failed_share_above_the_threshold_exits_3(monkeypatch, run):
    def create(*args, **options):
        raise FailureThresholdError("Finished with losses.")

    monkeypatch.setattr(sys.modules["synthset.create.stage"], "create", create)
    code, _, err = run("create", *CLASSES)
    assert (code, err) == (3, "error: Finished with losses.\n")


# ---- help -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_has_an_example(run, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = run(command, "--help")
    assert (code, err) == (0, "")
    assert f"Example: synthset {command} " in out
    assert "--config FILE.yaml" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80


def test_help_lists_the_commands(run):
    code, out, _ = run("--help")
    assert code == 0
    assert all(f"│ {command} " in out for command in COMMANDS)


def test_every_flag_of_create_is_in_its_help(run):
    _, out, _ = run("create", "--help")
    for name in ("--classes", "--trick", "--outdir", "--domains", "--H", "--W", "--ddim-steps", "--no-antialias"):
        assert name in out.split(), name


def test_version(run):
    from synthset.version import __version__

    assert run("--version") == (0, f"{__version__}\n", "")


def test_help_loads_no_torch():
    code = "import sys; from synthset.cli import main; main(['create', '--help']); sys.exit('torch' in sys.modules)"
    narrow = os.environ | {"COLUMNS": "60"}  # no stored page fits, so the command line renders it
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, env=narrow)


def test_a_closed_pipe_is_no_traceback():
    for line in (["--help"], ["--version"]):
        reader, writer = os.pipe()
        os.close(reader)
        command = [sys.executable, "-m", "synthset.cli", *line]
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
        os.close(writer)
        assert (done.returncode, done.stderr) == (1, "")


# ---- flags, files, variables ------------------------------------------------------------------------------


def test_a_flag_may_be_written_with_dashes_or_underscores(create):
    create("--images-per-class", 2, "--negative-prompt", "a_b", "--output-dir", "dashes")
    create("--images_per_class", 2, "--negative_prompt=a_b", "--output_dir=underscores")
    assert manifest("dashes") == manifest("underscores")
    assert manifest("dashes")["negative_prompt"] == "a_b"  # values stay as they are


def test_shortcuts_and_diversity_are_recorded_shown_and_not_mixed(create, refuse, tiny):
    flags = ("--guidance-interval", 0.2, 0.8, "--cache-interval", 3, "--cads-noise", 0.5, "--cads-times", 0.4, 0.7)
    create(*flags, "--steps", "4:6", "--negative-prompt", "a word", "a <dot>", "--output-dir", "d")
    assert manifest("d")["generation"]["sampling"] == {
        "guidance_interval": [0.2, 0.8],
        "cache_interval": 3,
        "block_cache": 0.0,
        "annealing": {"tau1": 0.4, "tau2": 0.7, "noise_scale": 0.5, "mixing_factor": 1.0},
    }
    card = Path("d/README.md").read_text(encoding="utf-8")
    for said in (
        "from 20% to 80%",
        "3rd step (DeepCache)",
        "noise of 0.5",
        "4 to 6 steps",
        '"a word", "a &lt;dot&gt;"',
    ):
        assert said.replace("&lt;", "&#60;").replace("&gt;", "&#62;") in card
    line = ("create", *CLASSES, "--images-per-class", 1, "--generator", tiny, "--output-dir", "d")
    assert "generation.sampling.cache_interval: 3 there, 2 here" in refuse(
        *line, *flags[:3], "--cache-interval", 2, *flags[5:], "--steps", "4:6", "--negative-prompt", "a word", "a <dot>"
    )
    assert "sampling" in refuse(*line, "--steps", "4:6", "--negative-prompt", "a word", "a <dot>")


def test_the_engine_is_recorded_and_not_mixed(create, refuse, tiny, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda network, **_: network)  # the machine's compiler takes minutes
    create("--compile", "--output-dir", "d")
    assert manifest("d")["generation"]["engine"] == "compiled"
    assert create("--engine", "compiled", "--output-dir", "d")[0] == 0
    line = ("create", *CLASSES, "--images-per-class", 1, "--steps", 2, "--generator", tiny, "--output-dir", "d")
    assert "engine" in refuse(*line)
    assert "--compile" in refuse(*line, "--engine", "eager", "--compile")
    assert "Unknown engine 'openvino'. Valid: eager, compiled, compiled_max." in refuse(*line, "--engine", "openvino")
    create("--engine", "eager", "--output-dir", "e")
    assert "engine" not in manifest("e")["generation"]


def test_plain_sampling_leaves_no_trace_in_a_job(create):
    create("--guidance-interval", 0, 1, "--cads-noise", 0, "--output-dir", "d")
    assert "sampling" not in manifest("d")["generation"]
    assert "**Sampling:** plain." in Path("d/README.md").read_text(encoding="utf-8")


def write(name, text):
    Path(name).write_text(text, encoding="utf-8")
    return name


@pytest.mark.parametrize(
    "text",
    [
        "images_per_class: 3",
        "images-per-class: '3'",
        "create: {images_per_class: 3}\ntrain: {epochs: 1}",
        "images_per_class: 9\ncreate:\n  images_per_class: 3\n  resize:\n",
    ],
)
def test_config_files_flat_and_by_command(create, text):
    assert create("--config", write("c.yaml", text), "--outdir", "d")[0] == 0
    assert manifest("d")["images_per_class"] == 3
    assert manifest("d")["images"]["resize_px"] is None


def test_command_line_over_environment_over_file_over_default(create, monkeypatch):
    def images(*words):
        code, out, err = create("--config", file, "--dry-run", *words)
        assert (code, err) == (0, "")
        return next(int(line.split()[-1]) for line in out.splitlines() if line.startswith("total"))

    file = write("c.yaml", "")
    assert images() == 100
    write("c.yaml", "images_per_class: 3")
    assert images() == 3
    monkeypatch.setenv("SYNTHSET_CREATE_IMAGES_PER_CLASS", "4")
    assert images() == 4
    assert images("--images-per-class", 5) == 5
    assert not Path("dataset").exists()


def test_config_values_are_taken_as_written(run, tiny):
    text = f"""
    create:
      classes: [yes, no, 8]
      trick: [base, class_prompt]
      guidance_scale: 1:5
      literal_articles: true
      steps: 2
      images_per_class: 1
      generator: {tiny}
      outdir: d
    """
    code, _, err = run("create", "--config", write("c.yaml", text))
    assert (code, err) == (0, "")
    job = manifest("d")
    assert job["classes"] == ["yes", "no", "8"]
    assert job["strategies"] == {"base": "1:5", "class_prompt": "1:5"}
    assert job["prompts"]["literal_articles"] is True


def test_variables_of_the_environment(create, monkeypatch):
    monkeypatch.setenv("SYNTHSET_CREATE_CLASSES", "one two")
    monkeypatch.setenv("SYNTHSET_TRAIN_EPOCHS", "none of create's business")
    assert create("--outdir", "d", classes=())[0] == 0
    assert manifest("d")["classes"] == ["one", "two"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("imges_per_class: 3", "'imges_per_class'. Did you mean 'images-per-class'?"),
        ("create: {imges_per_class: 3}", "'imges_per_class'"),
        ("create: {epochs: 3}", "'epochs'"),
        ("crate: {steps: 3}", "'crate'"),
        ("create: 3", "'create:'"),
        ("steps: many", "'steps' in 'c.yaml' as 40 or 20:40, got 'many'"),
        ("- steps", "got a list"),
        ("resume: false", "--overwrite"),
        ("steps: 3\nsteps: 4", "'steps' stands twice"),
        ("just words", "got a str"),
        ("1: 2\n[3]: 4", "c.yaml"),
        ("a: [1\n b: 2", "does not read"),
        ("a: !!python/object/apply:os.system [touch x]", "c.yaml"),
        ("steps: [1, 2", "does not read"),
    ],
)
def test_config_files_that_cannot_be(refuse, text, named):
    write("c.yaml", text)
    assert named in refuse("create", *CLASSES, "--config", "c.yaml")


def test_config_files_that_are_not_there(refuse):
    assert "'nowhere.yaml' does not read" in refuse("create", *CLASSES, "--config", "nowhere.yaml")
    assert "does not read" in refuse("create", *CLASSES, "--config", ".")
    assert "Expected a file after --config" in refuse("create", *CLASSES, "--config")
    Path("bytes.yaml").write_bytes(b"\xff\xfe\x00")
    assert "does not read" in refuse("create", *CLASSES, "--config=bytes.yaml")


# ---- the command lines of Shipard et al. 2023 -------------------------------------------------------------


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


# ---- input that cannot be right ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("create --classes cat", "miniature cannot draw 'cat'"),
        ("create --classes cat --dry-run", "miniature cannot draw 'cat'"),
        ("create", "--classes, --classes-file and --dataset, got none"),
        ("create --classes", "--classes"),
        ("create --classes ''", "class names"),
        ("create --classes one One", "each class once"),
        ("create --classes sea_lake 'sea lake'", "each class once"),
        ("create --classes ../x", "looks like a path"),
        ("create --classes one --classes-file names.txt", "got --classes and --classes-file"),
        ("create --classes one --dataset cifar10", "got --classes and --dataset"),
        ("create --classes-file nowhere.txt", "'nowhere.txt'"),
        ("create --dataset cifar11 --dry-run", "Did you mean 'cifar10'"),
        ("create --classes one --strategy nothing", "Unknown strategy 'nothing'"),
        ("create --classes one,two", "spaces between class names"),
        ("create --classes one, two", "got 'one,'"),
        ("create --classes one --strategy bas", "Did you mean 'base'"),
        ("create --classes one --strategy all_combined@3", "guidance with a single strategy"),
        ("create --classes one --guidance-scale abc", "got 'abc'"),
        ("create --classes one --guidance-scale 5:1", "got 5:1"),
        ("create --classes one --strategy random_guidance --min-scale 5 --max-scale 1", "got 5:1"),
        ("create --classes one --steps 0", "--steps of at least 1"),
        ("create --classes one --steps two", "--steps as 40 or 20:40, got 'two'"),
        ("create --classes one --guidance-interval 0.8 0.2", "0 ≤ first < last ≤ 1"),
        ("create --classes one --cache-interval 0", "--cache-interval of at least 1, got 0"),
        ("create --classes one --cads-noise -1", "--cads-noise of at least 0, got -1"),
        ("create --classes one --cads-mixing 0.5", "--cads-noise with --cads-mixing"),
        ("create --classes one --images-per-class 0", "--images-per-class of at least 1, got 0"),
        ("create --classes one --n_samples 2 --images-per-class 3", "got both"),
        ("create --classes one --trick base --strategy base", "Expected --trick or --strategy, got both"),
        ("create --classes one --trick base multidomain", "Expected multi_domain alone with the script's counts"),
        ("create --classes one --n_iter 0", "at least 1"),
        ("create --classes one --n_samples -1 --n_iter -1", "at least 1"),
        ("create --classes one --image-format gif", "Unknown image format 'gif'"),
        ("create --classes one --template word", "{class}"),
        ("create --classes one --domains ''", "domain"),
        ("create --classes one --nothing 3", "--nothing"),
        ("create --classes one --config", "--config"),
        ("create one two", "synthset create --help"),
        ("train", "Expected the synthetic images"),
        ("train a --syn-data-location b", "got 'a' and --syn-data-location 'b'"),
        ("train a --dataset cifar11", "Did you mean 'cifar10'"),
        ("eval", "Expected the folder of a model"),
        ("eval m", "Expected real images"),
        ("eval m --dataset cifar11", "Did you mean 'cifar10'"),
        ("eval m --model-path n --real digits", "got 'm' and --model-path 'n'"),
        ("export --output-dir e", "Expected a dataset or a model"),
        ("export d", "--output-dir"),
        ("demo --seeds 0", "--seeds of at least 1, got 0"),
        ("nothing", "'nothing'"),
        ("--nothing", "--nothing"),
    ],
)
def test_usage_errors(refuse, line, named):
    import shlex

    assert named in refuse(*shlex.split(line))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--scheduler", "dimm"), "Did you mean 'ddim'"),
        (("--dtype", "float8"), "Unknown dtype"),
        (("--device", "abacus"), "abacus"),
        (("--H", 9), "height divisible by"),
        (("--batch-size", 0), "--batch-size"),
        (("--resize", 1), "--resize"),
    ],
)
def test_settings_that_the_model_refuses(refuse, tiny, words, named):
    assert named in refuse("create", *CLASSES, "--generator", tiny, "--steps", 2, *words)


def test_classes_from_a_file(create, refuse):
    write("names.txt", "# two\none\n\nsea_lake\n")
    assert create("--classes-file", "names.txt", "--outdir", "d", classes=())[0] == 0
    assert manifest("d")["classes"] == ["one", "sea_lake"]
    write("empty.txt", "\n# none\n")
    assert "at least one class" in refuse("create", "--classes-file", "empty.txt")


def test_models_that_are_none(refuse, real):
    Path("empty").mkdir()
    write("weights.ckpt", "no weights")
    assert "model_index.json" in refuse("create", *CLASSES, "--generator", real, code=1)
    assert "model_index.json" in refuse("create", *CLASSES, "--generator", "empty", code=1)
    assert "'weights.ckpt'" in refuse("create", *CLASSES, "--generator", "weights.ckpt", code=1)
    assert "hf download nobody/nothing" in refuse("create", *CLASSES, "--generator", "nobody/nothing", code=1)


def test_a_folder_that_is_not_ours_is_left_alone(refuse, create, tiny, dataset, model):
    Path("photos").mkdir()
    write("photos/holiday.jpg", "precious")
    line = ("create", *CLASSES, "--generator", tiny, "--outdir", "photos")
    assert "holds files that are no Synthset dataset" in refuse(*line)
    assert "holds files that are no Synthset dataset" in refuse(*line, "--overwrite")
    assert "is a file" in refuse(*line[:-1], "photos/holiday.jpg")
    export = ("export", dataset, "--output-dir", "photos")
    assert "holds other things" in refuse(*export)
    assert "holds other things" in refuse(*export, "--overwrite")
    create("--outdir", "d")
    assert "seed: 64 there, 65 here" in refuse(
        "create", *CLASSES, "--images-per-class", 1, "--steps", 2, "--seed", 65, "--generator", tiny, "--outdir", "d"
    )


def test_data_that_cannot_be_trained_on(refuse, dataset):
    Path("empty").mkdir()
    train = ("--model", "small_cnn", "--epochs", 1)
    assert "Run 'synthset create' first" in refuse("train", "nowhere", *train, code=1)
    assert "one folder a class" in refuse("train", "empty", *train, code=1)
    # a name of a real set is no way to train on it
    assert "found nothing there" in refuse("train", "digits", *train, code=1)
    assert "found nothing there" in refuse("export", "digits", "--output-dir", "e", code=1)
    assert "Unknown model" in refuse("train", dataset, "--model", "resnet5000")
    assert "Unknown strategy" in refuse("train", dataset, "--strategy", "bas", *train)
    assert "epochs" in refuse("train", dataset, "--model", "small_cnn", "--epochs", 0)
    assert "Unknown export format" in refuse("export", dataset, "--format", "zip", "--output-dir", "e")


def test_strategies_are_lists_and_data_may_stand_behind_them(run, dataset):
    two = ("--strategy", "base", "class_prompt")
    for line in ((*two, dataset), (dataset, "--strategy", "base", "--strategy", "class_prompt")):
        code, out, _ = run("train", *line, "--model", "small_cnn", "--dry-run")
        assert code == 0
        assert "14 images to learn from and 2 held back" in out
    assert run("export", *two, dataset, "--output-dir", "e")[0] == 0
    assert len(list(Path("e").rglob("*.png"))) == 16
    assert "Expected a dataset or a model" in run("export", "--output-dir", "e2")[2]


def test_with_nothing_held_back_the_table_says_which_epoch_is_kept(run, dataset):
    line = ("train", dataset, "--model", "small_cnn", "--epochs", 1, "--validation-fraction", 0)
    assert (
        "32 images to learn from and none held back, so the last epoch is kept; 1 epoch" in run(*line, "--dry-run")[1]
    )
    out = run(*line, "--output-dir", "m")[1]
    assert "32 training and none held back, so the last epoch is kept; " in out
    assert "chosen: epoch 1 of 1, the last: how good it is, only a test can say" in out


def test_a_test_that_cannot_be_is_refused_before_the_training(refuse, dataset):
    train = ("train", dataset, "--model", "small_cnn", "--epochs", 1)
    assert "extra: zero" in refuse(*train, "--real", "digits", "--strict")
    assert "Unknown real set 'cifar11'" in refuse(*train, "--real", "cifar11")
    assert "HF_HUB_OFFLINE" in refuse(*train, "--real", "cifar10", code=1)


def test_a_folder_that_holds_another_training_is_left_alone(refuse, run, dataset):
    run("train", dataset, "--model", "small_cnn", "--epochs", 1)
    assert "epochs: 1 there, 2 here" in refuse("train", dataset, "--model", "small_cnn", "--epochs", 2)


def test_models_and_real_sets_that_cannot_be_evaluated(refuse, model, real, dataset):
    Path("pickle.pt").write_bytes(b"\x80\x04.")
    assert "is a pickle" in refuse("eval", "pickle.pt", "--real", real, code=1)
    assert "Expected a classifier in 'nowhere'" in refuse("eval", "nowhere", "--real", real, code=1)
    assert "Expected a classifier" in refuse("eval", dataset, "--real", real, code=1)
    out = ("--output-dir", "e")
    assert "Unknown real set" in refuse("eval", model, "--real", "nothing", *out)
    assert "found nothing" in refuse("eval", model, "--real", "./nothing", *out, code=1)
    assert "extra: zero" in refuse("eval", model, "--real", "digits", "--strict", *out)
    assert "HF_HUB_OFFLINE" in refuse("eval", model, "--real", "cifar10", *out, code=1)


def test_an_unreadable_real_image_is_named(refuse, model, real):
    for name in ("one", "two"):
        (Path("real") / name).mkdir(parents=True)
        (Path("real") / name / "0.png").write_bytes((real / name / "0.png").read_bytes())
    Path("real/two/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert "two/broken.png" in refuse("eval", model, "--real", "real", "--output-dir", "e", "--strict", code=1)


def test_a_damaged_dataset_is_one_line(refuse, dataset):
    Path("d/data").mkdir(parents=True)
    for path in dataset.rglob("*"):
        if path.is_file():
            (Path("d") / path.relative_to(dataset)).write_bytes(path.read_bytes())
    Path("d/data/train-00000.parquet").write_bytes(b"PAR1")
    refuse("train", "d", "--model", "small_cnn", code=1)
    refuse("export", "d", "--output-dir", "e", code=1)
    Path("d/manifest.json").write_text("{")
    refuse("train", "d", "--model", "small_cnn", code=1)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_folder_that_cannot_be_written(refuse, tiny):
    Path("locked").mkdir(mode=0o500)
    assert "Permission denied" in refuse("create", *CLASSES, "--generator", tiny, "--outdir", "locked/d", code=1)


def test_an_output_folder_below_a_file(refuse, tiny):
    write("file", "precious")
    line = ("create", *CLASSES, "--generator", tiny, "--steps", 2, "--outdir", "file/d")
    assert "Not a directory: 'file" in refuse(*line, code=1)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "error: Interrupted. Run the same command again to finish.\n"),
        (
            OSError(28, "No space left on device"),
            1,
            "error: No space left on device. Make room, and run the same command again.\n",
        ),
        (OSError("odd\nnews"), 1, "error: odd news.\n"),
    ],
)
def test_interruptions_and_failures_of_the_system(run, monkeypatch, error, code, message):
    def create(*args, **options):
        raise error

    monkeypatch.setattr(sys.modules["synthset.create.stage"], "create", create)
    assert run("create", *CLASSES) == (code, "", message)


def test_a_dataset_keeps_its_own_seed_strategy_and_format(create):
    create("--seed", 7, "--strategy", "base@2", "--image-format", "webp", "--outdir", "d")
    (row,) = pq.read_table("d/data/train-00000.parquet").slice(0, 1).to_pylist()
    assert (row["strategy"], row["guidance_scale"]) == ("base@2", 2.0)
    assert row["image"]["bytes"][:4] == b"RIFF"
