"""The curve over shots as a picture: its legend takes the room that it needs."""

from PIL import Image

from synthset.tuning.curve_chart import KEY_ROW, NAMES, draw_curve
from synthset.tuning.curve_results import CurveMean, CurveResult


def test_a_legend_of_many_methods_pushes_the_axes_down(tmp_path):
    heights = []
    for methods in (["real"], list(NAMES)):
        means = [CurveMean(method, shots, 2, 0.5, 0.4, 0.6) for method in methods for shots in (1, 4)]
        curve = CurveResult(tmp_path, "digits", "accuracy", 0.45, (), tuple(means))
        with Image.open(draw_curve(curve, tmp_path / "curve.png")) as picture:
            heights.append(picture.size[1])
            lines = [y for y in range(picture.height) if picture.getpixel((picture.width - 60, y)) == (228, 231, 235)]
            assert lines  # the rules of the axes
            assert 0 < picture.height - max(lines) < 140  # the lowest is above the numbers of shots
    assert heights[1] > heights[0]
    assert (heights[1] - heights[0]) % (2 * KEY_ROW) == 0
