"""Images of any kind to classes: in Python, and by the command, which skips what it cannot read and says so."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import synthset
from bars import CONFIG, make_set
from odd_pictures import ODD_PICTURES
from small_datasets import hashes, make
from synthset.classifiers.train import train_classifier
from synthset.core.errors import DataError, UsageError
from synthset.images.decoding import encode


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A classifier that tells bars apart, and the images that it learned from."""
    folder, images = tmp_path_factory.mktemp("trained") / "model", make_set()
    train_classifier(images, replace(CONFIG, epochs=8, augmentation="none"), folder)
    return folder, images


@pytest.fixture
def model(trained, own_folder):
    """The classifier, seen from an empty folder that photos/ lies in: three images, one of them deeper."""
    folder, images = trained
    (own_folder / "photos" / "more").mkdir(parents=True)
    for name, row in (("a.png", 0), ("b.PNG", 20), ("more/c.png", 40)):
        (own_folder / "photos" / name).write_bytes(images.read(row))
    (own_folder / "photos" / "notes.txt").write_text("no image")
    return folder


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


# ---- in Python --------------------------------------------------------------------------------------------


def test_probabilities_are_those_of_the_resized_images(trained):
    folder, images = trained
    classifier = synthset.load_classifier(folder, "cpu")
    size = classifier.config.image_size_px
    predictions = classifier.predict_images([images.image(row) for row in range(len(images))], batch_size=5)
    expected = classifier.predict(images.tensor(size)).softmax(1).numpy()
    np.testing.assert_allclose(predictions.probabilities, expected, rtol=0, atol=1e-6)
    assert predictions.names == [images.class_names[label] for label in expected.argmax(1)]
    assert predictions.confidences == pytest.approx(expected.max(1))
    assert np.mean(predictions.labels == images.labels) > 0.9


def test_an_image_is_the_same_in_every_form(trained, tmp_path):
    folder, images = trained
    classifier = synthset.load_classifier(folder, "cpu")
    image, path = images.image(3), tmp_path / "a.png"
    path.write_bytes(images.read(3))
    forms = [path, str(path), images.read(3), image, np.asarray(image)]
    rows = classifier.predict_images(forms).probabilities
    assert (rows == rows[0]).all()
    assert len(classifier.predict_images(path)) == len(classifier.predict_images(np.asarray(image))) == 1
    assert len(classifier.predict_images(np.stack([np.asarray(image)] * 3))) == 3
    assert len(classifier.predict_images([])) == 0


def test_the_top_classes_are_in_order(trained):
    folder, images = trained
    predictions = synthset.load_classifier(folder, "cpu").predict_images(images.image(0))
    (top,) = predictions.top(9)
    assert sorted(name for name, _ in top) == sorted(images.class_names)
    assert [share for _, share in top] == sorted((share for _, share in top), reverse=True)
    assert sum(share for _, share in top) == pytest.approx(1)
    assert predictions.top(1) == [top[:1]]


NO_IMAGES = [3, np.zeros((2, 2)), np.zeros((2, 2, 4), np.uint8), torch.zeros(3, 8, 8)]
NO_IMAGES += [Image.new("F", (8, 8)), Image.new("I", (8, 8))]
# one image with its channels elsewhere, or many grey ones
NO_IMAGES += [
    np.zeros(shape, np.uint8) for shape in ((3, 8, 8), (8, 8, 1), (8, 8, 2), (8, 8, 5), (40, 8, 8), (0, 8, 8))
]
NO_IMAGES += [np.zeros(shape, np.uint8) for shape in ((), (3,), (2, 3, 8, 8), (2, 8, 8, 4), (1, 2, 8, 8, 3))]


@pytest.mark.parametrize("picture", NO_IMAGES, ids=lambda one: str(getattr(one, "shape", getattr(one, "mode", one))))
@pytest.mark.parametrize("is_alone", [True, False])
def test_what_is_no_image_is_refused(picture, is_alone, trained):
    with pytest.raises(UsageError, match="Expected paths, encoded bytes, PIL images, or uint8 arrays"):
        synthset.load_classifier(trained[0], "cpu").predict_images(picture if is_alone else [picture])


@pytest.mark.parametrize("pictures", [None, 3, io.BytesIO(b"an\nimage")], ids=lambda one: type(one).__name__)
def test_what_is_neither_an_image_nor_several_is_refused(pictures, trained):
    with pytest.raises(UsageError, match=r"one or a list of them, .* got (NoneType|int|BytesIO)"):
        synthset.load_classifier(trained[0], "cpu").predict_images(pictures)


@pytest.mark.parametrize("kind", ODD_PICTURES)
def test_a_pil_image_is_as_its_file(kind, trained, tmp_path):
    folder, images = trained
    classifier, path = synthset.load_classifier(folder, "cpu"), ODD_PICTURES[kind](images.image(20), tmp_path)
    from_file = classifier.predict_images(path).probabilities
    with Image.open(path) as picture:
        np.testing.assert_array_equal(classifier.predict_images(picture).probabilities, from_file)
    plain = classifier.predict_images(images.image(20)).probabilities
    np.testing.assert_allclose(from_file, plain, rtol=0, atol=0.15)  # and not what a blank or clipped image gives


def test_a_pil_image_of_a_broken_file_is_refused(trained, tmp_path):
    (tmp_path / "a.png").write_bytes(trained[1].read(0)[:-40])
    with Image.open(tmp_path / "a.png") as picture, pytest.raises(DataError, match="one that PIL cannot read"):
        synthset.load_classifier(trained[0], "cpu").predict_images(picture)


def test_a_file_that_is_no_image_is_named(trained, tmp_path):
    (tmp_path / "a.png").write_text("<html>")
    with pytest.raises(DataError, match=r"a\.png': .* got a web page"):
        synthset.load_classifier(trained[0], "cpu").predict_images(tmp_path / "a.png")


# ---- the command ------------------------------------------------------------------------------------------


def test_names_not_numbers_are_printed(model, run):
    code, out, err = run("predict", model, "photos/a.png", "photos/more")
    assert (code, err) == (0, "")
    rows = table(out)
    assert [row["file"] for row in rows] == ["photos/a.png", "photos/more/c.png"]
    assert [row["class"] for row in rows] == [synthset.load_classifier(model).class_names[i] for i in (0, 2)]
    assert all(0.3 < float(row["probability"]) <= 1 for row in rows)


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_a_table_holds_all_in_its_form(ending, model, run):
    code, out, _ = run("predict", model, "photos", "--output", f"answers{ending}", "--top-k", "2")
    assert code == 0
    assert f"answers{ending}" in out
    path = Path(f"answers{ending}")
    files = ["photos/a.png", "photos/b.PNG", "photos/more/c.png"]
    if ending == ".jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert [len(row["top"]) for row in rows] == [2, 2, 2]
    else:
        rows = pq.read_table(path).to_pylist() if ending == ".parquet" else table(path.read_text())
        assert list(rows[0]) == ["file", "class", "probability", "class_2", "probability_2"]
    assert [row["file"] for row in rows] == files


def test_patterns_urls_and_parquet_name_images(model, run):
    data = [Path("photos", name).read_bytes() for name in ("a.png", "b.PNG")]
    pq.write_table(pa.table({"image": data}), "photos.parquet")
    url = f"file://{Path('photos/a.png').absolute()}"
    code, out, _ = run("predict", model, "photos/*.png", "photos/**/c.png", "photos.parquet", url)
    assert code == 0
    rows = table(out)
    assert [row["file"] for row in rows] == [
        "photos/a.png",
        "photos/more/c.png",
        "photos.parquet#0",
        "photos.parquet#1",
        url,
    ]
    assert rows[0]["class"] == rows[2]["class"] == rows[4]["class"]


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet", ""])
def test_images_of_a_dataset_are_known_by_their_ids_and_hashes(ending, model, run):
    classes = synthset.load_classifier(model).class_names
    known = hashes(make("pets", classes, images_per_class=2).dataset.folder)  # whose preview is no image of it
    output = ("--output", f"answers{ending}") if ending else ("--json",)
    code, out, _ = run("predict", model, "pets", "photos/a.png", *output)
    assert code == 0
    text = Path(f"answers{ending}").read_text() if ending in (".csv", ".jsonl") else out
    if ending == ".parquet":
        rows = pq.read_table("answers.parquet").to_pylist()
        assert rows[-1]["id"] is rows[-1]["sha256"] is None
    elif ending == ".csv":
        rows = [row | {"id": int(row["id"] or -1)} for row in table(text)]
        assert list(rows[0]) == ["file", "id", "sha256", "class", "probability"]
        assert (rows[-1]["id"], rows[-1]["sha256"]) == (-1, "")
    else:
        rows = [json.loads(line) for line in text.splitlines()]
        assert list(rows[-1]) == ["file", "class", "probability"]
    assert {row["id"]: row["sha256"] for row in rows[:-1]} == known
    assert rows[0]["file"] == "pets/data/train-00000.parquet#0"
    assert rows[-1]["file"] == "photos/a.png"
    if ending:  # the model's opinion becomes the label, by id and hash: of another dataset not one row is taken
        make("others", classes, images_per_class=2, seed=65)
        with pytest.raises(DataError, match="no image has the SHA-256"):
            synthset.relabel("others", f"answers{ending}")
        assert not Path("others", "relabels.parquet").exists()


def test_bad_images_are_named_and_left_out(model, run, caplog):
    Path("photos/d.png").write_bytes(b"GIF89a" + bytes(9))
    code, _out, err = run("predict", model, "photos", "--output", "answers.csv")
    assert code == 3
    assert "photos/d.png" in caplog.text
    assert "a GIF" in caplog.text
    assert "photos: left out 1 files that are hidden or not called .png" in caplog.text
    assert ".txt (1)" in caplog.text
    assert "1 of 4 files could not be read and were left out: photos/d.png." in err
    assert len(table(Path("answers.csv").read_text())) == 3


def test_no_cell_runs_in_a_spreadsheet(model, run):
    Path("=1+1").mkdir()
    for name in ("=1+1/a.png", "@b.png", "-c.png"):
        Path(name).write_bytes(Path("photos/a.png").read_bytes())
    _, out, _ = run("predict", model, "=1+1", "@b.png", "./-c.png", "photos/a.png")
    assert [row["file"] for row in table(out)] == ["'=1+1/a.png", "'@b.png", "'-c.png", "photos/a.png"]


def test_more_images_than_a_batch(model, run, monkeypatch):
    monkeypatch.setattr("synthset.prediction.stage.BATCH", 2)
    _, out, _ = run("predict", model, "photos", "photos")
    assert [row["file"] for row in table(out)] == ["photos/a.png", "photos/b.PNG", "photos/more/c.png"] * 2


def test_tuned_models_predict_too(own_folder, run):
    from synthset.tuning.saving import TunedConfig, load_tuned, save_tuned

    encoder = synthset.load_encoder("miniature", device="cpu", dtype="float32")
    config = TunedConfig("miniature", "float32", encoder.fingerprint, ("dark", "light"), ("a {class}.",))
    generator = torch.Generator().manual_seed(0)
    head = {"weight": torch.randn(2, encoder.dimension, generator=generator), "bias": torch.zeros(2)}
    save_tuned(Path("tuned"), config, head, {})
    Path("a.png").write_bytes(encode(np.full((32, 32, 3), 200, np.uint8)))
    expected = load_tuned("tuned").predict_images("a.png")
    code, out, _ = run("predict", "tuned", "a.png")
    assert code == 0
    assert table(out)[0]["class"] == expected.names[0]
    logits = load_tuned("tuned").logits(encoder.images([Image.open("a.png")]))
    assert expected.probabilities == pytest.approx(logits.softmax(1).numpy(), abs=1e-5)


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        (["MODEL"], "Expected images to classify", 2),
        (["MODEL", "nothing.png"], "'nothing.png', found nothing there", 2),
        (["MODEL", "*.tiff"], "'*.tiff', found nothing there", 2),
        (["MODEL", "empty"], "in 'empty', found none", 1),
        (["MODEL", "nosuch://a/b.png"], "nosuch", 2),
        (["MODEL", "photos", "--top-k", "4"], "--top-k in 1..3", 2),
        (["MODEL", "photos", "--output", "a.xlsx"], ".csv, .jsonl, .parquet", 2),
        (["MODEL", "photos", "--output", "there.csv"], "'there.csv' is there", 2),
        (["MODEL", "bad.png", "--output", "a.csv"], "got bad.png, of which none can be read. Convert them to PNG", 1),
        (["MODEL", "bad.png"], "none can be read", 1),
        (["MODEL", "none.parquet"], "Expected images in 'none.parquet', found no rows", 1),
        (["MODEL", "none.parquet", "none.parquet", "--output", "a.csv"], "found no rows", 1),
        (["MODEL", "photos", "--top-k", "0"], "--top-k of at least 1, got 0", 2),
        (["photos", "photos"], "Expected a classifier in 'photos'", 1),
        (["clip:miniature", "photos"], "a CLIP as it came", 1),
    ],
)
def test_what_cannot_be_is_one_line(words, message, code, model, run):
    Path("empty").mkdir()
    Path("there.csv").write_text("mine")
    Path("bad.png").write_text("no image")
    pq.write_table(pa.table({"image": pa.array([], pa.binary())}), "none.parquet")
    got, out, err = run("predict", *[model if word == "MODEL" else word for word in words])
    assert (got, out) == (code, "")
    assert message in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("error: ")
    assert not Path("a.csv").exists()
    assert Path("there.csv").read_text() == "mine"
