"""The stage: serve the page of a dataset on this machine until it is stopped."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import tempfile
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthset.core.errors import UsageError, setting
from synthset.core.files import delete_parts
from synthset.core.options import with_options
from synthset.core.signals import Stopped
from synthset.images.opening import ImagePath
from synthset.review.config import ReviewConfig
from synthset.review.session import Session

if TYPE_CHECKING:
    from synthset.encoders.clip import Encoder
    from synthset.encoders.embed import EmbeddingCache
    from synthset.generators.base import Generator

log = logging.getLogger("synthset")

HOST = "127.0.0.1"
PORT = 8642
_GRACE_SECONDS = 1


@dataclass(frozen=True)
class ReviewResult:
    """What a person said of a dataset, all told.

    Attributes:
        images: of the dataset.
        kept, rejected, relabelled: by hand.
        left_out: what filters and persons together leave out.
        phrases: the file of phrases; None where there is none.
    """

    folder: Path
    images: int
    kept: int
    rejected: int
    relabelled: int
    left_out: int
    phrases: Path | None


def review(
    data: str | Path,
    config: ReviewConfig | None = None,
    *,
    encoder: Encoder | None = None,
    generator: Generator | None = None,
    cache: EmbeddingCache | None = None,
    when_ready: Callable[[str], object] = lambda address: None,
    **options: Any,
) -> ReviewResult:
    """Serve a page on which a person looks at the images of a dataset and judges them, until Ctrl-C.

    Args:
        data: folder of a finished dataset.
        config: what is shown; `options` are its fields, e.g. `port=9000`.
        encoder: of neighbours, instead of the one that the config names.
        generator: of previews, instead of the one that drew the dataset.
        cache: of embeddings; the user's by default.
        when_ready: called with the address, token included, once it answers.
    Raises:
        UsageError: an argument that cannot be right, or a port that is taken.
        DataError: no dataset there, or one that cannot be read.
    """
    if isinstance(options.get("real"), str):
        options["real"] = ImagePath.of(options["real"])
    config = with_options(config or ReviewConfig(), options)
    session = Session(Path(data), config, encoder=encoder, generator=generator, cache=cache)
    session.parts()  # whatever cannot be read is said now
    delete_parts(session.folder)  # of one that was killed
    session.write_card()
    try:
        _serve(session, when_ready)
    except Stopped as stopped:
        if stopped.signum != signal.SIGINT:
            raise
    except KeyboardInterrupt:
        pass  # the way to end it
    finally:
        session.close()
        session.write_card()
    return _result(session)


def _serve(session: Session, when_ready: Callable[[str], object]) -> None:
    """Answer the page until a signal comes."""
    import uvicorn

    from synthset.review.guard import new_token
    from synthset.review.server import make_app

    with _listening(session.config.port) as listener:
        port, token = listener.getsockname()[1], new_token()
        settings = uvicorn.Config(
            make_app(session, token, port),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        address = f"http://{HOST}:{port}/#{token}"
        with _shown(address if session.config.open_browser else None):
            when_ready(address)
            uvicorn.Server(settings).run(sockets=[listener])


def _result(session: Session) -> ReviewResult:
    parts = session.parts()
    parts.decisions.refresh()
    kept, rejected, relabelled = parts.decisions.counts()
    dataset = parts.contents.dataset
    left_out = int((~dataset.kept()).sum())
    path = session.phrases.path
    n = dataset.rows.num_rows
    return ReviewResult(dataset.folder, n, kept, rejected, relabelled, left_out, path if path.exists() else None)


@contextmanager
def _listening(port: int | None) -> Iterator[socket.socket]:
    """A socket on this machine alone. Raises UsageError where the port is taken."""
    with socket.socket() as listener:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port or PORT))
        except OSError as error:
            if port is not None:
                raise UsageError(
                    f"Expected a free port, {setting('port', port)} is taken ({error.strerror}). Name another, or "
                    f"leave {setting('port')} out."
                ) from error
            listener.bind((HOST, 0))
        listener.listen(128)
        yield listener


@contextmanager
def _shown(address: str | None) -> Iterator[None]:
    """Have a browser show an address; by a file of its owner's, for the arguments of a process are everybody's to read.

    Where there is no screen, nothing is opened: a browser of texts would take the terminal.
    """
    has_screen = sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if address is None or not has_screen:
        yield
        return
    handle, name = tempfile.mkstemp(".html", "synthset-review-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={address}">')
    try:
        with suppress(webbrowser.Error):
            webbrowser.open(Path(name).as_uri())
        yield
    finally:
        Path(name).unlink(missing_ok=True)
