from pathlib import Path

import pytest
from PIL import ImageFont, features

from synthset.images import drawing


@pytest.fixture
def fonts(monkeypatch, tmp_path):
    """Fonts of the system as a test wants them; what was found before is forgotten, before and after."""
    caches = (drawing.load_font, drawing._system_fonts, drawing._drawable, drawing._lacking, drawing._of_fontconfig)
    monkeypatch.setattr(drawing, "_told", set())

    def install(*folders, fontconfig=()):
        """`fontconfig` is what fc-match prints."""
        monkeypatch.setattr(drawing, "_FONT_FOLDERS", tuple(map(str, folders)))
        program = tmp_path / "fc-match"
        program.write_text("#!/bin/sh\n" + "".join(f"echo '{path}'\n" for path in fontconfig))
        program.chmod(0o755)
        monkeypatch.setattr(drawing.shutil, "which", lambda name: str(program) if fontconfig else None)
        for cache in caches:
            cache.cache_clear()

    yield install
    for cache in caches:
        cache.cache_clear()


def is_drawn_whole(text, size=16):
    """Whether no character comes out as the box that stands for all that a font lacks."""
    font = drawing.load_font(size, text)
    box = bytes(font.getmask("\uffff"))
    return all(bytes(font.getmask(character)) != box for character in text if character != " ")


def test_plain_text_is_drawn_with_the_font_that_comes_with_pillow(fonts):
    fonts()
    assert drawing.load_font(16, "five…").getname() == ImageFont.load_default(16).getname()
    assert drawing.clean("two\n words") == "two words"


@pytest.mark.parametrize("name", ["zwölf", "große Straße", "naïve café", "Ёжик", "ελληνικά", "日本語", "5 × 3", "🙂"])
def test_no_name_is_drawn_as_boxes_without_fonts_of_the_system(fonts, tmp_path, name):
    fonts(tmp_path)
    assert is_drawn_whole(drawing.clean(name))


def test_letters_stand_for_themselves_or_for_their_number(fonts, tmp_path):
    fonts(tmp_path)
    assert drawing.clean("zwölf") == "zwolf"
    assert drawing.clean("日本") == "U+65E5-672C"
    assert drawing.clean("zwölf 犬, 日本 größe") == "zwolf U+72AC, U+65E5-672C groU+00DFe"


def test_what_no_font_has_is_said_once(fonts, tmp_path, caplog):
    fonts(tmp_path)
    drawing.clean("zwölf")
    assert caplog.records == []
    for name in ("日本", "日本", "犬"):
        drawing.clean(name)
    (record,) = caplog.records
    assert record.getMessage().startswith("No font of this machine has all of '日本': in pictures the numbers")


def dejavu():
    found = list(Path("/usr/share/fonts").rglob("DejaVuSans.ttf"))
    if not found:
        pytest.skip("no DejaVu Sans on this machine")
    return found[0]


def test_fontconfig_is_asked_where_the_plain_fonts_lack_a_character(fonts, tmp_path, caplog):
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font")
    fonts(tmp_path, fontconfig=[tmp_path / "gone.ttf", broken, tmp_path / "bitmap.pcf", dejavu()])
    assert drawing.clean("Ёжик") == "Ёжик"
    assert drawing.load_font(16, "Ёжик").getname()[0] == "DejaVu Sans"
    assert drawing.load_font(16, "five").getname() == ImageFont.load_default(16).getname()
    assert caplog.records == []


def test_a_font_without_the_rules_of_a_script_is_not_taken_for_it():
    scripts = drawing._scripts_in(dejavu().read_bytes())
    assert {"arab", "latn"} <= scripts
    assert not {"deva", "dev2", "beng"} & scripts
    assert drawing._scripts_in(b"\0\1\0\0" + bytes(8)) == set()
    assert drawing._must_be_shaped("बिल्ली")
    assert not drawing._must_be_shaped("猫 γάτα")


def test_writing_from_right_to_left_and_joined_letters(fonts, tmp_path, caplog, monkeypatch):
    fonts(tmp_path, fontconfig=[dejavu()])
    persian = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
    for shapes in (True, False):
        monkeypatch.setattr(drawing, "_shapes", lambda shapes=shapes: shapes)
        assert drawing.clean(f"\u202e{persian}") == (persian if shapes else persian.replace("\u200c", ""))
    drawing.clean("\u05d7\u05ea\u05d5\u05dc")
    assert drawing.clean("🐈\u200d⬛ قطة\u200c 犬") == "U+1F408-2B1B قطة U+72AC"
    (record,) = (record for record in caplog.records if "No font" not in record.getMessage())
    assert "is built without Raqm: letters of" in record.getMessage()
    if not features.check("raqm"):
        pytest.skip("this Pillow has no Raqm")
    font, joined = drawing.load_font(40, "\u0642\u0637\u0629"), "\u0642\u0637\u0629"
    apart = sum(font.getlength(letter) for letter in joined)
    assert font.getlength(joined) < apart  # joined letters are narrower than the same ones alone


def test_a_font_of_the_system_is_taken_where_it_has_the_characters(fonts, tmp_path):
    (tmp_path / "DejaVuSans-Broken.ttf").write_bytes(b"no font")
    (tmp_path / "DejaVuSans.ttf").symlink_to(dejavu())
    fonts(tmp_path)
    assert drawing.clean("zwölf Ёжик") == "zwölf Ёжик"
    assert is_drawn_whole("zwölf Ёжик")
    assert drawing.load_font(16, "zwölf").getname()[0] == "DejaVu Sans"
    # what it lacks takes nothing from the rest, and marks of a script that it lacks are no boxes either
    assert drawing.clean("größe 犬") == "größe U+72AC"
    assert drawing.clean("cafe\u0301") == "café"
    assert drawing.clean("कुत्ता") == "U+0915-0941-0924-094D-0924-093E"
    assert is_drawn_whole(drawing.clean("größe कुत्ता 犬"))
