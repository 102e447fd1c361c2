"""CoOp against a plain reference, through text encoders of every kind, and what becomes of its result."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from open_clip.hf_model import HFTextEncoder
from PIL import Image
from safetensors.torch import load_file
from torch.nn import functional
from transformers import RobertaConfig
from tuning_bars import encoder as bars_encoder
from tuning_bars import real, synthetic

from bars import NAMES
from synthset.core.errors import UsageError
from synthset.encoders.clip import OpenClipEncoder, load_encoder
from synthset.encoders.embed import EmbeddingCache, embed_images
from synthset.tuning import loop
from synthset.tuning.baselines import BASELINES
from synthset.tuning.config import TuneConfig, check_read, resolve_config
from synthset.tuning.coop import prompt_head, token_layer
from synthset.tuning.curve import TUNINGS, tune_curve
from synthset.tuning.curve_chart import COLOURS
from synthset.tuning.curve_chart import NAMES as NAMES_OF_METHODS
from synthset.tuning.evaluate import evaluate_on
from synthset.tuning.few_shot import draw_shots
from synthset.tuning.saving import load_tuned
from synthset.tuning.stage import tune
from tiny_clip import VIT, save_clip

TEXT = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
SIGLIP = {"no_causal_mask": True, "pool_type": "last", "proj_bias": True}
SMALL = {"method": "coop", "context_length": 4, "shots": 3, "epochs": 4}
SENTENCE = "a photo of a"


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = save_clip(tmp_path_factory.mktemp("clip") / "vit", VIT | {"text_cfg": TEXT})
    return load_encoder(str(folder), device="cpu", dtype="float32")


@pytest.fixture
def options(clip, tmp_path):
    return {**SMALL, "encoder": clip, "cache": EmbeddingCache(tmp_path / "cache"), "real": real()}


# ---- the reference: the text tower and SGD in plain tensors --------------------------------------------------


def plain_class_vectors(model, names, context):
    """Unit vectors (k, d) of the classes by the weights of a CLIP's text tower, read by their names."""
    from open_clip import SimpleTokenizer

    w, words, rows = model.state_dict(), SimpleTokenizer(), []
    begin, end = words.encoder["<start_of_text>"], words.encoder["<end_of_text>"]
    for name in names:
        before, after = (w["token_embedding.weight"][ids] for ids in ([begin], [*words.encode(f"{name}."), end]))
        x = torch.cat([before, context, after])  # without padding, which no earlier token sees
        x = x + w["positional_embedding"][: len(x)]
        unseen = torch.ones(len(x), len(x)).triu(1).bool()
        for i in range(TEXT["layers"]):
            layer = model.transformer.resblocks[i].state_dict()
            y = functional.layer_norm(x, x.shape[1:], layer["ln_1.weight"], layer["ln_1.bias"])
            q, k, v = (y @ layer["attn.in_proj_weight"].T + layer["attn.in_proj_bias"]).chunk(3, dim=1)
            heads = []
            for part in torch.arange(TEXT["width"]).chunk(TEXT["heads"]):
                scores = q[:, part] @ k[:, part].T / math.sqrt(len(part))
                heads.append(scores.masked_fill(unseen, -math.inf).softmax(1) @ v[:, part])
            x = x + torch.cat(heads, 1) @ layer["attn.out_proj.weight"].T + layer["attn.out_proj.bias"]
            y = functional.layer_norm(x, x.shape[1:], layer["ln_2.weight"], layer["ln_2.bias"])
            y = y @ layer["mlp.c_fc.weight"].T + layer["mlp.c_fc.bias"]
            y = y * (1 + torch.erf(y / math.sqrt(2))) / 2
            x = x + y @ layer["mlp.c_proj.weight"].T + layer["mlp.c_proj.bias"]
        last = functional.layer_norm(x[-1], x.shape[1:], w["ln_final.weight"], w["ln_final.bias"])
        rows.append(last @ w["text_projection"])
    rows = torch.stack(rows)
    return rows / rows.norm(dim=1, keepdim=True)


def plain_logits(clip, names, context, vectors):
    return math.exp(float(clip.model.logit_scale)) * vectors @ plain_class_vectors(clip.model, names, context).T


def plain_loss(clip, names, context, vectors, labels):
    logits = plain_logits(clip, names, context, vectors)
    return (logits.logsumexp(1) - logits[torch.arange(len(labels)), labels]).mean()


def test_logits_and_gradients_are_those_of_the_reference(clip):
    names = ("left", "house_wren", "red panda")
    head = prompt_head(clip, names, seed=3, length=5)
    assert head.context.shape == (5, 16)
    assert 0.01 < head.context.std() < 0.03
    vectors, labels = embed_images(synthetic(2), clip), torch.tensor([0, 0, 1, 1, 2, 2])
    logits = head(vectors)
    context = head.context.detach().clone().requires_grad_()
    names = ("left", "house wren", "red panda")
    torch.testing.assert_close(logits, plain_logits(clip, names, context, vectors))
    functional.cross_entropy(logits, labels).backward()
    plain_loss(clip, names, context, vectors, labels).backward()
    assert context.grad.abs().min() > 0
    torch.testing.assert_close(head.context.grad, context.grad, rtol=1e-4, atol=1e-7)
    assert all(weight.grad is None for weight in clip.model.parameters())


def test_tuning_is_sgd_by_epochs_after_one_to_warm_up(clip, options, tmp_path):
    steps, highest = [], 100.0  # gradients of random weights are small
    result = tune(None, tmp_path / "model", watch=steps.append, seed=1, learning_rate=highest, **options)
    rates = [1e-5, *(highest * (1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in range(3))]
    assert [step.learning_rate for step in steps] == pytest.approx(rates)
    assert [epoch.learning_rate for epoch in result.history] == pytest.approx(rates)
    # nine shots are one batch, whose order does not matter
    shots = draw_shots(real(), None, 3, 1)
    vectors, labels = embed_images(shots, clip), torch.tensor(shots.labels)
    saved = load_file(result.folder / "model.safetensors")
    context = prompt_head(clip, NAMES, _seed_of_context(1), length=4).context.detach()
    begin, velocity, losses = context, 0.0, []
    for rate in rates:
        context = context.clone().requires_grad_()
        loss = plain_loss(clip, NAMES, context, vectors, labels)
        losses.append(float(loss.detach()))
        (gradient,) = torch.autograd.grad(loss, context)
        context = context.detach()
        velocity = 0.9 * velocity + gradient + 5e-4 * context
        context = context - rate * velocity
    torch.testing.assert_close(saved["head.context"], context, rtol=1e-3, atol=1e-5)
    assert (context - begin).abs().max() > 1e-2  # a thousand times what is forgiven
    assert [epoch.train_loss for epoch in result.history] == pytest.approx(losses, rel=1e-4)
    classes = plain_class_vectors(clip.model, NAMES, context)
    torch.testing.assert_close(
        saved["head.weight"], math.exp(float(clip.model.logit_scale)) * classes, rtol=1e-3, atol=1e-4
    )
    assert saved["head.bias"].tolist() == [0, 0, 0]


def _seed_of_context(seed):
    from synthset.core.seeds import derive_seed

    return derive_seed(seed, "context")


# ---- text encoders of every kind -----------------------------------------------------------------------------


def of_words(names, length):
    """A tokeniser of whole words: 0 begins a text, 2 ends it, and 1 fills up."""
    known = {word: 3 + i for i, word in enumerate(sorted({word for text in names for word in text.split()}))}

    def tokenize(texts):
        rows = [[0, *(known[word] for word in text.split()), 2] for text in texts]
        return torch.tensor([row + [1] * (length - len(row)) for row in rows])

    return tokenize


def of_transformers():
    """A text tower that transformers built."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    torch.manual_seed(0)
    tower = HFTextEncoder(
        "", 12, RobertaConfig(vocab_size=50, max_position_embeddings=20, **sizes), "mean_pooler", "linear"
    )
    clip = object.__new__(OpenClipEncoder)
    clip._model = SimpleNamespace(text=tower.eval().requires_grad_(False), encode_text=tower)
    texts = ["", SENTENCE, *(f"{name}." for name in NAMES)]
    clip._tokenizer = of_words(texts, 16)
    clip.name, clip.logit_scale = "roberta", 10.0
    clip._device, clip._dtype = torch.device("cpu"), torch.float32
    return clip


def as_t5(tokenize):
    """As T5 has it: nothing begins a text, and what ends it also fills it up."""

    def without_begin(texts):
        rows = tokenize(texts)[:, 1:]
        rows = torch.cat([rows, torch.zeros_like(rows[:, :1])], dim=1)
        return rows.masked_fill(rows == rows.max(), 0)

    return without_begin


@pytest.mark.parametrize("kind", ["clip", "siglip", "transformers", "miniature"])
def test_a_context_of_words_begins_as_the_sentence(kind, clip, tmp_path):
    """Whatever marks begin and end a text, and whichever token is pooled."""
    if kind == "siglip":
        config = VIT | {"text_cfg": TEXT | SIGLIP, "custom_text": True}
        clip = load_encoder(str(_save_custom(tmp_path / "clip", config)), device="cpu", dtype="float32")
        clip._tokenizer = as_t5(clip._tokenizer)
    elif kind != "clip":
        clip = of_transformers() if kind == "transformers" else load_encoder(device="cpu")
    layer, sentences = token_layer(clip.model), [f"{SENTENCE} {name}." for name in NAMES]
    plain = functional.normalize(clip.model.encode_text(clip.tokenize(sentences)), dim=1)
    head = prompt_head(clip, NAMES, 0, words=SENTENCE)
    assert len(head.context) == 4
    torch.testing.assert_close(head.prompts.class_vectors(head.context), plain, rtol=1e-5, atol=1e-5)
    head.prompts.class_vectors(head.context)[0, 0].backward()
    assert (head.context.grad.abs().sum(1) > 0).all()
    other = head.prompts.class_vectors(head.context + torch.randn_like(head.context))
    assert not torch.allclose(other, plain, atol=1e-2)
    assert not layer._forward_hooks


def _save_custom(folder, config):
    """A CLIP whose text tower is a module of its own."""
    import open_clip
    from safetensors.torch import save_file

    save_clip(folder)
    torch.manual_seed(0)
    model = open_clip.CustomTextCLIP(**{key: value for key, value in config.items() if key != "custom_text"})
    torch.nn.init.normal_(model.text.positional_embedding)
    save_file(
        {key: value.contiguous() for key, value in model.state_dict().items()}, folder / "open_clip_model.safetensors"
    )
    note = json.loads((folder / "open_clip_config.json").read_text())
    (folder / "open_clip_config.json").write_text(json.dumps(note | {"model_cfg": config}))
    return folder


# ---- what becomes of it --------------------------------------------------------------------------------------


def test_the_result_is_read_as_any_other(clip, options, tmp_path):
    untouched = {name: value.clone() for name, value in clip.model.state_dict().items()}
    result = tune(synthetic(4), tmp_path / "model", **options | {"learning_rate": 0.5})
    assert all(torch.equal(value, untouched[name]) for name, value in clip.model.state_dict().items())
    assert (result.config.method, result.num_synthetic, result.num_real) == ("coop", 12, 9)
    classifier = load_tuned(result.folder, encoder=clip)
    vectors = embed_images(real(), clip)
    context = load_file(result.folder / "model.safetensors")["head.context"]
    torch.testing.assert_close(
        classifier.logits(vectors), plain_logits(clip, NAMES, context, vectors), rtol=1e-4, atol=1e-4
    )
    before, after = evaluate_on(result.folder, real(), encoder=clip, cache=options["cache"])
    assert before.n == after.n == 18
    picture = Image.fromarray(np.zeros((32, 32, 3), np.uint8))
    assert classifier.predict_images(picture).probabilities.shape == (1, 3)
    again = tune(synthetic(4), tmp_path / "again", **options | {"learning_rate": 0.5})
    assert (again.folder / "model.safetensors").read_bytes() == (result.folder / "model.safetensors").read_bytes()
    other = tune(synthetic(4), tmp_path / "other", **options | {"learning_rate": 0.5, "seed": 1})
    assert not torch.equal(load_file(other.folder / "model.safetensors")["head.context"], context)
    with pytest.raises(UsageError, match=r"method.*coop.*classifier|method.*classifier.*coop"):
        tune(
            synthetic(4),
            result.folder,
            **options | {"learning_rate": 0.5, "method": "classifier", "context_length": None},
        )


def test_a_killed_tuning_of_the_context_goes_on_and_ends_alike(options, tmp_path, monkeypatch):
    monkeypatch.setattr("synthset.classifiers.checkpoints.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr("synthset.classifiers.checkpoints.CHECKPOINT_SHARE", 1e9)
    whole = tune(None, tmp_path / "whole", **options, real_batch_size=4)
    tune_epoch, epochs = loop._tune_epoch, []

    def killed(*arguments):
        epochs.append(arguments[2])
        if len(epochs) == 3:
            raise KeyboardInterrupt
        return tune_epoch(*arguments)

    monkeypatch.setattr(loop, "_tune_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        tune(None, tmp_path / "killed", **options, real_batch_size=4)
    resumed = tune(None, tmp_path / "killed", **options, real_batch_size=4)
    assert epochs == [0, 1, 2, 2, 3]
    assert (resumed.folder / "model.safetensors").read_bytes() == (whole.folder / "model.safetensors").read_bytes()


def test_a_context_is_learned_from_augmented_images(options, tmp_path):
    plain = tune(None, tmp_path / "plain", **options)
    varied = tune(None, tmp_path / "varied", **options, augmentation="standard")
    one, other = (load_file(result.folder / "model.safetensors") for result in (plain, varied))
    assert sorted(one) == sorted(other) == ["head.bias", "head.context", "head.weight"]
    assert not torch.equal(one["head.context"], other["head.context"])


def test_a_curve_has_it_by_its_papers_settings(clip, options, tmp_path):
    shared = {name: options[name] for name in ("encoder", "cache", "real", "context_length")}
    given = {"epochs": 1, "learning_rate": 0.1, "encoder_share": 0.1, "compare": ("coop", "tip_adapter")}
    curve = tune_curve(synthetic(4), tmp_path / "curve", (0, 1), 1, **shared, **given)
    assert {(point.method, point.shots) for point in curve.points} == {
        ("real + synthetic", 0),
        ("real + synthetic", 1),
        ("real", 1),
        ("coop", 1),
        ("tip_adapter", 1),
    }
    jobs = {
        path.parent.name: json.loads(path.read_text())["job"]["config"]
        for path in (tmp_path / "curve/models/shots-01").rglob("training.json")
    }
    names = ("method", "epochs", "learning_rate", "weight_decay", "max_grad_norm", "encoder_share")
    assert [jobs["coop"][name] for name in names] == ["coop", 50, 2e-3, 5e-4, None, 0.0]
    assert [jobs["real-only"][name] for name in names] == ["classifier", 1, 0.1, 0.1, 1.0, 0.1]


def test_no_two_methods_of_a_curve_have_one_colour():
    """Of eight lines two were of one blue."""
    methods = {"real + synthetic", "real", *TUNINGS, *BASELINES}
    assert len(set(COLOURS)) >= len(methods) == 8
    assert set(NAMES_OF_METHODS) == methods


# ---- settings ------------------------------------------------------------------------------------------------


def test_epochs_go_by_the_shots():
    epochs = [resolve_config(TuneConfig(method="coop", shots=shots)).epochs for shots in (0, 1, 2, 4, 8, 16)]
    assert epochs == [50, 50, 100, 100, 200, 200]
    assert resolve_config(TuneConfig(method="CoOp", shots=1, epochs=7, max_grad_norm=2.0)).epochs == 7
    config = resolve_config(TuneConfig(shots=16))
    assert (config.epochs, config.weight_decay, config.max_grad_norm) == (30, 0.1, 1.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"text_initialisation": False}, "Expected method=classifier with text_initialisation=False, got coop"),
        ({"encoder_share": 0.5}, "Expected method=classifier with encoder_share=0.5, got coop"),
        ({"context_words": "a photo"}, "context_length=4 or context_words='?a photo'?, got both"),
        ({"context_length": 13}, "at most 1 tokens with context_length=13.* reads 16, got longer ones: left"),
        ({"context_length": None}, "at most 0 tokens with context_length=16"),
        ({"encoder": bars_encoder()}, "an encoder that open_clip built for coop, got 'bars'"),
    ],
)
def test_what_does_not_go_with_it(options, tmp_path, change, words):
    with pytest.raises(UsageError, match=words):
        tune(None, tmp_path / "model", **options | change)
    assert not (tmp_path / "model").exists()


def test_a_context_that_nothing_reads_is_refused():
    config = TuneConfig(context_length=8)
    with pytest.raises(UsageError, match="Expected method=coop with context_length=8, which has no effect without"):
        check_read(config, has_synthetic=True, has_shots=True)
    check_read(config, has_synthetic=True, has_shots=True, compare=("coop",))
