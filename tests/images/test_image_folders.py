"""Image folders, as torchvision reads them: what is left out is said, and no link leads out."""

import logging
from collections import Counter

import pytest

from image_files import grey_png, make_folder
from synthset.core.errors import DataError, UsageError
from synthset.dataset.export import export_imagefolder
from synthset.images.opening import load_path
from synthset.real import load_real


def test_an_image_folder_is_read_as_torchvision_reads_it(tmp_path):
    from torchvision.datasets import ImageFolder

    make_folder(tmp_path, ("b", "A", "a10", "a9"), n=3)
    (tmp_path / "b" / "deep").mkdir()
    (tmp_path / "b" / "deep" / "x.PNG").write_bytes(grey_png(7))
    images = load_real(tmp_path)
    theirs = ImageFolder(tmp_path)
    assert list(images.class_names) == theirs.classes
    assert Counter(images.labels.tolist()) == Counter(theirs.targets)
    assert images.tensor(2)[:, 0, 0, 0].sum() == sum(50 * c + i for c in range(4) for i in range(3)) + 7
    assert images.place(0).endswith("(A/0.png)")


def test_other_files_are_ignored_with_a_count(tmp_path, caplog):
    make_folder(tmp_path)
    for name in (".DS_Store", ".hidden.png", "notes.txt", "clip.gif"):
        (tmp_path / "cat" / name).write_bytes(b"x")
    (tmp_path / "README.md").write_text("x")
    (tmp_path / ".git").mkdir()
    with caplog.at_level(logging.WARNING):
        assert len(load_real(tmp_path)) == 4
    (record,) = caplog.records
    assert record.message.startswith(f"{tmp_path}: left out 4 files that are hidden or not called .png, ")
    assert record.message.endswith(": hidden (2), .gif (1), .txt (1)")


def test_an_unreadable_image_is_found_when_it_is_decoded(tmp_path):
    make_folder(tmp_path)
    (tmp_path / "dog" / "0.png").write_bytes(b"")
    (tmp_path / "dog" / "1.png").unlink()
    (tmp_path / "dog" / "1.png").symlink_to("gone.png")
    images = load_real(tmp_path)
    assert len(images) == 4
    with pytest.raises(DataError, match=r"Image 2 of .* \(dog/0\.png\): Expected a whole PNG"):
        images.image(2)
    with pytest.raises(DataError, match=r"2 of the 4 images .* dog/0\.png: an empty file; dog/1\.png: No such file"):
        images.tensor(4)
    with pytest.raises(DataError, match=r"Image 3 of .* \(dog/1\.png\): Expected a readable file .*No such file"):
        images.image(3)


def test_folders_without_images_are_refused(tmp_path):
    with pytest.raises(DataError, match="one folder a class"):
        load_real(tmp_path)
    (tmp_path / "loose.png").write_bytes(grey_png(1))
    with pytest.raises(DataError, match="one folder a class"):
        load_real(tmp_path)
    make_folder(tmp_path)
    with pytest.raises(DataError, match=r"Expected a folder, an archive \(\.zip, .*\) or a \.parquet file"):
        load_real(tmp_path / "loose.png")


@pytest.mark.parametrize("kind", ["file", "folder", "class"])
def test_links_out_of_the_folder_are_refused(tmp_path, kind):
    outside = make_folder(tmp_path / "outside")
    inside = make_folder(tmp_path / "inside")
    if kind == "file":
        (inside / "cat" / "2.png").symlink_to(outside / "cat" / "0.png")
    elif kind == "folder":
        (inside / "cat" / "more").symlink_to(outside)
    else:
        (inside / "emu").symlink_to(outside / "cat")
    with pytest.raises(DataError, match="a link"):
        load_real(inside)


def test_links_within_the_folder_and_to_the_folder_are_fine(tmp_path):
    inside = make_folder(tmp_path / "inside")
    (inside / "cat" / "2.png").symlink_to(inside / "dog" / "0.png")
    (tmp_path / "link").symlink_to(inside)
    assert len(load_real(tmp_path / "link")) == 5


def test_splits_of_an_image_folder(tmp_path):
    for name in ("train", "test"):
        make_folder(tmp_path / name, n=1 if name == "test" else 3)
    with pytest.raises(
        UsageError, match=r"holds splits \(test, train\), .* got none of them\. Say which, e\.g\. split=train"
    ):
        load_path(tmp_path)
    assert len(load_real(tmp_path, "train")) == 6
    assert (len(load_real(tmp_path)), load_real(tmp_path).split) == (2, "test")
    with pytest.raises(UsageError, match="got 'val'"):
        load_real(tmp_path, "val")


def test_an_export_with_a_missing_class_is_refused(tmp_path):
    out = export_imagefolder(load_real(make_folder(tmp_path / "in")), tmp_path / "out")
    for file in (out / "dog").iterdir():
        file.unlink()
    (out / "dog").rmdir()
    with pytest.raises(DataError, match=r"not those that its classes\.json lists"):
        load_real(out)
