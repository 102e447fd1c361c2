"""A chat model for tests: a server on this machine that answers what it is told to."""

import contextlib
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from synthset.prompts.sentences.endpoint import EndpointWriter


class Server:
    """Gives the answers of a list one after another, the last one for ever, and keeps the requests.

    An answer may be a function of the question, which takes `seconds`; `most_at_once` counts those
    that were answered at the same time.
    """

    def __init__(self):
        self.answers, self.requests, self.waits, self.times = [], [], [], []
        self.seconds, self.at_once, self.most_at_once = 0.0, 0, 0
        self.lock, self.closing = threading.Lock(), threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with server.lock:
                    server.times.append(time.monotonic())
                    server.requests.append((self.path, dict(self.headers), body))
                    answer = server.answers[min(len(server.requests), len(server.answers)) - 1]
                    server.at_once += 1
                    server.most_at_once = max(server.most_at_once, server.at_once)
                if callable(answer):
                    server.closing.wait(server.seconds)
                    answer = answer(body["messages"][0]["content"])
                status, headers, data = answer
                with server.lock:
                    server.at_once -= 1
                self.send_response(status)
                for header in {"Content-Length": str(len(data)), **headers}.items():
                    self.send_header(*header)
                with contextlib.suppress(OSError):  # it is hung up on
                    self.end_headers()
                    self.wfile.write(data)

            def log_message(self, *args):
                """Print nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    def writer(self, **options):
        return EndpointWriter(self.url, "talker", **{"timeout_seconds": 5, "pause": self.waits.append, **options})

    def close(self):
        self.closing.set()
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


def class_of(question):
    return re.search(r'has the words "(.*?)" in it', question)[1]


def chat(text):
    return 200, {}, json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()


def refused(status, message="", headers=None):
    return status, headers or {}, json.dumps({"error": {"message": message}}).encode()
