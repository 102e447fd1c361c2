import pytest

from synthset.core.errors import UsageError
from synthset.prompts.classes import as_words, check_classes, check_no_paths, with_article


@pytest.mark.parametrize(
    "names",
    [
        [],
        [""],
        ["  "],
        ["a", "a"],
        ["polar_bear", "Polar bear"],
        ["../x"],
        ["./x"],
        ["/photos/cat.png"],
        ["/"],
        ["~/x"],
        [".."],
        ["..\\x"],
        ["a\u2028b"],
        ["\udc80"],
        ["caf\u00e9", "cafe\u0301"],
        ["cat", "c\u200bat"],
        ["x" * 300],
        ["a\nb"],
        ["_"],
    ],
)
def test_names_that_cannot_be_classes_are_refused(names):
    with pytest.raises(UsageError):
        check_classes(names)


def test_unusual_names_are_kept_as_they_are():
    names = ("Größe", "猫", "CON", "<img onerror=x>", "=cmd", "rock 'n' roll", "8", "می‌خواهم", "👩‍🚀")
    assert check_classes(names) == names


def test_names_may_hold_slashes_and_begin_with_a_dot():
    names = ("Speed limit (20km/h)", "AC/DC", ".NET", "n/a", "\\alpha", "a\\b", "+", "C#", "/m/04rmv", "/f/ as in fan")
    assert check_classes(names) == names


def test_a_name_is_a_path_where_it_leads_somewhere(tmp_path, caplog):
    for path in ("/dev/null", str(tmp_path)):
        with pytest.raises(UsageError, match="a path where something lies"):
            check_no_paths(["cat", path])
    for _ in range(2):
        check_no_paths(["/m/04rmv", "AC/DC", "/" + 180 * "猫"])
    assert caplog.messages == [f"Taken as class names, not as paths, for nothing lies there: /m/04rmv, /{180 * '猫'}"]


def test_one_name_twice_is_told_what_it_would_move():
    with pytest.raises(UsageError, match=r"'missile' and 'Missile'\. Tell the two apart by their names: without one"):
        check_classes(["missile", "tank", "Missile"])


def test_names_are_stripped_and_composed():
    assert check_classes([" cat ", "e\u0301clair"]) == ("cat", "\u00e9clair")


def test_what_nobody_sees_is_no_part_of_a_name():
    assert check_classes(["\ufeffcat", "d\u200bog\u200d", "\u202eemu\u202c", "gnu\u00ad"]) == (
        "cat",
        "dog",
        "emu",
        "gnu",
    )


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
