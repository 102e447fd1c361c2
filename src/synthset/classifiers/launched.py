"""One of the processes that share a training: `launch.py` starts it with the job, a JSON file."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from pathlib import Path

from synthset.classifiers.config import TrainConfig
from synthset.classifiers.launch import RAISED
from synthset.classifiers.learned_from import DataPath
from synthset.classifiers.train import train_classifier
from synthset.core.errors import SynthsetError
from synthset.core.locks import reading
from synthset.core.progress import set_progress
from synthset.core.redaction import DiscreetFormatter
from synthset.dataset.opening import open_images
from synthset.images.opening import ImagePath, Opening


def main(job_file: Path) -> int:
    """Train as one of the processes; 0, or the exit code of the error that lies beside the job."""
    _end_with_parent()
    first = os.environ["RANK"] == "0"
    handler = logging.StreamHandler()
    handler.setFormatter(DiscreetFormatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING if first else logging.ERROR, handlers=[handler])
    job = json.loads(job_file.read_text(encoding="utf-8"))
    shows_progress = job.pop("progress")
    set_progress(first and shows_progress)
    try:
        data = ImagePath(**job["data"] | {"opening": Opening(**job["data"]["opening"])})
        with reading(data) as held:
            which = {"strategy": job["strategy"], "all_images": job["all_images"]}
            images, path = open_images(data, **which), DataPath.of(data, **which)
            places = {"output_dir": job["output_dir"], "overwrite": job["overwrite"], "when_decoded": held.close}
            result = train_classifier(images, TrainConfig(**job["config"]), data=path, **places)
    except SynthsetError as error:
        kind = next(kind for kind in RAISED if isinstance(error, kind))
        content = json.dumps({"kind": kind.__name__, "message": error.args[0]})
        (job_file.parent / f"error-{os.environ['RANK']:0>4}.json").write_text(content, encoding="utf-8")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    if first:
        content = json.dumps({"was_finished": result.was_finished})
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
