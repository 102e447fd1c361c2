"""Sentences by an encoder-decoder, on one that is trained in seconds."""

import json
import shutil

import pytest
import torch

from prompts.sentences.tiny_t5 import ENDS, STARTS, build_t5
from synthset.core.errors import ModelError
from synthset.prompts.sentences import load_writer, seq2seq


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return build_t5(tmp_path_factory.mktemp("models") / "t5")


@pytest.fixture(scope="session")
def writer(folder):
    return load_writer(str(folder), device="cpu")


@pytest.fixture
def copied(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copied")


def test_sentences_are_distinct_mention_the_class_and_follow_the_model(writer):
    sentences = writer.write("five", "", 6, seed=1)
    assert len(set(sentences)) == 6
    assert all("five" in sentence.split() for sentence in sentences)
    learned = {f"{start} five {end}" for start in STARTS for end in ENDS}
    assert len(learned & set(sentences)) >= 4


def test_the_same_seed_gives_the_same_and_fewer_are_the_first_of_more(writer):
    six = writer.write("five", "", 6, seed=1)
    assert writer.write("five", "", 6, seed=1) == six
    assert writer.write("five", "", 4, seed=1) == six[:4]
    assert writer.write("five", "", 6, seed=2) != six
    assert writer.sample("two", 3) != writer.sample("two", 4)


def test_the_phrase_is_what_the_model_is_given(writer):
    assert all("two" in sentence for sentence in writer.write("2", "two", 5, seed=0))


@pytest.mark.parametrize("part", ["tokenizer", "model"])
def test_whatever_a_model_raises_in_use_is_one_line(part, writer, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("index out of range\nat line 3")

    monkeypatch.setattr(
        *((type(writer.tokenizer), "__call__") if part == "tokenizer" else (writer.model, "generate")), fail
    )
    with pytest.raises(ModelError, match=r"cannot write about 'five' \(index out of range\)\.$"):
        writer.write("five", "", 6, seed=1)


def test_sampling_leaves_the_global_random_state_and_threads_alone(writer):
    torch.manual_seed(7)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        first = writer.sample("five", 0)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    assert writer.sample("five", 0) == first


def test_a_model_that_runs_dry_or_misses_the_class_says_so(writer, folder, monkeypatch):
    monkeypatch.setattr(seq2seq, "_MAX_ROUNDS_OF_EACH", 1)
    with pytest.raises(
        ModelError, match=r"^Expected 200 distinct sentences about 'five' from '.*t5', got \d+ after 25\d"
    ):
        writer.write("five", "", 200, seed=0)
    with pytest.raises(ModelError, match=r"about 'zebra' .* do not mention it\)\. .*too \(require_mention=False\)\.$"):
        writer.write("zebra", "", 5, seed=0)
    anything = load_writer(str(folder), device="cpu", require_mention=False)
    assert len(anything.write("zebra", "", 5, seed=0)) == 5


def test_the_fingerprint_covers_weights_vocabulary_and_what_counts(writer, folder, copied):
    assert load_writer(str(copied), device="cpu").fingerprint == writer.fingerprint
    assert load_writer(str(copied), device="cpu", require_mention=False).fingerprint != writer.fingerprint
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(config | {"note": 1}))
    assert load_writer(str(copied), device="cpu").fingerprint != writer.fingerprint


def remove_weights(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def remove_vocabulary(folder):
    for path in folder.glob("*token*"):
        path.unlink()


def tear_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:2000])


def need_another_vocabulary(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 100}))


def make_a_decoder(folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2"}))


def ask_for_code(folder):
    auto_map = {"AutoModelForSeq2SeqLM": "evil.Evil", "AutoConfig": "evil.Config"}
    (folder / "config.json").write_text(json.dumps({"model_type": "evil", "auto_map": auto_map}))
    (folder / "evil.py").write_text(f"open({str(folder / 'ran')!r}, 'w').close()")


def lose_a_layer(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_layers": 2}))


def leave_sentencepiece_only(folder):
    remove_vocabulary(folder)
    (folder / "spiece.model").write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (remove_weights, "pickled weights are not read"),
        (remove_vocabulary, "cannot write sentences"),
        (tear_weights, "cannot write sentences"),
        (need_another_vocabulary, "cannot write sentences"),
        (make_a_decoder, "cannot write sentences"),
        (ask_for_code, "cannot write sentences"),
        (lose_a_layer, "of its tensors are missing"),
        (leave_sentencepiece_only, "pip install sentencepiece protobuf"),
    ],
)
def test_spoilt_checkpoints_are_refused_in_one_line(spoil, reason, copied, monkeypatch):
    monkeypatch.setattr(seq2seq, "is_sentencepiece_available", lambda: False)
    spoil(copied)
    with pytest.raises(ModelError, match=reason) as error:
        load_writer(str(copied), device="cpu")
    assert "\n" not in str(error.value)
    assert not (copied / "ran").exists()
