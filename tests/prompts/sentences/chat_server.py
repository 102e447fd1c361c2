"""A chat model for tests: a server on this machine that answers what it is told to."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from synthset.prompts.sentences.endpoint import EndpointWriter


class Server:
    """Gives the answers of a list one after another, the last one for ever, and keeps the requests."""

    def __init__(self):
        self.answers, self.requests, self.waits = [], [], []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.requests.append((self.path, dict(self.headers), body))
                status, headers, data = server.answers[min(len(server.requests), len(server.answers)) - 1]
                self.send_response(status)
                for header in {"Content-Length": str(len(data)), **headers}.items():
                    self.send_header(*header)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                """Print nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    def writer(self, **options):
        return EndpointWriter(self.url, "talker", timeout_seconds=5, pause=self.waits.append, **options)

    def close(self):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


def chat(text):
    return 200, {}, json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()


def refused(status, message="", headers=None):
    return status, headers or {}, json.dumps({"error": {"message": message}}).encode()
