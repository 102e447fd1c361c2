"""A review that is served in a thread of the test, and who asks it as a page would."""

import http.client
import json
import socket
import threading
from contextlib import contextmanager

import uvicorn

from synthset.review import ReviewConfig
from synthset.review.server import make_app
from synthset.review.session import Session
from synthset.review.stage import HOST, _listening

TOKEN = "a-token"


class Asker:
    """Asks a server; what it leaves out or says otherwise is given as headers, None for none."""

    def __init__(self, port):
        self.port = port

    def ask(self, path, body=None, method=None, **headers):
        method = method or ("GET" if body is None else "POST")
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        own = {"Host": f"{HOST}:{self.port}", "X-Synthset-Token": TOKEN}
        if data is not None:
            own |= {"Origin": f"http://{HOST}:{self.port}", "Content-Type": "application/json"}
            own |= {"Content-Length": str(len(data))}
        own |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{method} {path} HTTP/1.1"]
        lines += [f"{name}: {one}" for name, value in own.items() for one in _each(value)]
        # In one piece: a server that refuses the head closes, and what came after it would break off its answer.
        request = "\r\n".join([*lines, "", ""]).encode("latin-1") + (data or b"")
        with socket.create_connection((HOST, self.port), timeout=30) as line:
            line.sendall(request)
            response = http.client.HTTPResponse(line, method=method)
            response.begin()
            return response.status, response.read(), response

    def json(self, path, body=None):
        status, data, _ = self.ask(path, body)
        assert status == 200, data
        return json.loads(data)

    def contents(self):
        """The head of what the page lists."""
        _, data, _ = self.ask("/api/contents")
        return json.loads(data[4 : 4 + int.from_bytes(data[:4], "little")])


def _each(value):
    return [value] if isinstance(value, str) else value or []


@contextmanager
def served(folder, **options):
    """A session, and who asks its server."""
    objects = {name: options.pop(name) for name in ("encoder", "generator", "cache") if name in options}
    session = Session(folder, ReviewConfig(**options), **objects)
    with _listening(None) as listener:
        port = listener.getsockname()[1]
        config = uvicorn.Config(make_app(session, TOKEN, port), http="h11", ws="none", lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield session, Asker(port)
        finally:
            server.should_exit = True
            thread.join(10)
            session.close()
