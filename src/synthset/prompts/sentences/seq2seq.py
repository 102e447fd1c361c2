"""Sentences by a word-to-sentence model: any encoder-decoder of Hugging Face, such as T5 trained on CommonGen.

The phrase of a class goes in alone and sentences are sampled, as in He et al. 2023. Samples come in batches of a
fixed size, each from a seed of its own, so that more sentences begin with those of fewer, and neither the order
of the classes nor what else is drawn changes any. Imports torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, GenerationConfig
from transformers.utils import is_protobuf_available, is_sentencepiece_available

from synthset.core.devices import choose_device, seeded
from synthset.core.errors import ModelError
from synthset.core.libraries import library_errors, quiet
from synthset.core.seeds import derive_seed
from synthset.prompts.classes import as_words
from synthset.prompts.sentences.base import SPARE, gather_sentences

BATCH_SIZE = 64  # part of what a seed gives: another size gives other sentences
MAX_NEW_TOKENS = 64
SMALL_MODEL = 10_000_000  # parameters; the miniature has one million, T5 base 220
SAMPLING = {"do_sample": True, "num_beams": 1, "top_k": 50, "top_p": 1.0, "temperature": 1.0}
FILES = ("*.safetensors", "*.json", "*.txt", "*.model")  # weights, configuration, vocabulary
_MAX_ROUNDS_OF_EACH = 5  # a model that needs five times the samples of He et al. does not know the class


class Seq2SeqWriter:
    """Samples sentences from an encoder-decoder; see `base.SentenceWriter`.

    Attributes:
        name: what the user calls the model.
        fingerprint: over weights, vocabulary and the way of sampling.
    """

    def __init__(self, model: Any, tokenizer: Any, name: str, fingerprint: str, require_mention: bool = True) -> None:
        self.model, self.tokenizer, self.require_mention = model.eval(), tokenizer, require_mention
        self.name, self.fingerprint = name, fingerprint

    @classmethod
    def from_folder(cls, folder: Path, name: str, device: str = "auto", require_mention: bool = True) -> Seq2SeqWriter:
        """Load a checkpoint in Hugging Face's layout, in float32 (T5 overflows in half precision).

        Raises:
            ModelError: no safetensors weights, no vocabulary, another kind of model, or code of its own.
            UsageError: the device is not at hand.
        """
        place, safely = choose_device(device), {"local_files_only": True, "trust_remote_code": False}
        _check_files(folder, name)
        with library_errors(f"The model '{name}' cannot write sentences", _EXPECTED), quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, **safely)
            model, report = AutoModelForSeq2SeqLM.from_pretrained(
                folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **safely
            )
        if report["missing_keys"]:
            raise _refusal(name, f"{len(report['missing_keys'])} of its tensors are missing")
        if not 256 <= len(tokenizer) <= model.config.vocab_size:  # transformers goes on with a vocabulary of nothing
            raise _refusal(name, f"a vocabulary of {len(tokenizer):,} for a model of {model.config.vocab_size:,}")
        return cls(model.to(place), tokenizer, name, _fingerprint(folder, require_mention), require_mention)

    def write(self, class_name: str, phrase: str, count: int, seed: int) -> list[str]:
        """`count` distinct sentences about a class; see `base.SentenceWriter.write`."""
        words = as_words(phrase or class_name)

        def draw(batch: int, have: object) -> list[str]:
            return self.sample(words, derive_seed(seed, "sentences", class_name, words, batch))

        rounds = _MAX_ROUNDS_OF_EACH * -(-(count + SPARE) // BATCH_SIZE)
        return gather_sentences(
            draw, class_name, phrase, count, origin=self.name, rounds=rounds, require_mention=self.require_mention
        )

    @torch.inference_mode()
    def sample(self, words: str, seed: int, num_sentences: int = BATCH_SIZE) -> list[str]:
        """Up to `num_sentences` samples for an input, as they come; those that found no end are left out."""
        config = _generation_config(self.model, self.tokenizer, num_sentences)
        with (
            library_errors(f"The model '{self.name}' cannot write about '{words}'"),
            seeded(seed, self.model.device),  # transformers takes no generator
            _threads_for(self.model),
        ):
            encoded = self.tokenizer(words, return_tensors="pt", truncation=True).to(self.model.device)
            rows = self.model.generate(
                input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"], generation_config=config
            )
        ended = torch.isin(rows[:, 1:].cpu(), torch.tensor(config.eos_token_id)).any(dim=1)
        return self.tokenizer.batch_decode(rows.cpu()[ended], skip_special_tokens=True)


def _generation_config(model: Any, tokenizer: Any, num_sentences: int) -> GenerationConfig:
    """Our way of sampling, and nothing of the checkpoint's own but its special tokens."""

    def first(*tokens: int | None) -> int | None:
        return next((token for token in tokens if token is not None), None)

    own = model.generation_config
    eos, pad = first(own.eos_token_id, tokenizer.eos_token_id), first(own.pad_token_id, tokenizer.pad_token_id)
    return GenerationConfig(
        **SAMPLING,
        max_new_tokens=MAX_NEW_TOKENS,
        num_return_sequences=num_sentences,
        eos_token_id=eos,
        pad_token_id=first(pad, eos),
        decoder_start_token_id=first(own.decoder_start_token_id, own.bos_token_id, pad),
    )


@contextmanager
def _threads_for(model: Any) -> Iterator[None]:
    """One thread for a small model on the CPU: more wait for each other, fifty times as long on a busy machine.

    It also gives the same sums, and so the same sentences, whatever number of cores there is.
    """
    threads = torch.get_num_threads()
    if model.device.type == "cpu" and model.num_parameters() < SMALL_MODEL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


# ---- checkpoints ------------------------------------------------------------------------------------------

_EXPECTED = "Expected the folder or the hub id of an encoder-decoder such as T5, with safetensors and its tokenizer."


def _refusal(name: str, reason: str) -> ModelError:
    return ModelError(f"The model '{name}' cannot write sentences ({reason}). {_EXPECTED}")


def _check_files(folder: Path, name: str) -> None:
    """Say what is missing in words of our own, where transformers would say it in many lines or not at all."""
    if not (folder / "config.json").is_file():
        raise _refusal(name, f"'{folder}' holds no config.json")
    if not any(folder.glob("*.safetensors")):
        raise _refusal(name, "no *.safetensors; pickled weights are not read")
    fast = any((folder / file).is_file() for file in ("tokenizer.json", "vocab.json"))
    if any(folder.glob("*.model")) and not fast and not (is_sentencepiece_available() and is_protobuf_available()):
        raise ModelError(
            f"The model '{name}' cannot write sentences yet: its vocabulary is read by packages that are not "
            "installed. Run: pip install sentencepiece protobuf"
        )


def _fingerprint(folder: Path, require_mention: bool) -> str:
    """SHA-256 over all that sentences depend on: the files by name and content, and the way of sampling."""
    sampling = {**SAMPLING, "batch_size": BATCH_SIZE, "max_new_tokens": MAX_NEW_TOKENS, "mention": require_mention}
    total = hashlib.sha256(json.dumps(sampling, sort_keys=True).encode())
    for path in sorted({path for pattern in FILES for path in folder.glob(pattern)}):
        with path.open("rb") as file:
            total.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()
