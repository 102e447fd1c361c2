"""Command lines as people get them wrong: one line that names what they wrote, exit code 2, and nothing done."""

import logging
import shutil

import pytest
from PIL import Image

from small_datasets import make

pytestmark = pytest.mark.usefixtures("own_folder")

ONE_TWO = "create --classes one two"


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wrong") / "D"
    make(folder)
    return folder


@pytest.fixture
def here(own_folder, drawn):
    """A dataset D, the same as E, and an image folder F, in the current folder."""
    for name in ("D", "E"):
        shutil.copytree(drawn, own_folder / name)
    for name in ("cat", "sea_lake"):
        (own_folder / "F" / name).mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (8, 8), (i, 99, 0)).save(own_folder / "F" / name / f"{i}.png")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        # flags that are none
        ("create --class one two", "Unknown flag '--class'. Did you mean --classes?"),
        (f"{ONE_TWO} --zq 3", "Unknown flag '--zq'. See 'synthset create --help'."),
        ("train d --lr 3", "Unknown flag '--lr'. Did you mean --learning-rate?"),
        ("diagnose d --tsne 3", "Unknown flag '--tsne'. Did you mean --tsne-images?"),
        ("diagnose d --by-stategy", "Unknown flag '--by-stategy'. Did you mean --by-strategy?"),
        ("report d --output-dir x", "Unknown flag '--output-dir'"),
        ("creat --classes one", "Unknown command 'creat'. Did you mean 'create'?"),
        # values that are missing
        (f"{ONE_TWO} --output-dir --dry-run", "Expected a value after --output-dir, got none."),
        (f"{ONE_TWO} --cads-times 0.9", "Expected 2 values after --cads-times, got 0.9."),
        ("export d", "Expected --output-dir, got none."),
        ("filter", "Expected DATA, got none."),
        ("create one two", "Expected a flag before 'one', got none."),
        # numbers that would become others
        (f"{ONE_TWO} --seed 1.5", "Expected --seed as an integer, got '1.5'."),
        ("train d --epochs 3.5", "Expected --epochs as an integer or nothing, got '3.5'."),
        ("train d --image-size 32x32", "Expected --image-size as an integer, got '32x32'."),
        ("tune d --real digits --shots 1 2.5", "Expected --shots as integers, got '2.5'."),
        # several joined by commas
        (f"{ONE_TWO} --strategy base,multi_domain", "'base,multi_domain'. Names are not joined by commas"),
        ("filter D --method clip,duplicates", "Unknown filter 'clip,duplicates'. Names are not joined by commas"),
        ("tune d --real digits --shots 1,2", "--shots as an integer, got '1,2'. Spaces stand between several"),
        (f"{ONE_TWO} --guidance-scale 1,2", "Expected --guidance-scale as 7.5 or 1:5, got '1,2'."),
        ("create --classes one,two", "Expected spaces between class names"),
        # other spellings
        (f"{ONE_TWO} --scheduler DDIMs", "Did you mean 'ddim'?"),
        (f"{ONE_TWO} --image-format JPG", "Did you mean 'jpeg'?"),
        # what nothing reads
        (f"{ONE_TWO} --price-per-hour 3", "Expected --dry-run with --price-per-hour."),
        (f"{ONE_TWO} --workers 3", "Expected --executor ray with --workers 3, got --executor local."),
        (f"{ONE_TWO} --address auto", "Expected --executor ray with --address auto, got --executor local."),
        (
            f"{ONE_TWO} --refill duplicates --threshold 0.3",
            "Expected the filter clip with --threshold, got duplicates.",
        ),
        (f"{ONE_TWO} --split train", "Expected --initial-images with --split."),
        (f"{ONE_TWO} --refill clip --real-label-column x", "Expected --real with --real-label-column."),
        (f"{ONE_TWO} --initial-images mnist --split test", "Expected the training split of 'mnist' to draw from"),
        (f"{ONE_TWO} --initial-images digits --split test", "Expected the training split of 'digits' to draw from"),
        (f"{ONE_TWO} --revision main", "Expected a hub id with --revision main, got 'miniature'"),
        (f"{ONE_TWO} --no-antialias", "Expected --resize with --no-antialias"),
        (f"{ONE_TWO} --image-format png --quality 9", "Expected --image-format jpeg or webp with --quality, got png"),
        ("filter D --method none --threshold 0.2", "Expected a filter with --threshold, got --method none"),
        ("filter D --workers 2", "Expected --executor ray with --workers 2"),
        ("filter D --method real --real ./D", "got --real D, the same folder."),
        ("filter D --split train", "Expected --real with --split."),
        ("filter D --method real --encoder miniature --real E --split test", "'E' holds splits (train)"),
        ("train D --real-split test", "Expected --real with --real-split."),
        ("train D --split test", "Expected no --split of 'D', a Synthset dataset"),
        ("diagnose D --label-column x", "Expected no --label-column of 'D', a Synthset dataset"),
        ("diagnose D --real F --real-split test", "Expected no split of 'F', which has none, got 'test'."),
        ("diagnose F --by-strategy", "Expected a Synthset dataset with --by-strategy, got F"),
        ("export D --split test --output-dir x", "Expected no --split of 'D'"),
        ("eval m --real digits --dataset cifar10", "got two known sets, 'digits' and 'cifar10'."),
        ("eval clip:miniature --real digits --allow-training-images", "Expected a trained model with"),
        ("tune D --temperature 3", "Expected --loss sce with --temperature 3.0"),
        ("tune D --encoder-learning-rate 3", "Expected --encoder-share with --encoder-learning-rate 3.0"),
        ("tune D --real-batch-size 3", "Expected --real and --shots with --real-batch-size 3"),
        ("tune --real digits --shots 1 --batch-size 3", "Expected a dataset with --batch-size 3"),
        ("tune --real digits --shots 1 --all-images", "Expected a dataset with --all-images"),
        ("tune --real digits --shots 1 --split x", "Expected DATA with --split."),
    ],
)
@pytest.mark.usefixtures("here")
def test_a_wrong_line_is_one_line_of_help(refuse, line, named):
    assert named in refuse(*line.split())


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("SYNTHSET_CREATE_STEP", "3", "SYNTHSET_CREATE_STEP. Did you mean SYNTHSET_CREATE_STEPS?"),
        ("SYNTHSET_CREAT_STEPS", "3", "SYNTHSET_CREAT_STEPS. Did you mean SYNTHSET_CREATE_STEPS?"),
        ("SYNTHSET_STEPS", "3", "SYNTHSET_STEPS. Did you mean SYNTHSET_CREATE_STEPS?"),
        ("SYNTHSET_CREATE_FOO", "3", "SYNTHSET_CREATE_FOO. See 'synthset create --help'."),
        ("SYNTHSET_CREATE_SEED", "1.5", "Expected SYNTHSET_CREATE_SEED as an integer, got '1.5'."),
        ("SYNTHSET_CREATE_STRATEGY", "base,multi_domain", "Names are not joined by commas"),
    ],
)
def test_a_wrong_variable_is_named(refuse, monkeypatch, variable, value, named):
    monkeypatch.setenv(variable, value)
    assert named in refuse(*ONE_TWO.split())


def test_a_variable_that_no_command_reads_is_told(run, monkeypatch, caplog):
    monkeypatch.setenv("SYNTHSET_HOME", "x")
    assert run(*ONE_TWO.split(), "--steps", "many")[0] == 2
    assert caplog.messages == ["No command reads the variable SYNTHSET_HOME: theirs begin with their names."]


def test_a_whole_number_may_have_a_point(run):
    code, _, err = run(*ONE_TWO.split(), "--images-per-class", "30.0", "--steps", "many")
    assert code == 2
    assert "--steps" in err


@pytest.mark.usefixtures("here")
def test_real_images_of_a_filter_are_opened_as_those_of_other_commands_are(run):
    line = ("filter", "D", "--method", "duplicates", "--encoder", "miniature")
    code, out, err = run(*line, "--real", "E", "--split", "train")
    assert code == 0, err
    assert "duplicates" in out


def test_a_hub_out_of_reach_is_one_line_however_often_it_was_tried(refuse, monkeypatch):
    def load(*_, **__):
        logging.getLogger("huggingface_hub.utils._http").warning("Retrying in 1s [Retry 1/5].")
        raise ConnectionError("out of reach")

    monkeypatch.setattr("datasets.load_dataset", load)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as in a process of its own
    assert "Expected 'cifar10'" in refuse("create", *ONE_TWO.split()[1:], "--initial-images", "cifar10", code=1)
