"""YAML by hand: read strictly, refused in one line that names the option, the file and the place."""

import pytest

from synthset.core.errors import UsageError, setting
from synthset.core.yaml_files import MAX_BYTES, load_yaml, read_yaml


@pytest.fixture
def write(tmp_path):
    def write_file(content):
        path = tmp_path / "words.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def test_lines_are_read_with_their_kinds(write):
    path = write("\ufeffjay: a bird\nlist: [1, 'no']\nnested:\n  größe: 2.5\n")
    assert read_yaml(path, "words", "a: b") == {"jay": "a bird", "list": [1, "no"], "nested": {"größe": 2.5}}
    assert read_yaml(write("# nothing yet\n"), "words", "a: b") == {}
    assert load_yaml(write("[1, 2]"), "words") == [1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "a: 1\nb: 2\na: 3",
            r"Expected a YAML file for words, '.*words\.yaml' does not read \('a' stands twice, line 3\)",
        ),
        ("a:\n  b: 1\n  b: 2", "'b' stands twice, line 3"),
        ("a: &x [1]\nb: *x", r"aliases \(\*name\) are not read here, line 2"),
        ("a: [", "does not read"),
        ("a: !!python/name:os.system", "does not read"),
        ("[" * 5000, "does not read"),
        (b"\xff\xfe", "does not read"),
        ("- a\n- b", r"Expected lines such as 'jay: a bird' in '.*words\.yaml', got a list\."),
        ("plain", "got a str"),
        ("1: one", r"Expected text before each colon in '.*', got 1\. Put it in quotes\."),
        ("#" * (MAX_BYTES + 1), r"Expected at most 4,194,304 bytes of YAML for words, '.*' has more\."),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(write, content, message):
    with pytest.raises(UsageError, match=message) as caught:
        read_yaml(write(content), "words", "jay: a bird")
    assert "\n" not in str(caught.value)


def test_an_unreadable_file_says_why_and_the_option_is_worded_for_its_reader(tmp_path):
    for path, reason in ((tmp_path / "none.yaml", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(UsageError) as caught:
            read_yaml(path, setting("phrases"), "jay: a bird")
        expected = f"Expected a YAML file for --phrases, '{path}' does not read ({reason})."
        assert caught.value.worded(lambda name, value: f"--{name}") == expected
