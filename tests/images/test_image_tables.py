"""Tables of images: columns found by name and type, bounded memory, and one clear line for all that is broken."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from image_files import grey_png, write_parquet
from synthset.core.errors import DataError, UsageError
from synthset.core.parquet_files import KeptGroups
from synthset.images.opening import load_path
from synthset.real import load_real


@pytest.mark.parametrize("names", [("cat", "dog", "unseen"), None])
def test_a_parquet_file_with_and_without_names(tmp_path, names):
    images = load_real(write_parquet(tmp_path / "a.parquet", names=names))
    assert images.class_names == (names or ("0", "1"))
    assert images.labels.tolist() == [0, 1, 0]
    assert images.tensor(4)[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert images.place(2).endswith("(row 2 of a.parquet)")


def test_folders_of_images_beside_the_tables_are_said_unless_these_lead_there(tmp_path, caplog):
    write_parquet(tmp_path / "a" / "data" / "train-00000-of-00001.parquet")
    for folder in ("a", "b"):
        for name in ("cat/1.png", "cat/2.png", "extra/dog/1.png"):
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / name).write_bytes(grey_png(9))
    assert len(load_path(tmp_path / "a")) == 3
    assert caplog.messages == [
        f"{tmp_path / 'a'}: its Parquet files are read; left out 3 images in 'cat', 'extra'. Give the path of what is "
        "meant, if it is these."
    ]
    caplog.clear()
    table = pa.table({"image": ["cat/1.png", "cat/2.png"], "label": ["cat", "cat"]})
    pq.write_table(table, tmp_path / "b" / "table.parquet")
    assert load_path(tmp_path / "b").read(1) == grey_png(9)
    assert not caplog.messages


def test_other_columns_and_types(tmp_path):
    table = pa.table({"img": [grey_png(3), grey_png(4)], "fine_label": ["wolf", "bear"], "coarse_label": [0, 0]})
    pq.write_table(table, tmp_path / "a.parquet")
    images = load_real(tmp_path / "a.parquet")
    assert images.class_names == ("bear", "wolf")
    assert images.labels.tolist() == [1, 0]
    assert images.image(1).getpixel((0, 0)) == (4, 4, 4)


def test_a_synthset_dataset_is_read_from_its_data_folder(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    for name in ("plan.parquet", "failures.parquet"):
        pq.write_table(pa.table({"label": [0]}), tmp_path / name)
    for shard in range(3):
        strategy = {"strategy": ["base", "multi_domain", "base"]}
        images = [grey_png(10 * shard + i) for i in range(3)]
        write_parquet(tmp_path / "data" / f"train-{shard:05d}.parquet", images=images, extra=strategy)
    (tmp_path / "data" / ".train-00003.parquet").write_bytes(b"unfinished")
    images = load_real(tmp_path)
    assert len(images) == 9
    assert images.groups == ("base", "multi_domain", "base") * 3
    assert images.tensor(4)[:, 0, 0, 0].tolist() == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    assert images.place(7).endswith("(row 1 of data/train-00002.parquet)")


def test_row_groups_beyond_the_budget_are_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(KeptGroups, "budget_bytes", 1)
    images = load_real(write_parquet(tmp_path / "a.parquet", labels=[0, 1] * 5))
    for order in (range(10), range(9, -1, -1)):
        assert [images.image(i).getpixel((0, 0))[0] for i in order] == list(order)


def test_parquet_splits_are_told_apart_by_file_name(tmp_path):
    write_parquet(tmp_path / "cifar10-test.parquet")
    assert len(load_real(tmp_path)) == 3
    write_parquet(tmp_path / "cifar10-train.parquet", labels=[0, 1] * 4)
    with pytest.raises(UsageError, match=r"\(test, train\), .* got none of them"):
        load_path(tmp_path)
    assert len(load_real(tmp_path)) == 3
    assert len(load_real(tmp_path, "train")) == 8
    with pytest.raises(UsageError, match="got 'validation'"):
        load_real(tmp_path, "validation")


def test_an_unreadable_row_is_named(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", images=[grey_png(1), b"junk", None])
    images = load_real(path)
    with pytest.raises(DataError, match=r"Image 1 of .*\(row 1 of a\.parquet\): Expected a whole PNG.*4 bytes of text"):
        images.image(1)
    with pytest.raises(DataError, match=r"row 1 of a\.parquet: 4 bytes of text; row 2 of a\.parquet: none\. Mend"):
        images.tensor(4)
    with pytest.raises(DataError, match=r"Image 2 of .*Expected an image at row 2 of a\.parquet, got none"):
        images.image(2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [0, 1, 2]}, r"labels 0\.\.1 .* got 0\.\.2"),
        ({"labels": [0, -2, 1]}, r"got -2\.\.1"),
        ({"labels": [-1, -1, None]}, r"3 of the 3 images .* have no label \(-1 or nothing\): hubs publish"),
        ({"labels": [0.5, 1.0, 1.0]}, "all integers or all text"),
        ({"labels": [0, 10**9, 1], "names": None}, "class indices"),
        ({"labels": pa.array([], pa.int64()), "images": []}, "found no rows"),
    ],
)
def test_unusable_labels(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        load_real(write_parquet(tmp_path / "a.parquet", **changes))


def test_unusable_tables(tmp_path):
    path = tmp_path / "a.parquet"
    for data in (b"", b"PAR1", np.random.default_rng(0).bytes(500)):
        path.write_bytes(data)
        with pytest.raises(DataError, match="Expected a whole Parquet file"):
            load_real(path)
    pq.write_table(pa.table({"label": [0]}), path)
    with pytest.raises(DataError, match="column with the image"):
        load_real(path)
    pq.write_table(pa.table({"image": [b"x"], "kind": [0]}), path)
    with pytest.raises(DataError, match=r"column with the label .* got image, kind"):
        load_real(path)
    pq.write_table(pa.table({"image": [1.5], "label": [0]}), path)
    with pytest.raises(DataError, match="encoded images"):
        load_real(path)


def test_shards_that_differ_or_break_are_named(tmp_path):
    write_parquet(tmp_path / "train-0.parquet")
    pq.write_table(pa.table({"image": [b"x"]}), tmp_path / "train-1.parquet")
    with pytest.raises(DataError, match=r"'.*train-1\.parquet', missing: label"):
        load_real(tmp_path)
    whole = write_parquet(tmp_path / "train-1.parquet").read_bytes()
    (tmp_path / "train-1.parquet").write_bytes(whole[:-20])
    with pytest.raises(DataError, match=r"whole Parquet file at '.*train-1"):
        load_real(tmp_path)


def test_a_file_that_changes_under_us_gives_a_clear_error(tmp_path):
    images = load_real(write_parquet(tmp_path / "a.parquet"))
    (tmp_path / "a.parquet").unlink()
    with pytest.raises(DataError, match=r"Image 0 of .*row group 0"):
        images.image(0)


def test_what_datasets_writes_is_read(tmp_path):
    import datasets

    buffer = io.BytesIO()
    Image.new("L", (3, 3), 9).save(buffer, "PNG")
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=["no", "yes"]))
    rows = {"image": [{"bytes": buffer.getvalue(), "path": None}], "label": [1]}
    datasets.Dataset.from_dict(rows, features).to_parquet(tmp_path / "a.parquet")
    images = load_real(tmp_path)
    assert images.class_names == ("no", "yes")
    assert images.labels.tolist() == [1]
    assert images.image(0).getpixel((1, 1)) == (9, 9, 9)
