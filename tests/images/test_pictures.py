"""Contact sheets show the right images in the right cells, fit their width, and are written whole."""

import numpy as np
import pytest
from PIL import Image

from synthset.core.errors import DataError, UsageError
from synthset.images import pictures
from synthset.images.decoding import encode
from synthset.images.drawing import shorten
from synthset.images.imageset import ImageSet
from synthset.images.pictures import MAX_WIDTH_PX, draw_contact_sheet


def open_sheet(path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


def make_set(k=3, strategies=("base", "multi_domain"), n=4, size=(8, 8), **changes) -> ImageSet:
    """Plain images whose red tells the class and whose green tells the strategy."""
    rows = [(c, s) for c in range(k) for s in range(len(strategies)) for _ in range(n)]
    files = {
        row: encode(np.full((*size, 3), ((9 + 12 * row[0]) % 256, 200 - 9 * row[1], 77), np.uint8)) for row in set(rows)
    }
    fields = {
        "name": "runs/test",
        "class_names": tuple(f"class {i}" for i in range(k)),
        "labels": np.array([c for c, _ in rows]),
        "read": lambda i: files[rows[i]],
        "groups": tuple(strategies[s] for _, s in rows),
    }
    return ImageSet(**{**fields, **changes})


def centre(pixels: np.ndarray, c: int, s: int) -> tuple[float, float, int]:
    """Mean x and y and the number of the pixels of class c and strategy s."""
    ys, xs = np.nonzero((pixels == (9 + 12 * c, 200 - 9 * s, 77)).all(-1))
    return xs.mean(), ys.mean(), len(xs)


def test_rows_are_classes_and_columns_strategies(tmp_path):
    path = draw_contact_sheet(make_set(), tmp_path / "sub" / "preview.png")
    pixels = np.asarray(open_sheet(path))
    centres = {(c, s): centre(pixels, c, s) for c in range(3) for s in range(2)}
    assert all(count == 4 * 64 * 64 for *_, count in centres.values())  # 8×8 enlarged by exactly 8
    assert centres[0, 0][0] == centres[2, 0][0] < centres[0, 1][0] == centres[2, 1][0]
    assert centres[0, 0][1] == centres[0, 1][1] < centres[1, 0][1] < centres[2, 0][1]
    assert [p.name for p in path.parent.iterdir()] == ["preview.png"]


def test_small_images_stay_crisp_and_large_ones_are_smoothed(tmp_path):
    checker = encode((np.indices((28, 28)).sum(0) % 2 * 255).astype(np.uint8))
    small = make_set(1, ("base",), 1, read=lambda i: checker, groups=())
    sheet = np.asarray(open_sheet(draw_contact_sheet(small, tmp_path / "small.png")).convert("L"))
    block = sheet[-24 - 56 : -24, :]  # the only row of images, above the margin
    xs = np.flatnonzero((block == 0).sum(0) == 28)  # every column of the image is half black
    assert len(xs) == 56  # 28 × 2, every pixel a block of 2 × 2

    fine = encode((np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8))
    large = make_set(1, ("base",), 1, read=lambda i: fine, groups=())
    sheet = np.asarray(open_sheet(draw_contact_sheet(large, tmp_path / "large.png")).convert("L"))
    assert ((sheet > 115) & (sheet < 140)).sum() >= 60 * 60


def test_aspect_ratio_is_kept(tmp_path):
    wide = make_set(1, ("base",), 1, size=(30, 60), groups=())
    pixels = np.asarray(open_sheet(draw_contact_sheet(wide, tmp_path / "wide.png")))
    ys, xs = np.nonzero((pixels == (9, 200, 77)).all(-1))
    assert (np.ptp(xs) + 1, np.ptp(ys) + 1) == (60, 30)


def test_only_the_first_images_are_decoded_and_the_sheet_is_always_the_same(tmp_path):
    seen = []
    images = make_set(n=50)
    watched = make_set(n=50, read=lambda i: seen.append(i) or images.read(i))
    first = draw_contact_sheet(watched, tmp_path / "a.png", per_cell=2)
    assert sorted(seen) == [0, 1, 50, 51, 100, 101, 150, 151, 200, 201, 250, 251]
    second = draw_contact_sheet(images, tmp_path / "b.png", per_cell=2)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(("k", "num_strategies", "per_cell"), [(30, 14, 6), (2, 5, 40), (1, 1, None), (3, 12, None)])
@pytest.mark.parametrize("size", [(8, 8), (100, 80)])
def test_the_sheet_never_grows_too_wide(tmp_path, k, num_strategies, per_cell, size):
    names = [f"a_strategy_with_a_long_name_{i}" for i in range(num_strategies)]
    images = make_set(k, names, 2, size, class_names=tuple("long name 数字 \n<b>" * 9 + str(i) for i in range(k)))
    sheet = open_sheet(draw_contact_sheet(images, tmp_path / "a.png", per_cell=per_cell))
    assert sheet.width <= MAX_WIDTH_PX
    assert sheet.mode == "RGB"
    assert sheet.getpixel((2, 2)) == (255, 255, 255)


def test_at_most_twenty_classes_are_drawn_and_the_rest_noted(tmp_path):
    few = open_sheet(draw_contact_sheet(make_set(20, n=1), tmp_path / "few.png"))
    many = open_sheet(
        draw_contact_sheet(make_set(40, n=1, class_names=tuple(map(str, range(40)))), tmp_path / "many.png")
    )
    assert 10 < many.height - few.height < 60  # the footer, not twenty more rows
    pixels = np.asarray(many)
    assert (pixels == (9 + 12 * 19, 200, 77)).all(-1).any()
    assert not (pixels == (9 + 12 * 20, 200, 77)).all(-1).any()


def test_a_missing_cell_stays_blank(tmp_path):
    images = make_set().select([i for i in range(24) if not 4 <= i < 8])  # class 0 lacks the second strategy
    pixels = np.asarray(open_sheet(draw_contact_sheet(images, tmp_path / "a.png")))
    assert not (pixels == (9, 191, 77)).all(-1).any()
    assert (pixels == (21, 191, 77)).all(-1).any()


def test_what_cannot_be_drawn_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    with pytest.raises(DataError, match=r"Image 0 of 'runs/test'"):
        draw_contact_sheet(make_set(read=lambda i: b"junk"), path)
    with pytest.raises(UsageError, match="found none"):
        draw_contact_sheet(make_set().select([]), path)
    with pytest.raises(UsageError, match="at least 1"):
        draw_contact_sheet(make_set(), path, per_cell=0)
    assert path.read_bytes() == b"old"
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="Expected to write"):
        draw_contact_sheet(make_set(), tmp_path / "folder")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "folder"]


def test_text_is_drawn(tmp_path):
    plain = draw_contact_sheet(make_set(class_names=("", "", "")), tmp_path / "a.png")
    named = draw_contact_sheet(make_set(class_names=("ab", "c", "d")), tmp_path / "b.png")
    blank, text = (np.asarray(open_sheet(path).convert("L")) for path in (plain, named))
    assert (text[100:, :84] < 100).sum() > (blank[100:, :84] < 100).sum() + 20


def test_a_narrow_sheet_has_room_for_its_title(tmp_path, monkeypatch):
    cut = []
    monkeypatch.setattr(pictures, "shorten", lambda *args: cut.append((args[0], shorten(*args))) or args[0])
    draw_contact_sheet(make_set(2, ("base",), 1, name="a set with a rather long name"), tmp_path / "sheet.png")
    title = next(pair for pair in cut if "2 classes" in pair[0])
    assert title[0] == title[1]
