"""Who may ask the server of the page for anything.

The server listens on this machine alone, yet any page in any tab of its browsers can send requests there, and so can
any user of the machine. So each request must name the host as the page's own address does (against DNS rebinding), must
not come from another origin (against pages of others), and, but for the page's own files, in which there is nothing of
the dataset, must have the token in a header (against other users). The token reaches the page behind the # of its
address, which browsers send to nobody; the page takes it out of the address and keeps it for its tab. It is no cookie:
those are sent to every port of a host.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_HEADER = "x-synthset-token"
MAX_BODY_BYTES = 2**22
MAX_PATH_LENGTH = 200  # no address of the page is longer, and no number in one reads for long
API = "/api/"

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def new_token() -> str:
    """A token that nobody guesses, of letters, digits, - and _."""
    return secrets.token_urlsafe(32)


class Guard:
    """Lets pass what the page itself asks, with headers that keep the page to itself; 403 to all else.

    Args:
        app: to protect.
        token: that requests for anything of the dataset must have.
        hosts: names of the server, with its port.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: Collection[str]) -> None:
        self._app, self._token, self._hosts = app, token, frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return  # there are no websockets, and a connection that nobody takes up is closed

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message["headers"]}
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in names]
                message = {**message, "headers": [*message["headers"], *own]}
            await send(message)

        if refusal := self._refusal(scope):
            await PlainTextResponse(refusal, 403)(scope, receive, send_guarded)
        else:
            await self._app(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> str:
        """Why a request is refused; empty where it is not."""
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            if headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1")) != value.decode("latin-1"):
                return "A header that comes twice."
        host, origin, method = headers.get("host", ""), headers.get("origin"), scope["method"]
        if host not in self._hosts:
            return f"Another host than {' or '.join(sorted(self._hosts))}. Forward the same port, if you forward one."
        if origin is not None and origin != f"http://{host}":
            return "Another origin."
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return "Another site."
        if method not in ("GET", "HEAD", "POST"):
            return "Another method than GET and POST."
        if method == "POST" and (origin is None or headers.get("content-type") != "application/json"):
            return "A change must come from the page, as JSON."
        if len(scope["path"]) > MAX_PATH_LENGTH:
            return "An address that is too long."
        if "transfer-encoding" in headers:  # it would stand above the length that is stated
            return "A body in chunks."
        if method == "POST" and not 0 <= _number(headers.get("content-length")) <= MAX_BODY_BYTES:
            return f"A change of more than {MAX_BODY_BYTES:,} bytes, or of no stated length."
        given = headers.get(TOKEN_HEADER, "")
        if scope["path"].startswith(API) and not secrets.compare_digest(given.encode(), self._token.encode()):
            return "No token, or another one. Open the address that 'synthset review' printed."
        return ""


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() else -1
