"""What the page is given: columns, small pictures, predictions, neighbours, previews, phrases."""

import csv
import io
import threading
import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import synthset
from review.pages import served
from small_datasets import make, reject_first
from synthset.core.errors import DataError, UsageError
from synthset.core.parquet_files import KeptGroups
from synthset.create.recorded import RecordedConfig
from synthset.dataset.reader import open_dataset
from synthset.dataset.verdicts import Verdicts, write_verdicts
from synthset.diagnosis.ambiguity import ClassAmbiguity, write_phrases_draft
from synthset.generators.additions import Additions
from synthset.images.decoding import encode
from synthset.prediction.tables import Layout, Row, open_table
from synthset.prompts.phrases import load_phrases
from synthset.review import session as session_module
from synthset.review.contents import read_contents
from synthset.review.neighbours import Neighbours
from synthset.review.phrases import Phrases
from synthset.review.predicted import read_predicted
from synthset.review.previews import Previews, rephrased
from synthset.review.thumbnails import Thumbnails, shrink
from synthset.review.work import Work
from synthset.testing import FakeEncoder, FakeGenerator


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts") / "d"
    make(folder)
    reject_first(folder)
    return folder


def wait(work, *states):
    end = time.monotonic() + 60
    while work.progress.state not in states:
        assert time.monotonic() < end, work.progress
        time.sleep(0.01)


def arrays_of(packed):
    """The head and the columns of what is packed."""
    import json

    length = int.from_bytes(packed[:4], "little")
    head = json.loads(packed[4 : 4 + length])
    columns = {
        column["name"]: np.frombuffer(packed, column["type"], column["length"], 4 + length + column["start"])
        for column in head["columns"]
    }
    return head, columns


# ---- contents ---------------------------------------------------------------------------------------------


def test_contents_are_columns_of_all_that_the_page_lists(folder):
    contents = read_contents(open_dataset(folder))
    hand, labels = np.zeros(20, np.int8), contents.labels.copy()
    hand[3], labels[4] = -1, 1
    head, columns = arrays_of(contents.pack(hand, labels, 7, {"more": True}))
    assert (head["version"], head["methods"], head["scores"], head["more"]) == (7, ["clip"], ["clip"], True)
    assert columns["row"].tolist() == list(range(20))
    assert columns["keep:clip"].tolist() == [0] + [1] * 19
    assert columns["hand"].tolist() == hand.tolist()
    assert columns["label"].tolist() == labels.tolist()
    names = [head["strategies"][index] for index in columns["strategy"]]
    assert names == open_dataset(folder).rows.column("strategy").to_pylist()


def test_contents_may_be_of_some_strategies(folder):
    contents = read_contents(open_dataset(folder), "random_guidance")
    _, columns = arrays_of(contents.pack(np.zeros(20, np.int8), contents.labels, 0, {}))
    strategies = open_dataset(folder).rows.column("strategy").to_pylist()
    assert columns["row"].tolist() == [row for row, name in enumerate(strategies) if name == "random_guidance"]


def test_facts_of_an_image_keep_every_digit_of_its_seed(folder):
    dataset = open_dataset(folder)
    (request,) = dataset.requests([5])
    facts = read_contents(dataset).facts(5)
    assert facts["seed"] == str(request.seed)
    assert (facts["prompt"], facts["request_id"]) == (request.prompt, request.id)
    assert facts["verdicts"] == [{"method": "clip", "keep": True, "score": 1.0, "reason": ""}]


def test_a_score_that_is_no_finite_number_is_none(tmp_path):
    make(tmp_path / "d")
    reject_first(tmp_path / "d")
    verdicts = open_dataset(tmp_path / "d").verdicts()["clip"]
    table = verdicts.table.set_column(3, "score", pa.array(np.full(len(verdicts.table), np.inf)))
    write_verdicts(tmp_path / "d", Verdicts("clip", {}, table, verdicts.rows_hash))
    with served(tmp_path / "d") as (_, asker):
        assert asker.json("/api/facts/0")["verdicts"][0]["score"] is None


# ---- predictions ------------------------------------------------------------------------------------------


def test_predictions_are_matched_by_file_and_row(folder, tmp_path):
    path = tmp_path / "p.csv"
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "class", "probability"])
        table.writerow([f"{folder}/data/train-00001.parquet#2", "sea_lake", 0.75])
        table.writerow([f"{folder}/data/train-00001.parquet#99", "cat", 0.5])
        table.writerow(["elsewhere.png", "cat", 0.5])
    predicted = read_predicted(path, open_dataset(folder))
    assert predicted.labels.tolist() == [-1] * 10 + [1] + [-1] * 9
    assert predicted.confidence[10] == 0.75
    assert np.isnan(predicted.confidence).sum() == 19
    contents = read_contents(open_dataset(folder), predictions=path)
    head, columns = arrays_of(contents.pack(np.zeros(20, np.int8), contents.labels, 0, {}))
    assert head["scores"] == ["clip", "prediction"]
    assert columns["predicted"][10] == 1


def test_a_class_that_begins_a_formula_is_known_in_the_table_that_predict_writes(tmp_path):
    make(tmp_path / "d", classes=("cat", "-dog"))
    rows = [
        Row("d/data/train-00000.parquet#0", (("-dog", 0.75),)),
        Row("d/data/train-00000.parquet#1", (("cat", 0.5),)),
    ]
    with open_table(tmp_path / "p.csv", Layout()) as table:
        table.write(rows)
    assert "'-dog" in (tmp_path / "p.csv").read_text()
    assert read_predicted(tmp_path / "p.csv", open_dataset(tmp_path / "d")).labels.tolist() == [1, 0] + [-1] * 18


@pytest.mark.parametrize(
    "text",
    [
        "",
        "file,class,probability\nx.png,cat,1\n",
        "a,b\n1,2\n",
        "file,class,probability\nx,y,z\n",
        "file,class,probability\ntrain-00000.parquet#1,cat,17\n",
        "file,class,probability\ntrain-00000.parquet#1,cat,nan\n",
    ],
)
def test_predictions_about_nothing_here_are_refused(folder, tmp_path, text):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(DataError, match="Expected"):
        read_predicted(tmp_path / "p.csv", open_dataset(folder))
    with pytest.raises(DataError, match="does not read"):
        read_predicted(tmp_path / "none.csv", open_dataset(folder))


# ---- thumbnails -------------------------------------------------------------------------------------------


def photo(side):
    return encode(np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8))


def test_thumbnails_are_small_and_what_is_small_is_as_it_was():
    assert shrink(photo(64)) == photo(64)
    small = Image.open(io.BytesIO(shrink(photo(300))))
    assert (small.size, small.format) == ((192, 192), "JPEG")


def test_thumbnails_take_no_more_memory_than_they_may_and_say_where_one_is_damaged():
    asked = []

    def read(index):
        asked.append(index)
        if index == 2:
            raise DataError("damaged")
        return photo(16)

    size = len(photo(16))
    thumbnails = Thumbnails(read, budget_bytes=3 * size)
    assert [bool(file) for file in thumbnails.get([0, 1, 2])] == [True, True, False]
    thumbnails.get([1])
    assert asked.count(1) == 1  # at hand
    for index in range(10, 20):
        thumbnails.get([index])
    assert thumbnails._bytes <= 3 * size
    packed = thumbnails.packed([19, 2])
    assert np.frombuffer(packed, np.uint32, 3).tolist() == [2, size, 0]
    thumbnails.close()


def test_files_of_images_are_read_within_a_budget(folder):
    read = open_dataset(folder).files(1)
    kept = read.__self__._kept
    assert [open_dataset(folder).images(kept=False).read(row) for row in (0, 19)] == [read(0), read(19)]
    assert (kept.budget_bytes, len(kept._kept)) == (1, 1)
    assert KeptGroups.budget_bytes == 2**29


# ---- neighbours -------------------------------------------------------------------------------------------


def test_neighbours_are_the_nearest_of_all(folder):
    images = open_dataset(folder).images(kept=False)
    encoder = FakeEncoder()
    neighbours = Neighbours(images, lambda: encoder, lambda: images)
    assert not neighbours.are_ready
    neighbours.start()
    wait(neighbours.work, "done")
    vectors = encoder.images([images.image(row) for row in range(20)]).numpy()
    synthetic, real = neighbours.nearest(4)
    cosines = vectors @ vectors[4]
    expected = [row for row in np.argsort(-cosines) if row != 4][:8]
    assert [one.row for one in synthetic] == expected
    assert synthetic[0].similarity == pytest.approx(cosines[expected[0]], abs=1e-5)
    assert (real[0].row, real[0].class_name) == (4, images.class_names[images.labels[4]])


def test_without_an_encoder_it_is_said_why(folder):
    with served(folder) as (_, asker):
        assert "Name an encoder" in asker.json("/api/neighbours/0")["why_not"]
        asker.json("/api/neighbours", {})
        assert asker.json("/api/neighbours/0")["state"] == "idle"


def test_work_is_stopped_at_its_next_step_and_failures_are_told():
    work, begun = Work(), threading.Event()

    def endless():
        while True:
            work.tell("it", 1, 2)
            begun.set()

    assert work.start(endless)
    assert begun.wait(10)
    assert not work.start(endless)
    work.stop(10)
    assert work.progress.state == "stopped"
    assert work.start(lambda: 1 / 0)
    wait(work, "failed")
    assert "division by zero" in work.progress.error


# ---- previews ---------------------------------------------------------------------------------------------


def test_previews_are_what_create_would_draw_by_that_phrase(folder, tmp_path):
    dataset = open_dataset(folder)
    previews = Previews(dataset, FakeGenerator)
    assert previews.start("cat", "a tabby cat", "random_guidance")
    wait(previews.work, "done")
    style = synthset.PromptStyle(phrases={"cat": "a tabby cat"})
    make(tmp_path / "other", style=style)
    other = open_dataset(tmp_path / "other")
    for preview in previews.drawn:
        (request,) = other.requests([preview.row])
        assert preview.prompt == request.prompt
        assert np.array_equal(_pixels(preview.file), _pixels(other.files()(preview.row)))
    assert len(previews.drawn) == 4


def _pixels(file):
    return np.asarray(Image.open(io.BytesIO(file)))


def test_previews_that_cannot_be_are_refused(folder):
    with pytest.raises(DataError, match="there are none"):
        rephrased(open_dataset(folder), "cat", "a cat", "multi_domain")
    with pytest.raises(UsageError, match="phrase of at most"):
        Previews(open_dataset(folder), FakeGenerator).start("cat", "x" * 10_000, "base")


def test_previews_are_drawn_by_a_generator_that_is_elsewhere_now(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(session_module, "load_recorded", lambda job, config: asked.append(config) or FakeGenerator())
    recorded = RecordedConfig("elsewhere", additions=Additions(lora=("style.safetensors",)))
    with served(folder, previews=recorded, device="cpu") as (session, asker):
        asker.json("/api/previews", {"class_name": "cat", "phrase": "a tabby cat", "strategy": "base"})
        wait(session.parts().previews.work, "done")
    assert asked == [replace(recorded, device="cpu")]


def test_previews_stop(folder):
    go = threading.Event()

    class Slow(FakeGenerator):
        def generate(self, requests):
            go.wait(10)
            return super().generate(requests)

    previews = Previews(open_dataset(folder), Slow)
    assert previews.start("cat", "a tabby cat", "base")
    assert not previews.start("cat", "a tiger", "base")
    previews.work.stop()
    go.set()
    wait(previews.work, "stopped")
    assert len(previews.drawn) <= 2


# ---- phrases ----------------------------------------------------------------------------------------------


def test_phrases_of_a_draft_are_edited_and_its_words_stay(tmp_path):
    path, names = tmp_path / "p.yaml", ("cat", "sea_lake", "jay")
    ranking = [ClassAmbiguity(2, "jay", 0.1, 0, 1, "cat", 0.5), ClassAmbiguity(0, "cat", 0.2, 0, 1, None, 0)]
    write_phrases_draft(path, ranking, {}, {"cat": "too alike"})
    phrases = Phrases(path, names, {})
    assert [row.class_name for row in phrases.rows()] == ["jay", "cat", "sea_lake"]
    assert phrases.rows()[0].comment == "10% of its images are recognised, 50% are taken for cat"
    before = path.read_text()
    phrases.save("jay", "a jay, the blue bird")
    assert path.read_text() == before.replace("jay: jay\n", "jay: a jay, the blue bird\n")
    assert load_phrases(path, names) == {"jay": "a jay, the blue bird"}
    phrases.save("sea_lake", "a salt lake: wide")
    again = Phrases(path, names, {})
    assert [(row.class_name, row.phrase) for row in again.rows()] == [
        ("jay", "a jay, the blue bird"),
        ("cat", "cat"),
        ("sea_lake", "a salt lake: wide"),
    ]
    assert again.rows()[1].comment.endswith("recognised: too alike")


def test_phrases_begin_with_those_that_the_dataset_was_drawn_by(tmp_path):
    phrases = Phrases(tmp_path / "p.yaml", ("cat", "jay"), {"cat": "a tabby cat"})
    assert phrases.rows()[0].phrase == "a tabby cat"
    phrases.save("jay", "a bird")
    path = tmp_path / "p.yaml"
    assert load_phrases(path, ("cat", "jay"))["jay"] == "a bird"
    path.write_text("jay: somebody's\n")  # of another who edits
    phrases.save("cat", "a lion")
    assert load_phrases(path, ("cat", "jay")) == {"jay": "somebody's", "cat": "a lion"}


OWN = """\
# mine
cat: "a cat"   # of the house
"Sea lake": a lake
# at the end
"""


def test_what_a_person_wrote_beside_phrases_stays(tmp_path):
    path, names = tmp_path / "p.yaml", ("cat", "sea_lake", "jay")
    path.write_text(OWN)
    phrases = Phrases(path, names, {})
    phrases.save("cat", "a cat: #1")
    assert path.read_text() == OWN.replace('"a cat"', "'a cat: #1'")
    phrases.save("sea_lake", "a salt lake")
    phrases.save("jay", "a bird")
    assert path.read_text().endswith("Sea lake: a salt lake\n# at the end\njay: a bird\n")
    assert load_phrases(path, names) == {"cat": "a cat: #1", "sea_lake": "a salt lake", "jay": "a bird"}
    phrases.save("cat", "a cat of the house")
    assert "cat: a cat of the house   # of the house\n" in path.read_text()


@pytest.mark.parametrize(
    "text", ["{cat: a cat, jay: a bird}", "cat: a\n  cat\njay: a bird", "'on': a cat\ncat: >\n  a cat\njay: a bird"]
)
def test_phrases_in_another_form_are_written_anew(tmp_path, text):
    path, names = tmp_path / "p.yaml", ("cat", "jay", "on")
    path.write_text(text)
    expected = load_phrases(path, names) | {"cat": "a lion"}
    Phrases(path, names, {}).save("cat", "a lion")
    assert load_phrases(path, names) == expected
    Phrases(path, names, {}).save("on", "a light that is on")
    assert load_phrases(path, names) == expected | {"on": "a light that is on"}


def test_phrases_that_another_edits_are_shown_as_they_are_now(tmp_path):
    path = tmp_path / "p.yaml"
    phrases = Phrases(path, ("cat", "jay"), {})
    path.write_text("jay: a bird\n")
    assert [row.phrase for row in phrases.rows()] == ["cat", "a bird"]


def test_phrases_that_cannot_be_change_nothing(tmp_path):
    phrases = Phrases(tmp_path / "p.yaml", ("cat",), {})
    with pytest.raises(DataError, match="a class of the dataset"):
        phrases.save("dog", "a dog")
    with pytest.raises(UsageError, match="at most"):
        phrases.save("cat", "x" * 10_000)
    assert not (tmp_path / "p.yaml").exists()
    (tmp_path / "q.yaml").write_text("dog: a dog\n")
    with pytest.raises(UsageError, match="Unknown class 'dog'"):
        Phrases(tmp_path / "q.yaml", ("cat",), {})
