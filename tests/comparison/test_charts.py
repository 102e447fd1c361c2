"""What the pictures of a comparison show: no row twice, none of a curve, and a key that fits."""

from dataclasses import replace

from PIL import Image

from synthset.comparison.charts import KEY_ROW, draw_comparison, draw_curves
from synthset.comparison.forecast import Forecast
from synthset.comparison.results import ComparisonResult, CurveForecast, curve_points
from synthset.comparison.summary import ComparisonRow, main_rows

FURTHER = (Forecast(80, 0.9, 0.8, 0.95), Forecast(120, 0.92, 0.8, 0.97))


def row(view, budget, images, score=0.5):
    return ComparisonRow(view, budget, "small_cnn", "digits", images, 3, score, score - 0.1, score + 0.1)


ROWS = [
    *(row("few", 5, 50), row("few", 20, 200), row("few", 0, 200, 0.6)),
    *(row("many", 5, 50), row("many", 20, 200), row("many", 30, 300), row("many", 0, 400, 0.8)),
]


def test_points_of_the_curve_and_what_stands_twice_are_left_out():
    assert [(one.view, one.budget) for one in main_rows(ROWS)] == [("few", 0), ("many", 20), ("many", 0)]


def test_sets_of_one_size_have_no_equal_budget():
    same = [row("one", 5, 50), row("one", 0, 200), row("other", 5, 50), row("other", 0, 200)]
    assert [one.budget for one in main_rows(same)] == [0, 0]


def test_a_curve_has_a_point_for_each_number():
    curve = CurveForecast("few", "small_cnn", "digits", 20, 0.6, FURTHER, ())
    assert {count: one.score for count, one in curve_points(curve, ROWS).items()} == {5: 0.5, 20: 0.5}


def test_a_key_that_does_not_fit_takes_further_rows(tmp_path):
    result = ComparisonResult(tmp_path, "few", (), tuple(ROWS), ())
    names = ["few", *(f"a dataset of a long name, the {i}th of six" for i in range(5))]
    rows = [replace(one, view=name) for name in names for one in ROWS[:3]]
    curves = [CurveForecast(name, "small_cnn", "digits", 20, 0.6, FURTHER, ()) for name in names]
    heights = []
    for count in (1, 6):
        shown = replace(result, rows=tuple(rows), forecasts=tuple(curves[:count]))
        with Image.open(draw_curves(shown, tmp_path / "curves.png")) as picture:
            heights.append(picture.size[1])
    assert (heights[1] - heights[0]) % (2 * KEY_ROW) == 0
    assert heights[1] > heights[0]
    with Image.open(draw_comparison(result, tmp_path / "comparison.png")) as picture:
        colours = {colour for _, colour in picture.getcolors(1 << 20)}
    assert {(36, 104, 173), (214, 106, 28)} <= colours  # all its images, and the equal budget
