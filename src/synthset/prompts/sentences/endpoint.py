"""Sentences by a language model behind a URL that speaks OpenAI's chat completions: a server of one's own or a service.

It is asked for one sentence a line, a few dozen at a time, and again for what is missing; about several classes at
once, by threads that all wait as long as the server tells any of them, see side_by_side.py. The key is read from
OPENAI_API_KEY when a request is made; it is sent over https and to this machine only, follows no redirection,
and is written nowhere. Such an answer cannot be had again, so the sentences themselves are what a dataset keeps.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from ipaddress import ip_address
from threading import Thread
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from synthset.core.errors import ModelError, SynthsetError, UsageError, setting
from synthset.core.redaction import without_secrets
from synthset.prompts.classes import as_words
from synthset.prompts.sentences.base import ServerError, gather_sentences
from synthset.prompts.sentences.side_by_side import Gate, run_side_by_side

KEY_VARIABLE = "OPENAI_API_KEY"
SENTENCES_A_REQUEST = 50
MAX_ATTEMPTS = 5  # of one request
MAX_WAIT_SECONDS = 60.0  # between attempts, whatever the server asks for
MAX_ANSWER_BYTES = 4 * 2**20
DEFAULT_REQUESTS = 4  # at once
_SHOWN = 30  # sentences that the model is told it has written already
_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_LIMITED = frozenset({429, 529})  # too many requests, of this user or of all
_OF_THE_QUESTION = frozenset({400, 413, 422})  # what is refused may be the class that it is about
_ASK = (
    "Write {count} short sentences, each describing a different picture that shows {phrase}. "
    'Each sentence has the words "{name}" in it. Vary the place, the look, the action and what else there is. '
    "Write one sentence a line: no numbers, no bullets, no quotation marks, and nothing before or after."
)
_AGAIN = "\nWrite none of these again:\n{sentences}"


@dataclass(frozen=True)
class EndpointWriter:
    """Asks a chat model for sentences; see `base.SentenceWriter`.

    Attributes:
        url: up to and with the version, "https://host/v1".
        model: the server's name for the model.
        require_mention: leave out sentences that do not mention the class.
        timeout_seconds: for the server to answer, or to go on answering; for the whole answer twice as long.
        pause: waits between attempts; None for a wait that ends with the run.
        requests: made at once by `write_all`.
    """

    url: str
    model: str
    require_mention: bool = True
    timeout_seconds: float = 120.0
    pause: Callable[[float], object] | None = None
    requests: int = DEFAULT_REQUESTS

    def __post_init__(self) -> None:
        _check_url(self.url)
        if not self.model.strip():
            raise UsageError(
                f"Expected {setting('SentenceConfig.model')} with the URL '{self.url}', got none. Name a model that "
                "the server has."
            )

    @property
    def name(self) -> str:
        """The model and its address; neither holds a secret."""
        return f"{self.model} at {self.url.rstrip('/')}"

    @property
    def fingerprint(self) -> str:
        """Over the address, the model's name and what it is asked; what the server makes of them nobody knows."""
        parts = [self.url.rstrip("/"), self.model, _ASK, _AGAIN, str(self.require_mention)]
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()

    def write(self, class_name: str, phrase: str, count: int, seed: int) -> list[str]:
        """`count` distinct sentences about a class; see `base.SentenceWriter.write`.

        The seed has no effect: not every server takes one, and none promises the same answer twice.
        """
        return self._write(class_name, phrase, count, Gate(1))

    def write_all(
        self, classes: Sequence[tuple[str, str]], count: int, seed: int
    ) -> Generator[tuple[int, list[str] | SynthsetError], None, None]:
        """`count` distinct sentences about each class, several at once: the place of a class and its sentences.

        They come as they are there, and of a class that fails its error. Whoever stops reading ends the rest: no
        further request is made.

        Args:
            classes: names, and what stands for each in prompts, as for `write`.
        """
        gate = Gate(self.requests)
        tasks = [lambda name=name, phrase=phrase: self._write(name, phrase, count, gate) for name, phrase in classes]
        return run_side_by_side(tasks, self.requests, gate)

    def _write(self, class_name: str, phrase: str, count: int, gate: Gate) -> list[str]:
        def draw(number: int, have: Sequence[str]) -> list[str]:
            missing = min(SENTENCES_A_REQUEST, count - len(have) + 5)  # some will be there already
            return parse_sentences(self._ask(_question(class_name, phrase, missing, have), gate))

        rounds = 3 + 2 * -(-count // SENTENCES_A_REQUEST)
        return gather_sentences(
            draw, class_name, phrase, count, origin=self.name, rounds=rounds, require_mention=self.require_mention
        )

    def _ask(self, question: str, gate: Gate) -> str:
        """The model's answer; tries again after errors that pass."""
        body = json.dumps({"model": self.model, "messages": [{"role": "user", "content": question}]}).encode()
        pause, waited_for = self.pause or gate.pause, 0.0
        for attempt in range(MAX_ATTEMPTS):
            gate.enter(pause, waited_for)
            limited_seconds = None
            try:
                return _content(self._post(body))
            except _AnswerError as error:
                seconds = min(MAX_WAIT_SECONDS, error.wait_seconds or 2.0**attempt)
                limited_seconds = seconds if error.is_of_all else None
                if attempt + 1 == MAX_ATTEMPTS or error.wait_seconds is None:
                    raise self._refused(error) from error
            finally:
                waited_for = gate.leave(limited_seconds)
            pause(seconds)
        raise AssertionError("the last attempt returns or raises")

    def _refused(self, error: _AnswerError) -> ModelError:
        """What is wrong with the server, or with the question."""
        times = "" if error.wait_seconds is None else f", {MAX_ATTEMPTS} times"
        kind = ModelError if error.is_of_question else ServerError
        return kind(
            f"Expected sentences from '{self.name}', got {error.what}{times}. {error.advice} Or name another writer "
            f"({setting('SentenceConfig.source')})."
        )

    def _post(self, body: bytes) -> bytes:
        """The answer within twice the timeout, however slowly its bytes come. Raises as `_exchange` does."""
        answer = Future[bytes]()

        def exchange() -> None:
            try:
                answer.set_result(self._exchange(body))
            except BaseException as error:  # raised where it is waited for
                answer.set_exception(error)

        # a thread that is left behind ends with the process: what it reads is bounded
        Thread(target=exchange, daemon=True).start()
        try:
            return answer.result(timeout=2 * self.timeout_seconds)
        except TimeoutError:
            late = f"no whole answer within {2 * self.timeout_seconds:g} s"
            raise _AnswerError(late, "Is the server fast enough?") from None  # it would be as slow again

    def _exchange(self, body: bytes) -> bytes:
        """The bytes that the server answers. Raises _AnswerError."""
        request = Request(f"{self.url.rstrip('/')}/chat/completions", body, _headers(self.url))
        # through the proxies that the environment names; this machine it reaches itself
        opener = build_opener(_NoRedirection, *([ProxyHandler({})] if _is_this_machine(self.url) else []))
        try:
            with opener.open(request, timeout=self.timeout_seconds) as response:
                answer = response.read(MAX_ANSWER_BYTES + 1)
                missing = response.length
        except HTTPError as error:
            with error:
                raise _of_status(error) from error
        except (URLError, HTTPException, OSError) as error:  # refused, unknown host, timed out, broken off
            reason = error.reason if isinstance(error, URLError) else error
            raise _AnswerError(f"no answer ({_one_line(reason)})", "Is the server there?", 0.0) from error
        if len(answer) > MAX_ANSWER_BYTES:
            raise _AnswerError(f"an answer of more than {MAX_ANSWER_BYTES:,} bytes", "Name another model.")
        if missing:
            raise _AnswerError(f"an answer that breaks off {missing:,} bytes early", "Is the server in order?", 0.0)
        return answer


# ---- questions and answers --------------------------------------------------------------------------------


def _question(class_name: str, phrase: str, count: int, have: Sequence[str]) -> str:
    name = as_words(class_name)
    ask = _ASK.format(count=count, phrase=as_words(phrase or class_name), name=name)
    return ask + _AGAIN.format(sentences="\n".join(have[-_SHOWN:])) if have else ask


def parse_sentences(answer: str) -> list[str]:
    """The sentences of an answer, one a line, without numbers, bullets, quotes and the model's own words.

    >>> parse_sentences('Sure, here are three:\\n1. A dog barks.\\n- "Two dogs run."\\n\\n* **A dog** sleeps.')
    ['A dog barks.', 'Two dogs run.', 'A dog sleeps.']
    """
    answer = re.sub(r"<think>.*?(</think>|\Z)", "", answer, flags=re.DOTALL)
    sentences = []
    for line in answer.splitlines():
        text = re.sub(r"^\s*(?:\(?\d{1,4}[.):]\)?\s+|[-*•–—]\s+|#+\s+|>\s+)+", "", line)
        text = text.replace("**", "").strip().strip("\"'`“”‘’«»").strip()
        if text and not text.endswith(":"):  # "Here are 50 sentences:"
            sentences.append(text)
    return sentences


def _content(answer: bytes) -> str:
    """The text of the first choice. Raises _AnswerError for what is no chat completion, or empty."""
    advice = "Is the URL the one that ends in /v1?"
    try:
        text = answer.decode("utf-8")
    except UnicodeDecodeError:
        raise _AnswerError("bytes that are no text", advice) from None
    if text.lstrip().startswith("<"):
        raise _AnswerError("a web page", advice)
    try:
        content = json.loads(text)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        raise _AnswerError(f"no chat completion but {_one_line(text) or 'nothing'}", advice) from None
    content = "" if content is None else content  # what a model that only thought has said
    if not isinstance(content, str):
        raise _AnswerError(f"content of type {type(content).__name__} where text should be", advice)
    if not content.strip():
        raise _AnswerError("an empty answer", "Does the model chat?", 0.0, is_of_question=True)
    return content


# ---- requests ---------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _AnswerError(Exception):
    """What came in place of an answer, and what to do.

    Attributes:
        wait_seconds: it may be better a little later, so long where the server says when, or 0; None for one that will
            not change.
        is_of_all: the server asks all that is done here to wait.
        is_of_question: another question may be answered.
    """

    what: str
    advice: str
    wait_seconds: float | None = None
    is_of_all: bool = False
    is_of_question: bool = False


class _NoRedirection(HTTPRedirectHandler):
    """A redirected request would take the key to another host; its status is an error like others."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Follow none."""


def _check_url(url: str) -> None:
    source = setting("SentenceConfig.source")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # of brackets or ports
        parts, usable = None, False
    if not parts or not usable or not url.isascii() or re.search(r"\s", url):
        raise UsageError(f"Expected a URL such as https://host/v1 for {source}, got something else.")
    if parts.username or parts.password or parts.query or parts.fragment:
        # it is recorded with the dataset; and not repeated here
        raise UsageError(
            f"Expected a URL without user, password, ? or # for {source}, at {parts.hostname}. Put the key into "
            f"{KEY_VARIABLE}."
        )


def _headers(url: str) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "synthset"}
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise UsageError(f"Expected a key of plain characters in {KEY_VARIABLE}, got others.")
    if key and (_is_this_machine(url) or urlsplit(url).scheme == "https"):  # where nobody on the way can read it
        headers["Authorization"] = f"Bearer {key}"
    return headers


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def _of_status(error: HTTPError) -> _AnswerError:
    """What an HTTP error means for the user."""
    what = f"HTTP {error.code} ({_server_message(error) or error.reason})"
    if error.code in _RETRIED:
        advice = "Try again later: finished classes are kept." if error.code == 429 else "Is the server in order?"
        seconds = _retry_after(error)
        return _AnswerError(what, advice, seconds, is_of_all=error.code in _LIMITED or seconds > 0)
    if error.code in (401, 403):
        return _AnswerError(what, f"Set {KEY_VARIABLE}; it is sent over https only.")
    if 300 <= error.code < 400:
        return _AnswerError(what, "Give the URL that it redirects to.")
    advice = f"Are the URL, up to /v1, and {setting('SentenceConfig.model')} right?"
    return _AnswerError(what, advice, is_of_question=error.code in _OF_THE_QUESTION)


def _server_message(error: HTTPError) -> str:
    """What the server says itself, if it says it in JSON."""
    try:
        said = json.loads(error.read(MAX_ANSWER_BYTES))
        detail = said.get("error", said) if isinstance(said, dict) else said
        message = detail.get("message", "") if isinstance(detail, dict) else detail
    except (OSError, HTTPException, ValueError, RecursionError):
        return ""
    return _one_line(message)


def _retry_after(error: HTTPError) -> float:
    """Seconds that the server asks to wait, which it may give as a date; 0 where it does not say."""
    text = error.headers.get("Retry-After", "")
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # no date either, or one without a zone
        return 0.0


def _one_line(message: object) -> str:
    """The beginning of a message, on one line, and never with the key in it."""
    text = " ".join("".join(c if c.isprintable() else " " for c in str(message)).split())
    text = without_secrets(text)
    return text if len(text) <= 160 else f"{text[:160]}…"
