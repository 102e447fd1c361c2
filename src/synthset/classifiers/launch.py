"""Start a training in several processes of this machine, by torch's elastic launcher, and wait for its end.

Each runs launched.py with the same work, which a JSON file names. An error that one of them raises is raised here.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from synthset.core import errors, progress
from synthset.core.errors import ModelError, UsageError
from synthset.core.files import delete_parts
from synthset.core.locks import writing
from synthset.core.signals import Stopped

RAISED = (errors.ConfigChangedError, errors.UsageError, errors.DataError, errors.ModelError, errors.SynthsetError)


def run_in_processes(work: Callable[..., bool], job: dict[str, Any], device: str, processes: int) -> bool:
    """Train in `processes` processes; a process that fails ends the others.

    Args:
        work: a function on the top of a module, which trains as one of several and gives whether it was done before.
        job: its keyword arguments, of plain values; `output_dir` is among them.
        device: as for `choose_device`.
    Returns:
        Whether the training had been finished before.
    Raises:
        SynthsetError: what a process raised.
        ModelError: a process ended otherwise; its own words are on stderr.
    """
    _check(device, processes)
    with tempfile.TemporaryDirectory(prefix="synthset-train-") as name:
        folder = Path(name)
        note = {"module": work.__module__, "work": work.__name__, "job": job, "progress": progress._enabled}
        (folder / "job.json").write_text(json.dumps(note), encoding="utf-8")
        try:
            failure = _launch(folder, processes)
        finally:
            # of processes that were killed: those that are stopped from here are given no time
            with suppress(UsageError), writing(Path(job["output_dir"])):
                delete_parts(Path(job["output_dir"]))
        for file in sorted(folder.glob("error-*.json")):
            error = json.loads(file.read_text(encoding="utf-8"))
            raise next(kind for kind in RAISED if kind.__name__ == error["kind"])(error["message"])
        if failure is not None:
            raise ModelError(f"Expected {processes} processes to train, {failure}. Run the same command to go on.")
        return json.loads((folder / "result.json").read_text(encoding="utf-8"))["was_finished"]


def _check(device: str, processes: int) -> None:
    from torch import distributed

    from synthset.classifiers.distributed import check_device

    if not distributed.is_available():
        raise UsageError(f"Expected a torch that can be distributed for {processes} processes, this one cannot.")
    check_device(device, processes)


def _launch(folder: Path, processes: int) -> str | None:
    """Run the processes to their end; the reason, in words, where they failed."""
    from accelerate.utils import patch_environment
    from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=folder.name,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",  # any free port
        local_addr="127.0.0.1",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(log_dir=str(folder / "logs")),
    )
    threads = os.environ.get("OMP_NUM_THREADS") or max(1, (os.cpu_count() or 1) // processes)
    command = ("-m", "synthset.classifiers.launched", str(folder / "job.json"))
    try:
        with _handlers_kept(), _launcher_silent(), patch_environment(omp_num_threads=threads):
            elastic_launch(config, sys.executable)(*command)
    except ChildFailedError as error:
        rank, first = error.get_first_failure()
        return f"process {rank} ended with code {first.exitcode}"
    except SignalException as error:
        raise Stopped(int(error.sigval)) from None
    except (OSError, RuntimeError) as error:
        return f"torch could not start them ({error})"
    return None


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """The launcher sets handlers of signals and leaves them."""
    names = [name for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT") if hasattr(signal, name)]
    before = {name: signal.getsignal(getattr(signal, name)) for name in names}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for name, handler in before.items():
                signal.signal(getattr(signal, name), handler)


@contextmanager
def _launcher_silent() -> Iterator[None]:
    """Silence the launcher's log of a failure, which an error says in one line."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
