import pytest

from synthset.core.errors import UsageError
from synthset.prompts.classes import as_words, check_classes, read_classes, with_article


@pytest.mark.parametrize(
    "names",
    [
        [],
        [""],
        ["  "],
        ["a", "a"],
        ["polar_bear", "Polar bear"],
        ["../x"],
        ["a/b"],
        ["a\\b"],
        ["x" * 300],
        ["a\nb"],
        ["_"],
    ],
)
def test_names_that_cannot_be_classes_are_refused(names):
    with pytest.raises(UsageError):
        check_classes(names)


def test_unusual_names_are_kept_as_they_are():
    names = ("Größe", "猫", "CON", "<img onerror=x>", "=cmd", "rock 'n' roll", "8")
    assert check_classes(names) == names


def test_names_are_stripped_and_composed():
    assert check_classes([" cat ", "e\u0301clair"]) == ("cat", "\u00e9clair")


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("cat", "a cat"),
        ("airplane", "an airplane"),
        ("one", "a one"),
        ("eight", "an eight"),
        ("European robin", "a European robin"),
        ("unicycle", "a unicycle"),
        ("umbrella", "an umbrella"),
        ("unimportant thing", "an unimportant thing"),
        ("hourglass", "an hourglass"),
        ("horse", "a horse"),
        ("8", "an 8"),
        ("18-wheeler", "an 18-wheeler"),
        ("1", "a 1"),
        ("Orange", "an Orange"),
        ("ukulele", "a ukulele"),
        ("oven", "an oven"),
    ],
)
def test_articles_follow_the_sound(noun, expected):
    assert with_article(noun) == expected


def test_underscores_become_spaces():
    assert as_words("sea__lake_") == "sea lake"


def test_a_file_of_classes(tmp_path):
    path = tmp_path / "classes.txt"
    path.write_text("# pets\ncat\n\n dog \n", encoding="utf-8")
    assert read_classes(path) == ("cat", "dog")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"# only a comment\n"])
def test_a_file_without_classes_is_refused(tmp_path, content):
    path = tmp_path / "classes.txt"
    path.write_bytes(content)
    with pytest.raises(UsageError):
        read_classes(path)
