"""The guide's commands and examples run as they stand, page after page in one folder; the others are read.

So do the examples of `--help` and the README's, in a folder of their own, and what they train works. Variables make
them small, 20 images of a class in 6 steps. There are stand-ins for what lies on the hub: Stable Diffusion is one of
random weights, CIFAR-10 an image folder, VOC's devkit a toy one; what learns from those learns nothing. `demo` has
tests of its own.
"""

import json
import re
import shlex
import subprocess
from pathlib import Path

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants
from starlette.testclient import TestClient
from tools.toy_devkit import write_toy_devkit

import synthset
from publishing.fake_hub import TOKEN, serving
from small_datasets import make
from synthset.classifiers.scoring import chance_of
from synthset.cli import main
from synthset.cli.app import build_app
from synthset.cli.commands import NAMES, load_command
from synthset.cli.compat import SCRIPT_NAMES
from synthset.core import progress
from synthset.real import class_names_of, load_real

DOCS = Path(__file__).parent.parent.parent / "docs"
README = DOCS.parent / "README.md"
GUIDE = re.findall(r"^([a-z-]+)$", (DOCS / "guide" / "index.md").read_text().partition("{toctree}")[2], re.MULTILINE)
PAGES = [f"guide/{name}" for name in GUIDE] + ["python"]
BLOCK = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RECORDED = {"guide/curator"}  # pages whose `text` blocks are what their commands print
SMALLER = {  # by variables, which stand above a config file
    "guide/engineer": {"TRAIN_EPOCHS": "20"},
    "guide/researcher": {
        "CREATE_IMAGES_PER_CLASS": "4",
        "COMPARE_SEEDS": "2",
        "COMPARE_EPOCHS": "2",
        "TUNE_EPOCHS": "1",
        "REPRODUCE_SEEDS": "1",
    },
}
COMMON = {"--config", "--json", "--quiet", "--verbose", "--help", "--version"}


def blocks(page, *kinds):
    """The fenced blocks of a page that are marked as one of the kinds."""
    return [(kind, text) for kind, text in BLOCK.findall((DOCS / f"{page}.md").read_text()) if kind in kinds]


def lines_of(text):
    """Commands of a block, each with the exit code that it promises."""
    for line in text.replace("\\\n", " ").splitlines():
        command, _, code = line.partition("  # exit ")
        if command.strip() and not command.startswith("#"):
            yield command, int(code or 0)


def needs_more(text):
    return text.startswith("# needs ")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("reader")


@pytest.fixture
def reader(folder, monkeypatch):
    """A reader with a terminal in the folder."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SYNTHSET_CACHE", str(folder / "cache"))
    monkeypatch.setattr(progress, "_enabled", False)
    monkeypatch.setattr("uvicorn.Server.run", end_at_once)
    monkeypatch.setattr("webbrowser.open", lambda address: None)


def end_at_once(server, sockets):
    """As somebody does who presses Ctrl-C."""
    raise KeyboardInterrupt


def reject_two(server, sockets):
    """As the curator does, who rejects images 0 and 3 on the page before that."""
    host = f"127.0.0.1:{sockets[0].getsockname()[1]}"
    guard = server.config.app
    headers = {"X-Synthset-Token": guard._token, "Origin": f"http://{host}"}
    page = TestClient(guard, base_url=f"http://{host}", headers=headers)
    data = page.get("/api/contents").content
    contents = json.loads(data[4 : 4 + int.from_bytes(data[:4], "little")])["id"]
    sent = {"contents": contents, "version": 0, "changes": [{"rows": [0, 3], "hand": -1}]}
    assert page.post("/api/decide", json=sent).status_code == 200
    raise KeyboardInterrupt


# webdataset leaves its tars to be closed by whoever collects them
@pytest.mark.filterwarnings("ignore:.*curated-tars:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_as_it_stands(page, reader, monkeypatch, capfd):
    if page in RECORDED:
        monkeypatch.setattr("uvicorn.Server.run", reject_two)
    for name, value in SMALLER.get(page, {}).items():
        monkeypatch.setenv(f"SYNTHSET_{name}", value)
    for kind, text in blocks(page, "sh", "python", "yaml", "text"):
        if needs_more(text):
            continue
        if kind == "text":
            assert page not in RECORDED or untimed("".join(capfd.readouterr())) >= untimed(text)
        elif kind == "yaml":
            name, _, content = text.partition("\n")
            Path(name.removeprefix("# ")).write_text(content)
        elif kind == "python":
            exec(compile(text, page, "exec"), {"__name__": "__main__"})
        else:
            for command, code in lines_of(text):
                assert run(command, monkeypatch) == code, command


def untimed(text):
    """The lines of what was printed, each in one spacing, but for how long it took."""
    return {" ".join(re.sub(r"; \d+ s, .*", "", line).split()) for line in text.splitlines()} - {"", "…"}


def run(command, monkeypatch):
    """The exit code of a line; what is ours runs in this process, which has torch loaded."""
    words = shlex.split(command)
    settings = [word for word in words if re.match(r"SYNTHSET_[A-Z_]+=", word)]
    if words[len(settings)] != "synthset":
        return subprocess.run(["bash", "-ec", command], check=False).returncode
    with monkeypatch.context() as patch:
        for setting in settings:
            patch.setenv(*setting.split("=", 1))
        return main(unpiped(words)[len(settings) + 1 :])


def unpiped(words):
    """Without the file that a shell would write stdout into."""
    return words[: words.index(">")] if ">" in words else words


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of the hub's own library
def test_what_the_curator_made_is_as_the_page_says_and_reaches_a_hub(reader, monkeypatch):
    if not Path("curated-parts").is_dir():
        pytest.skip("the pages have not run")
    curated = synthset.open_dataset("curated-digits")
    hashes, kept = curated.rows.column("sha256").to_pylist(), curated.kept()
    ids = curated.rows.column("request_id").to_pylist()
    rejected = {name for name, one in zip(hashes, kept, strict=True) if not one}
    assert sorted(number for number, one in zip(ids, kept, strict=True) if not one) == [0, 3]
    exported = [json.loads(line) for line in Path("curated-folder/metadata.jsonl").read_text().splitlines()]
    assert {row["sha256"] for row in exported} == set(hashes) - rejected
    assert {row["label"] for row in exported if row["id"] == 12} == {"seven"}
    parts = [synthset.open_dataset(f"curated-parts/{name}") for name in ("train", "validation", "test")]
    assert sorted(name for part in parts for name in part.rows.column("sha256").to_pylist()) == sorted(hashes)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with serving() as hub:
        result = synthset.push("curated-digits", "ada/curated-digits", endpoint=hub.endpoint)
    huggingface_hub.close_session()
    repo = hub.repos["dataset", "ada/curated-digits"]
    assert repo.private
    assert {*result.files} <= {*repo.files}
    pushed = pq.read_table(pa.BufferReader(repo.files["data/train-00000.parquet"]))
    assert {*pushed.column("sha256").to_pylist()} == set(hashes) - rejected


def test_the_folder_is_as_the_pages_say(reader):
    if not Path("curve").is_dir():
        pytest.skip("the pages have not run")
    for file in ("digits-synthetic/preview.png", "digits-model/evaluation/digits.json", "digits-diagnosis/report.html"):
        assert Path(file).is_file()
    assert {"curve.json", "curve.csv", "curve.png"} <= {path.name for path in Path("curve").iterdir()}
    assert Path("digits-files/three").is_dir()
    assert learned("digits-model")
    assert json.loads(Path("digits-model/evaluation/digits.json").read_text())["accuracy"] > 0.5  # the page says 74.6 %


def learned(model):
    """Whether the model is beyond chance on its held-back images."""
    note = json.loads(Path(model, "training.json").read_text())
    correct = round(note["chosen"]["held_back_accuracy"] * note["num_held_back"])
    return chance_of(correct, note["num_held_back"], note["chance"]) * len(note["history"]) < 0.05


@pytest.fixture(scope="module")
def newcomers_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("newcomer")


@pytest.fixture
def newcomer(newcomers_folder, reader, monkeypatch):
    """Somebody with a terminal who tries what `--help` and the README show, in one folder."""
    monkeypatch.chdir(newcomers_folder)


SMALL = {"CREATE_IMAGES_PER_CLASS": "20", "CREATE_STEPS": "6", "TUNE_EPOCHS": "3"}
SMALL |= {"REPRODUCE_SEEDS": "1"}
SMALL |= {"PRETRAIN_EPOCHS": "1", "PRETRAIN_BATCH_SIZE": "16"}
SMALL |= {"DETECT_ITERATIONS": "2", "DETECT_BATCH_SIZE": "2", "DETECT_TRAIN_SIDES": "64", "DETECT_TEST_SIDE": "64"}
SMALL |= {"DETECT_LONGEST_SIDE": "64"}
SMALL |= {"COMPARE_SEEDS": "1", "COMPARE_EPOCHS": "20", "COMPARE_BATCH_SIZE": "16", "COMPARE_LEARNING_RATE": "2e-3"}


def examples_of_help():
    """The examples of all commands but the demo's, in the order in which one needs another."""
    for name in NAMES:
        lines = (load_command(name).function.__doc__ or "").partition("Example: ")[2]
        commands = [" ".join(words.split()) for words in re.findall(r"`(synthset [^`]+)`", lines)]
        assert commands, name
        if name != "demo":
            yield from commands


def with_stand_ins(command, checkpoint):
    """A line as it stands, but for what lies on the hub."""
    if "cifar10" not in command:
        return command
    sizes = "SYNTHSET_CREATE_IMAGES_PER_CLASS=2 SYNTHSET_CREATE_STEPS=1 SYNTHSET_TRAIN_EPOCHS=1"
    if "--config recipe:" in command:  # which names the checkpoint, its size, and the photographs
        sizes += f" SYNTHSET_CREATE_GENERATOR={checkpoint} SYNTHSET_CREATE_HEIGHT=32 SYNTHSET_CREATE_WIDTH=32"
        sizes += " SYNTHSET_TRAIN_REAL=photos"
    line = command.replace("CompVis/stable-diffusion-v1-4", str(checkpoint)).replace("--real cifar10", "--real photos")
    return f"{sizes} {line}"


def run_all(commands, checkpoint, monkeypatch, caplog):
    """Run lines in order, in a folder with photographs; what they train on images that are no stand-ins works."""
    digits = load_real("digits")
    for index, class_name in enumerate(class_names_of("cifar10")):
        Path("photos", class_name).mkdir(parents=True)
        Path("photos", class_name, "0.png").write_bytes(digits.read(index))
    write_toy_devkit(Path("VOCdevkit"), num_train=40, num_test=2)
    for name in ("digits-a", "digits-b"):
        make(Path(name))
    Path("corrections.csv").write_text("id,class_name\n0,one\n")
    for command in commands:
        assert run(with_stand_ins(command, checkpoint), monkeypatch) == 0, command
    assert learned("digits-model")
    doubts = [record for record in caplog.records if "cannot be told from one that guesses" in record.getMessage()]
    assert len(doubts) <= 4  # on the stand-in, and of three quick trainings of a reproduction


def accuracy_of(model):
    return json.loads(Path(model, "evaluation", "digits.json").read_text())["accuracy"]


def test_examples_of_help_run_in_one_folder_and_what_they_train_works(newcomer, tiny, monkeypatch, caplog):
    for name, value in SMALL.items():
        monkeypatch.setenv(f"SYNTHSET_{name}", value)
    commands = list(examples_of_help())
    run_all(commands, tiny, monkeypatch, caplog)
    assert {line.split()[1] for line in commands} == {*NAMES} - {"demo"}
    assert accuracy_of("digits-model") > 0.75  # of one and two


def test_the_readme_runs_in_one_folder_and_what_it_trains_works(reader, tmp_path, tiny, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    for name, value in {"CREATE_IMAGES_PER_CLASS": "8", "CREATE_STEPS": "6"}.items():
        monkeypatch.setenv(f"SYNTHSET_{name}", value)
    commands = [line for line in commands_of_the_readme() if line.split()[1] != "demo"]
    run_all(commands, tiny, monkeypatch, caplog)
    assert {line.split()[1] for line in commands} == {"create", "train", "eval", "predict", "export"}
    assert accuracy_of("digits-model") > 0.6


def test_the_readmes_python_trains_a_model_that_works(newcomer, capsys):
    (code,) = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    small = code.replace('strategies=["all_combined"]', 'strategies=["all_combined"], images_per_class=20, steps=6')
    assert small != code
    exec(compile(small, "README.md", "exec"), {"__name__": "__main__"})
    assert learned("model")
    assert float(capsys.readouterr().out.splitlines()[-1]) > 0.75


@pytest.mark.parametrize("page", ["index", "papers", "scale", "security", *PAGES])
def test_what_is_not_run_is_a_command_all_the_same(page):
    for _, text in blocks(page, "sh", ""):
        for command, _ in lines_of(text):
            words = shlex.split(command)
            if words[0] == "synthset" and words[1] in NAMES and "…" not in words:
                read(unpiped(words)[1:])


def commands_of_the_readme():
    return [line.split("  #")[0] for line in re.findall(r"^    (synthset .+)$", README.read_text(), re.MULTILINE)]


def read(words):
    """Raises where a flag is not there, or its value is of another type."""
    while "--config" in words:
        del words[words.index("--config") : words.index("--config") + 2]
    words = [word for word in words if word not in COMMON]
    build_app([words[0]], with_help=False).parse_args(words, exit_on_error=False, print_error=False)


def test_a_flag_that_is_not_there_is_found():
    with pytest.raises(Exception, match="strateggy"):
        read(["create", "--classes", "one", "--strateggy", "base"])


@pytest.mark.parametrize("page", ["index", "papers", *PAGES])
def test_every_flag_that_is_named_is_one(page):
    known = set(COMMON)
    for name in NAMES:
        for item in load_command(name).arguments:
            known |= {f"--{flag}" for flag in (item.flag, *SCRIPT_NAMES.get(name, {}).get(item.flag, ()))}
            known |= {f"--{item.option.option.negative}"} if item.option.option.negative else set()
    for span in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", (DOCS / f"{page}.md").read_text()):
        for flag in re.findall(r"--[A-Za-z][\w-]*", "" if "benchmarks/" in span else span):
            assert flag.replace("_", "-") in known, span
