import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest

from synthset.core.errors import DataError, ModelError
from synthset.core.files import write_json
from synthset.core.json_records import LATER, Count, Share, as_record, parse_record, read_record
from synthset.core.options import Option


@dataclass(frozen=True)
class Epoch:
    number: Count
    loss: float | None = None


@dataclass(frozen=True)
class Note:
    format_version: Literal[2]
    name: str
    share: Share
    kind: Annotated[str, Option(choices=("a", "b"))] = "a"
    epochs: tuple[Epoch, ...] = ()
    chosen: Epoch | None = None
    mean: Annotated[tuple[float, float], Option(above=0)] = (1.0, 1.0)
    rows: tuple[tuple[int, ...], ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    job: Mapping[str, Any] = field(default_factory=dict)
    is_on: bool = False

    def __post_init__(self):
        if self.name == "wrong":
            raise ValueError("a name that is wrong.")


WHOLE = {
    "format_version": 2,
    "name": "a note",
    "share": 1,
    "epochs": [{"number": 1, "loss": 0.5}, {"number": 2, "loss": float("nan"), "later": []}],
    "chosen": {"number": 2},
    "mean": [1, 2.5],
    "rows": [[1], []],
    "words": {"cat": "a cat"},
    "job": {"seed": [1]},
    "is_on": True,
    "of a later version": {},
}


def parse(value, **options):
    return parse_record(Note, json.dumps(value).encode(), "'note.json'", "Do it again.", **options)


def test_a_whole_record_is_read_by_its_types():
    note = parse(WHOLE)
    assert note == Note(
        2,
        "a note",
        1.0,
        epochs=(Epoch(1, 0.5), Epoch(2, None)),  # NaN stood for nothing
        chosen=Epoch(2),
        mean=(1.0, 2.5),
        rows=((1,), ()),
        words={"cat": "a cat"},
        job={"seed": [1]},
        is_on=True,
    )
    assert type(note.share) is float
    assert parse({"format_version": 2, "name": "", "share": 0}) == Note(2, "", 0.0)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("name", None, "Expected 'name' in 'note.json' as a text, got null. Do it again."),
        ("name", "x\ud800", "Expected 'name' in 'note.json' as a text in Unicode, got another. Do it again."),
        ("name", "wrong", "Expected values that go together in 'note.json', got others: a name that is wrong."),
        ("name", ["\x1b[31m"], 'got ["\\u001b[31m"].'),
        ("later", [1, {"a": "\ud800"}], "Expected 'later[1].a' in 'note.json' as a text in Unicode, got another."),
        ("share", 1.5, "'share' in 'note.json' as a finite number in 0..1, got 1.5."),
        ("share", float("inf"), "got Infinity."),
        ("share", float("nan"), "got NaN."),
        ("share", 10**400, "got 1000"),
        ("share", True, "got true."),
        ("kind", "c", "'kind' in 'note.json' as one of a, b, got \"c\"."),
        ("epochs", {}, "'epochs' in 'note.json' as a list, got {}."),
        (
            "epochs",
            [{"number": 1}, {"number": -1}],
            "'epochs[1].number' in 'note.json' as an integer of at least 0, got -1",
        ),
        (
            "epochs",
            [{"number": 1e9}],
            "'epochs[0].number' in 'note.json' as an integer of at least 0, got 1000000000.0.",
        ),
        ("epochs", [{}], "Expected 'epochs[0].number' in 'note.json', found none. Do it again."),
        ("epochs", [1], "'epochs[0]' in 'note.json' as an object, got 1."),
        ("chosen", {"number": 1, "loss": "0"}, "'chosen.loss' in 'note.json' as a finite number, got \"0\"."),
        ("mean", [1], "'mean' in 'note.json' as a list of 2, got [1]."),
        ("mean", [1, 0], "'mean[1]' in 'note.json' as a finite number above 0, got 0."),
        ("rows", [[1], [2**63]], "'rows[1][0]' in 'note.json' as an integer, got 9223372036854775808."),
        ("words", {"cat": 1}, "'words.cat' in 'note.json' as a text, got 1."),
        ("words", [], "'words' in 'note.json' as an object, got []."),
        ("is_on", 1, "'is_on' in 'note.json' as true or false, got 1."),
        ("format_version", True, "'format_version' in 'note.json' as 2, got true. Do it again."),
        (
            "format_version",
            3,
            "'format_version' in 'note.json' as 2, got 3. A later version wrote it: update synthset.",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_refused_in_a_line(key, value, message):
    with pytest.raises(DataError) as caught:
        parse({**WHOLE, key: value})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_what_does_not_read_is_refused(tmp_path):
    path = tmp_path / "note.json"
    with pytest.raises(FileNotFoundError):
        read_record(Note, path, "")
    for data, reason in (
        (b"{", "does not read"),
        (b"\xff", "no UTF-8 at byte 0"),
        (b"[" * 10**5, "nested"),
        (b"[]", "as an object"),
    ):
        path.write_bytes(data)
        with pytest.raises(ModelError, match=reason) as caught:
            read_record(Note, path, "Train again.", ModelError)
        assert str(path) in str(caught.value)
        assert str(caught.value).endswith("Train again.")
    with pytest.raises(DataError, match="it does not read"):
        read_record(Note, tmp_path, "")


def test_a_missing_key_is_named():
    with pytest.raises(DataError, match=r"Expected 'name' in 'it', found none\. Mend it\."):
        as_record(Note, {"format_version": 2, "share": 1}, "'it'", "Mend it.")
    with pytest.raises(DataError, match=r"Expected 'name' in 'it', found none\."):
        as_record(Later, {}, "'it'", "", complete=True)
    assert as_record(Later, {}, "'it'", "") == Later()
    assert as_record(Later, {"name": "x"}, "'it'", "", complete=True) == Later("x")


@dataclass(frozen=True)
class Later:
    name: str = ""
    added: int = field(default=3, metadata=LATER)


def test_a_change_that_fits_its_type_does_not_fit_the_checksum(tmp_path):
    path = tmp_path / "note.json"
    value = WHOLE | {"share": 0.5}
    write_json(path, value)
    assert read_record(Note, path, "") == as_record(Note, value, "", "")
    path.write_text(path.read_text().replace("0.5", "0.6"))
    with pytest.raises(DataError) as caught:
        read_record(Note, path, "Write it again.")
    assert str(caught.value) == (
        f"Expected what Synthset wrote in '{path}', its 'checksum' says that it was changed. Write it again. "
        "Or take that key out, if the change is meant."
    )
    path.write_text(path.read_text().replace("0.6", "6"))  # what names a key comes first
    with pytest.raises(DataError, match="Expected 'share' in"):
        read_record(Note, path, "")
