"""Files that an earlier version wrote are read, recognised and finished by this one; see golden/README.md.

Only the command line and the public names are used here, so that the tests outlive any change of what is behind them.
"""

import hashlib
import json
import logging
import shutil
import tarfile
from collections import Counter
from io import BytesIO
from pathlib import Path
from shlex import split

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from safetensors import safe_open

import golden.golden_net  # noqa: F401 - registers the network of the trainings
import synthset

GOLDEN = Path(__file__).parent / "golden"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())
ON_CPU = ("--device", "cpu", "--dtype", "float32")
CREATE = {
    "refilled": split(
        "--classes three eight --strategy base random_guidance --images-per-class 2 --steps 3 --resize 32 "
        "--shard-size 4 --refill clip --threshold 0.95 --max-draws 10"
    ),
    "guided": split(
        "--dataset digits --resize 8 --strategy base@1:5 class_prompt@2.5 --images-per-class 2 --steps 4:8 "
        "--initial-images digits --shots 1 --negative-prompt 'a blurry image' 'an image of a letter' "
        "--phrases phrases.yaml --shard-size 20"
    ),
    "worded": split(
        "--classes three eight --strategy language_enhancement@2:4 prompt_augmentation interpolate_three "
        "--images-per-class 1 --steps 4 --resize 8 --initial-images real --shots 3 --shots-seed 1 --strength 0.6 "
        "--sentences 2 --guidance-interval 0.2 0.8 --cache-interval 2 --scheduler euler --seed 7"
    ),
}
TRAIN = split("--model golden_net --epochs 12 --batch-size 9 --learning-rate 0.02 --weight-decay 0.01 --device cpu")
PAPER = ("--recipe", "shipard2023")  # which every training was by before there were recipes
TUNE = split("--real digits --shots 1 --strategy real_guidance --device cpu")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    with tarfile.open(GOLDEN / "golden.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(autouse=True)
def _among_copies(unpacked, tmp_path, monkeypatch):
    """Each test among its own copies of the golden folders, with the golden cache as the user's."""
    shutil.copytree(unpacked, tmp_path, dirs_exist_ok=True)
    (tmp_path / "phrases.yaml").write_text("seven: digit seven\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNTHSET_CACHE", "cache")
    logger = logging.getLogger("synthset")
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture
def refuse(run):
    """Run a line that is refused for its difference from the job in `folder`, of which not a byte changes."""

    def refuse_line(folder, *words):
        before = contents(folder)
        code, out, err = run(*words, "--output-dir", folder)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert contents(folder) == before
        return err

    return refuse_line


def changed(words, flag, *values):
    """A command line with other values of a flag."""
    at = words.index(flag) if flag in words else len(words)
    end = next((i for i in range(at + 1, len(words)) if words[i].startswith("--")), len(words))
    return [*words[:at], *words[end:], flag, *values]


def contents(folder):
    return {path: path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def read(*parts):
    return json.loads(Path(*parts).read_text())


def without_times(note):
    later = ("seconds", "libraries", "generator", "checksum")  # the generator's entry came after these
    return {key: value for key, value in note.items() if key not in later}


def pixels(row):
    return np.asarray(Image.open(BytesIO(row["image"]["bytes"])).convert("RGB"), np.int16)


def without_bytes(row):
    return {key: value for key, value in row.items() if key not in ("image", "sha256")} | {"file": row["image"]["path"]}


def close(there, here):
    """Values of a table or a note, equal but for rounding."""
    if isinstance(there, dict):
        return there.keys() == here.keys() and all(close(there[key], here[key]) for key in there)
    if isinstance(there, list):
        return len(there) == len(here) and all(map(close, there, here))
    return here == (pytest.approx(there, rel=1e-3, abs=1e-4) if isinstance(there, float) else there)


# ---- datasets ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "classes", "counts"),
    [
        ("refilled", ("three", "eight"), {"base": 6, "random_guidance": 4}),
        ("guided", DIGITS, {"base@1:5": 20, "class_prompt@2.5": 20}),
        (
            "worded",
            ("three", "eight"),
            {"language_enhancement@2:4": 2, "prompt_augmentation": 2, "interpolate_three": 2},
        ),
    ],
)
def test_datasets_open(name, classes, counts):
    dataset = synthset.open_dataset(name)
    assert dataset.class_names == classes
    assert dataset.strategy_counts() == counts
    assert dataset.accounting.requested == dataset.accounting.ok == sum(counts.values())
    assert dataset.kept().tolist() == EXPECTED["kept"][name]
    assert dataset.rows_hash == EXPECTED["rows_hashes"][name]
    assert dataset.manifest["job"]["plan_hash"] == EXPECTED["plan_hashes"][name]
    side = 32 if name == "refilled" else 8
    for kept, count in ((True, sum(EXPECTED["kept"][name])), (False, sum(counts.values()))):
        images = dataset.images(kept=kept)
        assert len(images) == count
        assert {images.image(i).size for i in range(len(images))} == {(side, side)}


def test_what_each_image_depended_on_is_there():
    guided, worded = synthset.open_dataset("guided"), synthset.open_dataset("worded")
    assert set(guided.rows.column("negative_prompt").to_pylist()) == {"a blurry image", "an image of a letter"}
    assert set(pq.read_table("guided/plan.parquet").column("num_inference_steps").to_pylist()) == {4, 5, 6, 7, 8}
    assert guided.phrases == {"seven": "digit seven"}
    assert "digit seven" in guided.rows.column("prompt").to_pylist()
    assert set(guided.rows.column("initial_image").to_pylist()) == set(guided.initial_images())
    assert set(guided.rows.column("strength").to_pylist()) == {0.5}
    mixed = [row for row in worded.rows.to_pylist() if row["strategy"] == "interpolate_three"]
    assert all(len(row["condition_images"]) == len(row["condition_weights"]) == 3 for row in mixed)
    assert {name for row in mixed for name in row["condition_images"]} <= set(worded.initial_images())


@pytest.mark.parametrize("name", CREATE)
def test_the_same_create_again_does_nothing(run, name):
    before, manifest = contents(name), read(name, "manifest.json")
    code, out, err = run("create", *CREATE[name], *ON_CPU, "--output-dir", name)
    assert (code, err) == (0, "")
    assert "all of it was there already" in out
    after = contents(name)
    assert after.keys() == before.keys()
    assert without_times(read(name, "manifest.json")) == without_times(manifest)
    failures = Path(name, "failures.parquet")
    assert pq.read_table(failures).num_rows == 0
    written = {Path(name, "manifest.json"), failures}  # anew, by every run
    assert [path for path in before if after[path] != before[path] and path not in written] == []


@pytest.mark.parametrize(("name", "shard"), [("refilled", 1), ("refilled", 3), ("guided", 1), ("worded", 0)])
def test_an_interrupted_dataset_is_finished_with_the_same_images(run, name, shard):
    lost = Path(name, "data", f"train-{shard:05d}.parquet")
    there, manifest, before = pq.read_table(lost).to_pylist(), read(name, "manifest.json"), contents(name)
    lost.unlink()
    nothing = dict.fromkeys(manifest["accounting"], 0)
    drawing = {key: value for key, value in manifest.items() if key != "refill"} | {"status": "drawing"}
    Path(name, "manifest.json").write_text(json.dumps(drawing | {"accounting": nothing}))
    with pytest.raises(synthset.SynthsetError, match="not finished"):
        synthset.open_dataset(name)

    code, _, _ = run("create", *CREATE[name], *ON_CPU, "--output-dir", name)
    assert code == 0
    here = pq.read_table(lost).to_pylist()
    assert list(map(without_bytes, here)) == list(map(without_bytes, there))
    assert max(np.abs(pixels(row) - pixels(old)).max() for row, old in zip(here, there, strict=True)) <= 1
    assert without_times(read(name, "manifest.json")) == without_times(manifest)
    after = contents(name)
    # the card is written again; the filter judges again where a pixel was rounded otherwise
    rewritten = {"manifest.json", "failures.parquet", "README.md", lost.name, "clip.parquet"}
    assert [path for path in before if path.name not in rewritten and after[path] != before[path]] == []
    print("byte-identical:", after[lost] == before[lost])


@pytest.mark.parametrize(
    ("name", "option", "said"),
    [
        ("refilled", ("--seed", "65"), "seed: 64 there, 65 here"),
        ("refilled", ("--threshold", "0.9"), "refill.threshold: 0.95 there, 0.9 here"),
        ("refilled", ("--shard-size", "5"), "shard_size: 4 there, 5 here"),
        ("guided", ("--steps", "4:9"), 'steps: "4:8" there, "4:9" here'),
        ("guided", ("--shots-seed", "1"), "initial_images.hash"),
        ("guided", ("--negative-prompt", "a blurry image"), "negative_prompt"),
        ("worded", ("--cache-interval", "3"), "generation.sampling.cache_interval: 2 there, 3 here"),
        ("worded", ("--sentences", "3"), "sentences.count: 2 there, 3 here"),
    ],
)
def test_another_job_is_refused(refuse, name, option, said):
    assert said in refuse(name, "create", *changed(CREATE[name], *option), *ON_CPU)


PLAIN = "--classes three eight --strategy base random_guidance class_prompt --images-per-class 2 --steps 3 --resize 32"


@pytest.mark.parametrize(
    ("name", "words", "copied", "drawn"),
    [
        ("refilled", split(PLAIN), 8, 4),
        ("worded", CREATE["worded"], 4, 2),  # prompt_augmentation has other words since
    ],
)
def test_what_is_the_same_is_copied_from_it(run, name, words, copied, drawn):
    code, out, err = run("create", *words, *ON_CPU, "--output-dir", "larger", "--reuse", name)
    assert (code, err) == (0, "")
    assert f"{copied} of {copied + drawn} images are copied from '{name}'" in out
    files = [synthset.open_dataset(folder).rows.column("sha256").to_pylist() for folder in (name, "larger")]
    assert len(set(files[0]) & set(files[1])) == copied


def test_nothing_is_copied_where_its_rows_do_not_tell_all(run):
    """They lack the number of steps of each, so an image of six steps would pass for one of eight."""
    words = [*changed(CREATE["guided"], "--steps", "8"), *ON_CPU, "--output-dir", "other", "--reuse", "guided"]
    code, out, _ = run("create", *words, "--dry-run")
    assert code == 0
    assert "0 images are copied, 40 are drawn." in out
    assert "whose rows do not say in how many steps each was drawn." in out


def test_verdicts_of_before_count_beside_new_ones(run):
    before = synthset.open_dataset("refilled").verdicts()
    assert before["clip"].config["threshold"] == 0.95
    assert Counter(before["clip"].keep.tolist()) == {True: 8, False: 2}
    assert Counter(before["duplicates"].keep.tolist()) == {True: 9, False: 1}
    code, out, _ = run("filter", "refilled", "--method", "real", "--real", "real", "--device", "cpu")
    assert code == 0
    dataset = synthset.open_dataset("refilled")
    after = dataset.verdicts()
    assert after.keys() == {"clip", "duplicates", "real"}
    assert dataset.kept().tolist() == [
        kept and bool(real) for kept, real in zip(EXPECTED["kept"]["refilled"], after["real"].keep, strict=True)
    ]
    assert ["all", "10", str(dataset.kept().sum())] == next(x.split()[:3] for x in out.splitlines() if "all " in x)

    line = ("--method", "clip", "duplicates", "--threshold", "0.95", "--hash-distance", "16", "--similarity", "0.8")
    assert run("filter", "refilled", *line, "--real", "real", "--device", "cpu")[0] == 0
    for method, again in synthset.open_dataset("refilled").verdicts().items():
        if method in before:
            assert again.config == before[method].config
            assert again.keep.tolist() == before[method].keep.tolist()
            assert again.scores == pytest.approx(before[method].scores, abs=1e-4)


def test_export(run):
    code, out, _ = run("export", "refilled", "--output-dir", "files")
    assert (code, out) == (0, "files\n")
    files = sorted(Path("files").rglob("*.png"))
    # in folders with the names of the classes, which that version numbered; an image's name is its id
    then = [name.partition("_")[2] for name in EXPECTED["export"]]
    assert [path.parent.name for path in files] == sorted(Path(name).parent.name for name in then)
    images = synthset.open_dataset("refilled").images()
    assert {path.read_bytes() for path in files} == {images.read(i) for i in range(len(images))}


@pytest.mark.parametrize("name", CREATE)
def test_datasets_of_hugging_face_opens_them(tmp_path, name):
    from datasets import load_dataset

    opened = load_dataset(str(tmp_path / name), split="train", cache_dir=str(tmp_path / "hugging-face"))
    rows = synthset.open_dataset(name).rows
    assert opened.num_rows == rows.num_rows
    assert opened.features["label"].names == list(synthset.open_dataset(name).class_names)
    assert opened["prompt"][:] == rows.column("prompt").to_pylist()
    assert opened[0]["image"].size == ((32, 32) if name == "refilled" else (8, 8))


# ---- classifiers ------------------------------------------------------------------------------------------


def goes_on_as_begun(caplog, folder):
    """Whether it was said, once, that the folder's training keeps the recipe of its time."""
    (said,) = [record.getMessage() for record in caplog.records if "recipes" in record.getMessage()]
    return said == f"'{folder}' holds a training of before there were recipes, which goes on by recipe=shipard2023."


def test_a_finished_training_is_recognised_and_evaluates_as_before(run, refuse, caplog):
    before, recorded = contents("trained"), read("trained", "evaluation", "digits.json")
    code, out, err = run("train", "guided", *TRAIN, "--output-dir", "trained")
    assert (code, err) == (0, "")
    assert goes_on_as_begun(caplog, "trained")
    assert "chosen: epoch 12 of 12, 50.0%" in out
    code, out, err = run("train", "guided", *TRAIN, *PAPER, "--output-dir", "trained")
    assert (code, err) == (0, "")
    assert goes_on_as_begun(caplog, "trained")  # it was not said again
    assert "chosen: epoch 12 of 12, 50.0%" in out
    assert contents("trained") == before

    other = changed(TRAIN, "--learning-rate", "0.01")
    assert "learning_rate: 0.02 there, 0.01 here" in refuse("trained", "train", "guided", *other, *PAPER)
    assert "images: other images or labels" in refuse("trained", "train", "refilled", *TRAIN, *PAPER, "--all-images")

    assert run("eval", "trained", "--real", "digits", "--output-dir", "evaluation")[0] == 0
    (saved,) = Path("evaluation").glob("*.json")
    here = read(saved)
    assert here.keys() >= recorded.keys()  # a later version may say more
    assert (here["n"], here["class_names"]) == (1797, list(DIGITS))
    assert here["accuracy"] == pytest.approx(recorded["accuracy"], abs=0.005)
    assert synthset.load_classifier("trained").config.class_names == DIGITS


def test_an_interrupted_training_is_finished(run, refuse, caplog):
    with safe_open("interrupted/resume.safetensors", "pt") as file:
        note = json.loads(file.metadata()["training"])
    line = [*TRAIN, "--seed", "1"]
    longer = changed(line, "--epochs", "13")
    assert "epochs: 12 there, 13 here" in refuse("interrupted", "train", "guided", *longer, *PAPER)
    code, out, err = run("train", "guided", *line, "--output-dir", "interrupted")
    assert (code, err) == (0, "")
    assert goes_on_as_begun(caplog, "interrupted")
    done = read("interrupted", "training.json")
    assert done["job"]["fingerprint"] == note["job"]["fingerprint"]
    assert done["job"]["config"].items() >= note["job"]["config"].items()  # a later version may say more
    assert done["history"][: len(note["history"])] == note["history"]
    expected = EXPECTED["resumed"]["interrupted"]
    losses = [epoch["train_loss"] for epoch in done["history"]]
    assert losses == pytest.approx(expected["train_losses"], rel=0.02)
    assert f"of {len(losses)}, " in out
    weights = hashlib.sha256(Path("interrupted", "model.safetensors").read_bytes()).hexdigest()
    print("byte-identical:", weights == expected["weights_sha256"])
    assert {path.name for path in Path("interrupted").iterdir()} == {
        "config.json",
        "metrics.csv",
        "model.safetensors",
        "training.json",
    }


def test_a_small_cnn_has_the_same_weights(run):
    line = ("train", "guided", "--model", "small_cnn", "--epochs", "1", "--batch-size", "9", "--device", "cpu")
    assert run(*line, *PAPER, "--output-dir", "small_cnn")[0] == 0
    with safe_open("small_cnn/model.safetensors", "pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    assert {name: [str(value.dtype), *value.shape] for name, value in weights.items()} == EXPECTED["small_cnn"][
        "weights"
    ]
    (epoch,) = read("small_cnn", "training.json")["history"]
    assert epoch["train_loss"] == pytest.approx(EXPECTED["small_cnn"]["train_loss"], rel=1e-3)


def test_tunings_are_recognised_finished_and_evaluated(run, refuse, unpacked):
    before = {name: content for name, content in contents("tuned").items() if name.name != "digits-confusion.png"}
    code, out, _ = run("tune", "guided", *TUNE, "--epochs", "3", "--output-dir", "tuned")
    assert code == 0
    assert "chosen: epoch 3 of 3" in out
    after = contents("tuned")
    assert [path for path in before if "evaluation" not in path.parts and after[path] != before[path]] == []
    recorded = read(unpacked, "tuned", "evaluation", "digits.json")
    assert read("tuned", "evaluation", "digits.json")["accuracy"] == pytest.approx(recorded["accuracy"], abs=0.005)
    assert "epochs: 3 there, 4 here" in refuse("tuned", "tune", "guided", *TUNE, "--epochs", "4", "--quiet")

    with safe_open("tuned-halfway/resume.safetensors", "pt") as file:
        note = json.loads(file.metadata()["training"])
    assert run("tune", "guided", *TUNE, "--epochs", "50", "--output-dir", "tuned-halfway")[0] == 0
    done = read("tuned-halfway", "training.json")
    assert done["job"]["fingerprint"] == note["job"]["fingerprint"]
    assert done["job"]["config"].items() >= note["job"]["config"].items()
    losses, saved = ([epoch["train_loss"] for epoch in part["history"]] for part in (done, note))
    assert losses[: len(saved)] == saved  # what was not measured is NaN there, and null here
    expected = EXPECTED["resumed"]["tuned-halfway"]
    assert losses == pytest.approx(expected["train_losses"], rel=1e-3)
    assert not Path("tuned-halfway", "resume.safetensors").exists()

    assert run("eval", "tuned-halfway", "--real", "digits", "--output-dir", "evaluation")[0] == 0
    assert read("evaluation", "digits.json")["accuracy"] == pytest.approx(expected["accuracy"], abs=0.005)
    weights = hashlib.sha256(Path("tuned-halfway", "model.safetensors").read_bytes()).hexdigest()
    print("byte-identical:", weights == expected["weights_sha256"])


# ---- diagnosis --------------------------------------------------------------------------------------------


def test_a_report_is_built_from_the_saved_tables(run):
    saved = contents("diagnosis")
    assert run("report", "diagnosis") == (0, "report  diagnosis/report.html\n", "")
    page = Path("diagnosis", "report.html").read_text()
    for text in (
        "three",
        "eight",
        "refilled",
        "an image of a three",
        "17.4",
        "90.3",
        "trained on digits",
        "duplicates",
    ):
        assert text in page
    assert {path: content for path, content in contents("diagnosis").items() if path.name != "report.html"} == saved


def test_a_diagnosis_with_the_cache_embeds_nothing_and_measures_the_same(run):
    """Verdicts of an earlier version did not know chance: of two real images a class they said that all is fine."""
    before = contents("cache")
    line = ("diagnose", "refilled", "--real", "real", "--evaluations", "trained", "tuned", "--tsne-images", "24")
    code, out, _ = run(*line, "--device", "cpu", "--output-dir", "again")
    assert code == 0
    assert contents("cache") == before  # what is embedded would be added
    assert "Of 2 there are too few images to tell." in out
    assert "\n  For example " in out
    there, here = read("diagnosis", "diagnosis.json"), read("again", "diagnosis.json")
    assert {*there.pop("doubts")} <= {*here.pop("doubts")}  # cautions may be added
    here["config"] = {name: here["config"][name] for name in there["config"]}  # options may be added, and notes
    assert close(without_times(there), without_times({name: here[name] for name in there}))
    names = {path.name for path in Path("diagnosis").iterdir()}
    added = {"report.html", "evidence.csv", "evidence.parquet"}
    assert {path.name for path in Path("again").iterdir()} == names - {"phrases.yaml"} | added  # no class calls for one
    copies = [without_times(read(folder, "evaluations", "000.json")) for folder in ("again", "diagnosis")]
    assert copies[0].items() >= copies[1].items()  # a later version may say more
    for name in ("summary", "classes", "matrix", "ambiguity", "filters", "prompts"):
        tables = [pq.read_table(f"{folder}/{name}.parquet") for folder in ("diagnosis", "again")]
        judged = {"verdict", "explanation", "remedy"} if name == "classes" else set()
        kept = [column for column in tables[0].column_names if column not in judged]  # measures may be added
        tables = [table.select(kept) for table in tables]
        assert tables[0].schema.equals(tables[1].schema), name
        assert close(*(table.to_pylist() for table in tables)), name


def test_golden_datasets_are_diagnosed(run):
    line = ("--by-strategy", "--tsne-images", "0", "--device", "cpu")
    code, out, _ = run("diagnose", "guided", *line, "--output-dir", "of-guided")
    assert code == 0
    assert "guided/base@1:5" in out
    assert pq.read_table("of-guided/classes.parquet").num_rows == 20
    # the earlier diagnosis is replaced
    assert run("diagnose", "refilled", "--all-images", *line, "--output-dir", "diagnosis")[0] == 0
    assert len(read("diagnosis", "diagnosis.json")["sets"]) == 2
