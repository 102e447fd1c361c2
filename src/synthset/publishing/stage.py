"""Push: a dataset or a model to a repository of the Hugging Face hub."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthset.core.errors import DataError, UsageError, first_line, setting, some
from synthset.core.hub import is_hub_id
from synthset.core.locks import reading
from synthset.dataset.reader import is_dataset
from synthset.publishing.contents import Publication
from synthset.publishing.licences import Licence, LookUp
from synthset.publishing.repository import Repository, check_arrived, patiently

if TYPE_CHECKING:
    from huggingface_hub import HfApi

log = logging.getLogger("synthset")


@dataclass(frozen=True)
class PushResult:
    """What was pushed, or would be.

    Attributes:
        url: of the repository; empty for a dry run.
        kind: of it, "dataset" or "model".
        files: bytes of each file, by its path there.
        sent: how many of them were sent; the others were there.
        commits: that they were sent in.
        is_public: whether all see it.
        licences: of the models behind it.
        rejected: images that filters reject and that were left out.
        left_out: what else lies in the folder and was not published.
    """

    repo: str
    url: str
    kind: str
    files: Mapping[str, int]
    sent: int
    commits: int
    is_public: bool
    licences: tuple[Licence, ...]
    rejected: int
    left_out: tuple[str, ...]

    @property
    def num_bytes(self) -> int:
        """Of all files."""
        return sum(self.files.values())


def push(
    folder: str | Path,
    repo: str,
    *,
    public: bool = False,
    message: str | None = None,
    include_rejected: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
    endpoint: str | None = None,
) -> PushResult:
    """Push a dataset or a model to the Hugging Face hub, with its card and the licence of the model behind it.

    Real images, files that Synthset does not know, logs, and paths of this machine are never published. What is there
    already is not sent again: a push that was stopped goes on when it is run again.

    Args:
        folder: a finished dataset, the parts of a split one, a model, or an exported model.
        repo: owner/name.
        public: for all to see; else for its owner alone.
        message: of the commits.
        include_rejected: of a dataset, publish what filters reject too, with their verdicts.
        overwrite: replace what else the repository holds.
        dry_run: say what would be pushed, and connect to nothing.
        endpoint: address of the hub; HF_ENDPOINT by default.
    Raises:
        UsageError: no such name, no token, or a repository that holds other things, or that others see than was asked.
        DataError: nothing there that can be published, or the hub refuses or does not answer.
    Example:
        >>> synthset.push("digits-synthetic", "ada/digits", dry_run=True).num_bytes  # doctest: +SKIP
        1843022
    """
    if not is_hub_id(repo):
        raise UsageError(
            f"Expected a repository as owner/name, of ASCII letters, digits, '-', '_' and '.', got '{repo}'. Name one "
            "such, e.g. ada/digits."
        )
    _check_name(repo)
    api = None if dry_run else _connect(endpoint)
    look_up = None if api is None else _look_up_by(api)
    with _publication(Path(folder), include_rejected, look_up) as publication:
        _warn(publication)
        sizes = {file.path: file.size for file in publication.files}
        told = (publication.kind, sizes)
        rest = (public, publication.licences, publication.rejected, publication.left_out)
        if api is None:
            return PushResult(repo, "", *told, 0, 0, *rest)
        repository = Repository(api, repo, publication.kind)
        sent, commits = _send(
            repository, publication, message or f"Push {Path(folder).resolve().name}", public, overwrite
        )
        return PushResult(repo, repository.url, *told, sent, commits, *rest)


def _check_name(repo: str) -> None:
    """Raise UsageError for a name that the hub gives to no repository, though it is spelled as one."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UsageError(f"Expected a repository as the hub names them ({first_line(error)}). Name another.") from error


def _connect(endpoint: str | None) -> HfApi:
    """What talks to the hub. Raises UsageError where there is no network by decree, or no token."""
    from huggingface_hub import HfApi, constants, get_token

    if constants.HF_HUB_OFFLINE:
        raise UsageError(
            f"Expected a network to push by, HF_HUB_OFFLINE is set. Unset it; or give {setting('dry_run', True)}."
        )
    token = get_token()
    if token and not token.isascii():  # a copied one may have a letter of another script
        raise UsageError("Expected a token of the Hugging Face hub in ASCII, got another. Copy it again.")
    if not token:
        raise UsageError(
            "Expected a token of the Hugging Face hub, found none. Log in with 'hf auth login', or set HF_TOKEN to one "
            "that may write."
        )
    return HfApi(endpoint)


def _look_up_by(api: HfApi) -> LookUp:
    """Asks the hub for the card of a model; none where it does not say."""

    def look_up(model: str) -> dict[str, Any] | None:
        try:
            data = patiently(lambda: api.model_info(model)).card_data
        except Exception as error:  # it is said that the licence is not known
            log.debug("no card of '%s': %s", model, error)
            return None
        return data.to_dict() if data is not None else None

    return look_up


@contextmanager
def _publication(folder: Path, include_rejected: bool, look_up: LookUp | None) -> Iterator[Publication]:
    """What of a folder is published, which stays as it is meanwhile."""
    from synthset.publishing.datasets import is_split, publish_dataset, publish_split

    with tempfile.TemporaryDirectory(prefix="synthset-push-") as stage, reading(folder):
        if is_dataset(folder):
            yield publish_dataset(folder, Path(stage), include_rejected=include_rejected, look_up=look_up)
            return
        if folder.is_dir() and is_split(folder):
            yield publish_split(folder, Path(stage), include_rejected=include_rejected, look_up=look_up)
            return
        if include_rejected:
            raise UsageError(
                f"Expected a Synthset dataset for {setting('include_rejected')}, got '{folder}'. Leave it out."
            )
        from synthset.classifiers.export import exported_files, is_model  # which take seconds to load
        from synthset.publishing.models import publish_export, publish_model

        if is_model(folder):
            yield publish_model(folder, Path(stage), look_up)
            return
        if folder.is_dir() and exported_files(folder) is not None:
            yield publish_export(folder, Path(stage), look_up)
            return
        raise DataError(
            f"Expected a Synthset dataset, or a model, in '{folder}', found neither. Name the folder of one."
        )


def _send(
    repository: Repository, publication: Publication, message: str, public: bool, overwrite: bool
) -> tuple[int, int]:
    """Bring the repository to hold what is published; gives how many files were sent, and in how many commits."""
    repository.prepare(public=public)
    tree = repository.tree()
    there = [file for file in publication.files if file.path in tree and tree[file.path].is_same(file)]
    others = sorted(tree.keys() - {file.path for file in there})
    if others and not overwrite:
        raise UsageError(
            f"'{repository.id}' holds {len(others):,} other files ({some(others)}); nothing was changed. Give another "
            f"repository, or {setting('overwrite', True)} to replace them: its history keeps them."
        )
    known = {file.path for file in there}
    missing = [file for file in publication.files if file.path not in known]
    commits = repository.send(missing, others, message)
    check_arrived(repository, publication.files)
    return len(missing), commits


def _warn(publication: Publication) -> None:
    for licence in publication.licences:
        if not licence.is_known:
            log.warning("The licence of '%s' is not known, so the card says 'other'. Look it up.", licence.model)
    if publication.left_out:
        log.warning("Not published: %s.", some(publication.left_out))
