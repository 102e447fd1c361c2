"""Class names as people give them: files of any kind that tools write, and what is no name where one is expected."""

import pytest

from synthset.core.errors import UsageError
from synthset.prompts.class_lists import check_typed, read_classes

TEXT = "caf\u00e9\nsea lake"


@pytest.fixture
def read(tmp_path):
    """`read("cat", ".txt")`: the classes in a file of that content."""

    def read_file(content, suffix=".txt"):
        path = tmp_path / f"classes{suffix}"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_classes(path)

    return read_file


@pytest.mark.parametrize(
    "content",
    [
        "# pets\n\ncaf\u00e9\r\n\u200b\n sea lake \u00a0\n",
        TEXT.encode("utf-8-sig"),
        "\ufeff# pets\ncafe\u0301\nsea\u200b lake",
        TEXT.encode("utf-16"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
    ],
)
def test_text_however_it_is_encoded(read, content):
    assert read(content) == ("caf\u00e9", "sea lake")


@pytest.mark.parametrize(
    "content",
    [
        '["no", "8"]', '\ufeff["no", "8"]', "['no', '8']", "[no, 8]", "- no\n- 8\n", "# pets\n---\n- no\n- 8\n",
        '{"0": "no", "1": "8"}', "{0: no, 1: 8}", "{1: 8, 0: no}", "0: no\n1: 8\n", "1: no\n2: '8'\n",
        '{"no": 0, "8": 1}', "names:\n- no\n- 8\n", "nc: 2\nnames: [no, 8]\n",
        "train: images\nnames:\n  0: no\n  1: 8\n",
        '{"model": "x", "id2label": {"0": "no", "1": "8"}, "label2id": {"no": 0, "8": 1}}',
        '{"categories": [{"id": 3, "name": "no"}, {"id": 5, "name": "8"}]}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".txt", ".json", ".yaml"])
def test_lists_and_tables_are_read_as_what_they_are(read, content, suffix):
    assert read(content, suffix) == ("no", "8")


def test_a_table_of_two_digits_goes_by_value(read):
    names = [f"class {chr(97 + i)}" for i in range(12)]
    lines = [f'"{i}": {name}' for i, name in enumerate(names)]
    assert read("\n".join(sorted(lines)), ".yaml") == tuple(names)


def test_names_with_signs_are_lines_of_text(read):
    names = (
        "Spider-Man: Homecoming",
        "tench, Tinca tinca",
        "Speed limit (20km/h)",
        "AC/DC",
        ".NET",
        "1 euro",
        "2 euro",
    )
    assert read("\n".join(names)) == names


@pytest.mark.parametrize(
    ("content", "suffix", "message"),
    [
        (b"", ".txt", "at least one class name"),
        (b"\xff\xfe\x00", ".txt", "Save it as UTF-8"),
        (b"caf\xe9", ".txt", "Save it as UTF-8"),
        (b"c\0a\0t\0", ".txt", "control characters"),
        ("# only a comment", ".txt", "at least one class name"),
        ("cat,dog", ".txt", "would be one class"),
        ("cat, dog, emu", ".txt", "would be one class"),
        ("id,name\n0,cat", ".csv", "would be one class"),
        ("cat,\ndog,\n", ".txt", "piece of a list"),
        ('"cat"\n"dog"', ".txt", "piece of a list"),
        ("0 cat\n1 dog", ".txt", "numbers beside them"),
        ("1. cat\n2. dog", ".txt", "numbers beside them"),
        ("cat 0\ndog 1", ".txt", "numbers beside them"),
        ("n01440764 tench\nn01443537 goldfish", ".txt", "numbers beside them"),
        ('{"cat",\n"dog"}', ".txt", "a list of class names"),
        ("[1, 2]", ".json", "in quotes"),
        ('[["n0", "tench"]]', ".json", "a list of class names"),
        ("[]", ".json", "a list of class names"),
        ("", ".json", "a list of class names"),
        ('"cat"', ".json", "a list of class names"),
        ("names: names.txt", ".yaml", "a list of class names"),
        ('{"0": "cat", "0": "dog"}', ".json", "'0' stands twice"),
        ('{"0": "cat", "2": "dog"}', ".json", r"numbers 0\.\.1 beside the 2 class names .* got 0, 2"),
        ("[" * 10_000, ".json", "too deep"),
        ('["\\udc80", "b"]', ".json", "control characters"),
    ],
)
def test_what_is_no_list_of_classes_is_refused_in_one_line(read, content, suffix, message):
    with pytest.raises(UsageError, match=message) as error:
        read(content, suffix)
    assert "\n" not in str(error.value)


def test_a_file_without_end_or_that_is_none(tmp_path):
    for path in ("/dev/zero", tmp_path, tmp_path / "gone.txt"):
        with pytest.raises(UsageError, match="Expected a text file"):
            read_classes(path)


@pytest.mark.parametrize(
    "words",
    [
        ['["cat", "dog"]'], ["[cat,", "dog]"], ["['cat'"], ["{0: cat, 1: dog}"], ["{", "cat"], ["names:", "cat"],
        ["- cat"], ["cat,", "dog"], ["cat,dog"], ["cat;"], ["0: cat", "1: dog"], ["1) cat", "2) dog"], ["'cat'"],
    ],
)  # fmt: skip
def test_words_that_are_pieces_of_a_list_are_no_classes(words):
    with pytest.raises(UsageError, match=r"Expected (spaces between )?class names"):
        check_typed(words)


def test_a_file_typed_as_a_class_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert check_typed(["classes.txt", "{{ 7*7 }}"]) == ("classes.txt", "{{ 7*7 }}")
    (tmp_path / "classes.txt").write_text("cat")
    with pytest.raises(UsageError, match=r"Give it as classes_file=classes\.txt"):
        check_typed(["classes.txt"])


def test_the_command_line_takes_both(run, own_folder):
    (own_folder / "classes.json").write_text('["one", "Speed limit (20km/h)"]')
    line = ("create", "--dry-run", "--images-per-class", 1, "--generator", "x", "--classes-file", "classes.json")
    code, out, err = run(*line)
    assert code == 0, err
    assert "a Speed limit (20km/h)" in out
