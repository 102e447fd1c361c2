import json
import shutil
import sys

import pyarrow.parquet as pq
import pytest

import synthset
from parity_encoder import ParityEncoder
from synthset.create.stage import create
from synthset.dataset.reader import open_dataset
from synthset.dataset.verdicts import verdicts_path
from synthset.testing import FakeGenerator

CLASSES = ("one", "two")


@pytest.fixture(autouse=True)
def _fakes(tmp_path, monkeypatch):
    """The commands with a fake encoder and generator, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNTHSET_CACHE", str(tmp_path / "cache"))
    # of images that a fake drew, an encoder must be named: see test_suited_encoder.py
    monkeypatch.setattr("synthset.filters.run.suited_encoder", lambda named, *_: named or "miniature")
    monkeypatch.setattr(
        "synthset.encoders.clip.load_encoder", lambda name="miniature", **_: ParityEncoder(CLASSES, name=name)
    )
    monkeypatch.setattr(sys.modules["synthset.create.stage"], "load", lambda config: FakeGenerator(size_px=16))


@pytest.fixture
def digits(tmp_path):
    create(CLASSES, "digits", generator=FakeGenerator(), images_per_class=20)
    return "digits"


def test_filter_writes_verdicts_and_prints_a_table(run, digits):
    code, out, _ = run("filter", digits, "--method", "clip", "duplicates")
    assert code == 0
    keep = open_dataset(digits).verdicts()["clip"].keep
    lines = out.splitlines()
    assert lines[0].split() == ["class", "images", "kept", "rejected", "by", "clip", "by", "duplicates"]
    total = next(line.split() for line in lines if line.startswith("all"))
    assert total[1:] == ["40", str(keep.sum()), str((~keep).sum()), str((~keep).sum()), "0"]
    assert any(line.split() == ["clip", str((~keep).sum()), "rejected"] for line in lines)
    assert any(line.startswith("duplicates") and "none found" in line for line in lines)


def test_clip_is_the_default_and_none_takes_it_away(run, digits):
    assert run("filter", digits)[0] == 0
    assert verdicts_path(open_dataset(digits).folder, "clip").exists()
    code, out, _ = run("filter", digits, "--method", "none")
    assert (code, out) == (0, "Took away the verdicts of clip.\n")
    assert run("filter", digits, "--method", "none")[1] == "'digits' has no verdicts.\n"
    assert len(open_dataset(digits).images()) == 40


def test_flags_reach_the_filters(run, digits):
    line = ("filter", digits, "--method", "clip", "--template", "a {}", "one {}", "--threshold", "0.25")
    assert run(*line, "--encoder", "RN50")[0] == 0
    config = open_dataset(digits).verdicts()["clip"].config
    assert (config["templates"], config["threshold"], config["encoder"]["name"]) == (["a {}", "one {}"], 0.25, "RN50")
    assert run("filter", digits, "--keep_share", "0.5")[0] == 0
    assert open_dataset(digits).kept().sum() == 20
    shutil.copytree(digits, "copy")
    line = ("filter", digits, "--method", "duplicates", "--real", "./copy", "--hash-distance", "2")
    code, out, _ = run(*line, "--similarity", "0.9", "--cache", "elsewhere")
    assert code == 0
    assert "40 rejected" in out  # all are copies of themselves
    config = open_dataset(digits).verdicts()["duplicates"].config
    assert (config["hash_distance"], config["similarity"], config["real"]["images"]) == (2, 0.9, 40)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--method", "clap"), "Did you mean 'clip'?"),
        (("--method", "none", "clip"), "alone"),
        (("--method", "real"), "--real"),
        (("--threshold", "2"), "--threshold of at least 0 and below 1, got 2"),
        (("--real", "digits"), "the filter real or duplicates with --real, got clip"),
    ],
)
def test_usage_errors_are_one_line_and_exit_2(run, digits, words, message):
    code, out, err = run("filter", digits, *words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert not (open_dataset(digits).folder / "filters").exists()


def test_what_is_no_dataset_exits_1(run):
    code, _, err = run("filter", "nowhere")
    assert code == 1
    assert "Run 'synthset create' first." in err


def test_a_class_left_with_nothing_is_loud_but_done(run, digits, monkeypatch, caplog):
    encoder = ParityEncoder(CLASSES)
    encoder.guess = lambda image: 0
    monkeypatch.setattr("synthset.encoders.clip.load_encoder", lambda name="miniature", **_: encoder)
    assert run("filter", digits)[0] == 0
    assert "No image is left of: two." in caplog.text


def test_train_and_export_take_all_images_when_asked(run, digits, caplog):
    run("filter", digits)
    kept = int(open_dataset(digits).kept().sum())
    assert run("export", digits, "--output-dir", "kept")[0] == 0
    assert (
        f"{40 - kept} of 40 images are left out: {40 - kept} by filters (clip). Give all_images=True for all."
        in caplog.text
    )
    assert run("export", digits, "--output-dir", "all", "--all-images")[0] == 0
    assert [len(list(open_dataset(digits).folder.parent.glob(f"{name}/*/*.png"))) for name in ("kept", "all")] == [
        kept,
        40,
    ]
    line = ("train", digits, "--model", "small_cnn", "--epochs", "1", "--batch-size", "8", "--image-size", "8")
    _, filtered, _ = run(*line, "--output-dir", "filtered-model")
    _, everything, _ = run(*line, "--output-dir", "all-model", "--all-images")
    counts = [
        sum(int(word) for word in text.split() if word.isdigit())
        for text in (filtered.splitlines()[0], everything.splitlines()[0])
    ]
    assert counts[0] < counts[1]


CREATE = ("create", "--classes", *CLASSES, "--images-per-class", "5", "--output-dir", "pets")


def test_create_refills(run):
    code, out, _ = run(*CREATE, "--refill", "clip")
    assert code == 0
    assert "10 of " in out
    assert "are kept by the filter 'clip', after " in out
    assert len(open_dataset("pets").images()) == 10
    code, out, _ = run(*CREATE, "--refill", "clip", "--encoder", "miniature")
    assert code == 0
    assert "all of it was there already" in out


def test_create_ends_with_3_where_a_class_stays_short(run, monkeypatch):
    encoder = ParityEncoder(CLASSES)
    encoder.guess = lambda image: 0
    monkeypatch.setattr("synthset.encoders.clip.load_encoder", lambda name="miniature", **_: encoder)
    code, _, err = run(*CREATE, "--refill", "clip", "--max-draws", "7")
    assert code == 3
    assert "two (base): 0 of 5 in 7 draws" in err
    assert "synthset diagnose" in err
    assert json.loads((open_dataset("pets").folder / "manifest.json").read_text())["refill"]["short"][0]["kept"] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--encoder", "RN50"), "Expected --refill with --encoder"),
        (("--threshold", "0.2", "--filter-template", "a {}"), "with --filter-template and --threshold"),
        (("--max-draws", "9"), "--refill"),
        (("--refill", "clip", "--max-draws", "2"), "at least --images-per-class"),
        (("--refill", "clap"), "Did you mean 'clip'?"),
        (("--refill", "real"), "--real"),
    ],
)
def test_flags_of_refilling_are_checked_first(run, words, message):
    code, out, err = run(*CREATE, *words)
    assert (code, out) == (2, "")
    assert message in err
    with pytest.raises(synthset.SynthsetError):
        open_dataset("pets")


def test_a_filter_reads_its_flags_from_a_file(run, digits, tmp_path):
    (tmp_path / "filter.yaml").write_text("method: [clip]\nthreshold: 0.25\n")
    assert run("filter", digits, "--config", "filter.yaml")[0] == 0
    table = pq.read_table(verdicts_path(open_dataset(digits).folder, "clip"))
    assert json.loads(table.schema.metadata[b"synthset"])["config"]["threshold"] == 0.25
