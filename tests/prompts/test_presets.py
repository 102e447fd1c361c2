"""Defaults of `create --dataset` are those of the paper that drew the set."""

import pytest

from synthset.core.errors import UnknownNameError
from synthset.prompts.presets import Preset, preset_for


@pytest.mark.parametrize(
    ("name", "preset"),
    [
        ("CIFAR-10", Preset(5000, 32)),
        ("cifar-100", Preset(500, 32)),
        ("eurosat", Preset(2700, 64, satellite=True, antialias=False)),  # Shipard et al. 2023, section 5.3
        ("Oxford Pets", Preset(2000, None)),  # images of many sizes
        ("digits", Preset(100, 32)),  # of eight pixels, shown large
    ],
)
def test_presets_follow_the_paper_that_drew_the_set(name, preset):
    assert preset_for(name) == preset


def test_an_unknown_set_is_refused_by_its_nearest_name():
    with pytest.raises(UnknownNameError, match="Did you mean 'eurosat'"):
        preset_for("eurosatt")
