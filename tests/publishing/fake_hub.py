"""A hub of one's own: the part of the Hugging Face hub's HTTP interface that a push speaks, in memory, with faults."""

import base64
import hashlib
import json
import re
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import yaml

TOKEN = "hf_goodgoodgoodgoodgood"
PAGE = 4  # entries of a tree that are listed at once
LARGE = (".parquet", ".safetensors", ".png")  # stored by the hash of their bytes


def git_hash(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Repo:
    private: bool
    files: dict = field(default_factory=lambda: {".gitattributes": b"*.parquet filter=lfs\n"})
    messages: list = field(default_factory=list)


@dataclass
class Fault:
    """The next requests of a method and a path are answered by a status, or by what a function does."""

    method: str
    path: str
    status: int = 500
    times: int = 1
    headers: dict = field(default_factory=dict)
    after: int = 0  # requests that pass before
    act: object = None


class FakeHub:
    """Its repositories, large files, cards of models, and what was asked of it."""

    def __init__(self):
        self.repos, self.large, self.cards = {}, {}, {}
        self.asked, self.faults, self.lock = Counter(), [], threading.Lock()
        self.sent_bytes = 0
        self.forbidden = set()  # repositories that the token may not write to

    @property
    def puts(self):
        return self.asked["PUT /lfs"]

    def reset_counts(self):
        self.asked.clear()
        self.sent_bytes = 0


@contextmanager
def serving():
    hub = FakeHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, value=None, headers=None):
        data = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status, message, code="", headers=None):
        codes = {"X-Error-Code": code} if code else {}
        self.answer(status, {"error": message}, {"X-Error-Message": message, **codes, **(headers or {})})

    def do_GET(self):
        self.handle_request("GET")

    def do_POST(self):
        self.handle_request("POST")

    def do_PUT(self):
        self.handle_request("PUT")

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def handle_request(self, method):
        address = urlsplit(self.path)
        body = self.body()
        with self.hub.lock:
            kind = re.sub(r"^/(api/)?((datasets|models)/)?[\w.-]+/[\w.-]+(?=[/.]|$)", "REPO", address.path)
            self.hub.asked[f"{method} {'/lfs' if address.path.startswith('/lfs/') else kind}"] += 1
            for fault in self.hub.faults:
                if fault.method == method and re.search(fault.path, address.path) and fault.times:
                    if fault.after:
                        fault.after -= 1
                        continue
                    fault.times -= 1
                    if fault.act is not None:
                        fault.act()
                        continue
                    return self.refuse(fault.status, "a fault", headers=fault.headers)
            if method == "PUT":
                return self.take(address.path.rpartition("/")[2], body)
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self.refuse(401, "Invalid credentials in Authorization header")
            return self.route(method, address, body)

    def take(self, name, body):
        assert hashlib.sha256(body).hexdigest() == name
        self.hub.large[name] = body
        self.hub.sent_bytes += len(body)
        self.answer(200)

    def route(self, method, address, body):
        path = address.path
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        if path == "/api/validate-yaml":
            head = json.loads(body)["content"].split("---\n")[1]
            assert "license" in yaml.safe_load(head)
            return self.answer(200, {"warnings": [], "errors": []})
        if found := re.fullmatch(r"/(datasets/)?([\w.-]+/[\w.-]+)\.git/info/lfs/objects/batch", path):
            return self.batch(json.loads(body)["objects"])
        found = re.fullmatch(r"/api/(dataset|model)s/([\w.-]+/[\w.-]+)(?:/(tree|preupload|commit)/main)?", path)
        kind, name, verb = found.groups()
        if verb is None and name in self.hub.cards:
            return self.answer(200, {"id": name, "private": False, "cardData": self.hub.cards[name]})
        repo = self.hub.repos.get((kind, name))
        if repo is None:
            return self.refuse(404, "Repository not found", "RepoNotFound")
        if verb in ("preupload", "commit") and name in self.hub.forbidden:
            return self.refuse(403, "You don't have the rights to write here")
        if verb is None:
            return self.answer(200, {"id": name, "private": repo.private, "sha": "0" * 40})
        if verb == "tree":
            return self.tree(repo, address)
        if verb == "preupload":
            return self.preupload(repo, json.loads(body)["files"])
        return self.commit(repo, [json.loads(line) for line in body.splitlines()], name)

    def create(self, asked):
        name = f"{asked['organization']}/{asked['name']}"
        if name.startswith("others/"):
            return self.refuse(403, "You don't have the rights to create a repository under the namespace 'others'")
        key = asked["type"], name
        url = f"{self.hub.endpoint}/{'datasets/' if asked['type'] == 'dataset' else ''}{name}"
        if key in self.hub.repos:
            return self.answer(409, {"error": "You already created this repo", "url": url})
        self.hub.repos[key] = Repo(asked.get("visibility") == "private")
        return self.answer(200, {"url": url})

    def tree(self, repo, address):
        query = parse_qs(address.query)
        start = int(query.get("cursor", ["0"])[0])
        assert query["recursive"] == ["true"]
        entries = [{"type": "directory", "path": "data", "oid": "0" * 40, "size": 0}]
        for path, data in sorted(repo.files.items()):
            entry = {"type": "file", "path": path, "size": len(data), "oid": git_hash(data)}
            if path.endswith(LARGE):
                entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
            entries.append(entry)
        link = f'<{self.hub.endpoint}{address.path}?recursive=true&cursor={start + PAGE}>; rel="next"'
        more = {"Link": link} if start + PAGE < len(entries) else {}
        self.answer(200, entries[start : start + PAGE], more)

    def preupload(self, repo, files):
        def one(file):
            path, data = file["path"], repo.files.get(file["path"])
            is_large = path.endswith(LARGE)
            oid = None if data is None else (hashlib.sha256(data).hexdigest() if is_large else git_hash(data))
            return {"path": path, "uploadMode": "lfs" if is_large else "regular", "shouldIgnore": False, "oid": oid}

        self.answer(200, {"files": [one(file) for file in files]})

    def batch(self, objects):
        def one(asked):
            if asked["oid"] in self.hub.large:
                return asked
            return asked | {"actions": {"upload": {"href": f"{self.hub.endpoint}/lfs/{asked['oid']}"}}}

        self.answer(200, {"transfer": "basic", "objects": [one(asked) for asked in objects]})

    def commit(self, repo, lines, name):
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                repo.messages.append(value["summary"])
            elif line["key"] == "deletedFile":
                del repo.files[value["path"]]
            elif line["key"] == "file":
                repo.files[value["path"]] = base64.b64decode(value["content"])
                self.hub.sent_bytes += len(repo.files[value["path"]])
            else:
                assert len(self.hub.large[value["oid"]]) == value["size"]
                repo.files[value["path"]] = self.hub.large[value["oid"]]
        self.answer(200, {"commitUrl": f"{self.hub.endpoint}/{name}/commit/0", "commitOid": "0" * 40})
