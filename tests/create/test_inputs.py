"""What `create` is asked for, read and checked before anything is drawn."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from synthset.core.errors import UsageError
from synthset.create.config import CreateConfig
from synthset.create.dry_run import rehearse
from synthset.create.inputs import check_names, plan_run, read_initial_images, with_matched_phrases
from synthset.create.plan import Part
from synthset.create.stage import create
from synthset.generators.reading import TextReader
from synthset.images.decoding import encode
from synthset.images.imageset import ImageSet
from synthset.prompts import classes
from synthset.prompts.strategies import PromptStyle
from synthset.testing import FakeGenerator


def real_set(count=2):
    files = [encode(np.full((4, 4, 3), shade, np.uint8)) for shade in range(2 * count)]
    return ImageSet("photos", ("Dog", "cat"), np.arange(2 * count) % 2, files.__getitem__)


def test_classes_of_the_miniature_are_digits_unless_another_draws():
    assert check_names(["one", "two"], CreateConfig()) == ("one", "two")
    with pytest.raises(UsageError, match="miniature cannot draw 'cat'"):
        check_names(["cat"], CreateConfig())
    assert check_names(["cat"], CreateConfig(), FakeGenerator()) == ("cat",)
    assert check_names(["cat"], CreateConfig(generator="owner/name")) == ("cat",)
    assert check_names(["V"], CreateConfig(style=PromptStyle(phrases={"V": "the digit five"}))) == ("V",)


@pytest.mark.parametrize("codes", [("n02084071", "n02121808"), ("/m/04rmv",), ("7", "8")])
def test_whoever_lets_codes_be_drawn_is_told_once_how_to_name_them(codes, caplog):
    classes._tell_codes.cache_clear()
    config = CreateConfig(generator="owner/name")
    with_phrases = replace(config, style=PromptStyle(phrases={name: f"a thing {name}" for name in codes}))
    without_text = replace(config, strategies=("interpolate_three",), initial_images="digits")
    names = codes if codes[0].isdecimal() else (*codes, "dog")
    for other in (with_phrases, without_text):
        check_names(names, other)
    assert not any("codes" in message for message in caplog.messages)
    for _ in range(2):
        check_names(names, config)
    (told,) = [message for message in caplog.messages if "codes" in message]
    assert told.startswith(f"Expected class names in words, got {', '.join(codes)}: a generator reads them as they")
    assert "by phrases, a file with" in told


def test_phrases_are_matched_to_the_names_or_read_from_their_file(tmp_path):
    file = tmp_path / "phrases.yaml"
    file.write_text("sea lake: a large lake\n")
    for phrases in ({"Sea Lake": "a large lake"}, str(file)):
        config = with_matched_phrases(CreateConfig(style=PromptStyle(phrases=phrases)), ["sea_lake", "cat"])
        assert config.style.phrases == {"sea_lake": "a large lake"}


def test_real_images_are_read_where_the_config_names_some():
    assert read_initial_images(["cat", "dog"], CreateConfig()) is None
    config = CreateConfig(initial_images=real_set(), shots=1)
    images = read_initial_images(["cat", "dog"], config)
    assert [len(names) for names in images.hashes] == [1, 1]
    with pytest.raises(UsageError, match="leaves a step to draw"):
        read_initial_images(["cat", "dog"], CreateConfig(initial_images=real_set(), shots=1, steps=1))
    # images that are only mixed need no step of their own
    mixing = CreateConfig(initial_images=real_set(3), strategies=("interpolate_three",), steps=1)
    assert read_initial_images(["cat", "dog"], mixing).class_names == ("cat", "dog")


def test_a_run_is_planned_as_the_config_says():
    config = CreateConfig(initial_images=real_set(), strength=0.5, steps="8:9", images_per_class=3, seed=1)
    images = read_initial_images(["cat", "dog"], config)
    requests = list(plan_run(["cat", "dog"], config, images).requests())
    assert len(requests) == 6
    assert {request.strength for request in requests} == {0.5}
    assert {request.initial_image for request in requests} == set(images.files)
    assert {request.num_inference_steps for request in requests} == {8, 9}
    (one,) = plan_run(["cat", "dog"], config, images, Part({("base", 1): range(2, 3)}, first_id=9)).requests()
    assert (one.id, one.seed) == (9, requests[5].seed)
    plain = plan_run(["cat", "dog"], CreateConfig(steps="8"), None).table.column_names
    assert {"strength", "num_inference_steps"}.isdisjoint(plain)


@pytest.fixture
def near_sighted(monkeypatch):
    """A generator that reads five words."""
    reader = TextReader(((lambda texts, **_: SimpleNamespace(input_ids=_words(texts)), 5),))
    generator = FakeGenerator(size_px=16)
    generator.text_reader = reader
    monkeypatch.setattr(sys.modules["synthset.create.stage"], "load", lambda config: generator)
    return generator


def _words(texts):
    return texts.split() if isinstance(texts, str) else [text.split() for text in texts]


@pytest.mark.parametrize("is_dry", [False, True])
def test_prompts_that_the_generator_cuts_are_counted_with_an_example(tmp_path, near_sighted, caplog, is_dry):
    phrases = {"jay": "a bird of type jay"}  # "an image of a bird of type jay"
    config = CreateConfig(images_per_class=3, generator="owner/name", style=PromptStyle(phrases=phrases))
    if is_dry:
        rehearse(["jay", "cat"], config, tmp_path / "pets")
    else:
        create(["jay", "cat"], tmp_path / "pets", config)
    (message,) = [message for message in caplog.messages if "reads" in message]
    assert "reads 5 tokens of a prompt: of 3 of 6 images it ignores the rest" in message
    assert "'an image of a bird of type jay'" in message


def test_a_negative_prompt_that_is_cut_is_said_too(tmp_path, near_sighted, caplog):
    create(["cat"], tmp_path / "pets", images_per_class=2, generator="owner/name", negative_prompt="a b c d e f")
    assert "of 2 of 2 images" in caplog.text
