"""Which sentences count, and what is said when there are too few."""

import pytest

from synthset.core.errors import ModelError, UsageError
from synthset.prompts.sentences.base import clean_sentence, gather_sentences, mentions, sentence_key


def gather(rounds, count, class_name="dog", phrase="", **options):
    """Gather from a list of answers, and the sentences that each round was shown."""
    shown = []

    def draw(number, have):
        shown.append((number, list(have)))
        return rounds[number]

    options = {"origin": "a test", "rounds": len(rounds)} | options
    return gather_sentences(draw, class_name, phrase, count, **options), shown


def test_sentences_come_once_in_order_and_only_until_there_are_enough():
    rounds = [["A dog barks.", "a  dog barks", "a cat"], ["Two dogs run .", "the dog sleeps"], ["never asked"]]
    sentences, shown = gather(rounds, 2)
    assert sentences == ["A dog barks.", "Two dogs run."]
    assert shown == [(0, []), (1, ["A dog barks."])]


def test_the_name_alone_is_no_sentence():
    with pytest.raises(ModelError, match="got 0 after 4 tries"):
        gather([["dog", "a dog", "The dog.", "the digit dog"]], 1, phrase="the digit dog")


@pytest.mark.parametrize(
    ("rounds", "said"),
    [
        (
            [["a dog runs", "a cat"], ["a dog runs"]],
            "Expected 200 distinct sentences about 'dog' from 'a test', got 1 after 3 tries (1 of them do not mention "
            "it). Ask for fewer (count=1), or name another writer (source), or take those without the class too "
            "(require_mention=False).",
        ),
        (
            [[f"dog number {i}" for i in range(143)]],
            "Expected 200 distinct sentences about 'dog' from 'a test', got 143 after 143 tries. Ask for fewer "
            "(count=100), or name another writer (source).",
        ),
        (
            [[]],
            "Expected 200 distinct sentences about 'dog' from 'a test', got 0 after 0 tries. Name another writer "
            "(source).",
        ),
    ],
)
def test_too_few_sentences_are_an_error_that_says_what_to_do(rounds, said):
    with pytest.raises(ModelError) as error:
        gather(rounds, 200)
    assert str(error.value) == said


def test_sentences_without_the_class_count_where_they_may():
    assert gather([["", "a cat", "\x00", "rain"]], 2, require_mention=False)[0] == ["a cat", "rain"]
    with pytest.raises(UsageError, match="at least 1"):
        gather([["a dog runs"]], 0)


@pytest.mark.parametrize(
    ("sentence", "class_name", "phrase", "there"),
    [
        ("Two DOGS run.", "dog", "", True),
        ("a hotdog", "dog", "", False),
        ("a bear, polar and white", "polar_bear", "", True),
        ("a brown bear", "polar_bear", "", False),
        ("five puppies", "puppy", "", True),
        ("an old knife", "knives", "", True),
        ("two women", "woman", "", True),
        ("a forest", "Forests", "", True),
        ("a bus", "buses", "", True),
        ("the sea at dawn", "Sea or Lake", "", True),
        ("the hills at dawn", "Sea or Lake", "", False),
        ("a Tinca tinca on a hook", "n01440764", "tench, Tinca tinca", True),
        ("a pencil of type jay", "jay", "a bird of type jay", True),
        ("a 5 in chalk", "5", "", True),
        ("a 15 in chalk", "5", "", False),
        ("the", "the", "", True),
    ],
)
def test_mentions(sentence, class_name, phrase, there):
    assert mentions(sentence, class_name, phrase) is there


def test_cleaning():
    assert clean_sentence("  a dog ,\n asleep . ") == "a dog, asleep."
    assert clean_sentence("a\x00dog") == clean_sentence("x" * 501) == ""
    assert sentence_key("A dog  sleeps.") == sentence_key("a dog sleeps") != sentence_key("a dog sleep")
