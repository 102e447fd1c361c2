"""Sentences from files."""

import json

import pytest

from synthset.core.errors import UsageError
from synthset.prompts.sentences import load_writer


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return load_writer(str(path))


def test_a_yaml_file_gives_its_sentences_in_order(tmp_path):
    writer = write(tmp_path / "a.yaml", "sea_lake: [waves at dawn, 'Waves at dawn.', a  shore]\n'5':\n  - in red ink\n")
    assert writer.write("Sea Lake", "", 2, seed=0) == ["waves at dawn", "a shore"]
    assert writer.write("5", "the digit five", 1, seed=9) == ["in red ink"]
    assert writer.name == str(tmp_path / "a.yaml")


def test_a_jsonl_file_gives_the_last_of_each_class(tmp_path):
    rows = [{"class_name": "a", "sentences": ["one a"]}, {"class_name": "a", "sentences": ["two a", "three a"]}]
    writer = write(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert writer.write("a", "", 2, seed=0) == ["two a", "three a"]


def test_the_fingerprint_is_that_of_the_sentences(tmp_path):
    first = write(tmp_path / "a.yaml", "a: [one a]")
    assert write(tmp_path / "b.yaml", "# the same\na:\n- one a\n").fingerprint == first.fingerprint
    assert write(tmp_path / "b.yaml", "a: [two a]").fingerprint != first.fingerprint


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.yaml", "", "found none"),
        ("a.yaml", "a: [", "does not read"),
        ("a.yaml", "a: [x y]\na: [x z]", "'a' stands twice"),
        ("a.yaml", "a b: [x y]\nA_b: [x z]", "two spellings"),
        ("a.yaml", "5: [x y]", "Put it in quotes"),
        ("a.yaml", "a: one sentence", "Expected a list of sentences for 'a' in .*, got 'one sentence'"),
        ("a.yaml", "a: []", "Expected a list"),
        ("a.yaml", "a: [fine, yes]", "as sentence 2 of 'a' in .*, got True. Put it in quotes"),
        ("a.yaml", "a: ['...']", "Expected words as sentence 1"),
        ("a.yaml", 'a: ["x\\0"]', "Expected words as sentence 1"),
        ("a.yaml", f"a: ['{'x' * 501}']", "Expected words as sentence 1"),
        ("a.jsonl", "nonsense", "does not read"),
        ("a.jsonl", "[1]", "line 1"),
        ("a.jsonl", '{"class_name": "a", "sentences": 5}', "Expected a list of sentences for 'a'"),
    ],
)
def test_files_that_cannot_be_are_refused_in_one_line(tmp_path, name, text, reason):
    with pytest.raises(UsageError, match=reason) as error:
        write(tmp_path / name, text)
    assert "\n" not in str(error.value)


def test_a_class_that_is_missing_or_short_is_named(tmp_path):
    writer = write(tmp_path / "a.yaml", "fve: [in ink]\nsix: [x y]")
    with pytest.raises(UsageError, match=r"about 'five' in '.*', found none\. It has 'fve'\."):
        writer.write("five", "", 1, seed=0)
    with pytest.raises(UsageError, match=r"Expected 200 distinct .* 'six' .*, found 1\. .*fewer \(count=1\)\."):
        writer.write("six", "", 200, seed=0)
    with pytest.raises(UsageError, match="at least 1"):
        writer.write("six", "", 0, seed=0)
