"""A review that is served in a thread of the test, and who asks it as a page would."""

import http.client
import json
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
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in own.items():
            for one in [value] if isinstance(value, str) else value or []:
                connection.putheader(name, one)
        connection.endheaders(data)
        response = connection.getresponse()
        answer = (response.status, response.read(), response)
        connection.close()
        return answer

    def json(self, path, body=None):
        status, data, _ = self.ask(path, body)
        assert status == 200, data
        return json.loads(data)

    def contents(self):
        """The head of what the page lists."""
        _, data, _ = self.ask("/api/contents")
        return json.loads(data[4 : 4 + int.from_bytes(data[:4], "little")])


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
