"""Prompt augmentation has got further words: a dataset goes on with those that it was begun with."""

import pytest

from synthset.core.errors import ConfigChangedError
from synthset.create.config import CreateConfig
from synthset.create.dry_run import rehearse
from synthset.create.stage import create
from synthset.prompts.strategies import PromptStyle
from synthset.testing import FakeGenerator

CONFIG = CreateConfig(strategies=("prompt_augmentation",), images_per_class=40, shard_size=16)
FIRST = CreateConfig(
    strategies=("prompt_augmentation",), images_per_class=40, shard_size=16, style=PromptStyle(first_words=True)
)


def prompts_of(result):
    return sorted(result.dataset.rows.column("prompt").to_pylist())


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A dataset as the first version wrote it, one file of which was lost."""
    folder = tmp_path_factory.mktemp("words") / "dataset"
    first = create(["owl"], folder, FIRST, generator=FakeGenerator())
    assert "augmentation_words" not in first.dataset.manifest["job"]
    prompts = prompts_of(first)
    (folder / "data").joinpath(sorted(path.name for path in (folder / "data").iterdir())[-1]).unlink()
    return folder, prompts


def test_a_dataset_goes_on_with_the_words_that_it_was_begun_with(begun):
    folder, prompts = begun
    again = create(["owl"], folder, CONFIG, generator=FakeGenerator())
    assert again.drawn == 8
    assert prompts_of(again) == prompts
    assert "augmentation_words" not in again.dataset.manifest["job"]
    with pytest.raises(ConfigChangedError, match="images_per_class"):
        create(["owl"], folder, CONFIG, generator=FakeGenerator(), images_per_class=41)


def test_a_new_dataset_has_the_further_words_and_says_so(begun, tmp_path):
    new = create(["owl"], tmp_path / "new", CONFIG, generator=FakeGenerator())
    assert new.dataset.manifest["job"]["augmentation_words"] == 2
    assert set(prompts_of(new)).isdisjoint(begun[1])
    assert create(["owl"], tmp_path / "new", CONFIG, generator=FakeGenerator()).drawn == 0


def test_what_is_begun_anew_has_the_further_words(tmp_path):
    create(["owl"], tmp_path / "old", FIRST, generator=FakeGenerator())
    anew = create(["owl"], tmp_path / "old", CONFIG, generator=FakeGenerator(), overwrite=True)
    assert (anew.drawn, anew.dataset.manifest["job"]["augmentation_words"]) == (40, 2)


def test_a_dry_run_shows_the_words_that_would_be_drawn(tmp_path):
    config = CreateConfig(strategies=("prompt_augmentation",), images_per_class=4, generator="miniature", steps=2)
    create(["one"], tmp_path / "old", config, style=PromptStyle(first_words=True), generator=FakeGenerator())
    old, new = ({one.prompt for one in rehearse(["one"], config, tmp_path / name).shown} for name in ("old", "new"))
    assert old
    assert old.isdisjoint(new)
