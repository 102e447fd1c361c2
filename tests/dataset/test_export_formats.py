"""Each export is opened by the tool that it is for, with the bytes, labels and prompts of the dataset."""

import csv
import gc
import hashlib
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pytest
import webdataset
import yaml
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

from small_datasets import CLASSES, make
from synthset.core.errors import DataError, UsageError
from synthset.dataset.export import FORMATS, ExportConfig, export, export_images
from synthset.dataset.reader import open_dataset
from synthset.dataset.verdicts import SCHEMA, Verdicts, write_verdicts
from synthset.images.decoding import encode
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImagePath, Opening, load_path

SPLITS = {"train": 0.6, "validation": 0.2, "test": 0.2}
HALVES = ExportConfig(train=0.5, validation=0.5)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "pets"
    make(folder)
    return folder


@pytest.fixture(autouse=True)
def quiet_datasets(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def rows_of(folder):
    """What the dataset says of each image, by its id."""
    return {row["request_id"]: row for row in open_dataset(folder).rows.to_pylist()}


def check_row(row, known):
    """A row of an export says what the dataset does."""
    assert row["label"] == known["class_name"]
    for name in ("strategy", "prompt", "guidance_scale", "seed", "sha256"):
        assert row[name] == known[name]


def of_noise(n, kind="png"):
    """n images of noise, half of them of each class, so that none is a near copy of another."""
    pixels = np.random.default_rng(0).integers(0, 256, (n, 16, 16, 3), np.uint8)
    files = [encode(one, kind) for one in pixels]
    return ImageSet("noise", ("cat", "bullet train"), np.arange(n) % 2, files.__getitem__)


def test_datasets_reads_an_image_folder_with_its_prompts_and_splits(made, tmp_path):
    known = rows_of(made)
    folder = export(made, tmp_path / "out", **SPLITS)
    opened = datasets.load_dataset("imagefolder", data_dir=str(folder))
    assert {name: len(part) for name, part in opened.items()} == {"train": 12, "validation": 4, "test": 4}
    seen = [row for part in opened.values() for row in part]
    assert sorted(row["id"] for row in seen) == sorted(known)
    for row in seen:
        check_row(row, known[row["id"]])
    for name in SPLITS:
        split = ImageFolder(folder / name)
        assert split.classes == list(CLASSES)
        for path, label in split.samples:
            number = int(path.rpartition("/")[2].removesuffix(".png"))
            assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == known[number]["sha256"]
            assert label == known[number]["label"]
        ours = load_path(ImagePath(str(folder), Opening(split=name)))
        assert (ours.class_names, len(ours)) == (CLASSES, len(split))


def test_a_class_called_as_a_split_leaks_into_none(tmp_path):
    folder = export(of_noise(40), tmp_path / "out", **SPLITS)
    opened = datasets.load_dataset("imagefolder", data_dir=str(folder))
    assert {name: len(part) for name, part in opened.items()} == {"train": 24, "validation": 8, "test": 8}
    ids = [row["id"] for part in opened.values() for row in part]
    assert sorted(ids) == list(range(40))
    assert set(opened["test"]["label"]) == {"cat", "bullet train"}
    whole = datasets.load_dataset("imagefolder", data_dir=str(export(of_noise(40), tmp_path / "whole")))
    assert {name: len(part) for name, part in whole.items()} == {"train": 40}


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_webdataset_trains_from_shards_with_workers(tmp_path, kind):
    images = of_noise(25, kind)
    folder = export(images, tmp_path / "out", format="webdataset", shard_size=6)
    shards = sorted(str(path) for path in folder.glob("*.tar"))
    assert [path[-16:] for path in shards] == [f"shard-{number:06d}.tar" for number in range(5)]
    stream = webdataset.WebDataset(shards, shardshuffle=False, empty_check=False).decode("pil")
    loader = DataLoader(stream.to_tuple("png;jpg;webp", "cls", "json"), batch_size=None, num_workers=2)
    seen = {record["id"]: (np.asarray(image), label, record["label"]) for image, label, record in loader}
    assert sorted(seen) == list(range(25))
    for row, (pixels, label, name) in seen.items():
        assert (label, name) == (images.labels[row], images.class_names[label])
        assert (pixels == np.asarray(images.image(row))).all()
    if kind == "png":
        opened = datasets.load_dataset("webdataset", data_dir=str(folder))["train"]
        assert (len(opened), set(opened["cls"])) == (25, {0, 1})


def test_shards_are_the_same_bytes_and_each_a_sample_of_all(tmp_path):
    images = of_noise(30).select(np.argsort(np.arange(30) % 2, kind="stable"))  # class after class
    places = [export(images, tmp_path / name, format="webdataset", shard_size=10) for name in ("a", "b")]
    for one, two in zip(*(sorted(place.glob("*.tar")) for place in places), strict=True):
        assert one.read_bytes() == two.read_bytes()
        with tarfile.open(one) as shard:
            members = shard.getmembers()
            labels = {shard.extractfile(member).read() for member in members if member.name.endswith(".cls")}
        assert labels == {b"0", b"1"}
        assert len(members) == 30
        assert {(member.mtime, member.uid, member.uname, member.isreg()) for member in members} == {(0, 0, "", True)}
        assert all(member.name.count(".") == 1 for member in members)  # the key ends at the first dot


def test_more_shards_than_files_may_be_open_are_written_in_turns(tmp_path, monkeypatch):
    monkeypatch.setattr("synthset.dataset.export.webdataset.MAX_OPEN", 2)
    few = export(of_noise(25), tmp_path / "few", format="webdataset", shard_size=5)
    monkeypatch.undo()
    many = export(of_noise(25), tmp_path / "many", format="webdataset", shard_size=5)
    shards = [[path.read_bytes() for path in sorted(folder.glob("*.tar"))] for folder in (few, many)]
    assert shards[0] == shards[1]
    assert len(shards[0]) == 5


def test_yolo_has_the_layout_of_its_rules(tmp_path, caplog):
    """By the rules of Ultralytics' documentation, as its own loader is not at hand: `data=` names a folder with train,
    val and test; each holds a folder for each class; classes are numbered by the sorted names of train's folders."""
    images = of_noise(40)
    result = export_images(images, tmp_path / "out", "yolo")
    assert dict(result.images) == {"train": 32, "validation": 4, "test": 4}
    description = yaml.safe_load((result.folder / "dataset.yaml").read_text("utf-8"))
    folders = sorted(path.name for path in (result.folder / "train").iterdir())
    assert description["nc"] == len(folders)
    assert description["names"] == {0: "cat", 1: "bullet train"}  # whose folder is escaped, and sorts so
    for split in ("train", "val", "test"):
        assert description[split] == split
        assert ImageFolder(result.folder / split).classes == folders
    stems = [path.stem for path in result.folder.rglob("*.png")]
    assert sorted(map(int, stems)) == list(range(40))  # no name twice
    result = export_images(images, tmp_path / "two", "yolo", HALVES)
    assert sorted(path.name for path in result.folder.iterdir()) == [".export.json", "dataset.yaml", "train", "val"]


def test_a_table_holds_all_columns_and_runs_no_formula(made, tmp_path, caplog):
    known = rows_of(made)
    folder = export(made, tmp_path / "out", format="csv")
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    for row in rows:
        its = known[int(row["id"])]
        assert {
            name: str(its[name]) for name in ("prompt", "seed", "strategy", "sha256", "guidance_scale")
        }.items() <= row.items()
        assert hashlib.sha256((folder / row["file_name"]).read_bytes()).hexdigest() == its["sha256"]
    assert set(its) - {"request_id", "class_name"} <= set(row)
    assert load_path(folder).class_names == tuple(sorted(CLASSES))
    assert "apostrophe" not in caplog.text
    hostile = ImageSet("x", ("=cmd|' /C calc'!A0", "@sum", "-1", 'a "b", c\nd'), np.arange(4), of_noise(4).read)
    folder = export(hostile, tmp_path / "hostile", format="csv")
    text = (folder / "metadata.csv").read_text("utf-8")
    cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
    assert not [cell for cell in cells if cell[:1] in "=+-@\t\r\n" and cell]
    assert [row["label"] for row in csv.DictReader(io.StringIO(text))] == [
        *("'=cmd|' /C calc'!A0", "'@sum", "'-1", 'a "b", c\nd')
    ]
    assert "3 cells of 'metadata.csv' begin with an apostrophe" in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # datasets leaves the table open
def test_datasets_reads_a_table(made, tmp_path):
    known = rows_of(made)
    opened = datasets.load_dataset("imagefolder", data_dir=str(export(made, tmp_path / "out", format="csv")))["train"]
    assert len(opened) == 20
    for row in opened:
        check_row(row, known[row["id"]])
    gc.collect()


def test_near_copies_stay_in_one_split(tmp_path):
    images = of_noise(40)
    copies = [encode(np.asarray(images.image(row)), "jpeg") for row in range(0, 40, 4)]
    files = [*(images.read(row) for row in range(40)), *copies]
    doubled = ImageSet("x", images.class_names, np.r_[images.labels, images.labels[::4]], files.__getitem__)
    result = export_images(doubled, tmp_path / "out", "csv", HALVES)
    assert result.tied == 20
    part_of = {
        int(path.stem): path.parts[-3] for path in result.folder.rglob("images/*") if path.suffix in (".png", ".jpg")
    }
    assert len(part_of) == 50
    assert all(part_of[40 + number] == part_of[4 * number] for number in range(10))
    assert set(part_of.values()) == {"train", "validation"}
    assert export_images(doubled, tmp_path / "loose", "csv", replace(HALVES, ties=("none",))).tied == 0


@pytest.mark.parametrize("format", FORMATS)
def test_images_that_filters_reject_are_left_out_of_each_format(made, tmp_path, format):
    dataset = open_dataset(made)
    ids = dataset.rows.column("request_id").to_pylist()
    table = pa.table([ids, [i % 5 > 0 for i in range(20)], ["x"] * 20, [0.0] * 20], SCHEMA.names)
    write_verdicts(made, Verdicts("mine", {}, table, dataset.rows_hash))
    try:
        result = export_images(made, tmp_path / "out", format)
        whole = export_images(made, tmp_path / "all", format, all_images=True)
    finally:
        (made / "filters" / "mine.parquet").unlink()
    assert (sum(result.images.values()), sum(whole.images.values())) == (16, 20)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("format", FORMATS)
def test_a_full_disk_leaves_nothing_behind(tmp_path, format, monkeypatch):
    images = of_noise(40)
    kept = export(images, tmp_path / "out", format=format)
    before = {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    good, left = images.read, iter(range(15))

    def read(row):
        if next(left, None) is None:
            raise OSError(28, "No space left on device")
        return good(row)

    full = ImageSet("noise", images.class_names, images.labels, read)
    with pytest.raises(DataError, match="No space left on device"):
        export(full, kept, format=format, overwrite=True)
    assert {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()} == before
    assert list(tmp_path.iterdir()) == [kept]


@pytest.mark.parametrize(
    ("format", "options", "message"),
    [
        ("csv", {"shard_size": 5}, "Expected no shard_size with format 'csv', which reads none"),
        ("webdataset", {"numbered": True}, "Expected no numbered with format 'webdataset'"),
        ("csv", {"seed": 5}, "Expected no seed with format 'csv' without splits"),
        ("csv", {"train": 0.5, "test": 0.4}, "shares above 0 that add up to 1, got train 0.5, test 0.4"),
        (
            "yolo",
            {"train": 0.5, "test": 0.5},
            "Expected train and validation for format 'yolo', got none of validation",
        ),
        ("csv", {"train": 1.5}, "train above 0 and at most 1, got 1.5"),
        ("csv", {"train": 1.0, "ties": ("none", "copies")}, "Expected ties=none alone, got none, copies"),
        ("csv", {"train": 1.0, "ties": ("copy",)}, "Unknown ties 'copy'. Valid: copies, noise, source, none"),
    ],
)
def test_options_that_nothing_reads_or_that_cannot_be_are_refused(tmp_path, format, options, message):
    with pytest.raises(UsageError, match=message):
        export(of_noise(4), tmp_path / "out", format=format, **options)
    assert not list(tmp_path.iterdir())


def test_a_class_that_a_split_would_lack_is_named_before_anything_is_written(tmp_path):
    with pytest.raises(DataError, match=r"every class in '\w+' of 'noise', found none of: .*larger share"):
        export(of_noise(6), tmp_path / "out", format="yolo", train=0.6, validation=0.2, test=0.2)
    assert not list(tmp_path.iterdir())


def test_the_command_prints_the_splits_and_the_folder(made, own_folder, run):
    code, out, _ = run("export", made, "--format", "yolo", "--train", 0.5, "--validation", 0.5, "--output-dir", "out")
    assert code == 0
    assert out.split() == ["split", "images", "train", "10", "validation", "10", "out"]
    code, out, _ = run("export", made, "--format", "webdataset", "--output-dir", "tars", "--json")
    assert json.loads(out) == {"export": {"folder": "tars", "images": {"": 20}, "tied": 0}, "path": "tars"}
    with tarfile.open("tars/shard-000000.tar") as shard, Image.open(shard.extractfile("000000.png")) as image:
        assert image.size == (8, 8)
