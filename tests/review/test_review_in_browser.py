"""The page as a person meets it: in a headless Chromium, by keys, clicks, two tabs, reloads and a killed server."""

import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from browser import Browser, find_browser
from review.pages import TOKEN, served
from small_datasets import make, reject_first
from synthset.dataset.by_hand import read_by_hand
from synthset.dataset.reader import open_dataset
from synthset.dataset.relabels import read_relabels
from synthset.prompts.strategies import PromptStyle
from synthset.testing import FakeEncoder, FakeGenerator

MARKUP = '<img src="x" onerror="document.title=1">'
SEEN = "[...document.querySelectorAll('.cell:not([hidden])')]"
PICTURES = f"{SEEN}.filter((cell) => cell.querySelector('img').naturalWidth > 0).length"
SAVED = "document.querySelector('#saving').textContent === 'Saved'"
FOCUSED = "document.querySelector('.cell.focused').dataset.place"
SOON = "document.dispatchEvent(new Event('visibilitychange'))"  # what others did is looked for now


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if not find_browser():
        # in continuous integration .ci/run installs it: its absence is a failure there
        assert not os.environ.get("CI"), "Expected Chromium on the PATH, found none. Run .ci/run, or install chromium."
        pytest.skip("no Chromium on the PATH")
    with Browser(tmp_path_factory.mktemp("profile"), 1280, 900) as browser:
        browser.show_as(1280, 900)
        yield browser


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """60 images, of which a filter rejects the first."""
    import torch  # noqa: F401  # which takes long, and neighbours need it

    folder = tmp_path_factory.mktemp("drawn") / "d"
    make(folder, images_per_class=15, style=PromptStyle(phrases={"cat": MARKUP}))
    reject_first(folder)
    return folder


@pytest.fixture
def page(browser, drawn, tmp_path):
    """Their page, in a new tab."""
    shutil.copytree(drawn, tmp_path / "d")
    objects = {"encoder": FakeEncoder(), "generator": FakeGenerator(), "cache": None}
    with served(tmp_path / "d", **objects) as (session, asker):
        browser.new_tab()
        browser.folder, browser.address = session.folder, f"http://127.0.0.1:{asker.port}/#{TOKEN}"
        browser.show_as(1280, 900)
        browser.open(browser.address)
        browser.wait_for(f"{PICTURES} >= 50")
        yield browser
        assert browser.complaints() == []
        assert [url for url in browser.requests() if not url.startswith("http://127.0.0.1:")] == []
        browser.close_tabs()


def hand_of(folder):
    """What is on disk: by row, 1, -1 or 0."""
    said = read_by_hand(folder)
    return [{True: 1, False: -1, None: 0}[said.get(name)] for name in open_dataset(folder).rows["sha256"].to_pylist()]


def mark(place):
    """A script: the mark of the image at a place."""
    return f"document.querySelector('#image-{place} .mark').textContent"


def label_of(folder, row):
    return open_dataset(folder).rows.column("label")[row].as_py()


def test_it_works_by_the_keyboard_alone(page):
    assert page.run("location.hash") == ""  # the token is in no address that could be passed on
    assert page.run("document.cookie") == ""
    page.press("k", "r", "ArrowRight", "r")
    page.wait_for(SAVED)
    assert hand_of(page.folder)[:5] == [1, -1, 0, -1, 0]
    assert page.run(FOCUSED) == "4"
    assert np.flatnonzero(~open_dataset(page.folder).kept()).tolist() == [1, 3]  # the first in spite of the filter
    page.press("z", "z")
    page.wait_for(SAVED)
    assert hand_of(page.folder)[:5] == [1, 0, 0, 0, 0]
    page.reload()
    page.wait_for(f"{PICTURES} >= 50")
    assert [page.run(mark(place)) for place in range(3)] == ["✓", "", ""]
    page.press("c")
    page.wait_for(SAVED)
    page.wait_for(f"{mark(0)} === 'clip'")
    assert read_by_hand(page.folder) == {}
    page.press("?")
    assert "undo the latest step" in page.run("document.querySelector('#help').innerText")
    page.press("Escape", "End")
    page.wait_for(f"{FOCUSED} === '59'")


def test_another_class_is_chosen_by_name(page):
    drawn = label_of(page.folder, 0)
    page.press("l")
    page.type(["sea", "cat"][drawn] if drawn == 0 else "cat")
    page.wait_for("document.querySelectorAll('#class-list [role=option]').length === 1")
    page.press("Enter")
    page.wait_for(SAVED)
    page.wait_for("document.querySelectorAll('.cell .class.new').length === 1")
    assert label_of(page.folder, 0) == 1 - drawn
    assert hand_of(page.folder)[0] == 1
    page.press("z")
    page.wait_for(SAVED)
    page.wait_for("document.querySelectorAll('.cell .class.new').length === 0")
    assert read_relabels(page.folder) == {}


def test_many_are_judged_at_once_after_a_question(page):
    page.press("ArrowRight", "ArrowRight", modifiers=["Shift"])
    page.press("r")  # three are few
    page.wait_for(SAVED)
    assert hand_of(page.folder)[:4] == [-1, -1, -1, 0]
    page.click(".choices input[data-name=cat]")
    page.wait_for("document.querySelector('#shown').textContent === '30 of 60 images'")
    page.run("document.querySelector('#grid').focus()")
    page.press("a", modifiers=["Control"])
    page.press("r")
    page.wait_for("document.querySelector('#ask').open")
    page.press("Escape")
    assert sum(hand_of(page.folder)) == -3
    page.press("r")
    page.wait_for("document.querySelector('#ask').open")
    page.press("Enter")
    page.wait_for(f"{SEEN}.every((cell) => cell.querySelector('.mark').textContent === '✕') && {SAVED}")
    names = open_dataset(page.folder).rows.column("class_name").to_pylist()
    assert all(hand == -1 for hand, name in zip(hand_of(page.folder), names, strict=True) if name == "cat")
    page.press("z")
    page.wait_for(SAVED)
    assert sum(hand_of(page.folder)) == -3


def test_clicks_do_the_same(page):
    page.click("#image-5")
    page.click("#actions .reject")
    page.wait_for(SAVED)
    assert hand_of(page.folder)[4:7] == [0, -1, 0]
    page.run("document.querySelector('#verdict').value = 'hand-rejected'")
    page.run("document.querySelector('#verdict').dispatchEvent(new Event('change'))")
    page.wait_for("document.querySelector('#shown').textContent === '1 of 60 images'")
    assert page.run(f"{SEEN}.length") == 1


def test_one_image_large_says_all_of_it_as_text(page):
    page.press("Enter")
    page.wait_for("document.querySelector('.stand img').naturalWidth > 0")
    facts = page.run("document.querySelector('.facts').innerText")
    (request,) = open_dataset(page.folder).requests([0])
    assert str(request.seed) in facts
    assert MARKUP in request.prompt
    assert MARKUP in facts
    assert page.run("document.querySelectorAll('img[onerror]').length") == 0
    assert "clip" in page.run("document.querySelector('.verdicts').innerText")
    page.press("n")
    page.wait_for("document.querySelectorAll('.neighbour img[src]').length >= 8")
    page.press("r", "ArrowRight")
    page.wait_for(SAVED)
    assert hand_of(page.folder)[0] == -1
    page.press("Escape")
    assert page.run("document.querySelector('#large').hidden")


def test_phrases_are_edited_with_previews(page):
    page.press("p")
    page.wait_for("document.querySelectorAll('.phrase').length === 2")
    page.run("document.querySelector('.phrase input').focus()")
    page.run("document.querySelector('.phrase input').select()")
    page.type("a tabby cat")
    page.press("Enter", modifiers=["Control"])
    page.wait_for("document.querySelectorAll('.previews figure img[src]').length === 8")
    assert "a tabby cat" in page.run("document.querySelector('.previews figcaption').textContent")
    page.press("Enter")
    page.wait_for("document.querySelector('.phrase [role=status]').textContent === 'Saved'")
    path = page.run("document.querySelector('.path').textContent")
    with open(path, encoding="utf-8") as file:  # noqa: PTH123
        assert "cat: a tabby cat\n" in file.read()


def test_two_tabs_lose_nothing_of_each_other(page):
    first = page.tab
    page.press("r")
    page.wait_for(SAVED)
    page.new_tab()
    page.open(page.address)
    page.wait_for(f"{PICTURES} >= 50")
    assert page.run(mark(0)) == "✕"
    page.press("ArrowRight", "k")
    page.wait_for(SAVED)
    page.switch(first)
    page.press("ArrowRight", "r")
    page.wait_for(SAVED)
    assert hand_of(page.folder)[:4] == [-1, 1, -1, 0]
    page.run(SOON)
    page.wait_for(f"{mark(1)} === '✓'")


@pytest.mark.parametrize("width", [400, 1280, 1920])
def test_nothing_is_wider_than_the_screen(page, width):
    page.show_as(width, 800)
    page.wait_for(f"document.documentElement.clientWidth === {width} && {PICTURES} > 5")
    for opening in ("Home", "Enter", "p", "?"):
        page.press(opening)
        assert page.run("document.documentElement.scrollWidth") <= width
        page.press("Escape")


def start(folder, port=None):
    """A server in a process of its own, and its address."""
    words = ["-m", "synthset", "review", str(folder), "--no-browser", *(["--port", str(port)] if port else [])]
    process = subprocess.Popen([sys.executable, *words], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    address = re.search(r"http://127\.0\.0\.1:(\d+)/#\S+", process.stderr.readline())
    return process, address[0], int(address[1])


def test_a_kill_of_the_server_costs_nothing_and_the_page_goes_on(browser, tmp_path):
    make(tmp_path / "d")
    process, address, port = start(tmp_path / "d")
    try:
        old = browser.new_tab()
        browser.open(address)
        browser.wait_for(f"{PICTURES} === 20")
        browser.press("r")
        browser.wait_for(SAVED)
        process.kill()
        process.communicate()
        browser.press("r", "k")
        browser.wait_for("document.querySelector('#saving').textContent.startsWith('Not saved yet: 2 images')")
        assert hand_of(tmp_path / "d")[:4] == [-1, 0, 0, 0]
        process, address, _ = start(tmp_path / "d", port)
        browser.new_tab()
        browser.open(address)  # as a person does, with the new token; the old tab learns of it
        browser.wait_for(f"{PICTURES} === 20")
        browser.switch(old)
        browser.wait_for(SAVED)
        assert hand_of(tmp_path / "d")[:4] == [-1, -1, 1, 0]
    finally:
        process.send_signal(signal.SIGINT)
        said, complaints = process.communicate(timeout=30)
        browser.close_tabs()
    assert process.returncode == 0
    assert "error" not in complaints
    assert "rejected by hand" in said
