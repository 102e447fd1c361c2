"""Every image that a report shows says which one it is: its id, prompt, scale and seed, to be drawn again."""

import pickle

import pyarrow.parquet as pq
import pytest

import synthset
from small_datasets import make, photos
from synthset.dataset.reader import _Identities, open_dataset
from synthset.filters import audit
from synthset.report.galleries import tell_identity
from synthset.testing import FakeEncoder


@pytest.fixture(scope="module")
def diagnosed(tmp_path_factory):
    """A diagnosis of a dataset beside real images, and the dataset's rows by id."""
    folder = tmp_path_factory.mktemp("told")
    make(folder / "pets", images_per_class=4)
    real = photos((4, 4), ("cat", "sea_lake"))
    options = {"encoder": FakeEncoder(), "cache": folder / "cache", "tsne_images": 20, "real": real}
    synthset.diagnose([str(folder / "pets")], folder / "out", **options)
    rows = open_dataset(folder / "pets").rows.to_pylist()
    return folder / "out", {row["request_id"]: row for row in rows}


def test_an_image_set_knows_which_drawings_it_has_through_every_choice(tmp_path):
    dataset = make(tmp_path / "pets").dataset
    rows = dataset.rows.to_pylist()
    images = dataset.images("base").select([3, 1])
    chosen = [row for row in rows if row["strategy"] == "base"]
    for place, row in enumerate((chosen[3], chosen[1])):
        told = images.identity_of(place)
        assert (told["id"], told["seed"], told["prompt"]) == (row["request_id"], row["seed"], row["prompt"])
    copied = pickle.loads(pickle.dumps(_Identities(dataset.rows)))
    assert copied(0) == {}  # what goes to a worker is small


@pytest.mark.parametrize("name", ["galleries", "tsne"])
def test_saved_tables_name_each_image(diagnosed, name):
    folder, rows = diagnosed
    saved = pq.read_table(folder / f"{name}.parquet").to_pylist()
    drawn = [row for row in saved if row["set"] == "pets"]
    assert len(drawn) >= 8
    for row in drawn:
        for column in ("prompt", "guidance_scale", "seed"):
            assert row[column] == rows[row["id"]][column]
    assert {row["id"] for row in saved if row["set"] != "pets"} == {None}


def test_the_report_shows_it_and_scripts_can_read_it(diagnosed):
    folder, rows = diagnosed
    page = (folder / "report.html").read_text(encoding="utf-8")
    row = rows[0]
    text = f"id 0 · {row['prompt']} · scale {row['guidance_scale']:.3g} · seed {row['seed']}"
    assert f'title="{text}"' in page
    assert f'data-seed="{row["seed"]}"' in page
    assert page.count("data-id=") >= 8
    assert page.count(f"seed {row['seed']}") >= 2  # in the gallery, and at its point of the map


def test_verdicts_as_a_table_name_each_image(tmp_path):
    from test_merge import judge

    folder = make(tmp_path / "pets").dataset.folder
    judge(folder, "clip", [3])
    rows = {row["request_id"]: row for row in open_dataset(folder).rows.to_pylist()}
    for row in audit(open_dataset(folder)).to_pylist():
        assert all(row[name] == rows[row["request_id"]][name] for name in ("prompt", "guidance_scale", "seed"))


def test_what_is_not_known_is_not_said():
    assert tell_identity({}) == ""
    assert tell_identity({"id": None, "file": "cat/1.jpg"}) == "cat/1.jpg"
    assert tell_identity({"id": 3, "prompt": "", "guidance_scale": None, "seed": None}) == "id 3"
