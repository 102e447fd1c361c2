"""Puts the trained parts together as a Stable Diffusion checkpoint in half precision, with what belongs to it: its
CLIP, its image adapter and its word-to-sentence model.

Takes the newest checkpoint of the UNet, finished or not, so that an early miniature can be tried while the
training goes on. Only the entries named here are replaced; a card or a module in the folder stays as it is.

Run: python -m tools.miniature.assemble [--output FOLDER]
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion import StableDiffusionPipelineOutput
from safetensors.torch import load_file
from transformers import CLIPTextModel, CLIPTokenizer

from synthset.prompts.sentences.seq2seq import Seq2SeqWriter
from tools.miniature.settings import BUILD_FOLDER, CLIP_DIMENSION, IMAGE_SIZE_PX, PACKAGE_FOLDER, SCHEDULER_CONFIG
from tools.miniature.train_autoencoder import load_autoencoder
from tools.miniature.train_clip import load_clip, save_clip
from tools.miniature.train_image_adapter import ADAPTER_FILE, published, save_adapter
from tools.miniature.train_sentences import load_sentence_model, save_sentence_model
from tools.miniature.train_text_tower import convert_text_tower, tokenize
from tools.miniature.train_tokenizer import copy_tokenizer, load_tokenizer
from tools.miniature.train_unet import load_unet
from tools.miniature.training import load_average, write_json

MAX_BYTES = 25_000_000
ENTRIES = (
    "tokenizer",
    "text_encoder",
    "unet",
    "vae",
    "scheduler",
    "image_adapter",
    "clip",
    "sentences",
    "model_index.json",
)


def main() -> None:
    """Assemble, check that it draws, print sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=BUILD_FOLDER)
    parser.add_argument("--output", type=Path, default=PACKAGE_FOLDER)
    args = parser.parse_args()
    assemble(args.build, args.output)
    print_sizes(args.output)


def assemble(build: Path, output: Path) -> None:
    """Write the checkpoint's folders beside the old ones, test them, then put them in place."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output, prefix=".assembling-") as name:
        fresh = Path(name)
        write_parts(build, fresh)
        check(fresh)
        for entry in ENTRIES:
            replace(fresh / entry, output / entry)


def write_parts(build: Path, output: Path) -> None:
    """Write every component, and the index that names them."""
    clip = load_clip(build)
    text_encoder, tokenizer = convert_text_tower(clip), load_tokenizer(build / "tokenizer")
    check_text_states(text_encoder, tokenizer, build / "unet/encoded/states.npy")
    components: dict[str, Any] = {
        "vae": load_autoencoder(build),
        "text_encoder": text_encoder,
        "tokenizer": tokenizer,
        "unet": load_unet(build),
        "scheduler": DDIMScheduler(**SCHEDULER_CONFIG),
        "safety_checker": None,
        "feature_extractor": None,
    }
    pipeline = StableDiffusionPipeline(**components, requires_safety_checker=False)
    pipeline.to(dtype=torch.float16).save_pretrained(output)
    save_adapter(output / "image_adapter", published(load_average(build / "image_adapter")), torch.float16)
    save_sentence_model(output / "sentences", load_sentence_model(build), build / "tokenizer", torch.float16)
    forget_origin(output)
    for path in output.rglob("*.safetensors"):
        path.chmod(0o644)  # safetensors keeps them from other users
    save_clip(output / "clip", clip.state_dict(), build / "tokenizer", torch.float16)
    shutil.rmtree(output / "tokenizer")  # transformers 5 writes one file; checkpoints have the four
    copy_tokenizer(build / "tokenizer", output / "tokenizer")


@torch.no_grad()
def check_text_states(text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer, states: Path) -> None:
    """Stop where the text tower is not the one whose states the UNet has learned."""
    learned = torch.from_numpy(np.load(states, mmap_mode="r")[0].astype(np.float32))  # of the empty caption
    now = text_encoder(tokenize(tokenizer, [""])).last_hidden_state[0]
    if not torch.allclose(now, learned, atol=0.02):
        raise SystemExit(
            f"Expected the text tower that the UNet was trained on, but its states differ by "
            f"{float((now - learned).abs().max()):.2g}. Train the UNet on the new one."
        )


def forget_origin(output: Path) -> None:
    """Drop local paths from the configurations, and have the text tower computed in float32 unless asked otherwise.

    transformers loads a model in the precision that its configuration names, diffusers in float32: left alone, the
    two would not fit together.
    """
    for path in (*output.glob("*/config.json"), output / "model_index.json"):
        config = json.loads(path.read_text(encoding="utf-8"))
        config.pop("_name_or_path", None)
        if "dtype" in config:
            config["dtype"] = "float32"
        write_json(path, config)


def check(folder: Path) -> None:
    """Stop unless the folder is small enough, loads, draws finite images, and writes sentences."""
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if total > MAX_BYTES:
        raise SystemExit(f"Expected at most {MAX_BYTES:,} bytes, got {total:,}. Make a part smaller in settings.py.")
    pipeline = StableDiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    check_drawing(pipeline, "an image of a five")
    pipeline.load_ip_adapter(
        str(folder), subfolder="image_adapter", weight_name=ADAPTER_FILE, image_encoder_folder=None
    )
    vector = F.normalize(torch.randn(CLIP_DIMENSION, generator=torch.Generator().manual_seed(0)), dim=0)
    check_drawing(pipeline, "", ip_adapter_image_embeds=[torch.stack([torch.zeros_like(vector), vector])[:, None]])
    writer = Seq2SeqWriter.from_folder(folder / "sentences", "the miniature", "cpu")
    print("\n".join(writer.sample("five", seed=0)[:5]))


def check_drawing(pipeline: StableDiffusionPipeline, prompt: str, **conditions: Any) -> None:
    """Stop unless the pipeline draws a finite image."""
    generator = torch.Generator().manual_seed(0)
    output = pipeline(prompt, num_inference_steps=4, generator=generator, output_type="np", **conditions)
    assert isinstance(output, StableDiffusionPipelineOutput)
    images = np.asarray(output.images)
    if images.shape != (1, IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3) or not np.isfinite(images).all():
        raise SystemExit(f"Expected a finite image of shape (1, 32, 32, 3), got shape {images.shape}.")


def replace(fresh: Path, old: Path) -> None:
    """Move a file or folder to where an older one may be."""
    if old.is_dir():
        shutil.rmtree(old)
    fresh.replace(old)


def print_sizes(output: Path) -> None:
    """Parameters and bytes of each part, to stdout."""
    pipeline = StableDiffusionPipeline.from_pretrained(output)
    assert isinstance(pipeline.vae, AutoencoderKL)
    counts = {
        "text_encoder": count(pipeline.text_encoder),
        "unet": count(pipeline.unet),
        "vae": count(pipeline.vae),
        "image_adapter": count_in(output / "image_adapter" / ADAPTER_FILE),
        "clip": count_in(output / "clip/open_clip_model.safetensors"),
        "sentences": count_in(output / "sentences/model.safetensors"),
    }
    total = 0
    for entry in ENTRIES:
        files = [output / entry] if (output / entry).is_file() else [*(output / entry).rglob("*")]
        size = sum(path.stat().st_size for path in files if path.is_file())
        parameters = counts.get(entry, 0)
        print(f"{entry:18} {size / 1e6:7.2f} MB" + (f" {parameters / 1e6:6.2f} M parameters" if parameters else ""))
        total += size
    print(f"{'total':18} {total / 1e6:7.2f} MB in '{output}'")


def count_in(weights: Path) -> int:
    """Number of parameters in a safetensors file."""
    return sum(tensor.numel() for tensor in load_file(weights).values())


def count(model: torch.nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


if __name__ == "__main__":
    main()
