"""The miniature's world: what is drawn and said, without fonts, which a machine may lack."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from tools.miniature.captions import say
from tools.miniature.hands import HANDS, write
from tools.miniature.scenes import DIGIT_NAMES, DOMAINS, Scene
from tools.miniature.world import PAINTERS, paint

from synthset.prompts.strategies import PHOTO_DOMAINS


@pytest.mark.parametrize("digit", range(10))
def test_hands_vary_and_stay_in_their_box(digit):
    written = [write(digit, np.random.default_rng(seed)) for seed in range(40)]
    for strokes in written:
        points = np.vstack(strokes)
        assert np.isfinite(points).all()
        assert np.abs(points).max() <= 0.5 + 1e-9
        assert np.ptp(points, axis=0).max() == pytest.approx(1)
    assert len({np.vstack(strokes).tobytes() for strokes in written}) == 40
    assert len(HANDS) == 10


@pytest.mark.parametrize("domain", list(PAINTERS))
def test_every_domain_shows_the_digit_it_is_asked_for(domain):
    # the same background draws, with and without ink: the ink must be seen
    for digit in (1, 8):
        picture = paint(Scene(digit, domain=domain), np.random.default_rng(digit))
        assert picture.shape == (32, 32, 3)
        assert picture.dtype == np.uint8
        assert picture.std() > 4
        again = paint(Scene(digit, domain=domain), np.random.default_rng(digit))
        np.testing.assert_array_equal(picture, again)
    assert set(PAINTERS) == {"plain", *DOMAINS} == {"plain", *PHOTO_DOMAINS}


def mean_over_seeds(scene):
    return np.mean([paint(scene, np.random.default_rng(seed)).mean() for seed in range(30)])


def test_modifiers_act():
    scene = Scene(8)
    assert mean_over_seeds(replace(scene, exposure="underexposed")) < mean_over_seeds(scene) - 40
    assert mean_over_seeds(replace(scene, exposure="overexposed")) > mean_over_seeds(scene) + 10
    assert mean_over_seeds(replace(scene, paper="board")) < mean_over_seeds(scene) - 60
    assert mean_over_seeds(replace(scene, thickness="thick")) < mean_over_seeds(replace(scene, thickness="thin")) - 10
    assert mean_over_seeds(replace(scene, size="small")) > mean_over_seeds(replace(scene, size="large"))


def test_captions_name_their_digit_and_cover_the_strategies_prompts():
    rng = np.random.default_rng(0)
    said = [say(rng) for _ in range(4000)]
    for caption, scene in said:
        assert DIGIT_NAMES[scene.digit] in caption or str(scene.digit) in caption
    captions = Counter(caption for caption, _ in said)
    assert captions["an image of an eight"] > 10  # base
    assert captions["eight"] > 10  # class prompt
    assert all(any(caption.startswith(f"a {domain} of") for caption in captions) for domain in DOMAINS)
    assert {scene.digit for _, scene in said} == set(range(10))


def test_the_bare_name_is_the_most_ambiguous_and_handwriting_is_not():
    rng = np.random.default_rng(1)
    forms = {"bare": Counter(), "base": Counter(), "handwritten": Counter()}
    for _ in range(6000):
        caption, scene = say(rng)
        kind = (
            "bare" if caption in DIGIT_NAMES else "base" if caption.startswith("an image of a ") else
            "handwritten" if caption.startswith("a handwritten") else None
        )  # fmt: skip
        if kind:
            forms[kind][scene.form in ("pen", "font")] += 1
    other = {kind: counts[False] / counts.total() for kind, counts in forms.items()}
    assert other["bare"] > other["base"] > other["handwritten"] == 0
