"""Learns the miniature's vocabulary: byte-level BPE over the captions, in the form of CLIP's tokenizer.

All 256 bytes are in it, within a word and at its end, so any text encodes. The special tokens come last, as in
CLIP: the end of a text has the highest id, where the text tower pools.

Run: python -m tools.miniature.train_tokenizer [--world FOLDER]
"""

import argparse
import json
import shutil
from collections import Counter
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from tools.miniature.settings import BUILD_FOLDER, CONTEXT_LENGTH, END_TOKEN, MAX_VOCABULARY, START_TOKEN
from tools.miniature.training import finish, open_world, write_json

UNUSUAL_TEXT = "Größe 你好 #!"
WORD_END = "</w>"


def main() -> None:
    """Learn the vocabulary and save it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", type=Path, default=BUILD_FOLDER / "world")
    parser.add_argument("--build", type=Path, default=BUILD_FOLDER)
    args = parser.parse_args()
    captions = open_world(args.world).captions
    folder = args.build / "tokenizer"
    vocabulary, merges = learn_vocabulary(captions)
    save_tokenizer(folder, vocabulary, merges)
    finish(folder, **check_tokenizer(folder, captions))


def learn_vocabulary(captions: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Byte-pair merges of the words that occur often, and ids for all tokens."""
    reference = CLIPTokenizer().backend_tokenizer  # for its way of splitting text into words
    learner = Tokenizer(models.BPE(end_of_word_suffix=WORD_END))
    learner.normalizer, learner.pre_tokenizer = reference.normalizer, reference.pre_tokenizer
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=MAX_VOCABULARY - len(alphabet) - 2,  # the alphabet counts twice, see below
        min_frequency=10,
        initial_alphabet=alphabet,
        end_of_word_suffix=WORD_END,
        show_progress=False,
    )
    learner.train_from_iterator(captions, trainer)
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    tokens = [*alphabet, *(letter + WORD_END for letter in alphabet), *("".join(pair) for pair in merges)]
    tokens = list(dict.fromkeys([*tokens, START_TOKEN, END_TOKEN]))
    return {token: index for index, token in enumerate(tokens)}, merges


def save_tokenizer(folder: Path, vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> None:
    """Write the four files that a diffusers checkpoint has in `tokenizer/`."""
    folder.mkdir(parents=True, exist_ok=True)
    special = {"bos_token": START_TOKEN, "eos_token": END_TOKEN, "pad_token": END_TOKEN, "unk_token": END_TOKEN}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_json(folder / "special_tokens_map.json", special)
    configuration = {"tokenizer_class": "CLIPTokenizer", "model_max_length": CONTEXT_LENGTH, "do_lower_case": True}
    write_json(folder / "tokenizer_config.json", configuration | special)


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    """The tokenizer as diffusers loads it."""
    if not (folder / "vocab.json").is_file():
        raise SystemExit(
            f"Expected '{folder / 'vocab.json'}', found none. Run 'python -m tools.miniature.train_tokenizer'."
        )
    return CLIPTokenizer.from_pretrained(folder)


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copy the tokenizer's files into another folder of the checkpoint."""
    target.mkdir(parents=True, exist_ok=True)
    for name in ("vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json"):
        shutil.copyfile(source / name, target / name)


def check_tokenizer(folder: Path, captions: list[str]) -> dict[str, int]:
    """Load it, encode usual and unusual text and back; return figures for the record."""
    tokenizer = load_tokenizer(folder)
    for text in [UNUSUAL_TEXT, *captions[:100]]:
        ids = tokenizer(text).input_ids
        decoded = str(tokenizer.decode(ids, skip_special_tokens=True))
        if "".join(decoded.split()) != "".join(text.lower().split()):
            raise SystemExit(f"Expected {text.lower()!r} back from the tokenizer, got {decoded!r}.")
    if tokenizer.eos_token_id != len(tokenizer) - 1:
        raise SystemExit(f"Expected the end token at id {len(tokenizer) - 1}, found {tokenizer.eos_token_id}.")
    lengths = [len(ids) for ids in tokenizer(list(Counter(captions))[:20_000], truncation=False).input_ids]
    too_long = sum(length > CONTEXT_LENGTH for length in lengths)
    return {"vocabulary": len(tokenizer), "longest_caption": max(lengths), "captions_too_long": too_long}


if __name__ == "__main__":
    main()
