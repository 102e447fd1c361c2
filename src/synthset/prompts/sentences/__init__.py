"""Sentences about classes, for language enhancement: `load_writer` finds who writes them.

Importing this package loads no torch.
"""

from __future__ import annotations

import re
from pathlib import Path

from synthset.core.errors import ModelError, UsageError, setting
from synthset.core.hub import fetching, find_folder
from synthset.miniature import FOLDER as MINIATURE_FOLDER
from synthset.prompts.sentences.base import SentenceWriter
from synthset.prompts.sentences.file import ENDINGS, FileWriter

COMMON_GEN = "mrm8488/t5-base-finetuned-common_gen"  # the model of He et al. 2023


def default_writer(generator: str) -> str:
    """The writer to use with a generator unless the user names one: the miniature has its own.

    >>> default_writer("miniature"), default_writer("CompVis/stable-diffusion-v1-4")
    ('miniature', 'mrm8488/t5-base-finetuned-common_gen')
    """
    return "miniature" if generator == "miniature" else COMMON_GEN


def load_writer(
    name: str = COMMON_GEN,
    *,
    revision: str | None = None,
    model: str | None = None,
    requests: int | None = None,
    device: str = "auto",
    require_mention: bool = True,
) -> SentenceWriter:
    """Find a writer of sentences by name.

    Args:
        name: 'miniature'; a .yaml, .yml or .jsonl file of sentences; the URL of an OpenAI-compatible server
            ("https://host/v1"); the folder or the hub id of an encoder-decoder such as T5.
        revision: branch, tag or commit of a hub id.
        model: the server's name for the model, with a URL.
        requests: made to the server at once, with a URL; by default 4.
        device: of a model that runs here; 'auto' is a GPU where there is one.
        require_mention: leave out sentences that do not mention the class; a file's count as they are.
    Raises:
        UsageError: a file that does not read, a URL that cannot be, a device that is not at hand, or a
            revision, model or number of requests where there is none.
        ModelError: a model that is not at hand, incomplete, unsafe, or of another kind.
    """
    is_url = re.match(r"[a-z][a-z0-9+.-]*://", name, re.IGNORECASE) is not None
    is_file = not is_url and name.lower().endswith(ENDINGS) and not Path(name).is_dir()
    if revision and (is_url or is_file):
        raise _needless_revision(name, revision)
    for option, value in (("model", model), ("requests", requests)):
        if value is not None and not is_url:
            raise UsageError(
                f"Expected {setting(f'SentenceConfig.{option}')} with a URL only, got '{value}' for '{name}'. Leave it "
                "out."
            )
    if is_url:
        from synthset.prompts.sentences.endpoint import DEFAULT_REQUESTS, EndpointWriter

        return EndpointWriter(name, model or "", require_mention, requests=requests or DEFAULT_REQUESTS)

    if is_file:
        return FileWriter.from_file(name)
    folder = _find_model(name, revision)

    from synthset.prompts.sentences.seq2seq import Seq2SeqWriter

    return Seq2SeqWriter.from_folder(folder, f"{name}@{revision}" if revision else name, device, require_mention)


def _needless_revision(name: str, revision: str) -> UsageError:
    revisions = setting("SentenceConfig.revision")
    return UsageError(f"Expected {revisions} with a hub id only, got '{revision}' for '{name}'. Leave it out.")


def _find_model(name: str, revision: str | None) -> Path:
    """The folder that holds the checkpoint; fetched from the hub, safetensors only, if it is not in its cache."""
    expected = (
        "'miniature', a .yaml or .jsonl file, a URL, a model's folder or a hub id like 'owner/name' for "
        f"{setting('SentenceConfig.source')}"
    )
    folder = MINIATURE_FOLDER / "sentences" if name == "miniature" else find_folder(name, expected)
    if folder is not None and revision:
        raise _needless_revision(name, revision)
    if folder is not None and not folder.is_dir():
        raise ModelError(
            f"Expected the miniature's word-to-sentence model in '{folder}', found none. Reinstall synthset, "
            f"or name another writer ({setting('SentenceConfig.source')})."
        )
    if folder is not None:
        return folder

    from huggingface_hub import snapshot_download

    from synthset.prompts.sentences.seq2seq import FILES

    with fetching("word-to-sentence model", name, revision=revision, alternative="name a file of sentences"):
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(FILES), ignore_patterns="*/*"))
