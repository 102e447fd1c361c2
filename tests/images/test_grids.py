"""Grids have each image in its place, and words that stay in their rooms."""

import numpy as np
from PIL import Image

from synthset.images.grids import CAPTION_LINES, GridCell, GridRow, draw_grid, wrap
from synthset.images.pictures import MAX_WIDTH_PX

RED, GREEN, BLUE, PINK = (200, 10, 10), (10, 200, 10), (10, 10, 200), (250, 10, 250)


def cell(colour, *captions, side=28):
    return GridCell(Image.new("RGB", (side, side), colour), captions)


def corner(pixels, colour):
    """The top left and the bottom right of a colour."""
    ys, xs = np.nonzero((pixels == colour).all(-1))
    return (xs.min(), ys.min()), (xs.max() + 1, ys.max() + 1)


def draw(path, columns, rows, footer=""):
    with Image.open(draw_grid(path, "a title", columns, rows, footer)) as picture:
        return np.asarray(picture.convert("RGB"))


def test_rows_and_columns_line_up_and_small_images_grow_by_whole_factors(tmp_path):
    rows = [
        GridRow("two", "noise 0", (cell(RED, "one line"), cell(GREEN))),
        GridRow("two", "noise 1", (cell(BLUE), cell(PINK))),
    ]
    pixels = draw(tmp_path / "grid.png", ["base", "class_prompt"], rows)
    places = {colour: corner(pixels, colour) for colour in (RED, GREEN, BLUE, PINK)}
    assert all(x1 - x0 == y1 - y0 == 112 for (x0, y0), (x1, y1) in places.values())  # four times 28
    assert places[RED][0][1] == places[GREEN][0][1] < places[BLUE][0][1] == places[PINK][0][1]
    assert places[RED][0][0] == places[BLUE][0][0] < places[GREEN][0][0] == places[PINK][0][0]
    assert places[BLUE][0][1] > places[RED][1][1] + 10  # the caption has room


def test_twelve_columns_of_long_names_stay_within_the_width(tmp_path):
    columns = [f"a_dataset_of_a_long_name: extraordinarily{i}@1:5" for i in range(12)]
    long = "an image of something that takes many words to be told, and many more, and no end of them at all, at all"
    rows = [
        GridRow("a class name that goes on and on and on and on", "noise 0", tuple(cell(RED, long) for _ in columns))
    ]
    pixels = draw(tmp_path / "grid.png", columns, rows, "a footer")
    (left, _), (right, below) = corner(pixels, RED)
    assert right < pixels.shape[1] <= MAX_WIDTH_PX
    assert left > 220  # the room of the class
    assert pixels.shape[0] - below < 120  # three lines of the caption, and the footer


def test_texts_go_on_below_and_end_with_an_ellipsis():
    assert wrap("class_prompt@7.5", 112, 16, 3) == ["class_prompt", "@7.5"]
    lines = wrap("word " * 40, 100, 12, CAPTION_LINES)
    assert len(lines) == CAPTION_LINES
    assert lines[-1].endswith("…")
    assert wrap("", 100, 12, 3) == []
