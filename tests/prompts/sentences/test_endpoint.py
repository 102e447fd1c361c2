"""Sentences by a chat model, which here is a server that answers what a test tells it to, see chat_server.py."""

import contextlib
import itertools
import socket
import threading
import time
from dataclasses import replace

import pytest

from prompts.sentences.chat_server import Server, chat, refused
from synthset.core.errors import ModelError, UsageError
from synthset.prompts.sentences import load_writer
from synthset.prompts.sentences.endpoint import EndpointWriter, parse_sentences

KEY = "sk-very-secret"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server = Server()
    yield server
    server.close()


def test_it_asks_again_for_what_is_missing_and_says_what_it_has(server):
    server.answers = [chat("1. A five on a wall.\n2. a five on a wall\n3. A cat."), chat("- a five in the sand")]
    assert server.writer().write("five", "the digit five", 2, seed=0) == ["A five on a wall.", "a five in the sand"]
    (path, headers, first), (_, _, second) = server.requests
    assert path == "/v1/chat/completions"
    assert "Authorization" not in headers
    assert first["model"] == "talker"
    assert "the digit five" in first["messages"][0]["content"]
    assert "A five on a wall." not in first["messages"][0]["content"]
    assert "A five on a wall." in second["messages"][0]["content"]


def test_errors_that_pass_are_waited_for(server):
    server.answers = [refused(429, "slow down", {"Retry-After": "7"}), refused(503), chat(""), chat("a five in ink")]
    assert server.writer().write("five", "", 1, seed=0) == ["a five in ink"]
    assert server.waits == [7.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("answer", "reason", "requests"),
    [
        (refused(401, f"bad key {KEY}"), r"got HTTP 401 \(bad key …\)\. Set OPENAI_API_KEY", 1),
        (refused(404, "no model\nof that name"), r"got HTTP 404 \(no model of that name\)\. Are the URL", 1),
        (refused(429, headers={"Retry-After": "1e9"}), r"got HTTP 429 .* 5 times\. Try again later", 5),
        (refused(500, "x" * 5000), r"got HTTP 500 \(x{160}…\), 5 times", 5),
        ((302, {"Location": "http://127.0.0.1:9/v1"}, b""), "got HTTP 302 .*redirects", 1),
        ((200, {}, b"<!DOCTYPE html><html>"), "got a web page", 1),
        ((200, {}, b"nonsense"), "got no chat completion but nonsense", 1),
        ((200, {}, b""), "got no chat completion but nothing", 1),
        ((200, {}, b'{"choices": []}'), "got no chat completion", 1),
        ((200, {}, b"[" * 100_000), "got no chat completion", 1),
        ((200, {}, b"\xff\xfe"), "got bytes that are no text", 1),
        (chat(["a five"]), "got content of type list", 1),
        (chat(None), "got an empty answer, 5 times", 5),
        ((200, {"Content-Length": "999"}, b"{"), "got an answer that breaks off 998 bytes early, 5 times", 5),
    ],
)
def test_errors_are_one_clear_line_without_the_key(server, monkeypatch, answer, reason, requests):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.answers = [answer]
    with pytest.raises(ModelError, match=reason) as error:
        server.writer().write("five", "", 3, seed=0)
    assert "\n" not in str(error.value)
    assert KEY not in str(error.value)
    assert "talker at http://127.0.0.1" in str(error.value)
    assert len(server.requests) == requests
    assert all(wait <= 60 for wait in server.waits)


def test_a_server_that_is_not_there(server):
    writer = EndpointWriter("http://127.0.0.1:9/v1", "talker", timeout_seconds=1, pause=server.waits.append)
    with pytest.raises(ModelError, match=r"got no answer \(.*refused.*\), 5 times\. Is the server there\?"):
        writer.write("five", "", 3, seed=0)
    assert server.waits == [1, 2, 4, 8]


def test_a_model_that_repeats_itself_is_not_asked_for_ever(server):
    server.answers = [chat("a five in ink\na six in ink")]
    with pytest.raises(
        ModelError, match=r"Expected 60 distinct .* got 1 after 14 tries \(7 of them do not mention it\)"
    ):
        server.writer().write("five", "", 60, seed=0)
    assert len(server.writer(require_mention=False).write("five", "", 2, seed=0)) == 2


def test_the_key_goes_to_this_machine_and_over_https_alone_and_into_no_record(server, monkeypatch):
    from synthset.prompts.sentences import endpoint

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.answers = [chat("a five in ink")]
    writer = server.writer()
    writer.write("five", "", 1, seed=0)
    assert server.requests[0][1]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in f"{writer.name} {writer.fingerprint} {writer!r}"
    assert "Authorization" in endpoint._headers("https://host.example/v1")
    assert "Authorization" not in endpoint._headers("http://host.example/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "schlüssel\n\tx")
    with pytest.raises(UsageError, match="plain characters in OPENAI_API_KEY, got others"):
        writer.write("five", "", 1, seed=0)


def test_proxies_are_not_asked_for_this_machine(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    server.answers = [chat("a five in ink")]
    assert server.writer().write("five", "", 1, seed=0) == ["a five in ink"]


def test_writers_differ_by_address_model_and_what_counts(server):
    one = server.writer()
    assert load_writer(server.url + "/", model="talker").fingerprint == one.fingerprint
    others = [
        server.writer(require_mention=False),
        EndpointWriter(server.url, "other"),
        EndpointWriter("http://b/v1", "talker"),
    ]
    assert len({one.fingerprint, *(writer.fingerprint for writer in others)}) == 4


@pytest.mark.parametrize(
    "url",
    ["https://", "ftp://host/v1", "https://me:secret@host/v1", "https://host/v1?key=secret", "https://host:port/v1",
     "https://[host/v1", "https://hö.example/v1", "https://host/v 1"],
)  # fmt: skip
def test_urls_that_cannot_be_or_hold_secrets_are_refused_and_not_repeated(url):
    with pytest.raises(UsageError, match="Expected a URL") as error:
        load_writer(url, model="talker")
    assert "secret" not in str(error.value)
    with pytest.raises(UsageError, match=r"^Expected model with the URL 'https://host/v1', got none\. Name a model"):
        load_writer("https://host/v1")


def test_answers_are_taken_apart_line_by_line():
    answer = """<think>A five? 1. no</think>
    Here are some sentences:

    1. A five on a wall.
    (2) "A five in the sand."
    - **Five** apples
    • ‘five candles’
    12) 5 apples and a five
    """
    assert parse_sentences(answer) == [
        "A five on a wall.", "A five in the sand.", "Five apples", "five candles", "5 apples and a five",
    ]  # fmt: skip
    assert parse_sentences("<think>never done") == parse_sentences("") == []


OK = b"HTTP/1.1 200 OK\r\n"
HOSTILE_ANSWERS = {
    "a byte at a time": (
        (bytes([byte]) for byte in OK + b"Content-Length: 100000\r\n\r\n" + b" " * 100_000),
        0.02,
        r"no whole answer within 0\.6 s\. Is the server fast enough",
    ),
    "a gigabyte": (
        [OK + b"Content-Length: 1000000000\r\n\r\n", *[b" " * 2**20] * 1000],
        0,
        "an answer of more than 4,194,304 bytes",
    ),
    "without an end": (
        itertools.chain([OK + b"\r\n"], itertools.repeat(b"x" * 2**16)),
        0,
        "an answer of more than 4,194,304 bytes",
    ),
    "an error without an end": (
        itertools.chain([b"HTTP/1.1 404 No\r\n\r\n"], itertools.repeat(b"x" * 2**16)),
        0,
        r"HTTP 404 \(No\)",
    ),
    "headers without an end": (itertools.chain([OK], itertools.repeat(b"a: b\r\n" * 2**10)), 0, r"got no answer \("),
    "to a file": (
        [b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"],
        0,
        r"HTTP 302 \(Found.*\)\. Give the URL that it redirects to",
    ),
}


@pytest.mark.parametrize(("pieces", "pause_seconds", "message"), HOSTILE_ANSWERS.values(), ids=HOSTILE_ANSWERS)
def test_a_hostile_server_costs_little_time_and_memory_and_one_line(pieces, pause_seconds, message):
    ended, pieces = threading.Event(), iter(pieces)

    def answer(connection):
        with connection, contextlib.suppress(OSError):  # it is hung up on
            connection.recv(65536)
            for piece in pieces:
                if ended.wait(pause_seconds):
                    return
                connection.sendall(piece)

    def serve(listener):
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        writer = EndpointWriter(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", "talker", timeout_seconds=0.3)
        began = time.monotonic()
        with pytest.raises(ModelError, match=message) as caught:
            replace(writer, pause=lambda seconds: None).write("dog", "", 1, 0)
        assert time.monotonic() - began < 30
        assert "\n" not in str(caught.value)
        ended.set()
