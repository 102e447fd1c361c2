"""Trains the image tower of the miniature's CLIP, a ResNet with BatchNorm, against the locked text tower.

The UNet is conditioned on the text tower, so that one is taken as it is. The image tower learns to agree with it by
the loss that trained it; part of each batch is shrunk and enlarged again, since real images may be as small as eight
pixels.

Run: python -m tools.miniature.train_clip [--steps N | --minutes M] [--threads T]
"""

import math
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from tools.miniature.settings import CLIP_PREPROCESSING, CLIP_VISION, IMAGE_SIZE_PX, clip_config
from tools.miniature.train_text_tower import (
    contrastive_loss,
    load_text_tower,
    number_captions,
    tokenize,
    zero_shot_accuracies,
)
from tools.miniature.train_tokenizer import copy_tokenizer, load_tokenizer
from tools.miniature.training import (
    autocast,
    finish,
    load_average,
    open_world,
    prepare,
    read_images,
    start,
    steps,
    trainer_arguments,
    write_json,
)

SHRUNK_SHARE = 1 / 3  # of a batch
SHRUNK_PX = (8, 24)


def main() -> None:
    """Train, then measure zero-shot accuracy and save as an open_clip folder."""
    args = trainer_arguments(__doc__, steps=4000, batch_size=192).parse_args()
    prepare(args)
    world, validation = open_world(args.world), open_world(args.world / "validation")
    folder = args.build / "clip"
    tokenizer = load_tokenizer(args.build / "tokenizer")
    model = load_text_tower(args.build).to(args.device)
    distinct, caption_of_row = number_captions(world.captions)
    described = np.flatnonzero(np.array([bool(c.strip()) for c in world.captions]))  # an empty caption says nothing
    texts = encode_texts(model, tokenize(tokenizer, distinct), args.device)
    scale = model.logit_scale.exp()

    model.visual.requires_grad_(True).train().to(memory_format=torch.channels_last)
    run = start(folder, args, model, peak_rate=2e-3)
    for learn in steps(run):
        draws = np.random.default_rng((args.seed, run.step))
        rows = draws.choice(described, args.batch_size)
        said, first, own = np.unique(caption_of_row[rows], return_index=True, return_inverse=True)
        digits = torch.from_numpy(world.digits[rows].astype(np.int64)).to(args.device)
        images = shrink_some(read_images(world, rows, args.device), draws)
        with autocast(args):
            vectors = model.encode_image(images.contiguous(memory_format=torch.channels_last), normalize=True)
        logits = scale * vectors.float() @ texts[torch.from_numpy(said).to(args.device)].T
        own_caption = F.one_hot(torch.from_numpy(own).to(args.device), len(said)).float()
        same_digit = (digits[:, None] == digits[torch.from_numpy(first).to(args.device)]).float()
        learn(contrastive_loss(logits, own_caption, same_digit))

    model.cpu().load_state_dict(load_average(folder))
    model.eval()
    save_clip(folder, model.state_dict(), args.build / "tokenizer")
    finish(folder, seconds=round(run.seconds), steps=run.step, **zero_shot_accuracies(model, tokenizer, validation))


@torch.no_grad()
def encode_texts(model: open_clip.CLIP, tokens: Tensor, device: str) -> Tensor:
    """Unit vectors of all captions, (m, d): they never change, so once is enough."""
    return torch.cat([model.encode_text(part.to(device), normalize=True) for part in tokens.split(512)])


def shrink_some(images: Tensor, draws: np.random.Generator) -> Tensor:
    """The first rows of (b, 3, 32, 32) images as they look when they were small once, all of one size."""
    count = math.ceil(SHRUNK_SHARE * len(images))
    side = int(draws.integers(*SHRUNK_PX, endpoint=True))
    small = F.interpolate(images[:count], size=side, mode="bilinear", antialias=True)
    shrunk = F.interpolate(small, size=IMAGE_SIZE_PX, mode="bicubic", antialias=True).clamp(-1, 1)
    return torch.cat([shrunk, images[count:]])


def save_clip(
    folder: Path, state: dict[str, Tensor], tokenizer_folder: Path, dtype: torch.dtype = torch.float32
) -> None:
    """Write what `open_clip.create_model_and_transforms('local-dir:…')` and `get_tokenizer` read."""
    copy_tokenizer(tokenizer_folder, folder)
    config = clip_config(len(state["token_embedding.weight"]), CLIP_VISION)
    write_json(folder / "open_clip_config.json", {"model_cfg": config, "preprocess_cfg": CLIP_PREPROCESSING})
    partial = folder / "open_clip_model.part"
    halved = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}  # BatchNorm counts batches
    save_file({name: value.contiguous() for name, value in halved.items()}, partial)
    partial.chmod(0o644)
    partial.replace(folder / "open_clip_model.safetensors")


def load_clip(build: Path) -> open_clip.CLIP:
    """The finished CLIP, in float32."""
    folder = build / "clip"
    if not (folder / "finished.json").is_file():
        raise SystemExit(f"Expected a finished CLIP in '{folder}'. Run 'python -m tools.miniature.train_clip' first.")
    model = open_clip.create_model(f"local-dir:{folder}")
    if not isinstance(model, open_clip.CLIP):
        raise SystemExit(f"Expected an open_clip.CLIP in '{folder}', got {type(model).__name__}.")
    return model.eval().requires_grad_(False)


if __name__ == "__main__":
    main()
