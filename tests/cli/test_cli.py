import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from one_two import CLASSES, manifest

from synthset.core.errors import FailureThresholdError

pytestmark = pytest.mark.usefixtures("own_folder")

COMMANDS = ("demo", "create", "filter", "train", "tune", "eval", "diagnose", "report", "export")


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
    assert "Unknown format" in refuse("export", dataset, "--format", "zip", "--output-dir", "e")


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
