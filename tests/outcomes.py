"""What a stage or a command left behind."""

from pathlib import Path


def contents(folder):
    """All that lies in a folder and below, by its path there: bytes of files, None for folders."""
    paths = sorted(Path(folder).rglob("*"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in paths}


def the_error(err):
    """The one line that a failed command prints."""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err
