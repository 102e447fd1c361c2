from pathlib import Path

import pytest
from PIL import ImageFont

from synthset.images import drawing


@pytest.fixture
def fonts(monkeypatch):
    """Fonts of the system as a test wants them; what was found before is forgotten, before and after."""
    caches = (drawing.load_font, drawing._system_fonts, drawing._drawable)

    def install(*folders):
        monkeypatch.setattr(drawing, "_FONT_FOLDERS", tuple(map(str, folders)))
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


def test_a_font_of_the_system_is_taken_where_it_has_the_characters(fonts, tmp_path):
    found = list(Path("/usr/share/fonts").rglob("DejaVuSans.ttf"))
    if not found:
        pytest.skip("no DejaVu Sans on this machine")
    (tmp_path / "DejaVuSans-Broken.ttf").write_bytes(b"no font")
    (tmp_path / "DejaVuSans.ttf").symlink_to(found[0])
    fonts(tmp_path)
    assert drawing.clean("zwölf Ёжик") == "zwölf Ёжик"
    assert is_drawn_whole("zwölf Ёжик")
    assert drawing.load_font(16, "zwölf").getname()[0] == "DejaVu Sans"
    # what it lacks takes nothing from the rest, and marks of a script that it lacks are no boxes either
    assert drawing.clean("größe 犬") == "größe U+72AC"
    assert drawing.clean("cafe\u0301") == "café"
    assert drawing.clean("कुत्ता") == "U+0915-0941-0924-094D-0924-093E"
    assert is_drawn_whole(drawing.clean("größe कुत्ता 犬"))
