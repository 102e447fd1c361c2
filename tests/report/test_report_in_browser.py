"""The report as a reader meets it: opened in a headless Chromium, sorted, filtered, and looked at."""

import os
import time
from itertools import pairwise

import pytest
from PIL import Image

from browser import Browser, find_browser
from findings.made_up import make_result
from report.make_example import HOSTILE, SETS, write_example
from report.test_comparison import write_comparison
from synthset.findings.page import write_page
from synthset.findings.results import write_results
from synthset.report import build_report

ROWS = "Array.from(document.querySelectorAll('#classes-table tbody tr')).filter(row => !row.hidden)"
REAL = f"{ROWS}.map(row => parseFloat(row.querySelector('.number').dataset.value))"
DRAWN = "document.querySelectorAll('.chart .main-svg').length > 0"
UNDRAWN = "Array.from(document.querySelectorAll('.chart')).filter(c => !c.querySelector('.main-svg')).length"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if not find_browser():
        # in continuous integration .ci/run installs it: its absence is a failure there
        assert not os.environ.get("CI"), "Expected Chromium on the PATH, found none. Run .ci/run, or install chromium."
        pytest.skip("no Chromium on the PATH")
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return build_report(write_example(tmp_path_factory.mktemp("report")))


def draw_all(browser):
    browser.run("charts.forEach((chart) => draw(chart))")
    browser.wait_for(f"{UNDRAWN} === 0")


def check_quiet(browser):
    assert browser.complaints() == []
    assert browser.requests() == []


def test_a_click_sorts_the_table_and_a_second_one_turns_it_round(browser, report):
    browser.open(report)
    first = browser.run(REAL)
    heading = "#classes-table thead th:nth-child(4) button"
    browser.click(heading)
    falling = browser.run(REAL)
    assert falling == sorted(first, reverse=True)
    assert falling != first
    browser.click(heading)
    assert browser.run(REAL) == sorted(first)
    assert browser.run("document.querySelector('#classes-table [aria-sort]').ariaSort") == "ascending"
    check_quiet(browser)


def test_filters_leave_the_rows_that_were_asked_for(browser, report):
    browser.open(report)
    everything = browser.run(f"{ROWS}.length")
    browser.run(
        "(() => { const s = document.querySelector('[data-filter=set]'); s.value = '1';"
        " s.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    assert browser.run(f"{ROWS}.length") == everything // 3
    assert browser.run(f"new Set({ROWS}.map(row => row.cells[1].textContent)).size") == 1
    browser.run(
        "(() => { const s = document.querySelector('[data-search]'); s.value = 'SEVEN';"
        " s.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    assert browser.run(f"{ROWS}.map(row => row.cells[0].textContent)") == ["seven"]
    assert browser.run("document.querySelector('.count').textContent") == "1 row"
    check_quiet(browser)


@pytest.mark.parametrize(("theme", "width_px"), [("light", 1400), ("dark", 1400), ("light", 420)])
def test_it_is_drawn_in_each_theme_and_width(browser, report, tmp_path, theme, width_px):
    browser.show_as(width_px, 1000, theme)
    browser.open(report)
    draw_all(browser)
    browser.screenshot(tmp_path / "page.png")
    with Image.open(tmp_path / "page.png") as picture:
        assert picture.size == (width_px, 1000)
        assert len(set(picture.convert("L").resize((70, 50)).tobytes())) > 20  # neither blank nor one block
        assert (picture.convert("L").getpixel((width_px - 2, 990)) > 128) == (theme == "light")
    # nothing makes the page itself wider than the screen
    assert browser.run("document.documentElement.scrollWidth") <= width_px
    check_quiet(browser)


LONG = ("Arabian camel, dromedary, Camelus dromedarius", "Donaudampfschifffahrtsgesellschaftskapitän" * 2, "狸猫和浣熊")
LONG += ("الجمل العربي ذو السنام الواحد", "भारतीय हाथी", "zero", "one", "two", "three", "four")
# wide tables; a chart with many columns may be wider than its box
TABLES = "Array.from(document.querySelectorAll('.scroll')).filter(box => box.querySelector('table'))"
CUT = f"{TABLES}.filter(b => b.scrollWidth > b.clientWidth + 1).map(b => b.querySelector('table').id || b.innerText)"
# pairs of texts of one chart whose boxes overlap, turned ones left out, whose boxes are larger than they are
OVERLAPPING = """Array.from(document.querySelectorAll('.chart')).flatMap(chart => {
  const isTurned = text => /rotate\\(-?[1-9]/.test(text.getAttribute('transform') || '');
  const texts = Array.from(chart.querySelectorAll('.main-svg text'), text => [text, text.getBoundingClientRect()])
    .filter(([text, box]) => text.textContent && box.width && !isTurned(text));
  return texts.flatMap(([text, a], i) => texts.slice(i + 1).filter(([, b]) =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 &&
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4
  ).map(([other]) => `${chart.dataset.figure}: ${text.textContent} / ${other.textContent}`));
})"""
# texts that a line, such as that of the real set, runs through
CROSSED = """Array.from(document.querySelectorAll('.chart .shapelayer path')).flatMap(path => {
  const line = path.getBoundingClientRect();
  const isCrossed = ({left, right, top, bottom}) =>
    left < line.right && right > line.left && top + 4 < line.bottom && bottom - 4 > line.top;
  return Array.from(path.closest('.chart').querySelectorAll('.main-svg text'))
    .filter(text => text.textContent && isCrossed(text.getBoundingClientRect())).map(text => text.textContent);
})"""
# texts with less than 4.5 between them and what they stand on (WCAG 2, AA), outside charts
PALE = """(() => {
  const linear = v => v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const numbers = colour => (colour.match(/[0-9.]+/g) || []).map(Number);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const c = numbers(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const hasText = e => Array.from(e.childNodes).some(n => n.nodeType === 3 && n.textContent.trim());
  const shown = e => !e.closest('.chart, .skip') && e.getClientRects().length && hasText(e);
  return Array.from(document.querySelectorAll('main *, nav *')).filter(shown).filter(e => {
    const [a, b] = [light(numbers(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05) < 4.5;
  }).map(e => `${e.className}: ${e.textContent.slice(0, 40)}`);
})()"""


@pytest.fixture(scope="module")
def long_report(tmp_path_factory):
    """Four sets, and names that are long, of other scripts, or one very long word."""
    sets = (*SETS, "all_combined_equal, of another run")
    return build_report(write_example(tmp_path_factory.mktemp("long"), class_names=LONG, sets=sets))


def test_nothing_is_cut_off_on_a_laptop_and_no_label_lies_on_another(browser, report, long_report):
    for path in (report, long_report):
        browser.show_as(1280, 900)
        browser.open(path)
        draw_all(browser)
        assert browser.run(CUT) == []
        assert browser.run(OVERLAPPING) == []
        assert browser.run(CROSSED) == []
    # long names have room for more than a word a line
    widths = "Array.from(document.querySelectorAll('#classes-table tbody th .long'), name => name.clientWidth)"
    assert min(browser.run(widths)) >= 150
    check_quiet(browser)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_shows_all_by_scrolling_within_tables_and_everything_can_be_read(browser, long_report, theme):
    browser.show_as(400, 800, theme)
    browser.open(long_report)
    draw_all(browser)
    assert browser.run("document.documentElement.scrollWidth") <= 400
    assert browser.run(f"{TABLES}.every(b => b.scrollWidth <= b.clientWidth + 1 || b.tabIndex === 0)")  # by keys too
    assert browser.run(f"{TABLES}.some(b => b.scrollWidth > b.clientWidth + 1)")
    browser.run("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert browser.run(PALE) == []
    assert browser.run("Array.from(document.images).every(image => image.alt)")
    assert browser.run(
        "Array.from(document.querySelectorAll('.chart')).every(c => c.getAttribute('aria-label').length > 12)"
    )
    levels = browser.run("Array.from(document.querySelectorAll('h1, h2, h3, h4'), h => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    check_quiet(browser)


def test_headings_of_a_long_table_stay_in_sight(browser, report):
    browser.show_as(1280, 500)
    browser.open(report)
    box = "document.querySelector('#classes-table').closest('.scroll')"
    browser.run(f"{box}.scrollTo(0, 300)")
    assert browser.run(f"{box}.scrollTop") == 300
    top = "document.querySelector('#classes-table thead th').getBoundingClientRect().top"
    assert abs(browser.run(f"{top} - {box}.getBoundingClientRect().top")) < 2


def test_paper_has_light_colours_and_charts_of_its_own_width(browser, long_report):
    browser.show_as(1600, 900, "dark")
    browser.open(long_report)
    draw_all(browser)  # as wide as the screen
    browser.run("dispatchEvent(new Event('beforeprint'))")
    browser.show_as(703, 900, "dark", media="print")  # A4 within the margins
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.run("colour('--ink')") == "#1f2328"
    wide = "Array.from(document.querySelectorAll('.chart')).filter(c => c.querySelector('.main-svg').clientWidth > "
    assert browser.run(f"{wide} c.parentElement.clientWidth + 1).map(c => c.dataset.figure)") == []
    assert browser.run(CUT) == []
    assert browser.run("document.documentElement.scrollWidth") <= 703
    assert browser.run(OVERLAPPING) == []
    browser.show_as(1600, 900, "dark")
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert browser.run("colour('--ink')") == "#e4e8ec"
    check_quiet(browser)


def test_a_click_on_an_image_says_what_its_title_says(browser, report):
    browser.show_as()
    browser.open(report)
    browser.click("#filters .gallery img.rejected")
    said = browser.run("document.querySelector('#filters .gallery output').textContent")
    assert said == browser.run("document.querySelector('#filters .gallery img.rejected').title")
    assert "at most 0.1" in said
    check_quiet(browser)


def test_a_comparison_is_drawn_too(browser, tmp_path):
    browser.show_as()
    browser.open(build_report(write_comparison(tmp_path / "out")))
    draw_all(browser)
    fills = "Array.from(document.querySelectorAll('[data-figure=curves] .js-fill'), path => path.style.fill)"
    assert browser.run(f"{fills}.map(fill => fill.startsWith('rgb'))") == [True]  # the band, in a colour of the theme
    check_quiet(browser)


def test_a_name_on_a_phone_is_on_two_lines_and_no_number_is_cut(browser, tmp_path):
    browser.show_as(400, 800)
    browser.open(build_report(write_comparison(tmp_path / "out")))
    draw_all(browser)
    names = "Array.from(document.querySelectorAll('[data-figure=scores] .ytick text'), name => name.textContent)"
    assert browser.run(names) == ["few, 200images", "many, 200images", "many, 400images"]  # a line each, in one text
    assert browser.run(OVERLAPPING) == []
    long = "['a', 'all_combined, 400 images', 'wordwithoutanyspace', 'a &lt; b &amp; c'].map(folded)"
    assert browser.run(long) == ["a", "all_combined,<br>400 images", "wordwithoutan…", "a &lt; b &amp; c"]
    check_quiet(browser)


def test_pictures_of_findings_are_as_wide_as_a_phone(browser, tmp_path):
    (tmp_path / "work").mkdir()
    write_results(make_result(tmp_path, ("shipard2023",)))
    browser.show_as(400, 800)
    browser.open(write_page(tmp_path))
    widths = browser.run("Array.from(document.querySelectorAll('figure img'), i => [i.offsetWidth, i.offsetHeight])")
    assert widths
    assert all(0 < width <= 400 and height > 0 for width, height in widths)
    assert browser.run("document.documentElement.scrollWidth") <= 400
    browser.show_as(1280, 800)
    assert browser.run("Array.from(document.querySelectorAll('figure img')).every(i => i.offsetWidth === 700)")


def test_every_chart_is_there_when_paper_is_laid_out(browser, report):
    browser.show_as(1280, 800)
    browser.open(report)
    browser.run("addEventListener('afterprint', () => { window.undrawn = " + UNDRAWN + "; }, true)")
    assert browser.run(UNDRAWN) > 0  # those that nobody scrolled to
    pages = browser.send("Page.printToPDF", printBackground=True)["data"]
    browser.wait_for("window.undrawn !== undefined")
    assert browser.run("window.undrawn") == 0
    assert len(pages) > 10_000


def test_boxes_switch_the_sets_of_the_feature_map(browser, report):
    browser.show_as()
    browser.open(report)
    browser.run("document.getElementById('tsne').scrollIntoView()")
    points = "document.querySelectorAll('[data-figure=tsne] .point').length"
    browser.wait_for(f"{points} > 0")
    before = browser.run(points)
    browser.click("[data-toggles=tsne] input")
    browser.wait_for(f"{points} === {before * 3 // 4}")
    check_quiet(browser)


def test_hostile_names_run_nothing(browser, tmp_path):
    names = (*HOSTILE, "<script>window.hacked = 1</script>", "<img src=x onerror='window.hacked = 1'>")
    path = build_report(write_example(tmp_path, class_names=names))
    browser.show_as(420)
    browser.open(path)
    draw_all(browser)
    assert browser.run("window.hacked") is None
    assert browser.run("document.documentElement.scrollWidth") <= 420
    # a class of the name of a colour keeps its name
    assert browser.run("Array.from(document.querySelectorAll('.ytick text')).some(t => t.textContent === '--ink')")
    check_quiet(browser)


def test_the_policy_stops_what_escaping_would_miss(browser, report, tmp_path):
    attack = (
        "<script>window.hacked = 1</script><script src='https://attacker.example/x.js'></script>"
        "<img src='https://attacker.example/x.png' onerror='window.hacked = 2'><img src=x onerror='window.hacked = 3'>"
        "<iframe src='https://attacker.example/'></iframe><b style='color: red' onclick='window.hacked = 4'>here</b>"
    )
    path = tmp_path / "attacked.html"
    path.write_text(report.read_text(encoding="utf-8").replace("</main>", f"{attack}</main>"), encoding="utf-8")
    browser.show_as()
    browser.open(path)
    browser.run("Array.from(document.querySelectorAll('b')).forEach(b => b.click())")
    browser.wait_for(DRAWN)  # the page itself works on
    assert browser.run("window.hacked") is None
    assert browser.run("getComputedStyle(document.querySelector('b[onclick]')).color") != "rgb(255, 0, 0)"
    blocked = [text for text in browser.complaints() if "Content Security Policy" in text]
    assert len(blocked) >= 6
    assert browser.requests() == []


def test_a_thousand_classes_open_at_once(browser, tmp_path):
    names = tuple(f"class {i}" for i in range(1000))
    path = build_report(write_example(tmp_path, class_names=names, sets=SETS[:2], without=("evaluations",)))
    browser.show_as()
    start = time.monotonic()
    browser.open(path)
    assert time.monotonic() - start < 20  # two to three seconds on two idle cores
    assert browser.run(f"{UNDRAWN} > 0")  # charts wait until they are scrolled to
    browser.run("document.getElementById('diversity').scrollIntoView()")
    browser.wait_for(DRAWN)
    assert browser.run(f"{ROWS}.length") == 50
    browser.click("button.more[data-table=classes-table]")
    assert browser.run(f"{ROWS}.length") == 2000
    check_quiet(browser)
