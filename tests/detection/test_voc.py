"""Reading of a devkit: what is there, and whatever may be wrong with it in one line."""

import numpy as np
import pytest
from PIL import Image
from tools.toy_devkit import write_toy_devkit

from synthset.core.errors import DataError, UsageError
from synthset.detection.voc import CLASSES, check_apart, find_parts, read_voc

OBJECT = (
    "<object><name>{}</name>{}<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
)


def one(name="dog", box=(1, 1, 10, 8), difficult="<difficult>0</difficult>"):
    return OBJECT.format(name, difficult, *box)


@pytest.fixture
def kit(tmp_path):
    """One photograph of 20 × 16 px in the training set of 2007."""
    folder = tmp_path / "VOC2007"
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    Image.new("RGB", (20, 16)).save(folder / "JPEGImages" / "a.jpg")
    (folder / "ImageSets/Main/trainval.txt").write_text("a\n")
    return tmp_path


def write(kit, *objects, head=""):
    (kit / "VOC2007/Annotations/a.xml").write_text(f"{head}<annotation>{''.join(objects)}</annotation>")


def read(kit, **options):
    return read_voc(kit, [("2007", "trainval")], **options)


def test_boxes_count_from_zero_and_classes_are_those_of_voc(kit):
    write(
        kit, one("dog", (1, 2, 20, 16)), one("cat", (3, 3, 3, 3), "<difficult>1</difficult>"), one("cow", difficult="")
    )
    (image,) = (found := read(kit)).images
    assert found.class_names == CLASSES
    assert found.name == "VOC2007 trainval"
    assert image.name == "VOC2007/a"
    assert (image.width, image.height) == (20, 16)
    assert image.boxes.tolist() == [[0, 1, 20, 16], [2, 2, 3, 3], [0, 0, 10, 8]]
    assert [found.class_names[label] for label in image.labels] == ["dog", "cat", "cow"]
    assert image.difficult.tolist() == [False, True, False]


def test_an_image_may_hold_nothing_and_other_names_are_classes_too(kit):
    write(kit)
    assert read(kit).images[0].boxes.shape == (0, 4)
    write(kit, one("zebra"))
    assert read(kit).class_names == ("zebra",)


BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
WRONG = {
    "entities": (["&b;"], BOMB, "it declares entities"),
    "no end": (["<object>"], "", "do not read"),
    "no box": (["<object><name>dog</name></object>"], "", "Expected a bndbox of 'dog'"),
    "no name": ([one("")], "", "Expected <name>"),
    "right of the image": ([one(box=(1, 1, 21, 8))], "", "inside 20×16 pixels and with an area, got 1, 1, 21, 8"),
    "from zero": ([one(box=(0, 1, 10, 8))], "", "got 0, 1, 10, 8"),
    "no area": ([one(box=(5, 1, 4, 8))], "", "with an area"),
    "no number": ([one(box=("left", 1, 4, 8))], "", "<xmin> as a number .* got 'left'"),
    "not finite": ([one(box=("nan", 1, 4, 8))], "", "<xmin> as a number"),
    "difficult": ([one(difficult="<difficult>yes</difficult>")], "", "<difficult> as 0 or 1 .* got 'yes'"),
    "size": (["<size><width>16</width><height>20</height></size>"], "", "image of 20×16 pixels, as it has, got 16×20"),
}


@pytest.mark.parametrize("case", WRONG)
def test_damaged_annotations_are_refused_by_name(kit, case):
    objects, head, message = WRONG[case]
    write(kit, *objects, head=head)
    with pytest.raises(DataError, match=message) as caught:
        read(kit)
    assert "a.xml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_class_and_missing_annotations_are_named(kit):
    with pytest.raises(DataError, match=r"a\.xml', they do not read \(No such file"):
        read(kit)
    write(kit, one("dog"))
    with pytest.raises(DataError, match=r"Expected objects of cat in .*a\.xml', got 'dog'"):
        read(kit, classes=["cat"])


@pytest.mark.parametrize("name", ["../a", "..", "/etc/passwd", "a/b", "..\\a"])
def test_no_name_leads_out_of_the_devkit(kit, name):
    write(kit)
    (kit / "VOC2007/ImageSets/Main/trainval.txt").write_text(f"{name}\n")
    with pytest.raises(DataError, match="Expected names of images"):
        read(kit)


@pytest.mark.parametrize("part", ["JPEGImages/a.jpg", "Annotations/a.xml"])
def test_no_link_leads_out_of_the_devkit(kit, part):
    write(kit)
    path = kit / "VOC2007" / part
    (kit / "outside").write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(kit / "outside")
    with pytest.raises(DataError, match="leads out of it"):
        read(kit)


def test_photographs_that_lack_or_do_not_read_are_named(kit):
    write(kit)
    (kit / "VOC2007/JPEGImages/a.jpg").write_bytes(b"GIF89a")
    with pytest.raises(DataError, match=r"a\.jpg', it does not read .*a GIF"):
        read(kit)
    (kit / "VOC2007/JPEGImages/a.jpg").unlink()
    with pytest.raises(DataError, match="Expected the image 'a'"):
        read(kit)


def test_years_are_found_also_from_within_one(kit, monkeypatch):
    write(kit)
    assert find_parts(kit, "trainval") == find_parts(kit / "VOC2007", "trainval") == [("2007", "trainval")]
    monkeypatch.chdir(kit / "VOC2007")
    assert find_parts(".", "trainval") == [("2007", "trainval")]
    assert len(read_voc(".", [("2007", "trainval")])) == 1
    with pytest.raises(UsageError, match=r"found none\. Give the devkit"):
        find_parts(kit, "test")
    for year, split in (("2012", "trainval"), ("2007", "test"), ("../..", "trainval"), ("2007", "../trainval")):
        with pytest.raises(UsageError):
            read_voc(kit, [(year, split)])


def test_a_test_set_has_none_of_the_images_that_are_learned_from(kit):
    for name, text in (("val", "b\n"), ("test", "b\nc\n")):
        (kit / f"VOC2007/ImageSets/Main/{name}.txt").write_text(text)
    check_apart(kit, [("2007", "trainval")], ("2007", "test"))
    with pytest.raises(UsageError, match="'b' is in both"):
        check_apart(kit, [("2007", "trainval"), ("2007", "val")], ("2007", "test"))


def test_the_toy_set_is_drawn_from_its_seed_with_difficult_objects(tmp_path):
    sets = [read_voc(write_toy_devkit(tmp_path / name, 12, 4), [("2007", "trainval")]) for name in "ab"]
    assert [image.sha256 for image in sets[0].images] == [image.sha256 for image in sets[1].images]
    counts = [len(image.labels) for image in sets[0].images]
    assert min(counts) >= 1
    assert max(counts) <= 4
    assert any(image.difficult.any() for image in sets[0].images)
    sides = np.concatenate([image.boxes[:, 2:] - image.boxes[:, :2] for image in sets[0].images])
    assert sides.max() <= 24
