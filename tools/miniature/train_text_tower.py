"""Trains the text tower of the miniature's CLIP on images and captions of the world, and converts it for the UNet.

It learns beside a ViT, which is left behind: train_clip.py trains the image tower that is shipped. Unlike CLIP's own
data, a batch holds the same caption many times, so each image is contrasted with the *distinct* captions, each caption
has all its images as positives, and a little of the target goes to the same digit said in other words. Otherwise it
is CLIP: two towers, one learned temperature, cosine similarity.

Run: python -m tools.miniature.train_text_tower [--steps N | --minutes M] [--threads T]
"""

import math
from pathlib import Path
from typing import cast

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from open_clip import CLIPTextCfg, CLIPVisionCfg
from open_clip.transformer import TextTransformer
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from tools.miniature.settings import CLIP_VISION, CONTEXT_LENGTH, DIGITS, FIRST_VISION, clip_config
from tools.miniature.train_tokenizer import load_tokenizer
from tools.miniature.training import (
    World,
    autocast,
    finish,
    load_average,
    log,
    open_world,
    prepare,
    read_images,
    start,
    steps,
    trainer_arguments,
)

MAX_LOGIT_SCALE = math.log(100)
SAME_DIGIT_SHARE = 0.1  # of the target, for other captions of the same digit
TEXT_TOWER_FILE = "text_tower.safetensors"
PROMPTS = ("a handwritten digit {}", "an image of a {}", "the digit {}", "{}")


def main() -> None:
    """Train, then measure zero-shot accuracy and save the text tower."""
    args = trainer_arguments(__doc__, steps=2500, batch_size=256).parse_args()
    prepare(args)
    world, validation = open_world(args.world), open_world(args.world / "validation")
    folder = args.build / "text_tower"
    tokenizer = load_tokenizer(args.build / "tokenizer")
    distinct, caption_of_row = number_captions(world.captions)
    tokens = tokenize(tokenizer, distinct)
    described = np.flatnonzero(np.array([bool(c.strip()) for c in world.captions]))  # an empty caption says nothing

    model = create_clip(len(tokenizer), FIRST_VISION).to(args.device)
    run = start(folder, args, model, peak_rate=1e-3)
    for learn in steps(run):
        rows = np.random.default_rng((args.seed, run.step)).choice(described, args.batch_size)
        said, first, own = np.unique(caption_of_row[rows], return_index=True, return_inverse=True)
        digits = torch.from_numpy(world.digits[rows].astype(np.int64)).to(args.device)
        with autocast(args):
            image_vectors = model.encode_image(read_images(world, rows, args.device), normalize=True)
            text_vectors = encode_short(model, tokens[said].to(args.device))
        own_caption = F.one_hot(torch.from_numpy(own).to(args.device), len(said)).float()
        same_digit = (digits[:, None] == digits[torch.from_numpy(first).to(args.device)]).float()
        logits = model.logit_scale.exp() * image_vectors.float() @ text_vectors.float().T
        learn(contrastive_loss(logits, own_caption, same_digit))
        with torch.no_grad():
            model.logit_scale.clamp_(0, MAX_LOGIT_SCALE)

    model.cpu().load_state_dict(load_average(folder))
    model.eval()
    save_text_tower(folder, model)
    finish(folder, seconds=round(run.seconds), steps=run.step, **zero_shot_accuracies(model, tokenizer, validation))


def contrastive_loss(logits: Tensor, own_caption: Tensor, same_digit: Tensor) -> Tensor:
    """Symmetric cross-entropy between (b, u) similarities and soft targets.

    Args:
        logits: scaled similarity of b images with u distinct captions.
        own_caption: (b, u), 1 where the caption is the image's own.
        same_digit: (b, u), 1 where the caption describes the image's digit (its own included).
    """
    target = (1 - SAME_DIGIT_SHARE) * share(own_caption) + SAME_DIGIT_SHARE * share(same_digit)
    target_of_text = (1 - SAME_DIGIT_SHARE) * share(own_caption.T) + SAME_DIGIT_SHARE * share(same_digit.T)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target_of_text)) / 2


def share(weights: Tensor) -> Tensor:
    """Scale each row to a sum of 1."""
    return weights / weights.sum(dim=1, keepdim=True)


def number_captions(captions: list[str]) -> tuple[list[str], np.ndarray]:
    """The distinct captions, in order of appearance, and the number of each row's own."""
    numbers: dict[str, int] = {}
    rows = np.fromiter((numbers.setdefault(c, len(numbers)) for c in captions), np.int64, len(captions))
    return list(numbers), rows


def tokenize(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """Token ids, (n, context) int64, padded and truncated as diffusers does it."""
    encoded = tokenizer(texts, padding="max_length", max_length=CONTEXT_LENGTH, truncation=True, return_tensors="pt")
    return encoded.input_ids


def create_clip(vocab_size: int, vision: dict) -> open_clip.CLIP:
    """An untrained CLIP of the miniature's sizes."""
    config = clip_config(vocab_size, vision)
    towers = CLIPVisionCfg(**config["vision_cfg"]), CLIPTextCfg(**config["text_cfg"])
    return open_clip.CLIP(config["embed_dim"], *towers, quick_gelu=config["quick_gelu"])


def encode_short(model: open_clip.CLIP, tokens: Tensor) -> Tensor:
    """What `encode_text` gives, at the cost of the longest caption: a causal tower never looks at the padding.

    Args:
        tokens: (n, context) ids; the end token has the highest id and pads.
    """
    ends = tokens.argmax(dim=1)
    length = int(ends.max()) + 1
    tower = cast("TextTransformer", model)  # open_clip.CLIP takes its text tower's parts as its own
    assert isinstance(tower.attn_mask, Tensor)
    assert isinstance(tower.text_projection, Tensor)
    states = tower.token_embedding(tokens[:, :length]) + tower.positional_embedding[:length]
    states = tower.ln_final(tower.transformer(states, attn_mask=tower.attn_mask[:length, :length]))
    return F.normalize(states[torch.arange(len(tokens)), ends] @ tower.text_projection, dim=-1)


@torch.no_grad()
def zero_shot_accuracies(model: open_clip.CLIP, tokenizer: CLIPTokenizer, world: World) -> dict[str, float]:
    """For each of a few prompts, the share of the images whose nearest of ten texts names their digit."""
    parts = np.array_split(np.arange(len(world)), max(1, len(world) // 250))
    images = torch.cat([model.encode_image(read_images(world, rows), normalize=True) for rows in parts])
    figures = {}
    for prompt in PROMPTS:
        texts = model.encode_text(tokenize(tokenizer, [prompt.format(digit) for digit in DIGITS]), normalize=True)
        correct = (images @ texts.T).argmax(dim=1).numpy() == world.digits
        figures[f"zero_shot '{prompt}'"] = round(float(correct.mean()), 4)
    return figures


def save_text_tower(folder: Path, model: open_clip.CLIP) -> None:
    """Write all that is not the image tower: the text tower, its projection, and the scale of logits."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "text_tower.part"
    save_file(text_side(model.state_dict()), partial)
    partial.replace(folder / TEXT_TOWER_FILE)


def text_side(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights that are not the image tower's, in float32."""
    return {name: value.float().contiguous() for name, value in state.items() if not name.startswith("visual.")}


def load_text_tower(build: Path) -> open_clip.CLIP:
    """A CLIP with the trained text tower, in float32, and an untrained image tower of the shipped form."""
    folder = build / "text_tower"
    if not (folder / "finished.json").is_file():
        raise SystemExit(
            f"Expected a finished text tower in '{folder}'. Run 'python -m tools.miniature.train_text_tower' first."
        )
    learned = load_file(folder / TEXT_TOWER_FILE)
    model = create_clip(len(learned["token_embedding.weight"]), CLIP_VISION)
    model.load_state_dict({**model.state_dict(), **learned})
    return model.eval().requires_grad_(False)


def convert_text_tower(clip: open_clip.CLIP) -> CLIPTextModel:
    """The same text tower as a transformers model, for diffusers: equal weights under other names."""
    state = clip.state_dict()
    vocab_size, width = state["token_embedding.weight"].shape
    sizes = clip_config(vocab_size, CLIP_VISION)["text_cfg"]
    config = CLIPTextConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=state["text_projection"].shape[1],
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"],
        max_position_embeddings=CONTEXT_LENGTH,
        hidden_act="gelu",
        layer_norm_eps=1e-5,
        bos_token_id=vocab_size - 2,
        eos_token_id=vocab_size - 1,
        pad_token_id=vocab_size - 1,
    )
    renamed = {
        "embeddings.token_embedding.weight": state["token_embedding.weight"],
        "embeddings.position_embedding.weight": state["positional_embedding"],
        "final_layer_norm.weight": state["ln_final.weight"],
        "final_layer_norm.bias": state["ln_final.bias"],
    }
    names = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn.out_proj": "self_attn.out_proj"}
    names |= {"mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}
    for layer in range(sizes["layers"]):
        source, target = f"transformer.resblocks.{layer}", f"encoder.layers.{layer}"
        for kind in ("weight", "bias"):
            for ours, theirs in names.items():
                renamed[f"{target}.{theirs}.{kind}"] = state[f"{source}.{ours}.{kind}"]
            joint = state[f"{source}.attn.in_proj_{kind}"].chunk(3)  # open_clip keeps the three in one matrix
            for name, part in zip(("q_proj", "k_proj", "v_proj"), joint, strict=True):
                renamed[f"{target}.self_attn.{name}.{kind}"] = part.contiguous()
    encoder = CLIPTextModel(config)
    encoder.load_state_dict(renamed)
    check_text_tower(clip, encoder.eval())
    return encoder.requires_grad_(False)


@torch.no_grad()
def check_text_tower(clip: open_clip.CLIP, encoder: CLIPTextModel) -> None:
    """Stop unless both text towers say the same of random texts."""
    end = encoder.config.vocab_size - 1
    tokens = torch.randint(0, end, (8, CONTEXT_LENGTH), generator=torch.Generator().manual_seed(0))
    tokens[torch.arange(CONTEXT_LENGTH) >= torch.arange(3, 27, 3)[:, None]] = end
    pooled = encoder(tokens).pooler_output @ clip.text_projection
    difference = float((pooled - clip.encode_text(tokens)).abs().max())
    if not difference <= 1e-4:  # so put, it also catches a NaN
        raise SystemExit(f"Expected equal text towers, but they differ by {difference:.2g}.")
    log(f"text tower converted, largest difference {difference:.1e}")


if __name__ == "__main__":
    main()
