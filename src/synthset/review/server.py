"""The addresses of the page: its own files, and what it asks for, by `api/`."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from synthset.core.errors import DataError, SynthsetError, as_flag, first_line, printable
from synthset.core.json_records import parse_record
from synthset.review.contents import check_row
from synthset.review.decisions import Change
from synthset.review.guard import API, Guard
from synthset.review.session import Session
from synthset.review.thumbnails import MOST_AT_ONCE

log = logging.getLogger("synthset")

PAGE = Path(__file__).parent / "page"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_SIGNATURES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}
_RELOAD = "Load the page anew."
_FULL = (errno.ENOSPC, errno.EDQUOT)

Answer = Callable[[Session, Request, bytes], Any]  # given what was sent; bytes, or what JSON can hold


@dataclass(frozen=True)
class Decided:
    """Changes that a page sends, and which images it speaks of."""

    contents: str
    version: int
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Phrase:
    """A phrase that a page sends."""

    class_name: str
    phrase: str
    strategy: str = ""


def make_app(session: Session, token: str, port: int) -> Guard:
    """The server of the page, for uvicorn to serve on 127.0.0.1."""
    own = [Route(f"/{name}", _page_file(name)) for name in page_files() if name != "index.html"]
    asked = [Route(API + path, _answering(session, answer)) for path, answer in GET.items()]
    sent = [Route(API + path, _answering(session, answer), methods=["POST"]) for path, answer in POST.items()]
    app = Starlette(routes=[Route("/", _page_file("index.html")), *own, *sent, *asked])
    return Guard(app, token, [f"127.0.0.1:{port}", f"localhost:{port}"])


def page_files() -> list[str]:
    """Names of the page's own files."""
    return sorted(path.name for path in PAGE.iterdir() if path.suffix in _TYPES)


def _page_file(name: str) -> Callable[[Request], Awaitable[Response]]:
    @cache
    def read() -> bytes:
        return (PAGE / name).read_bytes()

    async def answer(request: Request) -> Response:
        return Response(read(), media_type=_TYPES[Path(name).suffix])

    return answer


def _answering(session: Session, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    """An answer in a thread of its own; our errors are told in one line."""

    async def respond(request: Request) -> Response:
        body = await request.body()
        try:
            given = await run_in_threadpool(answer, session, request, body)
        except SynthsetError as error:
            return _json({"error": error.worded(as_flag)}, HTTPStatus.CONFLICT)
        except OSError as error:
            return _of_system(error)
        except Exception as error:  # the page says so; the server lives on
            log.debug("an answer to the page failed", exc_info=True)
            return _json({"error": f"It failed ({first_line(error)})."}, HTTPStatus.INTERNAL_SERVER_ERROR)
        if isinstance(given, bytes):
            kind = next((kind for start, kind in _SIGNATURES.items() if given.startswith(start)), None)
            return Response(given, media_type=kind or "application/octet-stream")
        return _json(given)

    return respond


def _of_system(error: OSError) -> Response:
    """The answer where a file cannot be read or written."""
    where = printable(f": '{error.filename}'") if error.filename else ""
    is_full = error.errno in _FULL
    status = HTTPStatus.INSUFFICIENT_STORAGE if is_full else HTTPStatus.INTERNAL_SERVER_ERROR
    return _json({"error": f"{error.strerror or error}{where}.{' Make room.' if is_full else ''}"}, status)


def _json(value: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """An answer in ASCII: the name of a folder may be none in Unicode."""
    return Response(json.dumps(value, allow_nan=False), status, media_type="application/json")


# ---- what the page asks for -------------------------------------------------------------------------------


def _contents(session: Session, request: Request, body: bytes) -> bytes:
    parts = session.parts()
    parts.decisions.refresh()
    decisions = parts.decisions
    about = {"has_real": session.config.real is not None, "images": parts.contents.dataset.rows_hash}
    return parts.contents.pack(decisions.hand, decisions.labels, decisions.version, about)


def _changes(session: Session, request: Request, body: bytes) -> dict[str, Any]:
    """What changed since a version; where the images did, the page must load them anew."""
    parts = session.parts()
    parts.decisions.refresh()
    return _changed(session, _number(request.query_params.get("since", "")))


def _changed(session: Session, version: int) -> dict[str, Any]:
    parts = session.parts()
    decisions = parts.decisions
    now, rows = decisions.version, decisions.changed_since(version)
    hand, labels = decisions.hand[rows].tolist(), decisions.labels[rows].tolist()
    return {"contents": parts.contents.id, "version": now, "rows": rows.tolist(), "hand": hand, "labels": labels}


def _decide(session: Session, request: Request, body: bytes) -> dict[str, Any]:
    sent = parse_record(Decided, body, "what the page sent", _RELOAD)
    parts = session.parts()
    if sent.contents != parts.contents.id:
        raise DataError(f"The images, or the verdicts of filters on them, are others now. {_RELOAD}")
    parts.decisions.apply(sent.changes)
    return _changed(session, sent.version)


def _thumbnails(session: Session, request: Request, body: bytes) -> bytes:
    parts = session.parts()
    return parts.thumbnails.packed(_rows(request, len(parts.contents.hashes)))


def _real_thumbnails(session: Session, request: Request, body: bytes) -> bytes:
    parts = session.parts()
    thumbnails = parts.real_thumbnails
    return thumbnails.packed(_rows(request, len(parts.neighbours.real or ())))


def _image(session: Session, request: Request, body: bytes) -> bytes:
    parts = session.parts()
    return parts.read(check_row(int(request.path_params["row"]), len(parts.contents.hashes)))


def _facts(session: Session, request: Request, body: bytes) -> dict[str, Any]:
    contents = session.parts().contents
    return contents.facts(check_row(int(request.path_params["row"]), len(contents.hashes)))


def _neighbours(session: Session, request: Request, body: bytes) -> dict[str, Any]:
    parts = session.parts()
    row = check_row(int(request.path_params["row"]), len(parts.contents.hashes))
    neighbours = parts.neighbours
    answer = {**asdict(neighbours.work.progress), "why_not": neighbours.why_not}
    if not neighbours.are_ready:
        return answer
    synthetic, real = neighbours.nearest(row)
    return {**answer, "synthetic": [asdict(one) for one in synthetic], "real": [asdict(one) for one in real]}


def _find_neighbours(session: Session, request: Request, body: bytes) -> dict[str, Any]:
    session.parts().neighbours.start()
    return {}


def _phrases(session: Session, request: Request, body: bytes) -> dict[str, Any]:
    return {"path": str(session.phrases.path), "rows": [asdict(row) for row in session.phrases.rows()]}


def _save_phrase(session: Session, request: Request, body: bytes) -> dict[str, Any]:
    sent = parse_record(Phrase, body, "what the page sent", _RELOAD)
    session.phrases.save(sent.class_name, sent.phrase)
    return _phrases(session, request, body)


def _previews(session: Session, request: Request, body: bytes) -> dict[str, Any]:
    previews = session.parts().previews
    drawn = [{"row": one.row, "prompt": one.prompt, "reason": one.reason} for one in previews.drawn]
    progress = asdict(previews.work.progress)
    return {**progress, "class_name": previews.class_name, "phrase": previews.phrase, "drawn": drawn}


def _draw_previews(session: Session, request: Request, body: bytes) -> dict[str, Any]:
    sent = parse_record(Phrase, body, "what the page sent", _RELOAD)
    if not session.parts().previews.start(sent.class_name, sent.phrase, sent.strategy):
        raise DataError("Previews of another phrase are being drawn. Stop them, or wait.")
    return _previews(session, request, body)


def _stop_previews(session: Session, request: Request, body: bytes) -> dict[str, Any]:
    session.parts().previews.work.stop()
    return {}


def _preview(session: Session, request: Request, body: bytes) -> bytes:
    drawn = session.parts().previews.drawn
    return drawn[check_row(int(request.path_params["number"]), len(drawn))].file


def _rows(request: Request, count: int) -> list[int]:
    """The rows in a query, such as rows=3,4,9."""
    rows = [_number(text) for text in request.query_params.get("rows", "").split(",")]
    if len(rows) > MOST_AT_ONCE:
        raise DataError(f"Expected at most {MOST_AT_ONCE} images at once, got {len(rows)}.")
    return [check_row(row, count) for row in rows]


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1


GET: Mapping[str, Answer] = {
    "contents": _contents,
    "changes": _changes,
    "thumbnails": _thumbnails,
    "real-thumbnails": _real_thumbnails,
    "image/{row:int}": _image,
    "facts/{row:int}": _facts,
    "neighbours/{row:int}": _neighbours,
    "phrases": _phrases,
    "previews": _previews,
    "previews/{number:int}": _preview,
}
POST: Mapping[str, Answer] = {
    "decide": _decide,
    "neighbours": _find_neighbours,
    "phrases": _save_phrase,
    "previews": _draw_previews,
    "previews/stop": _stop_previews,
}
