"""What a path holds: splits by the field's words, wrappers, tables, metadata; and what is no class is none."""

import json
import logging
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from image_files import grey_png, make_folder, write_parquet
from small_datasets import make
from synthset.core.errors import DataError, UsageError
from synthset.images.opening import ImagePath, load_path, splits_at
from synthset.real import load_real
from synthset.real.learning import few_shot_pool, load_test_part


def make_splits(root, *names, within=""):
    """A folder of each name with two classes, of 2, 3, … images a class."""
    for i, name in enumerate(names):
        make_folder(root / name / within, n=i + 2)
    return root


def write_images(folder, n=4):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        (folder / f"{i}.png").write_bytes(grey_png(i))
    return folder


# ---- splits of folders ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "training", "test"),
    [
        (("Training", "Testing"), "Training", "Testing"),
        (("Train", "Test"), "Train", "Test"),
        (("train", "test", "images"), "train", "test"),
        (("seg_train", "seg_test", "seg_pred"), "seg_train", "seg_test"),
        (("training_set", "test_set"), "training_set", "test_set"),
        (("images_train", "images_test"), "images_train", "images_test"),
        (("TRAIN", "VAL"), "TRAIN", "VAL"),
        (("train", "valid", "test"), "train", "test"),
        (("train", "dev"), "train", "dev"),
        (("train", "held_out"), "train", "held_out"),
        (("train", "eval"), "train", "eval"),
        (("TRAINING", "Validate"), "TRAINING", "Validate"),
        (("trainA", "testA"), "trainA", "testA"),
        (("Train_Data", "Test_Data"), "Train_Data", "Test_Data"),
        (("asl_alphabet_train", "asl_alphabet_test"), "asl_alphabet_train", "asl_alphabet_test"),
    ],
)
@pytest.mark.parametrize("wrapper", ["", "archive/Data"])
def test_splits_are_no_classes(tmp_path, names, training, test, wrapper):
    make_splits(tmp_path / wrapper, *names)
    with pytest.raises(UsageError, match=rf"holds splits \(.*\), not one set .* e\.g\. split={training}"):
        load_path(tmp_path)
    assert (load_real(tmp_path).split, load_test_part(tmp_path).split) == (test, test)
    pool = few_shot_pool(str(tmp_path))
    assert (pool.split, pool.class_names, len(pool)) == (training, ("cat", "dog"), 4)
    assert load_real(tmp_path, "train").split == training


def test_splits_within_folders_of_their_name(tmp_path):
    make_splits(tmp_path, "seg_train/seg_train", "seg_test/seg_test")
    write_images(tmp_path / "seg_pred" / "seg_pred")  # images of no class
    assert load_real(tmp_path).class_names == ("cat", "dog")
    assert len(load_real(tmp_path)) == 6
    assert set(splits_at(tmp_path).values()) == {"train", "test"}


@pytest.mark.parametrize("wrapper", ["", "archive/Data"])
def test_what_is_in_no_split_is_said_once_an_opening(tmp_path, caplog, wrapper):
    inner = make_splits(tmp_path / wrapper, "train", "test", "images", "extra/more", "extra/still more")
    write_images(inner / "unlabeled")
    (inner / "notes").mkdir()
    splits_at(tmp_path)
    assert not caplog.messages
    load_real(tmp_path)
    beside = [f"'{place}'" for place in sorted(str(Path(wrapper, name)) for name in ("extra", "images", "unlabeled"))]
    assert caplog.messages == [f"{tmp_path}: left out what is in none of its splits: {', '.join(beside)}"]
    caplog.clear()
    write_images(inner, n=2)
    load_path(ImagePath(str(inner)).with_split("train"))
    (message,) = caplog.messages
    assert message.endswith(": 'extra', 'images', 'unlabeled' and 2 images")


def test_images_beside_the_folders_of_the_classes_are_said(tmp_path, caplog):
    write_images(make_folder(tmp_path / "train"), n=1)
    make_folder(tmp_path / "test")
    assert len(load_real(tmp_path, "train")) == 4
    assert caplog.messages == [f"{tmp_path / 'train'}: left out 1 image in none of its folders"]


def test_a_split_alone_is_the_set(tmp_path):
    make_splits(tmp_path, "train")
    assert load_path(tmp_path).class_names == load_real(tmp_path).class_names == ("cat", "dog")


def test_classes_with_the_words_of_splits_are_classes(tmp_path):
    assert load_path(make_folder(tmp_path / "a", ("test", "train station", "dog"))).class_names == (
        *("dog", "test", "train station"),
    )
    names = ("test tube", "training shoe", "valley")
    assert load_path(make_folder(tmp_path / "b", names)).class_names == names


@pytest.mark.parametrize(
    "names", [("fold1", "fold2"), ("original", "augmented"), ("images", "masks"), ("train", "more")]
)
def test_classes_that_hold_the_same_folders_are_refused(tmp_path, names):
    make_splits(tmp_path, *names)
    with pytest.raises(UsageError, match=r"got '\w+' and '\w+', which both hold the folders 'cat', 'dog'\. Name one"):
        load_real(tmp_path)


def test_splits_within_each_class_are_refused(tmp_path):
    for name in ("cat", "dog"):
        make_folder(tmp_path / name, ("Train", "test"))
    with pytest.raises(UsageError, match="both hold the folders 'test', 'train'"):
        load_real(tmp_path)


def test_one_folder_in_common_is_no_layout_of_splits(tmp_path):
    for name in ("cat", "dog"):
        make_folder(tmp_path / name, ("camera",))
    assert load_real(tmp_path).class_names == ("cat", "dog")


@pytest.mark.parametrize("name", [".ipynb_checkpoints", "__MACOSX", "__macosx", "@eaDir", "#recycle", "$Recycle.bin"])
def test_what_systems_leave_behind_is_no_class_and_no_image(tmp_path, name):
    make_folder(tmp_path)
    for place in (tmp_path, tmp_path / "cat", tmp_path / "cat" / name):
        write_images(place / name)
    (tmp_path / "cat" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "cat" / "._0.png").write_bytes(b"x")
    images = load_real(tmp_path)
    assert (images.class_names, len(images)) == (("cat", "dog"), 4)


def test_images_beside_no_classes_are_told_what_to_do(tmp_path):
    write_images(tmp_path / "train")
    make_folder(tmp_path / "test")
    assert len(load_real(tmp_path)) == 4
    with pytest.raises(DataError, match=r"in '.*/train', found neither\. .* or a metadata\.csv with the columns"):
        load_real(tmp_path, "train")


def test_a_test_split_without_labels_gives_way_to_the_one_that_has_them(tmp_path):
    make_splits(tmp_path, "train", "val")
    write_images(tmp_path / "test" / "images")
    assert (load_real(tmp_path).split, load_test_part(tmp_path).split) == ("val", "val")
    with pytest.raises(DataError, match="Expected one folder a class"):
        load_real(tmp_path / "test" / "images")


def test_folders_of_first_letters_hold_the_classes(tmp_path, caplog):
    names = ("a/abbey", "a/apartment_building/indoor", "a/apartment_building/outdoor", "b/beach")
    make_folder(tmp_path / "SUN397", names)
    with caplog.at_level(logging.WARNING):
        images = load_real(tmp_path)
    assert images.class_names == ("abbey", "apartment_building/indoor", "apartment_building/outdoor", "beach")
    assert "folders of first letters hold the classes: 'abbey', " in caplog.text
    assert len(load_real(make_folder(tmp_path / "letters", ("a", "b"))).class_names) == 2
    assert load_real(make_folder(tmp_path / "writers", ("a/a_1", "a/a_2", "b/b_1"))).class_names == ("a", "b")


# ---- names ------------------------------------------------------------------------------------------------


def test_names_of_folders_are_as_they_are_seen(tmp_path):
    make_folder(tmp_path, ("cafe\u0301", "do\u200bg", " emu "))
    assert load_real(tmp_path).class_names == ("emu", "caf\u00e9", "dog")


def test_folders_whose_names_are_seen_alike_are_refused(tmp_path):
    make_folder(tmp_path, ("cafe\u0301", "caf\u00e9"))
    with pytest.raises(DataError, match=r"got two folders called 'caf\u00e9'\. Join them"):
        load_real(tmp_path)


def test_names_that_are_not_utf_8(tmp_path):
    make_folder(tmp_path / "cafe\udce9")  # of the set: it can be read, and written of
    (tmp_path / "cafe\udce9" / "cat" / "0.png").rename(tmp_path / "cafe\udce9" / "cat" / "\udcff.png")
    images = load_real(tmp_path / "cafe\udce9")
    images.check()
    for text in (images.name, images.place(0), images.place(1)):
        json.dumps(text, ensure_ascii=False).encode()
    make_folder(tmp_path / "cafe\udce9", ("th\udce9",))  # of a class: it cannot
    with pytest.raises(DataError, match=r"Expected names in UTF-8 in .*'th\\udce9'\. Rename it") as error:
        load_real(tmp_path / "cafe\udce9")
    str(error.value).encode()


# ---- tables -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "files",
    [
        ("plain_text/train-00000-of-00001.parquet", "plain_text/test-00000-of-00001.parquet"),
        ("default/train/0000.parquet", "default/test/0000.parquet"),
        ("data/train-00000-of-00001-a7f3.parquet", "data/test-00000-of-00001-b1c0.parquet"),
        ("train.parquet", "Testing.PARQUET"),
        ("cifar10-training.parquet", "cifar10-testing.parquet"),
        ("train/x.parquet", "valid/x.parquet"),
    ],
)
def test_layouts_of_hubs(tmp_path, files):
    write_parquet(tmp_path / files[0], labels=[0, 1, 1, 0])
    write_parquet(tmp_path / files[1])
    assert (len(load_real(tmp_path)), len(few_shot_pool(str(tmp_path))), len(load_test_part(tmp_path))) == (3, 4, 3)


def test_shards_of_a_split_are_one_and_configurations_are_not(tmp_path):
    for shard in range(3):
        write_parquet(tmp_path / "full" / "test" / f"{shard:04d}.parquet")
    assert len(load_real(tmp_path)) == 9
    write_parquet(tmp_path / "cropped" / "test" / "0000.parquet")
    with pytest.raises(
        UsageError, match=r"one configuration in '.*', got cropped, full for test\. Give the path of one"
    ):
        load_real(tmp_path)
    assert len(load_real(tmp_path / "full")) == 9


def test_shards_in_another_order_of_names_go_by_name(tmp_path):
    names = ("cat", "dog", "emu")
    write_parquet(tmp_path / "train-0.parquet", labels=[0, 1, 2], names=names)
    write_parquet(tmp_path / "train-1.parquet", labels=[0, 1, 2], names=names[::-1])
    write_parquet(tmp_path / "train-2.parquet", labels=[0, -1, 2], names=("dog", "emu", "cat"))
    images = load_real(tmp_path)
    assert [names[label] for label in images.labels] == ["cat", "dog", "emu", "emu", "dog", "cat", "dog", "cat"]


@pytest.mark.parametrize("names", [("cat", "emu"), ("cat", "dog", "emu"), None])
def test_shards_of_other_classes_are_refused(tmp_path, names):
    write_parquet(tmp_path / "train-0.parquet")
    write_parquet(tmp_path / "train-1.parquet", names=names)
    with pytest.raises(DataError, match=r"the same classes in all tables, got cat, dog in '.*train-0.*train-1"):
        load_real(tmp_path)


def test_shards_that_are_missing_by_their_names_are_said(tmp_path, caplog):
    write_parquet(tmp_path / "data" / "test-00000-of-00003-a7f3.parquet")
    write_parquet(tmp_path / "data" / "test-00002-of-00003-b1c0.parquet")
    with caplog.at_level(logging.WARNING):
        assert len(load_real(tmp_path)) == 6
    assert caplog.messages == [f"2 of 3 files are there, by their names, of the images in '{tmp_path / 'data'}'"]
    with pytest.raises(DataError, match=r"2 of 3 files are there, .*\. Fetch the others"):
        load_real(tmp_path, strict=True)
    write_parquet(tmp_path / "data" / "test-00001-of-00003.parquet")
    assert len(load_real(tmp_path, strict=True)) == 9


def test_a_set_with_several_columns_of_labels_needs_one_named(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", extra={"coarse_label": ["x", "y", "x"], "fine_label": ["a", "b", "c"]})
    with pytest.raises(UsageError, match=r"several columns of labels \(label, fine_label\)\. .* label_column=label"):
        load_real(path)
    assert load_real(path, label_column="coarse_label").class_names == ("x", "y")
    assert load_real(path, label_column="label").class_names == ("cat", "dog")
    with pytest.raises(UsageError, match=r"the column 'colour' in .*, got label, fine_label"):
        load_real(path, label_column="colour")
    with pytest.raises(UsageError, match=r"no column of labels of .*, whose classes are its folders"):
        load_real(make_folder(tmp_path / "folders"), label_column="label")


def test_two_columns_typed_as_classes_are_several(tmp_path):
    features = {name: {"_type": "ClassLabel", "names": ["a", "b"]} for name in ("breed", "species")}
    table = pa.table({"image": [grey_png(1)], "species": [1], "breed": [0]})
    schema = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(schema), tmp_path / "a.parquet")
    with pytest.raises(UsageError, match=r"several columns of labels \(breed, species\)"):
        load_real(tmp_path)
    assert load_real(tmp_path, label_column="species").labels.tolist() == [1]


def test_images_by_their_paths(tmp_path):
    write_images(tmp_path / "pictures")
    rows = {"image": ["pictures/3.png", "pictures/0.png"], "label": ["b", "a"]}
    pq.write_table(pa.table(rows), tmp_path / "test.parquet")
    images = load_real(tmp_path)
    assert (images.class_names, images.labels.tolist()) == (("a", "b"), [1, 0])
    assert images.tensor(4)[:, 0, 0, 0].tolist() == [3, 0]
    rows["image"] = ["pictures/9.png", "../outside.png"]
    write_images(tmp_path.parent / f"{tmp_path.name}-x")
    (tmp_path.parent / "outside.png").write_bytes(grey_png(1))
    pq.write_table(pa.table(rows), tmp_path / "test.parquet")
    with pytest.raises(DataError, match=r"2 of the 2 images .* where nothing is; .* which leaves it"):
        load_real(tmp_path).check()


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl", "metadata.json", "metadata.parquet"])
def test_metadata_on_top_of_images(tmp_path, name):
    write_images(tmp_path / "pictures")
    rows = [{"file_name": f"pictures/{i}.png", "label": ["cat ", "dog", "", "cat"][i]} for i in range(4)]
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
    elif name.endswith(".csv"):
        lines = ["file_name,label", *(",".join(row.values()) for row in rows)]
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8-sig")
    else:
        lines = map(json.dumps, rows)
        (tmp_path / name).write_text("\n".join(lines) if name.endswith("l") else json.dumps(rows))
    images = load_real(tmp_path)
    assert (images.class_names, images.labels.tolist()) == (("cat", "dog"), [0, 1, 0])
    assert images.tensor(4)[:, 0, 0, 0].tolist() == [0, 1, 3]
    with pytest.raises(DataError, match=r"1 of the 4 images .* have no label"):
        load_real(tmp_path, strict=True)


def test_metadata_beside_folders_of_classes_is_said_not_to_count(tmp_path, caplog):
    make_folder(tmp_path)
    (tmp_path / "metadata.csv").write_text("file_name,label\ncat/0.png,dog\n")
    with caplog.at_level(logging.WARNING):
        assert load_real(tmp_path).class_names == ("cat", "dog")
    assert caplog.messages == [
        f"'{tmp_path}': its folders are taken as the classes, and what 'metadata.csv' says is not"
    ]


def metadata(folder, labels):
    write_images(folder, len(labels))
    rows = [{"file_name": f"{i}.png", "label": label} for i, label in enumerate(labels)]
    (folder / "metadata.json").write_text(json.dumps(rows))
    return folder


def test_numbers_of_images_without_names(tmp_path, caplog):
    assert load_real(metadata(tmp_path / "a", [0, 2, 10])).class_names == ("0", "2", "10")
    with pytest.raises(DataError, match=r"3 of the 3 images .* have no label \(-1 or nothing\)"):
        load_real(metadata(tmp_path / "b", [-1, -1, -1]))
    with pytest.raises(DataError, match=r"got values of -5 to 1"):
        load_real(metadata(tmp_path / "c", [-5, 0, 1]))
    names = ("cat", "dog", "emu")
    assert load_real(tmp_path / "a", label_names=[*names, *"defghijk"]).labels.tolist() == [0, 2, 10]
    with caplog.at_level(logging.WARNING):
        images = load_real(metadata(tmp_path / "d", [3, 1, 2]), label_names=names)
    assert (images.labels.tolist(), images.class_names) == ([2, 0, 1], names)
    assert caplog.messages == [f"'{tmp_path / 'd'}' counts its labels from 1: 1 is 'cat', 3 is 'emu'"]
    with pytest.raises(UsageError, match=r"labels 0\.\.2 for label_names, got 0, 2, 10 in"):
        load_real(tmp_path / "a", label_names=names)
    with pytest.raises(UsageError, match=r"labels 0\.\.1 for label_names, got cat, dog in"):
        load_real(make_folder(tmp_path / "f"), label_names=["cat", "dog"])


def test_labels_from_1_are_said_where_names_stand_beside(tmp_path, caplog):
    path = write_parquet(tmp_path / "a.parquet", labels=[1, 2, 1, -1])
    with caplog.at_level(logging.WARNING):
        assert load_real(path).labels.tolist() == [0, 1, 0]
    assert f"'{path}' counts its labels from 1: 1 is 'cat', 2 is 'dog'" in caplog.messages


def test_a_dataset_that_was_copied_without_its_images_says_so(tmp_path):
    make(tmp_path, shard_size=8)
    assert len(load_real(tmp_path)) == 20
    (tmp_path / "data" / "train-00001.parquet").unlink()
    with pytest.raises(
        DataError, match=r"Expected 20 images in '.*', as its manifest\.json counts, found 12\. Copy it"
    ):
        load_real(tmp_path)
    for shard in (tmp_path / "data").iterdir():
        shard.unlink()
    with pytest.raises(DataError, match=r"a Synthset dataset without its images, which lie in data/\. Copy it whole"):
        load_real(tmp_path)
