"""Trains the miniature's word-to-sentence model: a T5 of a million parameters that puts a digit into a sentence.

"five" becomes "a child wrote a small five in blue ink on lined paper". It learns the grammar of captions.py, the
shapes in which a number means a digit and nothing else, and reads with the tokenizer of the CLIP. It keeps to
what it was called, "5" or "the digit five", since a sentence is only of use where it mentions its class.

Run: python -m tools.miniature.train_sentences [--steps N | --minutes M] [--threads T]
Needs the tokenizer, and no pictures.
"""

import argparse
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPTokenizer, T5Config, T5ForConditionalGeneration

from synthset.prompts.classes import with_article
from synthset.prompts.sentences.base import mentions, sentence_key
from synthset.prompts.sentences.seq2seq import BATCH_SIZE, Seq2SeqWriter
from tools.miniature.captions import _clear, _sentence
from tools.miniature.scenes import DIGIT_NAMES, Scene
from tools.miniature.settings import SENTENCE_MODEL_CONFIG
from tools.miniature.train_tokenizer import copy_tokenizer, load_tokenizer
from tools.miniature.training import autocast, finish, load_average, log, prepare, start, steps, trainer_arguments

# how a user may name a digit, and how a sentence then says it
NAMES = (
    ("{}", "{}", 0.5),
    ("digit {}", "digit {}", 0.08),
    ("the digit {}", "digit {}", 0.12),
    ("number {}", "number {}", 0.08),
    ("the number {}", "number {}", 0.08),
    ("handwritten {}", "handwritten {}", 0.07),
    ("a handwritten digit {}", "handwritten digit {}", 0.07),
)
IGNORED = -100  # of a label: no loss
BATCHES_MEASURED = 4  # of samples, a name
PAIRS_MEASURED = 20_000  # which hold nearly all pairs of words that there are
SAMPLES_SHOWN = 3


def main() -> None:
    """Train as the flags say."""
    parser = trainer_arguments(__doc__, steps=4000, batch_size=128)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    args = parser.parse_args()
    prepare(args)
    train(args)


def train(args: argparse.Namespace) -> None:
    """Train on endless pairs, save as a checkpoint of transformers, measure what it writes."""
    folder, tokenizer = args.build / "sentences", load_tokenizer(args.build / "tokenizer")
    model = create_model(tokenizer).to(args.device)
    run = start(folder, args, model, peak_rate=args.learning_rate)
    for learn in steps(run):
        words, sentences = draw_pairs(args.batch_size, np.random.default_rng((args.seed, run.step)))
        with autocast(args):
            loss = sentence_loss(model, tokenizer, words, sentences)
        learn(loss)

    model.cpu().load_state_dict(load_average(folder))
    save_sentence_model(folder, model, args.build / "tokenizer")
    figures = measure(Seq2SeqWriter.from_folder(folder, "miniature", "cpu"))
    finish(folder, seconds=round(run.seconds), steps=run.step, **figures)


def create_model(tokenizer: CLIPTokenizer) -> T5ForConditionalGeneration:
    """An untrained T5 on the miniature's vocabulary; a text starts and ends as CLIP's do."""
    special: dict[str, Any] = {
        "decoder_start_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return T5ForConditionalGeneration(T5Config(vocab_size=len(tokenizer), **(SENTENCE_MODEL_CONFIG | special)))


def draw_pairs(count: int, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Names of digits, and a sentence about each."""
    words, sentences = zip(*(draw_pair(rng) for _ in range(count)), strict=True)
    return list(words), list(sentences)


def draw_pair(rng: np.random.Generator) -> tuple[str, str]:
    """One name of a digit and one sentence: the caption says the name that was given, after the article it needs."""
    digit = int(rng.integers(10))
    name = DIGIT_NAMES[digit] if rng.random() < 0.75 else str(digit)
    asked, said, _ = NAMES[rng.choice(len(NAMES), p=[share for *_, share in NAMES])]
    # a longer name would stand twice in "the digit digit five"
    shape = _clear if said == "{}" and rng.random() < 0.2 else _sentence
    caption, _ = shape(Scene(digit=digit), rng)
    caption = re.sub(rf"\b({DIGIT_NAMES[digit]}|{digit})\b", said.format(name), caption)
    caption = re.sub(r"\ban? (?=(\w+))", lambda article: with_article(article[1]).split()[0] + " ", caption)
    caption = re.sub(r"\ba (digit|number) ", r"the \1 ", caption)
    return asked.format(name), caption


def sentence_loss(
    model: T5ForConditionalGeneration, tokenizer: CLIPTokenizer, words: list[str], sentences: list[str]
) -> Tensor:
    """Mean cross-entropy of the tokens of each sentence, given its words and the tokens before."""
    given = tokenizer(words, padding=True, return_tensors="pt").to(model.device)
    wanted = tokenizer(sentences, padding=True, truncation=True, return_tensors="pt").to(model.device)
    labels = wanted.input_ids[:, 1:]  # the start is given to the decoder, not asked of it
    labels = labels.masked_fill(wanted.attention_mask[:, 1:] == 0, IGNORED)
    loss = model(input_ids=given.input_ids, attention_mask=given.attention_mask, labels=labels).loss
    assert loss is not None
    return loss


def save_sentence_model(
    folder: Path, model: T5ForConditionalGeneration, tokenizer_folder: Path, dtype: torch.dtype = torch.float32
) -> None:
    """Write a folder that AutoModelForSeq2SeqLM and AutoTokenizer load. Changes the model's precision."""
    torch.nn.Module.to(model, dtype)
    model.save_pretrained(folder)
    copy_tokenizer(tokenizer_folder, folder)


def load_sentence_model(build: Path) -> T5ForConditionalGeneration:
    """The model of the newest checkpoint, finished or not, with averaged weights."""
    model = create_model(load_tokenizer(build / "tokenizer"))
    model.load_state_dict(load_average(build / "sentences"))
    return model


def measure(writer: Seq2SeqWriter) -> dict[str, float]:
    """Shares of the samples that mention the name, are distinct, and are grammatical, over some names; shows a few.

    A sentence counts as grammatical where each of its words follows the one before in some sentence of captions.py.
    """
    names = [asked.format(DIGIT_NAMES[digit] if digit % 3 else digit) for digit, (asked, *_) in enumerate(NAMES)]
    known = word_pairs(draw_pairs(PAIRS_MEASURED, np.random.default_rng(1))[1])
    mentioned, distinct, grammatical = [], [], []
    for name in names:
        samples = [text for batch in range(BATCHES_MEASURED) for text in writer.sample(name, batch)]
        log(f"sentences: {name} → " + "; ".join(samples[:SAMPLES_SHOWN]))
        count = BATCHES_MEASURED * BATCH_SIZE  # those without an end are missing
        mentioned.append(sum(mentions(text, name) for text in samples) / count)
        distinct.append(len({sentence_key(text) for text in samples}) / count)
        grammatical.append(sum(word_pairs([text]) <= known for text in samples) / count)
    figures = {"mentioned": mentioned, "distinct": distinct, "grammatical": grammatical}
    return {key: round(float(np.mean(shares)), 4) for key, shares in figures.items()}


def word_pairs(sentences: list[str]) -> set[tuple[str, str]]:
    """The words that follow each other somewhere; digits are all alike."""
    pairs = set()
    for sentence in sentences:
        words = ["", *("#" if word in DIGIT_NAMES or word.isdigit() else word for word in sentence.split()), ""]
        pairs.update(pairwise(words))
    return pairs


if __name__ == "__main__":
    main()
