"""A ResNet image tower with BatchNorm for the miniature's CLIP, its text tower locked: not shipped, for experiments.

He et al. 2023 compare BatchNorm frozen and not while tuning (Table 6); the miniature's own image tower has none. This
one learns to agree with the text tower that is there, and is saved as an open_clip folder of its own:

    python -m tools.miniature.train_resnet_clip --minutes 3.5
    synthset tune sentences --clip local-dir:build/miniature/resnet_clip --real digits --unfreeze-batch-norm
"""

from __future__ import annotations

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from open_clip import CLIPTextCfg, CLIPVisionCfg
from torch import Tensor

from tools.miniature.settings import CLIP_PREPROCESSING, IMAGE_SIZE_PX, clip_config
from tools.miniature.train_clip import (
    PROMPTS,
    contrastive_loss,
    load_clip,
    number_captions,
    save_clip,
    tokenize,
    zero_shot_accuracy,
)
from tools.miniature.train_tokenizer import load_tokenizer
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

VISION = {"image_size": IMAGE_SIZE_PX, "layers": [1, 1, 1, 1], "width": 24, "head_width": 48}
LOGIT_SCALE = 20.0  # fixed: the text tower does not learn


def main() -> None:
    """Train, measure zero-shot accuracy, save as an open_clip folder."""
    args = trainer_arguments(__doc__, steps=2000, batch_size=192).parse_args()
    prepare(args)
    world, validation = open_world(args.world), open_world(args.world / "validation")
    folder = args.build / "resnet_clip"
    tokenizer = load_tokenizer(args.build / "tokenizer")
    model = create_resnet_clip(load_clip(args.build), len(tokenizer)).to(args.device)
    distinct, caption_of_row = number_captions(world.captions)
    described = np.flatnonzero(np.array([bool(caption.strip()) for caption in world.captions]))
    texts = encode_texts(model, tokenize(tokenizer, distinct), args.device)

    run = start(folder, args, model, peak_rate=2e-3)
    model.train()
    for learn in steps(run):
        rows = np.random.default_rng((args.seed, run.step)).choice(described, args.batch_size)
        said, first, own = np.unique(caption_of_row[rows], return_index=True, return_inverse=True)
        digits = torch.from_numpy(world.digits[rows].astype(np.int64)).to(args.device)
        with autocast(args):
            vectors = model.encode_image(read_images(world, rows, args.device), normalize=True)
        logits = LOGIT_SCALE * vectors.float() @ texts[torch.from_numpy(said).to(args.device)].T
        own_caption = F.one_hot(torch.from_numpy(own).to(args.device), len(said)).float()
        learn(contrastive_loss(logits, own_caption, (digits[:, None] == digits[first]).float()))

    model.cpu().load_state_dict(load_average(folder))
    model.eval()
    save_clip(folder, model.state_dict(), args.build / "tokenizer")
    config = {**clip_config(len(tokenizer)), "vision_cfg": VISION}
    write_json(folder / "open_clip_config.json", {"model_cfg": config, "preprocess_cfg": CLIP_PREPROCESSING})
    accuracy = zero_shot_accuracy(model, tokenizer, validation, PROMPTS[0])
    finish(folder, seconds=round(run.seconds), steps=run.step, zero_shot=accuracy)


def create_resnet_clip(clip: open_clip.CLIP, vocab_size: int) -> open_clip.CLIP:
    """An untrained ResNet beside the text tower of `clip`, which is locked."""
    config = clip_config(vocab_size)
    vision, text = CLIPVisionCfg(**VISION), CLIPTextCfg(**config["text_cfg"])
    model = open_clip.CLIP(config["embed_dim"], vision, text, quick_gelu=config["quick_gelu"])
    learned = {name: value for name, value in clip.state_dict().items() if not name.startswith("visual.")}
    model.load_state_dict({**model.state_dict(), **learned})
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith("visual."))
    return model


@torch.no_grad()
def encode_texts(model: open_clip.CLIP, tokens: Tensor, device: str) -> Tensor:
    """Unit vectors of all captions, (m, d): they never change, so once is enough."""
    return torch.cat([model.encode_text(part.to(device), normalize=True) for part in tokens.split(512)])


if __name__ == "__main__":
    main()
