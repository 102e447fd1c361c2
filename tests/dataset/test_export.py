"""An exported folder opens in torchvision with our labels, and appears whole or not at all."""

import json

import numpy as np
import pytest
from torchvision.datasets import ImageFolder

from synthset.core.errors import DataError, UnknownNameError, UsageError
from synthset.dataset.export import FORMATS, export, export_imagefolder
from synthset.dataset.export.class_folders import class_slug, folders_of, is_safe
from synthset.images.decoding import encode
from synthset.images.imageset import ImageSet
from synthset.real import load_real

HOSTILE = (
    *("../x", "..", "CON", "", "数字", "<img onerror=alert(1)>", "=cmd", "a\nb", "x" * 300, "Éclair"),
    *("sea or lake", "Speed limit (20km/h)", "AC/DC", ".NET", "a\\b", "Sea/Lake"),
)


def make_set(names=("cat", "dog"), n_each=2, **changes) -> ImageSet:
    n = len(names) * n_each
    files = [encode(np.full((5, 5, 3), i, np.uint8), ("png", "jpeg", "webp")[i % 3]) for i in range(n)]
    fields = {
        "name": "test",
        "class_names": tuple(names),
        "labels": np.arange(n) % len(names),
        "read": files.__getitem__,
    }
    return ImageSet(**{**fields, **changes})


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_imagefolder_sees_our_labels_and_our_bytes(tmp_path):
    names = [f"class {i}" for i in reversed(range(12))]  # more than ten: text order is not number order
    images = make_set(names)
    folder = export(images, tmp_path / "out", numbered=True)
    opened = ImageFolder(folder)
    assert len(opened.classes) == 12
    for path, label in opened.samples:
        row = int(path.rpartition("/")[2].split(".")[0])
        assert images.labels[row] == label
        assert (folder / path).read_bytes() == images.read(row)
    assert {p.suffix for p in folder.rglob("0*.*")} == {".png", ".jpg", ".webp"}
    assert list(tmp_path.iterdir()) == [folder]


def test_names_survive_the_round_trip_and_never_become_paths(tmp_path):
    images = make_set(HOSTILE)
    folder = export_imagefolder(images, tmp_path / "deep" / "out")
    back = load_real(folder)
    assert back.class_names == HOSTILE
    assert sorted(back.labels) == sorted(images.labels)
    assert [p.name for p in tmp_path.iterdir()] == ["deep"]
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["out"]
    assert ImageFolder(folder).classes == [class_slug(i, n, len(HOSTILE)) for i, n in enumerate(HOSTILE)]


def test_folders_are_called_as_the_classes_where_all_names_can_be_folders(tmp_path, caplog):
    names = ("sea lake", "Éclair", "C#", "数字", "50% grey (new)")
    folder = export_imagefolder(make_set(names), tmp_path / "out")
    assert ImageFolder(folder).classes == sorted(names)
    assert load_real(folder).class_names == names  # in the order of the dataset
    assert "have '50% grey (new)' as class 0, which is 4 here. Give numbered=True" in caplog.text
    assert ImageFolder(export(make_set(names), tmp_path / "two", numbered=True)).classes[1] == "001_eclair"
    assert folders_of(("Cat", "cat")) == ["000_cat", "001_cat"]  # one folder on some systems


@pytest.mark.parametrize(
    "name",
    [
        *("", " cat", "cat ", "cat.", ".cat", "a/b", "a\\b", "a:b", "a*b", "a?b", "a|b", '"a"', "<a>", "a\nb"),
        *("a\u202eb", "nul", "COM1", "lpt9.txt", "x" * 101, "cafe\u0301", "__pycache__", "-rf", "~user", "[a]"),
        *("train", "bullet train", "Test tube", "dev", "valid_2", "evaluation"),  # splits, to datasets
    ],
)
def test_a_name_that_some_system_or_tool_takes_otherwise_is_no_folder(name):
    assert not is_safe(name)
    (slug,) = folders_of((name,))
    assert is_safe(slug)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_slug_is_plain(name):
    slug = class_slug(7, name, 1000)
    assert slug.startswith("007_")
    assert slug.replace("_", "").isalnum()
    assert slug.isascii()
    assert slug == slug.lower()
    assert len(slug) <= 44


def test_slugs_sort_by_index_and_refuse_a_wrong_one():
    slugs = [class_slug(i, "z" if i % 2 else "a", 20_000) for i in range(0, 20_000, 7)]
    assert slugs == sorted(slugs)
    with pytest.raises(ValueError, match=r"0\.\.4, got 5"):
        class_slug(5, "x", 5)


def test_only_an_export_of_ours_is_overwritten(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    export_imagefolder(make_set(), out)  # an empty folder is fine
    before = tree(out)
    with pytest.raises(UsageError, match="already holds an export"):
        export_imagefolder(make_set(("a", "b", "c")), out)
    assert tree(out) == before
    export_imagefolder(make_set(("a", "b", "c")), out, overwrite=True)
    assert len(ImageFolder(out).classes) == 3

    (out / "notes.txt").write_text("mine")
    before = tree(out)
    with pytest.raises(UsageError, match=r"'notes\.txt', which would be lost"):
        export_imagefolder(make_set(), out, overwrite=True)
    assert tree(out) == before
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    "marker",
    [None, "{}", "not json", '{"layout": "other", "classes": []}', "[" * 100_000],
    ids=["none", "empty", "no json", "other", "deep"],
)
def test_a_folder_that_is_not_ours_is_left_alone(tmp_path, marker):
    (tmp_path / "photo.txt").write_text("mine")
    if marker is not None:
        (tmp_path / "classes.json").write_text(marker)
    before = tree(tmp_path)
    with pytest.raises(UsageError, match="holds other things"):
        export_imagefolder(make_set(), tmp_path, overwrite=True)
    assert tree(tmp_path) == before


def test_files_and_links_in_the_way_are_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for name in ("file", "link"):
        with pytest.raises(UsageError, match="a file or a link"):
            export_imagefolder(make_set(), tmp_path / name, overwrite=True)
    assert not any((tmp_path / "real").iterdir())


def test_an_image_of_another_kind_leaves_nothing(tmp_path):
    good = make_set()
    broken = make_set(read=lambda i: b"GIF89a" if i == 3 else good.read(i), origin=lambda i: f"row {i}")
    out = tmp_path / "out"
    with pytest.raises(DataError, match=r"Image 3 of 'test' \(row 3\): expected PNG, JPEG or WebP"):
        export_imagefolder(broken, out)
    assert not any(tmp_path.iterdir())
    export_imagefolder(good, out)
    before = tree(out)
    with pytest.raises(DataError):
        export_imagefolder(broken, out, overwrite=True)
    assert tree(out) == before
    assert list(tmp_path.iterdir()) == [out]


def test_a_failed_swap_restores_the_old_export(tmp_path, monkeypatch):
    out = export_imagefolder(make_set(), tmp_path / "out")
    before = tree(out)
    rename = type(out).rename

    def full_disk(self, target):
        if self.suffix == ".partial":
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(type(out), "rename", full_disk)
    with pytest.raises(DataError, match="No space left"):
        export_imagefolder(make_set(("a", "b", "c")), out, overwrite=True)
    assert tree(out) == before
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:-20], "Expected JSON in"),
        (lambda text: text.replace('"name": "dog"', '"name": 7'), r"'classes\[1\]\.name' in .* as a text, got 7"),
        (lambda text: text.replace("dog", "\\udc80"), "as a text in Unicode"),
        (lambda text: text.replace('"name": "dog"', '"name": "fox"'), "was changed"),
        (lambda text: text.replace("001_dog", "000_cat"), "a folder stands twice"),
        (lambda text: text.replace('"version": 1', '"version": 2'), "update synthset"),
    ],
)
def test_damaged_names_of_an_export_are_not_replaced_by_slugs(tmp_path, damage, message):
    marker = export(make_set(), tmp_path / "out", numbered=True) / "classes.json"
    marker.write_text(damage(marker.read_text()))
    with pytest.raises(DataError, match=message):
        load_real(tmp_path / "out")
    (tmp_path / "out" / ".export.json").unlink()  # an export by an earlier version, which is known by its classes alone
    with pytest.raises(UsageError, match="holds other things"):
        export_imagefolder(make_set(), tmp_path / "out", overwrite=True)


def test_an_export_by_an_earlier_version_is_replaced(tmp_path):
    folder = export(make_set(), tmp_path / "out", numbered=True)
    for name in (".export.json", "metadata.jsonl"):
        (folder / name).unlink()
    export(make_set(("x", "y")), folder, overwrite=True)
    assert ImageFolder(folder).classes == ["x", "y"]


def test_names_that_look_alike_in_a_path_have_folders_of_their_own(tmp_path):
    names = ("C/C", "C\\C", "c c", "C+C", "猫", "犬", ".c.c")
    folder = export_imagefolder(make_set(names), tmp_path / "out")
    assert len(ImageFolder(folder).classes) == len(names)
    assert load_real(folder).class_names == names


def test_a_name_that_no_file_can_hold_is_refused_before_any_work():
    with pytest.raises(DataError, match=r"Expected class names in Unicode in 'test', got 'caf\\udce9'"):
        make_set(("caf\udce9", "dog"))


def test_an_empty_class_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(DataError, match="found none of: dog"):
        export_imagefolder(make_set(labels=np.zeros(4, np.int64)), tmp_path / "out")
    assert not any(tmp_path.iterdir())


def test_the_marker_holds_the_names(tmp_path):
    folder = export_imagefolder(make_set(("sea or lake", "数字")), tmp_path / "out")
    record = json.loads((folder / "classes.json").read_text(encoding="utf-8"))
    assert [entry["name"] for entry in record["classes"]] == ["sea or lake", "数字"]
    assert [entry["folder"] for entry in record["classes"]] == ["sea or lake", "数字"]


def test_formats_are_declared_with_a_line_about_each(tmp_path):
    assert all(layout.summary.strip() for layout in FORMATS.values())
    with pytest.raises(UnknownNameError, match=r"Unknown export format 'image_folder'.* Valid: imagefolder"):
        export(make_set(), tmp_path / "out", format="image_folder")
    assert tree(export(make_set(), tmp_path / "a")) == tree(export_imagefolder(make_set(), tmp_path / "b"))
