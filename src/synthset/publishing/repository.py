"""A repository of the Hugging Face hub that is filled: what it holds, what is sent, in which commits.

    its tree ─▶ files that are not there yet, by hash ─▶ commits of some files each ─▶ its tree again, held against ours

What is there is never sent again, so a push that was killed goes on where it was. A first commit takes away what is to
be replaced, and the last one brings what marks completion: no commit holds files of two versions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from synthset.core.errors import DataError, SynthsetError, UsageError, first_line, setting, some
from synthset.core.libraries import quiet
from synthset.core.progress import track
from synthset.publishing.contents import PublishedFile

if TYPE_CHECKING:
    from huggingface_hub import HfApi

Result = TypeVar("Result")

COMMIT_FILES, COMMIT_BYTES = 100, 5_000_000_000  # at most, of a commit; the hub takes a minute for more
TRIES, FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 3, 1.0, 300.0  # of what may be better a moment later
AGAIN = "Run the same command again: what is there is not sent again."
_OWN_FILES = (".gitattributes",)  # that the hub puts into each repository
_PASSING = (408, 409, 412, 429, 500, 502, 503, 504)  # answers to what may be better a moment later


@dataclass(frozen=True)
class Remote:
    """A file in the repository: bytes, the hash that git knows it by, and of a large file that of its bytes."""

    size: int
    blob_id: str
    sha256: str = ""

    def is_same(self, file: PublishedFile) -> bool:
        """Whether it holds the bytes of one of ours."""
        if file.size != self.size:
            return False
        return file.sha256 == self.sha256 if self.sha256 else file.blob_id == self.blob_id


@dataclass(frozen=True)
class Repository:
    """A repository of the hub, and who talks to it.

    Attributes:
        id: owner/name.
        kind: "dataset" or "model".
    """

    api: HfApi
    id: str
    kind: str

    @property
    def url(self) -> str:
        """Of its page."""
        return f"{self.api.endpoint}/{'datasets/' if self.kind == 'dataset' else ''}{self.id}"

    def prepare(self, *, public: bool) -> None:
        """Make the repository where there is none, seen by all or by its owner alone.

        Raises:
            UsageError: it is there, and seen by others than was asked for.
            DataError: the hub refuses, or does not answer.
        """
        is_private = self._is_private()
        if is_private is None:
            with self.talking():
                patiently(lambda: self.api.create_repo(self.id, repo_type=self.kind, private=not public, exist_ok=True))
            is_private = self._is_private()
        if is_private is False and not public:
            raise UsageError(
                f"Expected a private repository, '{self.id}' is public: all would see what is pushed. Give "
                f"{setting('public', True)} if they shall, or another repository."
            )
        if is_private and public:
            raise UsageError(
                f"Expected a public repository, '{self.id}' is private, which a push does not change. Leave out "
                f"{setting('public', True)}, and make it public on its page."
            )

    def tree(self) -> dict[str, Remote]:
        """The files that it holds, by path, but for those that are the hub's own."""
        from huggingface_hub.errors import EntryNotFoundError, RevisionNotFoundError
        from huggingface_hub.hf_api import RepoFile

        def look() -> dict[str, Remote]:
            try:
                entries = [*self.api.list_repo_tree(self.id, repo_type=self.kind, recursive=True)]
            except (EntryNotFoundError, RevisionNotFoundError):  # nothing was ever committed
                return {}
            files = [entry for entry in entries if isinstance(entry, RepoFile) and entry.path not in _OWN_FILES]
            return {file.path: Remote(file.size, file.blob_id, file.lfs.sha256 if file.lfs else "") for file in files}

        with self.talking():
            return patiently(look)

    def send(self, files: Sequence[PublishedFile], delete: Sequence[str], message: str) -> int:
        """Commit files, some at a time; gives the number of commits.

        Args:
            files: in the order in which they are committed.
            delete: paths that are taken away with the first commit.
            message: of the commits.
        """
        groups = [*_groups(files)] or ([()] if delete else [])
        with track(len(files), f"pushing to {self.id}", unit="files") as bar:
            for number, group in enumerate(groups):
                part = f" ({number + 1} of {len(groups)})" if len(groups) > 1 else ""
                taken_away = (
                    [path for path in delete if path not in {file.path for file in group}] if not number else []
                )
                with self.talking():
                    patiently(lambda g=group, d=taken_away, m=f"{message}{part}": self._commit(g, d, m))
                bar.advance(len(group))
        return len(groups)

    def _commit(self, files: Sequence[PublishedFile], delete: Sequence[str], message: str) -> None:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        # new operations each time: the hub's library notes in them what it did, and leaves out what is there by then
        operations: list[Any] = [CommitOperationDelete(path, is_folder=False) for path in delete]
        operations += [CommitOperationAdd(file.path, str(file.source)) for file in files]
        self.api.create_commit(self.id, operations, commit_message=message, repo_type=self.kind)

    def _is_private(self) -> bool | None:
        """Whether its owner alone sees it; None where there is no such repository, as far as we are told."""
        from huggingface_hub.errors import RepositoryNotFoundError

        with self.talking():
            try:
                return bool(patiently(lambda: self.api.repo_info(self.id, repo_type=self.kind)).private)
            except RepositoryNotFoundError:
                return None

    @contextmanager
    def talking(self) -> Iterator[None]:
        """Whatever the hub, or the way to it, answers meanwhile is one line of ours, with what to do."""
        from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

        has_bars = not are_progress_bars_disabled()  # one for each file
        try:
            with quiet():
                disable_progress_bars()
                yield
        except (SynthsetError, MemoryError):
            raise
        except Exception as error:  # of the hub, of the HTTP client, of the file system
            raise DataError(self._words(error)) from error
        finally:
            if has_bars:
                enable_progress_bars()

    def _words(self, error: Exception) -> str:
        status, said = _status(error), f" ({_said(error)})"
        if status == 401:
            return (
                f"Expected a token that the hub accepts, it refused this one{said}. Log in again with 'hf auth login', "
                "or set HF_TOKEN to one that may write."
            )
        if status in (402, 403):
            return (
                f"Expected a token that may write to '{self.id}', the hub refused it{said}. Give one with the right to "
                "write there, or a repository of your own."
            )
        if status in (409, 412):
            return f"Expected '{self.id}' to be left alone meanwhile, somebody else changes it{said}. {AGAIN}"
        if status == 429:
            return f"Expected the hub to take more, it asks to wait{said}. Wait some minutes. {AGAIN}"
        if status is not None and status < 500:
            return f"Expected the hub to take what is pushed to '{self.id}', it answered {status}{said}. Mend that."
        return (
            f"Expected an answer of the hub at {self.api.endpoint}, got none that helps{said}. Is it reachable? {AGAIN}"
        )


def patiently(ask: Callable[[], Result]) -> Result:
    """What a question to the hub gives; it is asked again where the answer may be better a moment later."""
    wait = FIRST_WAIT_SECONDS
    for left in reversed(range(TRIES)):
        try:
            return ask()
        except Exception as error:
            if not left or not _is_passing(error):
                raise
            time.sleep(min(_asked_wait(error) or wait, LONGEST_WAIT_SECONDS))
            wait *= 2
    raise AssertionError  # which the last try never comes to


def _is_passing(error: Exception) -> bool:
    status = _status(error)
    if status is not None:
        return status in _PASSING
    names = {kind.__name__ for kind in type(error).__mro__}  # of the HTTP client, whichever the hub's library has
    return bool(names & {"TimeoutException", "NetworkError", "RemoteProtocolError"})


def _status(error: BaseException | None) -> int | None:
    """The HTTP status behind an error, or behind one that it was raised from; None where there was no answer."""
    while error is not None:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
        error = error.__cause__
    return None


def _asked_wait(error: Exception) -> float | None:
    """Seconds that the hub asks to wait."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        return max(0.0, float(headers.get("Retry-After", "")))
    except ValueError:
        return None


def _said(error: BaseException) -> str:
    """What the hub says of an error, or the error does."""
    status, message = _status(error), getattr(error, "server_message", None)
    cause = error.__cause__
    if message is None and cause is not None and _status(cause) is not None:
        message = getattr(cause, "server_message", None) or first_line(cause)
    text = " ".join(str(message or first_line(error)).split()).rstrip(".")
    return f"{status}: {text}" if status is not None and not text.startswith(str(status)) else text


def _groups(files: Sequence[PublishedFile]) -> Iterator[tuple[PublishedFile, ...]]:
    """Files of a commit each."""
    group: list[PublishedFile] = []
    for file in files:
        if group and (len(group) >= COMMIT_FILES or sum(one.size for one in group) + file.size > COMMIT_BYTES):
            yield tuple(group)
            group = []
        group.append(file)
    if group:
        yield tuple(group)


def check_arrived(repository: Repository, files: Sequence[PublishedFile]) -> None:
    """Raise DataError unless the repository holds these files, byte for byte, and no others."""
    tree = repository.tree()
    wrong = [file.path for file in files if file.path not in tree or not tree[file.path].is_same(file)]
    wrong += sorted(tree.keys() - {file.path for file in files})
    if wrong:
        raise DataError(
            f"Expected in '{repository.id}' what was sent, {len(wrong):,} files are others ({some(wrong)}): somebody "
            f"else changed them, or they did not arrive. {AGAIN}"
        )
