"""One of the processes that share a training: `launch.py` starts it with the work that it is to do, a JSON file."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from importlib import import_module
from pathlib import Path

from synthset.classifiers.launch import RAISED
from synthset.core.errors import SynthsetError
from synthset.core.progress import set_progress
from synthset.core.redaction import DiscreetFormatter


def main(job_file: Path) -> int:
    """Work as one of the processes; 0, or the exit code of the error that lies beside the job."""
    _end_with_parent()
    first = os.environ["RANK"] == "0"
    handler = logging.StreamHandler()
    handler.setFormatter(DiscreetFormatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING if first else logging.ERROR, handlers=[handler])
    note = json.loads(job_file.read_text(encoding="utf-8"))
    set_progress(first and note["progress"])
    try:
        was_finished = getattr(import_module(note["module"]), note["work"])(**note["job"])
    except SynthsetError as error:
        kind = next(kind for kind in RAISED if isinstance(error, kind))
        content = json.dumps({"kind": kind.__name__, "message": error.args[0]})
        (job_file.parent / f"error-{os.environ['RANK']:0>4}.json").write_text(content, encoding="utf-8")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    if first:
        content = json.dumps({"was_finished": was_finished})
        (job_file.parent / "result.json").write_text(content, encoding="utf-8")
    return 0


def _end_with_parent() -> None:
    """Never train on without the launcher: who runs the command again would train twice in one folder."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
