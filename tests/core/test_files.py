"""Files are whole or not there, here and behind URLs; JSON that is not what it should be is one short line."""

import errno
import json
import os

import pytest

from synthset.core.errors import UsageError
from synthset.core.files import (
    PART,
    atomic_write,
    delete_parts,
    fits_checksum,
    is_local,
    parse_json,
    read_json,
    refuse_links,
    to_path,
    with_checksum,
    write_json,
    write_text,
)


def stop_half_way(path):
    with atomic_write(path) as file:
        file.write(b"new")
        raise KeyboardInterrupt


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "a.bin"
    with atomic_write(path) as file:
        file.write(b"half")
        file.flush()
        assert not path.exists()
        (part,) = path.parent.iterdir()
        assert part.name.startswith(".")
        assert part.name.endswith(PART)
    assert path.read_bytes() == b"half"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
@pytest.mark.parametrize(("private", "file_mode", "folder_mode"), [(False, 0o640, 0o750), (True, 0o600, 0o700)])
def test_a_part_is_its_owners_alone_and_what_comes_of_it_has_the_permissions_of_its_kind(
    tmp_path, private, file_mode, folder_mode
):
    path, umask = tmp_path / "new" / "folder" / "a.bin", os.umask(0o027)
    try:
        with atomic_write(path, private=private) as file:
            (part,) = path.parent.iterdir()
            assert part.stat().st_mode & 0o777 == 0o600
            file.write(b"x")
    finally:
        os.umask(umask)
    assert [p.stat().st_mode & 0o777 for p in (path, path.parent, path.parents[1])] == [
        file_mode,
        folder_mode,
        folder_mode,
    ]


def test_a_write_that_fails_leaves_the_file_of_before_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(KeyboardInterrupt):
        stop_half_way(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_of_the_disk_names_the_file(tmp_path):
    with pytest.raises(OSError, match="No space left on device") as caught, atomic_write(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "a.txt")
    assert not any(tmp_path.iterdir())


def test_what_interrupted_writes_left_is_deleted_at_any_depth(tmp_path):
    for name in (f".a.1{PART}", f"deep/er/.b.parquet.22{PART}", "kept.txt", f"kept{PART}", ".kept"):
        write_text(tmp_path / name, "x")
    delete_parts(tmp_path)
    kept = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert kept == {"kept.txt", f"kept{PART}", ".kept"}


def test_json_is_indented_utf_8_and_comes_back(tmp_path):
    value = {"größe": [1, 2.5, None], "a": {"b": "猫"}}
    write_json(tmp_path / "a.json", value)
    assert (tmp_path / "a.json").read_bytes().startswith('{\n  "größe": [\n'.encode())
    assert read_json(tmp_path / "a.json") == with_checksum(value)
    assert {**value, "checksum": "0"} != with_checksum({**value, "checksum": "0"}) == with_checksum(value)


def test_a_checksum_is_that_of_all_but_times_however_it_is_spaced_and_older_files_have_none():
    value = with_checksum({"a": 1.5, "b": (1, float("nan")), 3: "\ud800"})
    again = parse_json(json.dumps(value).encode())
    assert fits_checksum(again)
    assert fits_checksum({"a": 1})
    assert fits_checksum([1])
    timed = with_checksum({"seconds": 1.5, "of": [{"seconds": None}], "says": '"seconds": 1.5'})
    assert fits_checksum(timed | {"seconds": 2e-07, "of": [{"seconds": 3}]})
    assert not fits_checksum(timed | {"says": '"seconds": 2.5'})
    for changed in (again | {"a": 1.25}, again | {"c": 0}, again | {"checksum": None}, again | {"b": [1, 1]}):
        assert not fits_checksum(changed)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting"),
        (b'"\xff"', r"no UTF-8 at byte 1"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_other_bytes_are_no_json_in_one_short_line(data, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        parse_json(data)
    assert len(str(caught.value)) < 100
    assert "\n" not in str(caught.value)


def test_a_folder_behind_a_url_is_written_and_read_like_any():
    folder = to_path("memory://files-test/pets")
    assert not is_local(folder)
    assert to_path(folder) is folder
    write_json(folder / "deep" / "a.json", {"a": 1})
    with pytest.raises(KeyboardInterrupt):
        stop_half_way(folder / "b.bin")
    assert read_json(folder / "deep" / "a.json")["a"] == 1
    assert not (folder / "b.bin").exists()
    delete_parts(folder)
    refuse_links(folder, "deep")


def test_paths_of_this_machine_and_urls_of_no_kind(tmp_path):
    assert to_path(str(tmp_path)) == tmp_path
    assert is_local(tmp_path)
    with pytest.raises(UsageError, match="Expected a folder or a URL that can be reached, got 'nosuch://x'"):
        to_path("nosuch://x")


def test_a_link_in_place_of_a_folder_of_ours_is_refused(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "filters").symlink_to(tmp_path)
    refuse_links(tmp_path, "data", "missing")
    with pytest.raises(UsageError, match="filters', got a link, which may lead anywhere"):
        refuse_links(tmp_path, "data", "filters")
