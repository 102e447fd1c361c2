"""CLIPs of random weights, as folders that open_clip writes."""

import json
from pathlib import Path

import open_clip
import torch
from safetensors.torch import save_file

RESNET = {
    "embed_dim": 12,
    "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
VIT = RESNET | {"vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16}}
PREPROCESSING = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], "interpolation": "bicubic", "resize_mode": "shortest"}


def save_clip(folder: Path, config=RESNET, seed=0, weights="open_clip_model.safetensors", **preprocessing) -> Path:
    """A CLIP of random weights as open_clip keeps it in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = open_clip.CLIP(**config)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):  # statistics that no batch of images has
                torch.nn.init.normal_(module.running_mean, std=0.1)
                torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)  # open_clip begins some of them at zero
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight)
        torch.nn.init.normal_(model.positional_embedding)
        if hasattr(model.visual, "attnpool"):
            torch.nn.init.normal_(model.visual.attnpool.positional_embedding, std=0.01)
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, folder / weights)
    note = {"model_cfg": config, "preprocess_cfg": PREPROCESSING | preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(note))
    return folder
