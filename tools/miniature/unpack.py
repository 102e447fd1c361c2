"""Takes the shipped miniature apart into the build folder, so that one part can be trained without making all anew.

The parts come as finished: `python -m tools.miniature` skips them, draws the world where it is missing, and trains what
is not there. To train a part anew, leave it out or delete its folder; to train it further, run its own trainer, which
goes on from the shipped weights with a budget and an optimizer of its own. Weights were rounded to half precision when
they were shipped, so they come back to the bit. A part that is in the build folder already is never replaced.

    python -m tools.miniature.unpack
    rm -r build/miniature/unet && python -m tools.miniature
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import open_clip
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file
from torch import nn
from transformers import T5ForConditionalGeneration

from tools.miniature.settings import BUILD_FOLDER, PACKAGE_FOLDER
from tools.miniature.train_clip import save_clip
from tools.miniature.train_image_adapter import ADAPTER_FILE, add_adapter, save_adapter
from tools.miniature.train_sentences import save_sentence_model
from tools.miniature.train_text_tower import save_text_tower
from tools.miniature.train_tokenizer import copy_tokenizer
from tools.miniature.train_unet import encode_captions, write_rows
from tools.miniature.training import finish, save_checkpoint, start


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, default=PACKAGE_FOLDER)
    parser.add_argument("--build", type=Path, default=BUILD_FOLDER)
    parser.add_argument("--parts", nargs="+", choices=list(UNPACKERS), default=list(UNPACKERS))
    args = parser.parse_args()
    unpack(args.package, args.build, args.parts)


def unpack(package: Path, build: Path, parts: list[str]) -> None:
    """Write the parts into the build folder as if they had been trained there."""
    there = [part for part in parts if (build / part).exists()]
    if there:
        raise SystemExit(f"Expected none of {', '.join(there)} in '{build}'. Delete what is to be replaced.")
    for part in parts:
        UNPACKERS[part](package, build)
        finish(build / part, unpacked_from=str(package))


def unpack_tokenizer(package: Path, build: Path) -> None:
    """The four files as they are."""
    copy_tokenizer(package / "tokenizer", build / "tokenizer")


def unpack_autoencoder(package: Path, build: Path) -> None:
    """A folder of diffusers, and a checkpoint."""
    model = AutoencoderKL.from_pretrained(package / "vae")
    model.save_pretrained(build / "autoencoder")
    save_first_checkpoint(build / "autoencoder", model)


def unpack_text_tower(package: Path, build: Path) -> None:
    """The text side of the CLIP; the image tower that it learned beside was never shipped, so no checkpoint."""
    save_text_tower(build / "text_tower", load_shipped_clip(package))


def unpack_clip(package: Path, build: Path) -> None:
    """A folder of open_clip, and a checkpoint."""
    model = load_shipped_clip(package)
    save_clip(build / "clip", model.state_dict(), package / "tokenizer")
    save_first_checkpoint(build / "clip", model)


def unpack_unet(package: Path, build: Path) -> None:
    """A checkpoint, and the text states of the empty caption, by which `assemble` knows the text tower again."""
    save_first_checkpoint(build / "unet", UNet2DConditionModel.from_pretrained(package / "unet"))
    states = list(encode_captions(build, [""]))
    (build / "unet/encoded").mkdir()
    write_rows(build / "unet/encoded/states.npy", tuple(states[0].shape), states)


def unpack_image_adapter(package: Path, build: Path) -> None:
    """The one file in float32, and a checkpoint of the modules that it becomes in the UNet."""
    state = {name: weights.float() for name, weights in load_file(package / "image_adapter" / ADAPTER_FILE).items()}
    save_adapter(build / "image_adapter", state)
    adapter = add_adapter(UNet2DConditionModel.from_pretrained(package / "unet"), state)
    save_first_checkpoint(build / "image_adapter", adapter)


def unpack_sentences(package: Path, build: Path) -> None:
    """A folder of transformers, and a checkpoint."""
    model = T5ForConditionalGeneration.from_pretrained(package / "sentences", dtype=torch.float32)
    save_sentence_model(build / "sentences", model, package / "tokenizer")
    save_first_checkpoint(build / "sentences", model)


def load_shipped_clip(package: Path) -> open_clip.CLIP:
    """The CLIP of the package, in float32."""
    model = open_clip.create_model(f"local-dir:{package / 'clip'}")
    assert isinstance(model, open_clip.CLIP)
    return model


def save_first_checkpoint(folder: Path, model: nn.Module) -> None:
    """A checkpoint at step 0 whose averaged weights are the model's."""
    save_checkpoint(start(folder, argparse.Namespace(resume=False), model, peak_rate=0.0))


# in training order: the text states of the UNet need the tokenizer and the text tower
UNPACKERS: dict[str, Callable[[Path, Path], None]] = {
    "tokenizer": unpack_tokenizer,
    "autoencoder": unpack_autoencoder,
    "text_tower": unpack_text_tower,
    "clip": unpack_clip,
    "unet": unpack_unet,
    "image_adapter": unpack_image_adapter,
    "sentences": unpack_sentences,
}


if __name__ == "__main__":
    main()
