"""The shipped miniature, taken apart and put together again, is the same; and its parts can be trained further."""

import json

import pytest
import torch
from safetensors.torch import load_file
from tools.miniature import train_clip
from tools.miniature.__main__ import is_finished
from tools.miniature.assemble import ENTRIES, assemble
from tools.miniature.settings import PARTS
from tools.miniature.train_text_tower import TEXT_TOWER_FILE, text_side
from tools.miniature.training import load_average
from tools.miniature.unpack import UNPACKERS, unpack

from synthset.miniature import FOLDER


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    folder = tmp_path_factory.mktemp("build")
    unpack(FOLDER, folder, list(UNPACKERS))
    return folder


def test_every_part_but_the_world_comes_out_finished(build, tmp_path):
    assert list(UNPACKERS) == [part for part in PARTS if part != "world"]
    assert all(is_finished(part, build, tmp_path) for part in UNPACKERS)


def test_what_is_assembled_from_it_is_what_was_shipped(build, tmp_path):
    assemble(build, tmp_path)
    shipped = {path.relative_to(FOLDER) for path in FOLDER.rglob("*") if path.relative_to(FOLDER).parts[0] in ENTRIES}
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*")} == shipped
    for name in sorted(shipped):
        ours, theirs = tmp_path / name, FOLDER / name
        if name.suffix == ".safetensors":
            weights, expected = load_file(ours), load_file(theirs)
            assert weights.keys() == expected.keys()
            assert all(torch.equal(weights[key], expected[key]) for key in expected), name
        elif name.suffix == ".json":
            assert json.loads(ours.read_text()) == json.loads(theirs.read_text()), name


def test_a_part_that_is_there_is_not_replaced(build, tmp_path):
    (tmp_path / "clip").mkdir()
    with pytest.raises(SystemExit, match="Expected none of clip in"):
        unpack(FOLDER, tmp_path, ["tokenizer", "clip"])
    assert not (tmp_path / "tokenizer").exists()


def test_the_image_tower_is_trained_further_and_the_text_tower_stays(tmp_path, small_world, run_trainer):
    folder = tmp_path / "build"
    unpack(FOLDER, folder, ["tokenizer", "text_tower", "clip"])
    before = load_average(folder / "clip")
    run_trainer(train_clip, "--world", small_world, "--build", folder, "--steps", 2)
    after = load_average(folder / "clip")
    assert not torch.equal(after["visual.conv1.weight"], before["visual.conv1.weight"])
    text = load_file(folder / "text_tower" / TEXT_TOWER_FILE)
    saved = text_side(load_file(folder / "clip/open_clip_model.safetensors"))
    assert text.keys() == saved.keys()
    assert all(torch.equal(text[key], saved[key]) for key in text)
    assert "zero_shot 'the digit {}'" in json.loads((folder / "clip/finished.json").read_text())
