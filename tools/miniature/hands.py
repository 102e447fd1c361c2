"""Digits as people write them: ten parametric skeletons, each drawn in many hands.

A skeleton is a list of strokes; a stroke is an array of points (n, 2), x to the right, y down, in a box about
0.6 wide and 1 high. Every choice that a hand makes (an open or closed four, a barred seven, where a loop
closes) is a draw from the generator; `write` then gives the whole digit the writer's proportion, slant,
tilt and tremor. Nothing here was fitted to any data set: it is what schools teach and pens do.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

Stroke = np.ndarray  # (n, 2) float
Hand = Callable[[Generator], list[Stroke]]


def write(digit: int, rng: Generator) -> list[Stroke]:
    """One handwritten digit: strokes in a box centred on 0, at most 1 high and 1 wide."""
    strokes = [smooth(_jitter(stroke, rng)) for stroke in HANDS[digit](rng)]
    return _fit(_warp(_shape(strokes, digit, rng), rng))


def smooth(points: np.ndarray, per_segment: int = 9) -> Stroke:
    """Catmull-Rom curve through `points`; a point given twice in a row stays a corner."""
    pieces = []
    for run in _runs_between_corners(points):
        if len(run) < 3:
            pieces.append(run)
            continue
        padded = np.vstack([2 * run[0] - run[1], run, 2 * run[-1] - run[-2]])
        t = np.linspace(0, 1, per_segment, endpoint=False)[:, None]
        for p0, p1, p2, p3 in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
            pieces.append(
                0.5
                * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
            )
        pieces.append(run[-1:])
    return np.vstack(pieces)


def _runs_between_corners(points: np.ndarray) -> list[np.ndarray]:
    corners = [i + 1 for i in range(len(points) - 1) if np.allclose(points[i], points[i + 1])]
    return [run for run in np.split(points, corners) if len(run) > 1]


def _path(*points: tuple[float, float]) -> Stroke:
    return np.array(points, float)


def _ellipse(
    cx: float, cy: float, rx: float, ry: float, start_degrees: float, sweep_degrees: float, n: int = 12
) -> Stroke:
    """Points on an ellipse; 0° is to the right, positive sweeps run clockwise on the page."""
    angles = np.radians(np.linspace(start_degrees, start_degrees + sweep_degrees, n))
    return np.stack([cx + rx * np.cos(angles), cy + ry * np.sin(angles)], 1)


def _chance(rng: Generator, probability: float) -> bool:
    return bool(rng.random() < probability)


def _zero(rng: Generator) -> list[Stroke]:
    u = rng.uniform
    rx = u(0.18, 0.4)
    ring = _ellipse(0, 0, rx, 0.5, u(-150, -30), rng.choice([-1, 1]) * u(325, 400), 14)
    ring[:, 0] *= 1 + u(-0.25, 0.25) * ring[:, 1]  # egg-shaped, wider above or below
    ring[:, 0] += u(-0.12, 0.12) * np.abs(ring[:, 1])
    strokes = [ring]
    if _chance(rng, 0.05):
        strokes.append(_path((u(0.2, 0.4), -u(0.35, 0.55)), (-u(0.2, 0.4), u(0.35, 0.55))))
    return strokes


def _one(rng: Generator) -> list[Stroke]:
    u = rng.uniform
    lean = u(-0.08, 0.1)
    stem = [(lean, -0.5), (u(-0.03, 0.03), 0), (-lean, 0.5)]
    kind = rng.choice(["bar", "flag", "flag and foot", "foot"], p=[0.45, 0.36, 0.15, 0.04])
    strokes = []
    if "flag" in kind:
        reach, drop = u(0.08, 0.34), u(0.06, 0.34)
        flag = [(lean - reach, -0.5 + drop), (lean - reach * 0.45, -0.5 + drop * u(0.4, 0.65))]
        strokes.append(_path(*flag, (lean, -0.5), *stem))
    else:
        strokes.append(_path(*stem))
    if "foot" in kind:
        strokes.append(
            _path((-lean - u(0.1, 0.28), 0.5 + u(-0.02, 0.02)), (-lean + u(0.1, 0.28), 0.5 + u(-0.03, 0.03)))
        )
    return strokes


def _two(rng: Generator) -> list[Stroke]:
    u = rng.uniform
    left, right = -u(0.2, 0.34), u(0.18, 0.34)
    shoulder = -0.5 + u(0.18, 0.34)
    top = [(left, -0.5 + u(0.08, 0.32)), (u(-0.15, 0.0), -0.5), (right, shoulder)]
    if _chance(rng, 0.12):  # angular, near a Z
        top = [
            (left, -0.5 + u(-0.02, 0.06)),
            (u(0.0, 0.12), -0.5 + u(-0.03, 0.03)),
            (right, -0.5 + u(0.05, 0.15)),
        ]
    waist = [(u(0.02, 0.2), u(-0.02, 0.15)), (left * u(0.3, 0.7), u(0.22, 0.38))]
    foot_x, foot_y = left - u(-0.04, 0.08), u(0.4, 0.5)
    end = (right + u(-0.06, 0.14), foot_y + u(-0.08, 0.08))
    kind = rng.choice(["corner", "loop", "curve"], p=[0.5, 0.27, 0.23])
    if kind == "corner":
        return [
            _path(
                *top,
                *waist,
                (foot_x, foot_y),
                (foot_x, foot_y),
                ((foot_x + end[0]) / 2, foot_y + u(-0.05, 0.05)),
                end,
            )
        ]
    if kind == "loop":
        size = u(0.06, 0.14)
        loop = [
            (foot_x, foot_y),
            (foot_x - size * 0.4, foot_y - size),
            (foot_x + size, foot_y - size * u(0.9, 1.5)),
        ]
        return [_path(*top, *waist, *loop, (foot_x + u(0.2, 0.3), foot_y - size * 0.2), end)]
    return [
        _path(
            *top,
            *waist,
            (foot_x, foot_y - u(0.0, 0.06)),
            (foot_x + u(0.12, 0.25), foot_y - u(0.0, 0.06)),
            (0.1, foot_y + u(0, 0.06)),
            end,
        )
    ]


def _three(rng: Generator) -> list[Stroke]:
    u = rng.uniform
    left, upper, lower = -u(0.18, 0.32), u(0.14, 0.3), u(0.2, 0.34)
    middle = u(-0.12, 0.04)
    waist = u(-0.16, 0.08)
    end = (left + u(-0.06, 0.06), u(0.22, 0.46))
    bowl = [(lower, (middle + 0.5) / 2 + u(-0.04, 0.04)), (u(-0.06, 0.08), 0.5), end]
    if _chance(rng, 0.17):  # a flat top, a slanted neck
        top = -0.5 + u(-0.02, 0.03)
        corner = (upper + u(0.0, 0.06), top)
        neck = (waist, middle)
        return [
            _path(
                (left, top + u(-0.03, 0.05)),
                corner,
                corner,
                neck,
                neck,
                (waist + 0.16, middle - u(-0.02, 0.06)),
                *bowl,
            )
        ]
    lobe = [(left, -0.5 + u(0.06, 0.26)), (u(-0.1, 0.06), -0.5), (upper, (middle - 0.5) / 2 + u(-0.04, 0.04))]
    if _chance(rng, 0.25):  # the pen turns in a small loop
        size = u(0.03, 0.09)
        neck = [
            (waist + 0.04, middle),
            (waist - size, middle + size * 0.4),
            (waist, middle + size),
            (waist + 0.08, middle + size * 0.5),
        ]
        return [_path(*lobe, *neck, *bowl)]
    return [_path(*lobe, (waist, middle), (waist, middle), *bowl)]


def _four(rng: Generator) -> list[Stroke]:
    u = rng.uniform
    bar_y = u(0.02, 0.26)
    left, stem_x = -u(0.22, 0.36), u(0.04, 0.2)
    reach = stem_x + u(0.03, 0.26)
    kind = rng.choice(["open", "closed", "one stroke"], p=[0.66, 0.26, 0.08])
    if kind == "closed":
        apex = (stem_x + u(-0.03, 0.03), -0.5)
        return [
            _path(apex, (left, bar_y), (left, bar_y), (reach, bar_y + u(-0.05, 0.05))),
            _path(apex, (stem_x + u(-0.04, 0.04), 0.5)),
        ]
    arm_x = left + u(-0.02, 0.2)
    corner = (left + u(-0.03, 0.06), bar_y)
    arm = [(arm_x, -0.5 + u(0.0, 0.14)), ((arm_x + corner[0]) / 2 - u(0.0, 0.05), -0.15 + bar_y / 2)]
    rounded = _chance(rng, 0.45)
    turn = (
        [(corner[0] + u(0.0, 0.04), bar_y - 0.05), (corner[0] + 0.14, bar_y + u(0.0, 0.04))]
        if rounded
        else [corner, corner]
    )
    bar_end = (reach, bar_y + u(-0.1, 0.06))
    stem_top = (stem_x + u(-0.03, 0.12), -0.5 + u(0.0, 0.34))
    stem = [stem_top, (stem_x + u(-0.02, 0.04), 0.05), (stem_x + u(-0.1, 0.05), 0.5)]
    if kind == "one stroke":  # up from the bar and down again without lifting the pen
        return [_path(*arm, *turn, bar_end, bar_end, stem_top, stem_top, *stem[1:])]
    return [_path(*arm, *turn, bar_end), _path(*stem)]


def _five(rng: Generator) -> list[Stroke]:
    u = rng.uniform
    left = -u(0.14, 0.28)
    neck = u(-0.16, 0.0)
    belly, end = u(0.2, 0.36), (left - u(-0.08, 0.12), u(0.3, 0.48))
    start_y = -0.5 + u(-0.02, 0.05)
    bar_end = (u(0.16, 0.38), start_y + u(-0.1, 0.05))
    shoulder = [(left + u(0.12, 0.24), neck - u(0.02, 0.1))]
    bowl = [
        *shoulder,
        (belly, neck + u(0.16, 0.26)),
        (belly * u(0.4, 0.7), 0.5 - u(0.0, 0.05)),
        ((end[0] + 0.05), 0.5 - u(0.0, 0.05)),
        end,
    ]
    heel = (left + u(-0.06, 0.03), neck + u(-0.02, 0.03))
    kind = rng.choice(["bar apart", "one stroke", "like an S"], p=[0.5, 0.34, 0.16])
    if kind == "bar apart":
        gap = u(-0.03, 0.06) if _chance(rng, 0.7) else u(0.04, 0.12)
        top = (left + u(-0.02, 0.05), start_y)
        return [_path(top, heel, heel, *bowl), _path((top[0] + gap, start_y + u(-0.04, 0.04)), bar_end)]
    top = (left + u(-0.02, 0.06), start_y)
    if kind == "one stroke":
        return [_path(bar_end, top, top, heel, heel, *bowl)]
    return [
        _path(
            bar_end,
            (u(-0.08, 0.06), start_y + 0.02),
            (left, start_y + u(0.12, 0.2)),
            (u(-0.1, 0.04), neck + 0.04),
            *bowl[1:],
        )
    ]


def _six(rng: Generator) -> list[Stroke]:
    u = rng.uniform
    rx, loop_top = u(0.18, 0.33), u(-0.12, 0.12)
    ry = (0.5 - loop_top) / 2
    centre_y = 0.5 - ry
    left = -rx * u(0.85, 1.1)
    lean = u(-0.12, 0.36)
    stem = [
        (lean, -0.5),
        (left * u(0.35, 0.8) + lean * 0.3, -0.5 + u(0.15, 0.3)),
        (left, centre_y - u(0.0, 0.12)),
    ]
    closing = u(0.75, 1.1)
    angles = [130, 90, 40, 0, -50, -100, -100 - 90 * (closing - 0.7)]
    loop = [(rx * np.cos(np.radians(a)), centre_y + ry * np.sin(np.radians(a))) for a in angles]
    if _chance(rng, 0.15):
        loop.append((left * 0.7, centre_y + u(-0.02, 0.08)))
    return [_path(*stem, *loop)]


def _seven(rng: Generator) -> list[Stroke]:
    u = rng.uniform
    left, right = -u(0.2, 0.36), u(0.18, 0.36)
    top = -0.5 + u(0.0, 0.06)
    corner = (right, top + u(-0.06, 0.05))
    foot = (u(-0.22, 0.14), 0.5)
    bend = ((corner[0] + foot[0]) / 2 + u(-0.1, 0.06), u(-0.08, 0.1))
    bar = [(left, top), (0.0, top + u(-0.05, 0.05)), corner]
    if _chance(rng, 0.22):
        bar.insert(0, (left + u(-0.03, 0.03), top + u(0.07, 0.2)))
        bar.insert(1, bar[1])
    turn = [] if _chance(rng, 0.2) else [corner]  # a rounded or a sharp corner
    strokes = [_path(*bar, *turn, bend, foot)]
    if _chance(rng, 0.3):
        y = u(-0.1, 0.12)
        x = bend[0]
        strokes.append(_path((x - u(0.12, 0.26), y + u(-0.04, 0.06)), (x + u(0.1, 0.24), y + u(-0.06, 0.04))))
    return strokes


def _eight(rng: Generator) -> list[Stroke]:
    u = rng.uniform
    waist = u(-0.14, 0.06)
    top_rx, low_rx = u(0.13, 0.27), u(0.17, 0.32)
    top_y, low_y = (waist - 0.5) / 2, (waist + 0.5) / 2
    top_ry, low_ry = (waist + 0.5) / 2, (0.5 - waist) / 2
    if _chance(rng, 0.2):  # two rings
        overlap = u(-0.02, 0.03)
        return [
            _ellipse(u(-0.04, 0.04), top_y, top_rx, top_ry + overlap, u(0, 360), u(345, 385)),
            _ellipse(u(-0.04, 0.04), low_y, low_rx, low_ry + overlap, u(-140, -40), u(345, 385)),
        ]
    start = (top_rx * u(0.3, 1.0), top_y - top_ry * u(0.2, 0.8))
    end = (
        (start[0] + u(-0.1, 0.1), start[1] + u(-0.06, 0.1))
        if _chance(rng, 0.75)
        else (u(0.0, 0.1), waist - u(0.02, 0.1))
    )
    spine = [start, (u(-0.03, 0.05), -0.5), (-top_rx, top_y), (u(-0.05, 0.05), waist)]
    bowl = [
        (low_rx, low_y),
        (u(-0.04, 0.04), 0.5),
        (-low_rx, low_y),
        (u(-0.05, 0.05), waist + u(-0.02, 0.04)),
    ]
    points = [*spine, *bowl, (top_rx * u(0.8, 1.05), top_y + u(-0.04, 0.06)), end]
    if _chance(rng, 0.35):  # begun to the left, turned the other way
        points = [(-x, y) for x, y in points]
    return [_path(*points)]


def _nine(rng: Generator) -> list[Stroke]:
    u = rng.uniform
    rx, bottom = u(0.17, 0.31), u(-0.14, 0.12)
    ry = (bottom + 0.5) / 2
    cy = -0.5 + ry
    right = rx * u(0.9, 1.1)
    begin = u(-60, 10)
    sweep = u(285, 360)
    loop = [tuple(p) for p in _ellipse(0, cy, rx, ry, begin, -sweep, 9)]
    join = (right, cy - u(-0.04, 0.12))
    kind = rng.choice(["straight", "curved", "hooked"], p=[0.5, 0.28, 0.22])
    foot = right + u(-0.24, 0.06)
    if kind == "straight":
        return [_path(*loop, join, join, ((right + foot) / 2 + u(-0.02, 0.03), 0.12), (foot, 0.5))]
    if kind == "curved":
        return [
            _path(
                *loop,
                join,
                (right - u(-0.02, 0.06), 0.12),
                (u(-0.1, 0.06), u(0.36, 0.46)),
                (-rx * u(0.3, 1.0), 0.5),
            )
        ]
    return [
        _path(
            *loop,
            join,
            join,
            (right, 0.15),
            (right - u(0.08, 0.16), 0.46),
            (-u(0.0, 0.12), 0.5),
            (-rx * u(0.7, 1.0), u(0.3, 0.42)),
        )
    ]


HANDS: dict[int, Hand] = dict(enumerate([_zero, _one, _two, _three, _four, _five, _six, _seven, _eight, _nine]))


def _jitter(points: np.ndarray, rng: Generator) -> np.ndarray:
    """Moves each control point a little; the two copies of a corner move together."""
    offsets = rng.normal(0, rng.uniform(0.005, 0.03), points.shape)
    for i in range(1, len(points)):
        if np.allclose(points[i], points[i - 1]):
            offsets[i] = offsets[i - 1]
    return points + offsets


def _shape(strokes: list[Stroke], digit: int, rng: Generator) -> list[Stroke]:
    """The writer's proportion, slant and tilt."""
    width = rng.uniform(0.75, 1.45) if digit != 1 else rng.uniform(0.7, 1.1)
    slant = np.clip(rng.normal(-0.12, 0.2), -0.6, 0.35)  # most hands lean to the right
    tilt = rng.normal(0, np.radians(6))
    linear = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]) @ np.array(
        [[width, slant], [0, 1]]
    )
    return [stroke @ linear.T for stroke in strokes]


def _warp(strokes: list[Stroke], rng: Generator) -> list[Stroke]:
    """Bends the page smoothly and adds the tremor of a hand."""
    bend = rng.uniform(0, 0.045)
    waves = [(rng.normal(0, 3.5, 2), rng.uniform(0, 2 * np.pi), rng.normal(0, bend, 2)) for _ in range(3)]
    tremor = rng.uniform(0, 0.006)
    warped = []
    for stroke in strokes:
        moved = stroke.copy()
        for frequency, phase, amplitude in waves:
            moved += np.sin(stroke @ frequency + phase)[:, None] * amplitude
        warped.append(moved + rng.normal(0, tremor, stroke.shape))
    return warped


def _fit(strokes: list[Stroke]) -> list[Stroke]:
    """Centres the digit on 0 and scales it so that neither side exceeds 1."""
    everything = np.vstack(strokes)
    low, high = everything.min(0), everything.max(0)
    scale = 1 / max(high - low)
    return [(stroke - (low + high) / 2) * scale for stroke in strokes]
