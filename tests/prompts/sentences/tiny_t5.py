"""A word-to-sentence model small enough for tests: a T5 of 60,000 weights that has learned eight sentences."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer, T5Config, T5ForConditionalGeneration

STARTS = ("a child wrote a", "someone drew the", "a large", "the small")
ENDS = ("on the wall", "in red ink")


def build_t5(folder: Path, names: tuple[str, ...] = ("five", "two")) -> Path:
    """Write a T5 that says a name and something around it to `folder`, and return it."""
    words = {word for text in (*STARTS, *ENDS, *names) for word in text.split()}
    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *(f"{word}</w>" for word in sorted(words))]
    merges = [pair for word in sorted(words) for pair in _merges(word)]
    tokens = list(dict.fromkeys([*tokens, *("".join(pair) for pair in merges), "<|startoftext|>", "<|endoftext|>"]))
    tokenizer = CLIPTokenizer(vocab={token: i for i, token in enumerate(tokens)}, merges=merges, model_max_length=32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = T5ForConditionalGeneration(
            T5Config(
                vocab_size=len(tokenizer),
                d_model=32,
                d_kv=16,
                d_ff=64,
                num_heads=2,
                num_layers=1,
                num_decoder_layers=1,
                dropout_rate=0.0,
                decoder_start_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
        _learn(model, tokenizer, names)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _learn(model: T5ForConditionalGeneration, tokenizer: CLIPTokenizer, names: tuple[str, ...]) -> None:
    pairs = [(name, f"{start} {name} {end}") for name in names for start in STARTS for end in ENDS]
    given = tokenizer([name for name, _ in pairs], padding=True, return_tensors="pt")
    wanted = tokenizer([sentence for _, sentence in pairs], padding=True, return_tensors="pt")
    labels = wanted.input_ids[:, 1:].masked_fill(wanted.attention_mask[:, 1:] == 0, -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(80):
        loss = model(input_ids=given.input_ids, attention_mask=given.attention_mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _merges(word: str) -> list[tuple[str, str]]:
    parts = [*word[:-1], f"{word[-1]}</w>"]
    pairs = []
    while len(parts) > 1:
        pairs.append((parts[0], parts[1]))
        parts[:2] = [parts[0] + parts[1]]
    return pairs
