"""What is said of each image, beside the result: by file or row, with the true class, for models of any kind."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from bars import NAMES, make_set
from image_files import make_folder
from synthset.classifiers.models import load_classifier
from synthset.classifiers.scoring import Answers
from synthset.evaluation import answers as written
from synthset.evaluation.answers import write_answers
from synthset.evaluation.stage import evaluate
from synthset.images.decoding import encode
from synthset.images.imageset import ImageSet
from synthset.real import load_real

pytestmark = pytest.mark.usefixtures("own_folder")
COLUMNS = ["file", "class", "probability", "true_class", "correct"]


def read(path):
    table = pq.read_table(path, page_checksum_verification=True)
    assert table.column_names == COLUMNS
    return table.to_pydict()


def test_each_image_has_what_predict_says_of_it_and_the_truth(run, finished):
    make_folder(Path("photos"), NAMES, n=3)
    (Path("photos") / NAMES[1] / "broken.png").write_bytes(b"junk")
    code, out, _ = run("eval", finished.folder, "--real", "photos", "--output-dir", "e")
    assert code == 0
    assert "predictions  e/photos-predictions.parquet" in out
    rows = read("e/photos-predictions.parquet")
    assert len(rows["file"]) == 9
    assert run("predict", finished.folder, "photos", "--output", "p.parquet")[0] == 3
    said = pq.read_table("p.parquet").to_pydict()
    by_file = {name: place for place, name in enumerate(said["file"])}
    order = [by_file[f"photos/{name}"] for name in rows["file"]]
    assert rows["class"] == [said["class"][place] for place in order]
    assert rows["probability"] == pytest.approx([said["probability"][place] for place in order], abs=1e-5)
    assert rows["true_class"] == [Path(name).parent.name for name in rows["file"]]
    assert rows["correct"] == [a == b for a, b in zip(rows["class"], rows["true_class"], strict=True)]
    assert sum(rows["correct"]) == json.loads(Path("e/photos.json").read_text())["correct"]
    code, out, _ = run("eval", finished.folder, "--real", "photos", "--output-dir", "e", "--json")
    assert json.loads(out)["predictions_file"] == "e/photos-predictions.parquet"


def test_rows_are_those_of_the_whole_set_where_images_have_no_file(finished):
    images = make_set((4, 4, 4), seed=5)
    files = [images.read(i) if i not in (2, 7) else b"junk" for i in range(12)]
    names = (*NAMES[::-1], "a further one")  # of which one image is none of the model's
    labels = np.array([*(2 - images.labels[:-1]), 3])
    evaluate(finished.folder, ImageSet("odd", names, labels, files.__getitem__), "e")
    rows = read("e/odd-predictions.parquet")
    kept = [i for i in range(12) if i not in (2, 7, 11)]
    assert rows["file"] == [f"row {i}" for i in kept]
    assert rows["true_class"] == [NAMES[images.labels[i]] for i in kept]
    classifier = load_classifier(finished.folder)
    expected = classifier.predict_images([images.read(i) for i in kept])
    assert rows["class"] == expected.names
    assert rows["probability"] == pytest.approx(expected.confidences.tolist(), abs=1e-5)


def test_a_clip_and_a_tuned_one_too(run):
    line = ("create", "--dataset", "digits", "--images-per-class", 2, "--steps", 1, "--output-dir", "made")
    assert run(*line)[0] == 0
    few = load_real("digits").select(range(100, 140))
    shares = {}
    line = ("tune", "made", "--clip", "miniature", "--epochs", 1, "--output-dir", "tuned", "--real", "digits")
    code, out, _ = run(*line)
    assert code == 0
    assert "predictions  tuned/evaluation/digits-predictions.parquet" in out
    rows = read("tuned/evaluation/digits-predictions.parquet")
    of_all = load_real("digits")  # of which the half that shots are not from was tested on
    numbers = [int(name.removeprefix("row ")) for name in rows["file"]]
    assert rows["true_class"] == [of_all.class_names[of_all.labels[number]] for number in numbers]
    assert 800 < len(set(numbers)) < 1000
    for model in ("clip:miniature", "tuned"):
        folder = f"of-{model[-5:]}"
        result = evaluate(model, few, folder)
        rows = read(Path(folder) / "digits-predictions.parquet")
        assert rows["file"] == [f"row {i}" for i in range(100, 140)]
        assert sum(rows["correct"]) == result.correct
        shares[model] = rows["probability"]
        assert all(0.1 <= share <= 1 for share in shares[model])
    assert shares["tuned"] != shares["clip:miniature"]


def test_any_number_of_images_is_written_in_blocks_and_whole_or_not_at_all(monkeypatch):
    monkeypatch.setattr(written, "BLOCK", 4)
    images = ImageSet("s", ("a", "b"), np.arange(10) % 2, lambda i: encode(np.zeros((2, 2, 3), np.uint8)))
    images = dataclasses.replace(images, origin=lambda i: f"caf\udce9/{i}.png")
    answers = Answers(np.zeros(10, np.int64), np.linspace(0, 1, 10))
    write_answers(Path("p.parquet"), images, answers)
    assert pq.ParquetFile("p.parquet").num_row_groups == 3
    rows = read("p.parquet")
    assert (rows["file"][3], rows["class"], rows["correct"]) == ("caf\\udce9/3.png", ["a"] * 10, [True, False] * 5)
    before = Path("p.parquet").read_bytes()

    def origin(row):
        if row == 8:
            raise ValueError("gone")
        return "x"

    with pytest.raises(ValueError, match="gone"):
        write_answers(Path("p.parquet"), dataclasses.replace(images, origin=origin), answers)
    assert [path.name for path in Path().iterdir()] == ["p.parquet"]
    assert Path("p.parquet").read_bytes() == before
