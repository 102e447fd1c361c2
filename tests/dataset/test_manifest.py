"""A manifest is read strictly: what no run of ours writes is refused in one short line."""

import json

import pytest

import synthset
from small_datasets import make
from synthset.core.errors import DataError, SynthsetError
from synthset.core.files import parse_json
from synthset.dataset.manifest import read_manifest
from synthset.dataset.reader import open_dataset
from synthset.testing import FakeGenerator


@pytest.fixture
def folder(tmp_path):
    synthset.create(["cat", "dog"], tmp_path, generator=FakeGenerator(), images_per_class=2)
    return tmp_path


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("format_version", 0, "'format_version' in '{path}' as 1, got 0"),
        ("format_version", True, "'format_version' in '{path}' as 1, got true"),
        ("format_version", 2, "got 2. A later version wrote it: update synthset."),
        ("status", "done", "'status' in '{path}' as 'drawing' or 'complete', got \"done\""),
        ("batch_size", 0, "'batch_size' in '{path}' as an integer of at least 1, got 0"),
        ("seconds", float("inf"), "'seconds' in '{path}' as a finite number of at least 0, got Infinity"),
        ("seconds", "1", "'seconds' in '{path}' as a finite number of at least 0, got \"1\""),
        ("job", [], "'job' in '{path}' as an object, got []"),
        ("job.classes", "cat", "'job.classes' in '{path}' as a list, got \"cat\""),
        ("job.classes", ["cat", 2], "'job.classes[1]' in '{path}' as a text, got 2"),
        ("job.classes", [], "got none"),
        ("job.prompts", {"phrases": {"cat": 1}}, "'job.prompts.phrases.cat' in '{path}' as a text, got 1"),
        ("job.generation", None, "'job.generation' in '{path}' as an object, got null"),
        ("accounting.ok", 3, "4 requested = 3 ok"),
        ("accounting.ok", -1, "'accounting.ok' in '{path}' as an integer of at least 0, got -1"),
        ("accounting.ok", 4.0, "'accounting.ok' in '{path}' as an integer of at least 0, got 4.0"),
        ("refill", 1, "'refill' in '{path}' as an object, got 1"),
        ("columns", ["image"], "'columns' must hold, each once, "),
    ],
)
def test_an_entry_of_another_kind_is_refused(folder, place, value, message):
    manifest = json.loads((folder / "manifest.json").read_text())
    *outer, key = place.split(".")
    where = manifest[outer[0]] if outer else manifest
    where[key] = value
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError) as caught:
        open_dataset(folder)
    assert message.replace("{path}", str(folder / "manifest.json")) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("entry", ["status", "job", "batch_size", "accounting", "seconds", "libraries"])
def test_a_missing_entry_is_refused(folder, entry):
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest[entry]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=f"Expected '{entry}' in '.*manifest.json', found none"):
        read_manifest(folder)


@pytest.mark.parametrize("data", [b"\xff" * 5000, b"[" * 100_000, b'{"a":' * 100_000, b"\0", b"9" * 10_000])
def test_the_reason_is_short_whatever_stands_there(folder, data):
    (folder / "manifest.json").write_bytes(data)
    with pytest.raises(DataError) as caught:
        read_manifest(folder)
    assert len(str(caught.value)) < 300 + len(str(folder))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"ab\xff", "no UTF-8 at byte 2"), ("{}".encode("utf-16"), "no UTF-8 at byte 0"), (b"[" * 10**6, "too deeply")],
)
def test_json_that_does_not_read_is_a_value_error(data, reason):
    with pytest.raises(ValueError, match=reason):
        parse_json(data)
    assert parse_json('{"ü": 1}'.encode()) == {"ü": 1}


def test_a_damaged_shard_is_named(folder):
    """Where a run is finished that has one."""
    shard = folder / "data" / "train-00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"train-00000\.parquet' does not read .* Delete it") as caught:
        synthset.create(["cat", "dog"], folder, generator=FakeGenerator(), images_per_class=2)
    assert "\n" not in str(caught.value)
    shard.unlink()
    made = synthset.create(["cat", "dog"], folder, generator=FakeGenerator(), images_per_class=2)
    assert made.accounting.ok == len(open_dataset(folder).images()) == 4


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"format_version": 1}', '{"format_version": 9, "status": 1}', "\x00"]
)
def test_a_damaged_manifest_is_an_error_in_one_line(tmp_path, content):
    make(tmp_path / "pets")
    (tmp_path / "pets" / "manifest.json").write_text(content)
    with pytest.raises(DataError) as error:
        open_dataset(tmp_path / "pets")
    assert "\n" not in str(error.value)
    with pytest.raises(SynthsetError):
        make(tmp_path / "pets")
