"""The seam to whatever writes sentences about a class, and what all writers share: which sentences count.

Language enhancement (He et al. 2023, section 3.1) puts a class into sentences and draws those: "airplane" becomes
"a white airplane hovering over a beach and a city". A writer that samples repeats itself and loses the thread, so
its sentences are counted once, and only where they mention the class, until there are enough of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Protocol, runtime_checkable

from synthset.core.errors import ModelError, SynthsetError, setting
from synthset.core.options import expect
from synthset.prompts.classes import MAX_PHRASE_LENGTH, as_words, split_article

# He et al. 2023 sample N + 50 sentences a class and keep N = 200 distinct ones
DEFAULT_COUNT = 200
SPARE = 50
_SMALL_WORDS = frozenset({"a", "an", "the", "of", "in", "on", "at", "to", "for", "with", "and"})


class ServerError(ModelError):
    """A server fails whatever it is asked, as far as can be told."""


class SentenceWriter(Protocol):
    """Writes sentences about classes.

    One that can write about several at once also has that of `WritesSideBySide`.
    """

    @property
    def name(self) -> str:
        """What the user calls it; recorded with the dataset."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hex digest of all that its sentences depend on, beside the arguments of `write`."""
        ...

    def write(self, class_name: str, phrase: str, count: int, seed: int) -> list[str]:
        """`count` distinct sentences about a class.

        Args:
            class_name: the class.
            phrase: what stands for it in prompts, "the digit five"; empty where that is the name itself.
            count: sentences to write, at least 1.
            seed: the same seed gives the same sentences, where the writer can be seeded.
        Raises:
            ModelError: the writer cannot give as many, or fails.
            UsageError: a count below 1, or a file without the class.
        """
        ...


@runtime_checkable
class WritesSideBySide(Protocol):
    """Writes about several classes at once."""

    @property
    def requests(self) -> int:
        """How many at once."""
        ...

    def write_all(
        self, classes: Sequence[tuple[str, str]], count: int, seed: int
    ) -> Generator[tuple[int, list[str] | SynthsetError], None, None]:
        """As `write`, for each (class name, phrase): its place and its sentences, or its error, as they come.

        Whoever stops reading ends the rest.
        """
        ...


# (number of the round, the sentences there are) -> more sentences
Draw = Callable[[int, Sequence[str]], Sequence[str]]


def gather_sentences(
    draw: Draw, class_name: str, phrase: str, count: int, *, origin: str, rounds: int, require_mention: bool = True
) -> list[str]:
    """The first `count` distinct sentences about a class that come, over as many rounds as it takes.

    Args:
        draw: asked once a round for more.
        class_name, phrase, count: as for `SentenceWriter.write`.
        origin: name of the writer, for errors.
        rounds: until it gives up.
        require_mention: leave out sentences that do not mention the class.
    Raises:
        ModelError: fewer sentences after all rounds.
        UsageError: a count below 1.

    >>> answer = ["A dog barks.", "a  dog barks", "a cat", "two dogs run"]
    >>> gather_sentences(lambda number, have: answer, "dog", "", 2, origin="a test", rounds=1)
    ['A dog barks.', 'two dogs run']
    """
    check_count(count)
    found: dict[str, str] = {}
    tries = astray = 0
    bare = {sentence_key(split_article(as_words(name))[1]) for name in (class_name, phrase)} | {""}
    for number in range(rounds):
        for text in draw(number, list(found.values())):
            tries += 1
            sentence = clean_sentence(text)
            if require_mention and not mentions(sentence, class_name, phrase):
                astray += 1
            elif split_article(sentence_key(sentence))[1] not in bare:  # the name alone is no sentence
                found.setdefault(sentence_key(sentence), sentence)
        if len(found) >= count:
            return list(found.values())[:count]
    raise ModelError(_too_few(class_name, count, len(found), tries, astray, origin))


def check_count(count: int) -> None:
    """Raise UsageError unless at least one sentence is asked for."""
    expect(count >= 1, f"at least 1 sentence a class, got {count}")


def _too_few(class_name: str, count: int, found: int, tries: int, astray: int, origin: str) -> str:
    without = f" ({astray:,} of them do not mention it)" if astray else ""
    ways = [f"name another writer ({setting('SentenceConfig.source')})"]
    if found:
        ways.insert(0, f"ask for fewer ({setting('SentenceConfig.count', _round_down(found))})")
    if astray:
        ways.append(f"take those without the class too ({setting('SentenceConfig.require_mention', False)})")
    advice = ", or ".join(ways)
    return (
        f"Expected {count:,} distinct sentences about '{class_name}' from '{origin}', got {found:,} after {tries:,} "
        f"tries{without}. {advice[0].upper()}{advice[1:]}."
    )


def _round_down(number: int) -> int:
    """To one leading digit, 143 to 100: what a writer gave by chance, another seed may not."""
    power = 10 ** (len(str(number)) - 1)
    return number // power * power


def clean_sentence(text: str) -> str:
    """The text with single spaces and none before a comma; empty where it cannot be a prompt.

    >>> clean_sentence(" a dog ,  asleep .\\n")
    'a dog, asleep.'
    """
    text = re.sub(r"\s+([,.;:!?])", r"\1", " ".join(unicodedata.normalize("NFC", text).split()))
    return text if text.isprintable() and len(text) <= MAX_PHRASE_LENGTH else ""


def sentence_key(sentence: str) -> str:
    """What two sentences have in common that differ in case, spaces and the final full stop alone."""
    return clean_sentence(sentence).casefold().rstrip(".! ")


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case.

    >>> words_of("A T-shirt, isn't it?")
    ['a', 't', 'shirt', 'isn', 't', 'it']
    """
    return re.findall(r"[^\W_]+", text.casefold())


def mentions(sentence: str, class_name: str, phrase: str = "") -> bool:
    """Whether a sentence has all words of the class's name, or of its phrase, in any order, singular or plural.

    Of alternatives, "sea or lake" or "tench, Tinca tinca", one is enough.

    >>> mentions("two polar bears on the ice", "polar_bear"), mentions("a bear", "polar_bear")
    (True, False)
    >>> mentions("a lake in the hills", "Sea or Lake"), mentions("a fiver", "five", "the digit five")
    (True, False)
    """
    there = set(words_of(sentence))
    return any(
        all(there & set(_forms(word)) for word in words) for text in (class_name, phrase) for words in _needed(text)
    )


def _needed(text: str) -> Iterator[list[str]]:
    """The words of each alternative, without articles and the like (unless there is nothing else)."""
    for alternative in re.split(r",|/|\bor\b", as_words(text), flags=re.IGNORECASE):
        words = words_of(split_article(alternative.strip())[1])
        words = [word for word in words if word not in _SMALL_WORDS] or words
        if words:
            yield words


def _forms(word: str) -> Iterator[str]:
    """The word, and what may be its plural or singular; English of the plainest kind."""
    yield word
    yield from (f"{word}s", f"{word}es")
    for end, plural in (("y", "ies"), ("f", "ves"), ("fe", "ves"), ("man", "men")):
        if word.endswith(end):
            yield word.removesuffix(end) + plural
        if word.endswith(plural):
            yield word.removesuffix(plural) + end
    for end in ("s", "es"):
        if word.endswith(end) and len(word) > len(end) + 2:
            yield word.removesuffix(end)
