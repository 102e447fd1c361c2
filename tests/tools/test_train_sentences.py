"""The trainer of the miniature's word-to-sentence model: its pairs, and the way from nothing to a checkpoint."""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tools.miniature import train_sentences
from tools.miniature.settings import PARTS, SENTENCE_MODEL_CONFIG
from tools.miniature.train_sentences import create_model, draw_pairs, load_sentence_model, save_sentence_model, train
from tools.miniature.train_tokenizer import load_tokenizer

from synthset.miniature import FOLDER
from synthset.prompts.sentences import load_writer
from synthset.prompts.sentences.base import mentions


def test_pairs_say_what_they_were_asked_for():
    words, sentences = draw_pairs(3000, np.random.default_rng(0))
    assert all(mentions(sentence, name) for name, sentence in zip(words, sentences, strict=True))
    assert {"five", "5", "the digit five", "number 8", "a handwritten digit two"} <= set(words)
    assert len(set(sentences)) > 2700
    text = f" {' . '.join(sentences)} "
    for wrong in (" a eight ", " a 8 ", " an one ", " an five ", " digit digit ", " a digit ", " a number "):
        assert wrong not in text
    assert draw_pairs(3000, np.random.default_rng(0)) == (words, sentences)


def test_the_model_is_small():
    assert "sentences" in PARTS
    parameters = create_model(load_tokenizer(FOLDER / "tokenizer")).num_parameters()
    assert 2 * parameters < 3_300_000  # bytes in half precision


@pytest.fixture
def args(tmp_path, monkeypatch):
    small = {"d_model": 16, "d_ff": 16, "d_kv": 8, "num_heads": 2, "num_layers": 1, "num_decoder_layers": 1}
    for key, value in small.items():
        monkeypatch.setitem(SENTENCE_MODEL_CONFIG, key, value)
    monkeypatch.setattr(train_sentences, "NAMES", (("the {}", "{}", 1.0),))
    monkeypatch.setattr(train_sentences, "BATCHES_MEASURED", 1)
    monkeypatch.setattr(train_sentences, "PAIRS_MEASURED", 10)
    shutil.copytree(FOLDER / "tokenizer", tmp_path / "tokenizer")
    return argparse.Namespace(
        build=tmp_path, steps=3, minutes=None, batch_size=8, device="cpu", precision="float32", seed=0,
        checkpoint_minutes=5, resume=True, learning_rate=1e-3,
    )  # fmt: skip


def test_training_is_resumed_and_its_result_loads_in_half_precision(args, tmp_path, capsys):
    torch.manual_seed(0)
    train(args)
    args.steps = 5
    train(args)
    assert "going on from step 3" in capsys.readouterr().err
    folder = tmp_path / "sentences"
    finished = json.loads((folder / "finished.json").read_text())
    assert finished["steps"] == 5
    assert set(finished) == {"seconds", "steps", "mentioned", "distinct", "grammatical"}

    half = tmp_path / "half"
    save_sentence_model(half, load_sentence_model(Path(args.build)), tmp_path / "tokenizer", torch.float16)
    size = {name: (tmp_path / name / "model.safetensors").stat().st_size for name in ("sentences", "half")}
    assert size["half"] < 0.6 * size["sentences"]
    writer = load_writer(str(half), device="cpu", require_mention=False)
    assert next(writer.model.parameters()).dtype == torch.float32
    assert isinstance(writer.sample("five", 0), list)
