"""A whole job by the command line, in a process whose connections are noted: `whole_job.py FOLDER URL-OF-A-CHAT-MODEL`.

Prints the addresses that were asked for, other than that of the chat model, as its last line. None is reached.
"""

import json
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit


def main(folder: Path, url: str) -> int:
    """0 if every command ended well."""
    asked = watch_connections(urlsplit(url).port)
    from synthset.cli import main as synthset

    sentences = ("--sentences-from", url, "--sentence-model", "talker", "--sentences", "2")
    sentences += ("--sentence-requests", "1")  # of a server whose answers are in order
    words = ("--classes", "one", "two", "--strategy", "base", "language_enhancement", *sentences)
    data, model = str(folder / "data"), str(folder / "model")
    commands = (
        ("create", *words, "--images-per-class", "12", "--steps", "1", "--resize", "8", "--output-dir", data),
        ("filter", data, "--method", "clip"),
        ("train", data, "--all-images", "--model", "small_cnn", "--epochs", "1", "--batch-size", "8",
         "--device", "cpu", "--output-dir", model),
        ("diagnose", data, "--encoder", "miniature", "--output-dir", str(folder / "diagnosis")),
        ("export", data, "--all-images", "--output-dir", str(folder / "export")),
    )  # fmt: skip
    codes = [synthset(["--verbose", *command]) for command in commands]
    print(json.dumps(asked))
    return max(codes)


def watch_connections(allowed_port: int | None) -> list[str]:
    """Have every connection and every look-up of a name refused and noted, but those to a port of this machine."""
    asked: list[str] = []

    def refuse(address: object, *_: object, **__: object) -> None:
        asked.append(str(address))
        raise OSError("no network here")

    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: tuple[str, int]) -> None:
        is_allowed = isinstance(address, tuple) and address[:2] == ("127.0.0.1", allowed_port)
        return connect(self, address) if is_allowed else refuse(address)

    def guarded_look_up(host: str, *arguments: object, **options: object) -> object:
        return look_up(host, *arguments, **options) if host == "127.0.0.1" else refuse(host)

    socket.socket.connect = guarded_connect
    socket.socket.connect_ex = refuse
    socket.socket.sendto = lambda self, data, *address: refuse(address)
    socket.getaddrinfo = guarded_look_up
    return asked


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
