"""Work: a declaration is its identity, and each piece is done once."""

import json
from dataclasses import replace

import pytest

from synthset.core.errors import DataError
from synthset.findings import learning
from synthset.findings.drawing import Draw, Filter, options
from synthset.findings.images import Drawn, Real
from synthset.findings.work import FILE, Cost, Lab, in_order

DRAW = Draw(("one", "two"), ("base", "class_prompt"), 3, 64, options(steps=15, guidance_scale=2.5), (("one", "a 1"),))
TRAIN = learning.Train(Drawn(DRAW, "base"), "small_cnn", 0, options(epochs=2))
TEST = learning.Test(TRAIN, Real("digits"))


def test_keys_are_those_that_folders_of_earlier_versions_have():
    assert [one.key for one in (DRAW, TRAIN, TEST)] == ["4475a042e1de", "fdece1da5faa", "cd007992a8ec"]
    assert TEST.folder.as_posix() == "work/test/small-cnn-on-base-tested-on-digits-all-cd007992a8ec"


def test_equal_declarations_are_one_piece_of_work():
    again = Draw(("one", "two"), ("base", "class_prompt"), 3, 64, options(guidance_scale=2.5, steps=15), DRAW.phrases)
    assert again == DRAW
    assert again.key == DRAW.key
    assert in_order(
        [TEST, learning.Test(learning.Train(Drawn(again, "base"), "small_cnn", 0, TRAIN.options), Real("digits"))]
    ) == [*(DRAW, TRAIN, TEST)]


@pytest.mark.parametrize(
    "change",
    [
        {"classes": ("one", "three")},
        {"strategies": ("class_prompt", "base")},
        {"images_per_class": 4},
        {"seed": 65},
        {"options": options(steps=16, guidance_scale=2.5)},
        {"phrases": ()},
    ],
)
def test_a_changed_option_is_other_work_and_so_is_all_that_is_made_of_it(change):
    other = replace(DRAW, **change)
    changed = replace(TEST, model=replace(TRAIN, images=Drawn(other, "base")))
    assert other.key != DRAW.key
    assert changed.key != TEST.key
    assert changed.folder != TEST.folder


def test_needs_stand_before_what_is_made_of_them():
    judged = Filter(DRAW)
    filtered = learning.Train(Drawn(DRAW, "base", judged), "small_cnn", 0)
    order = in_order([learning.Test(filtered, Drawn(replace(DRAW, seed=7), "base")), TEST])
    assert len(set(order)) == len(order)
    for place, work in enumerate(order):
        assert set(work.needs()) <= set(order[:place])
    assert {one.kind for one in order} == {"draw", "filter", "train", "test"}


def test_a_drawing_costs_a_row_with_and_one_without_the_prompt_but_at_guidance_1():
    assert DRAW.cost == Cost(unet_rows=2 * 15 * 2 * 3 * 2)  # classes, steps, strategies, images, rows
    assert replace(DRAW, options=options(steps=15, guidance_scale=1.0)).cost == Cost(unet_rows=2 * 15 * 2 * 3)


def test_work_that_is_done_is_read_and_not_done_again(tmp_path):
    lab = Lab(tmp_path)
    with pytest.raises(DataError, match="Run the same again"):
        DRAW["images"].read(lab)
    home = lab.home(DRAW)
    home.mkdir(parents=True)
    note = {"format": "synthset-work-1", "work": DRAW.declaration, "figures": {"images": 12.0}, "seconds": 1.5}
    (home / FILE).write_text(json.dumps(note))
    assert lab.do(DRAW).seconds == 1.5
    assert (DRAW["images"] - DRAW["images"]).read(lab) == 0
    with pytest.raises(DataError, match="'accuracy' among the figures"):
        DRAW["accuracy"].read(lab)


def test_a_damaged_file_is_named_with_what_to_do(tmp_path):
    lab = Lab(tmp_path)
    lab.home(DRAW).mkdir(parents=True)
    (lab.home(DRAW) / FILE).write_text('{"format": "synthset-work-1", "figures": {"images": "many"}')
    with pytest.raises(DataError, match=r"figures\.json.*Delete '.*figures\.json', and run the same again"):
        lab.find(DRAW)
