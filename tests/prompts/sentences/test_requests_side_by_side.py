"""Several classes at once: faster, in order, kept as they come; one that fails costs itself; a stop ends all soon."""

import json
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from prompts.sentences.chat_server import Server, chat, class_of, refused
from synthset.core.errors import ModelError, UsageError
from synthset.prompts.sentences import load_writer
from synthset.prompts.sentences.cache import SENTENCES_FILE, sentences_for

CLASSES = tuple(f"c{number}" for number in range(12))


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server = Server()
    server.answers = [lambda question: chat(f"a {class_of(question)} in ink")]
    yield server
    server.close()


def write(server, folder, classes=CLASSES, on_class=lambda name: None, **options):
    return sentences_for(classes, {}, server.writer(pause=None, **options), 1, 0, folder, on_class)


def asked(server):
    return [class_of(body["messages"][0]["content"]) for _, _, body in server.requests]


def kept(folder):
    lines = (folder / SENTENCES_FILE).read_text().splitlines()
    return {line["class_name"]: tuple(line["sentences"]) for line in map(json.loads, lines)}


def test_four_at_once_take_a_fraction_of_the_time_and_keep_the_order(server, tmp_path):
    server.seconds, took = 0.15, {}
    for requests in (1, 4):
        server.most_at_once, begin, done = 0, time.monotonic(), []
        sentences = write(server, tmp_path / str(requests), on_class=done.append, requests=requests)
        took[requests] = time.monotonic() - begin
        assert server.most_at_once == requests
        assert sentences == {name: (f"a {name} in ink",) for name in CLASSES} == kept(tmp_path / str(requests))
        assert tuple(sentences) == CLASSES
        assert sorted(done) == sorted(CLASSES)
    assert took[1] / took[4] > 2
    again = len(server.requests)
    assert write(server, tmp_path / "4") == sentences
    assert len(server.requests) == again


def test_a_server_that_names_a_moment_is_left_alone_by_all_until_then(server, tmp_path):
    server.seconds = 0.1
    server.answers = [refused(429, "slow down", {"Retry-After": "0.6"}), server.answers[0]]
    assert len(write(server, tmp_path)) == len(CLASSES)
    closed = server.times[0]  # the first answer refuses, at once
    late = [moment - closed for moment in server.times if moment > closed + 0.09]
    assert len(CLASSES) + 1 - 4 <= len(late) <= len(CLASSES)  # up to four were asked before it was known
    assert min(late) >= 0.6
    assert max(late) < 5


def test_after_refusals_fewer_are_made_at_once(server, tmp_path):
    """A server that takes one request at a time is not refused again and again, until all is given up."""
    ok = server.answers[0]
    server.seconds = 0.02

    def one_at_a_time(question):
        return refused(429, "one at a time", {"Retry-After": "0.05"}) if server.at_once > 1 else ok(question)

    server.answers = [one_at_a_time]
    assert len(write(server, tmp_path, requests=8)) == len(CLASSES)


def test_a_moment_may_be_a_date(server):
    later = datetime.now(UTC) + timedelta(seconds=30)
    server.answers = [refused(503, headers={"Retry-After": format_datetime(later, usegmt=True)}), server.answers[0]]
    server.writer().write("five", "", 1, 0)
    assert 27 < server.waits[0] <= 30


@pytest.mark.parametrize("answer", [refused(400, "not about that"), chat("nothing of the kind")])
def test_a_class_that_fails_costs_itself_alone(server, tmp_path, answer):
    ok = server.answers[0]
    server.answers = [lambda question: answer if class_of(question) in ("c1", "c3") else ok(question)]
    with pytest.raises(
        ModelError, match=r"So it was for c1, c3; 2 of 12 classes have no sentences yet\. Those"
    ) as error:
        write(server, tmp_path)
    assert "\n" not in str(error.value)
    assert set(kept(tmp_path)) == set(CLASSES) - {"c1", "c3"}
    server.answers, server.requests = [ok], []
    assert tuple(write(server, tmp_path)) == CLASSES
    assert set(asked(server)) == {"c1", "c3"}


def test_a_server_that_fails_for_all_is_given_up_soon(server, tmp_path):
    server.answers = [refused(401, "who are you")]
    with pytest.raises(ModelError, match=r"HTTP 401 \(who are you\).* 40 of 40 classes have no sentences yet"):
        write(server, tmp_path, classes=[f"c{number}" for number in range(40)])
    assert len(server.requests) <= 8
    assert not (tmp_path / SENTENCES_FILE).exists()


def test_what_no_request_can_mend_ends_at_once(server, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "schl\u00fcssel")
    with pytest.raises(UsageError, match="plain characters in OPENAI_API_KEY"):
        write(server, tmp_path)


def test_a_stop_while_classes_are_kept_makes_no_further_request(server, tmp_path):
    def stop(name):
        raise KeyboardInterrupt

    server.seconds = 0.05
    with pytest.raises(KeyboardInterrupt):
        write(server, tmp_path, on_class=stop, requests=2)
    assert len(kept(tmp_path)) == 1
    time.sleep(0.3)
    assert len(server.requests) <= 5  # of 12: those that were on their way


@pytest.fixture
def interruptible():
    """Ctrl-C raises, also in tests that a shell runs in the background, where it is ignored."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals come to the main thread")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("answer", ["none", "wait"])
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_does_not_wait_for_the_server(server, tmp_path, answer):
    if answer == "wait":
        server.answers = [refused(429, headers={"Retry-After": "60"})]
    server.seconds = 60
    thread = threading.main_thread().ident
    timer = threading.Timer(0.4, lambda: signal.pthread_kill(thread, signal.SIGINT))
    timer.start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        write(server, tmp_path)
    assert time.monotonic() - begin < 3
    assert len(server.requests) <= 4
    timer.join()


def test_the_number_of_requests_is_for_servers_alone_and_changes_no_sentence(server):
    one, many = (load_writer(server.url, model="talker", requests=requests) for requests in (None, 9))
    assert (one.requests, many.requests) == (4, 9)
    assert one.fingerprint == many.fingerprint
    with pytest.raises(UsageError, match=r"^Expected requests with a URL only, got '2' for 'miniature'\. Leave it out"):
        load_writer("miniature", requests=2)
