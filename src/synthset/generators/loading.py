"""A generator by name, folder or hub id: found, checked, loaded."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from synthset.core.devices import DTYPES
from synthset.core.errors import ModelError, UnknownNameError, UsageError, first_line
from synthset.core.files import read_json
from synthset.generators.base import EAGER, Generator, StoredSize
from synthset.generators.families import FAMILIES
from synthset.generators.names import (
    AUTO_SCHEDULER,
    ENGINES,
    IMAGE_ADAPTER_FILE,
    IMAGE_ENCODER_FOLDER,
    OWN_LOOP,
    SCHEDULERS,
    STABLE_DIFFUSION,
    SUPPORTED_PIPELINES,
)
from synthset.generators.sampling import SamplingOptions
from synthset.miniature import FOLDER as MINIATURE_FOLDER

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def load_generator(
    name: str,
    *,
    revision: str | None = None,
    scheduler: str = AUTO_SCHEDULER,
    num_inference_steps: int = 40,
    height_px: int | None = None,
    width_px: int | None = None,
    dtype: str = "auto",
    device: str = "auto",
    sampling: SamplingOptions | None = None,
    stored: StoredSize | None = None,
    image_conditions: bool = False,
    engine: str = EAGER,
) -> Generator:
    """Load a checkpoint for drawing: the miniature, Stable Diffusion, its image variations, or one of `FAMILIES`.

    Args:
        name: 'miniature', a folder with a model_index.json, or a hub id ('owner/name').
        revision: branch, tag or commit of a hub id; the commit that it stands for is recorded.
        scheduler: one of SCHEDULERS, with the checkpoint's own noise schedule; 'auto' is ddim for Stable Diffusion
            and SDXL, as in the paper, and the checkpoint's own for all others, and for distilled ones.
        num_inference_steps: denoising steps, at least 1.
        height_px, width_px: size to draw at; None means what the checkpoint was trained for.
        dtype: one of DTYPES; 'auto' is bfloat16 on a GPU and float32 on a CPU.
        device: a torch device; 'auto' is a GPU where there is one.
        sampling: shortcuts and diversity of our own sampling loop, so of Stable Diffusion 1.x and 2.x alone.
        stored: the size that images will be stored in; on a GPU they are shrunk to it before they leave it.
        image_conditions: load what conditions images on real ones, too; the weights' hash covers it then.
        engine: one of ENGINES; 'compiled' takes minutes to begin with and is then faster, most of all on a GPU.
    Raises:
        UnknownNameError: the scheduler, the dtype or the engine.
        UsageError: steps, size or device that cannot be, or a scheduler, sampling options or an engine that do not
            fit the checkpoint, or one that cannot be conditioned on images.
        ModelError: a checkpoint that is not at hand, incomplete, unsafe, or of another kind, or no compiler for the
            engine 'compiled'.
    """
    scheduler = _scheduler_name(scheduler)
    if dtype not in DTYPES:
        raise UnknownNameError("dtype", dtype, DTYPES)
    if engine not in ENGINES:
        raise UnknownNameError("engine", engine, ENGINES)
    if num_inference_steps < 1:
        raise UsageError(f"Expected at least 1 inference step, got {num_inference_steps}.")
    folder, commit = _find_checkpoint(name, revision)
    class_name = _check_pipeline(folder / "model_index.json", name)
    options: dict[str, Any] = {
        "name": name,
        "revision": commit,
        "weights_hash": _hash_weights(folder, image_conditions and class_name == STABLE_DIFFUSION),
        "num_inference_steps": num_inference_steps,
        "height_px": height_px,
        "width_px": width_px,
        "dtype": dtype,
        "device": device,
        "stored": stored,
        "engine": engine,
    }
    if image_conditions and (class_name not in OWN_LOOP or not _has_image_conditions(folder, class_name)):
        raise UsageError(
            f"'{name}', a {class_name}, cannot be conditioned on images. Draw with the miniature, an image-variation "
            f"or an unCLIP checkpoint, or put an IP-Adapter beside its parts ({IMAGE_ADAPTER_FILE}, and its CLIP in "
            f"{IMAGE_ENCODER_FOLDER}/)."
        )
    if class_name in OWN_LOOP:
        from synthset.generators.latent_diffusion import LatentDiffusionGenerator

        options |= {"class_name": class_name, "image_conditions": image_conditions, "sampling": sampling}
        scheduler = "ddim" if scheduler == AUTO_SCHEDULER else scheduler
        return LatentDiffusionGenerator.from_folder(folder, scheduler=scheduler, **options)
    if sampling is not None and not sampling.is_plain:
        raise UsageError(
            f"Expected a Stable Diffusion 1.x or 2.x checkpoint for {' and '.join(sampling.phrases())}, got '{name}', "
            f"a {class_name}. Leave it out, or use another checkpoint."
        )

    from synthset.generators.pipeline import PipelineGenerator

    return PipelineGenerator.from_folder(folder, class_name=class_name, scheduler=scheduler, **options)


def _scheduler_name(name: str) -> str:
    names_by_class = {class_name: key for key, class_name in SCHEDULERS.items()}
    name = names_by_class.get(name, name)
    if name not in (AUTO_SCHEDULER, *SCHEDULERS):
        raise UnknownNameError("scheduler", name, (AUTO_SCHEDULER, *SCHEDULERS))
    return name


def _find_checkpoint(name: str, revision: str | None) -> tuple[Path, str | None]:
    """The folder that holds the checkpoint, and its commit where it came from the hub."""
    if name == "miniature":
        if not (MINIATURE_FOLDER / "model_index.json").is_file():
            raise ModelError(
                f"Expected the miniature's weights in '{MINIATURE_FOLDER}', found none. Reinstall synthset, "
                "or name another checkpoint (a folder or a hub id) instead."
            )
        return MINIATURE_FOLDER, None
    folder = Path(name)
    if folder.is_dir():
        if not (folder / "model_index.json").is_file():
            raise ModelError(
                f"Expected a diffusers checkpoint in '{name}', but it holds no model_index.json. Name the "
                "folder that holds the networks' folders, such as vae/ and text_encoder/."
            )
        return folder, None
    if not _HUB_ID.fullmatch(name):
        raise ModelError(
            f"Expected 'miniature', a checkpoint's folder or a hub id like 'owner/name', got '{name}', "
            "which is none of them. Is the path spelled correctly?"
        )
    return _download(name, revision)


def _download(name: str, revision: str | None) -> tuple[Path, str]:
    """Fetch a checkpoint from the hub, or find it in the hub's cache."""
    from huggingface_hub import constants, hf_hub_download

    try:
        index = Path(hf_hub_download(name, "model_index.json", revision=revision))
        class_name = _check_pipeline(index, name)  # before gigabytes travel
        if class_name in OWN_LOOP:
            from synthset.generators.checkpoint import download_checkpoint

            return download_checkpoint(class_name, name, revision), index.parent.name

        from synthset.generators.pipeline import download_pipeline

        return download_pipeline(class_name, name, revision), index.parent.name
    except ModelError:
        raise
    except Exception as error:  # hub, HTTP client and file system each have their own
        at = f" at revision {revision}" if revision else ""
        offline = " HF_HUB_OFFLINE is set." if constants.HF_HUB_OFFLINE else ""
        raise ModelError(
            f"Expected a folder or a hub checkpoint '{name}'{at}: no such folder, and the hub gave none "
            f"({first_line(error)}).{offline} Check the spelling, or fetch it where there is a network "
            f"with: hf download {name}"
        ) from error


def _check_pipeline(model_index: Path, name: str) -> str:
    """The class of a checkpoint's pipeline. Refuses foreign ones, and components that bring their own code."""
    try:
        index = read_json(model_index)
        class_name = index["_class_name"]
        components = [(part[0], str(part[1])) for part in index.values() if isinstance(part, list)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ModelError(f"The model_index.json of '{name}' cannot be read ({first_line(error)}).") from error
    if class_name not in SUPPORTED_PIPELINES:
        raise ModelError(f"'{name}' is a checkpoint of {class_name}. Supported: {', '.join(SUPPORTED_PIPELINES)}.")
    own = FAMILIES[class_name].module if class_name in FAMILIES else "stable_diffusion"
    # "stable_diffusion" has the safety checker, also of other families
    foreign = {library for library, _ in components} - {"diffusers", "transformers", "stable_diffusion", own, None}
    if foreign:
        raise ModelError(
            f"'{name}' needs code from {', '.join(map(str, foreign))}; only components of "
            "diffusers and transformers are run."
        )
    for library, component in components:
        # these look for further classes, in files that came with the checkpoint
        if component.endswith("Pipeline") or (library == "transformers" and component.startswith("Auto")):
            raise ModelError(f"'{name}' has a component of class {component}, which may bring code and is not run.")
    return class_name


def _has_image_conditions(folder: Path, class_name: str) -> bool:
    return class_name != STABLE_DIFFUSION or (folder / IMAGE_ADAPTER_FILE).is_file()


def _hash_weights(folder: Path, with_image_adapter: bool = False) -> str:
    """SHA-256 over the name and the contents of each weight file that is loaded."""
    total = hashlib.sha256()
    adapter = (Path(IMAGE_ADAPTER_FILE).parent.name, IMAGE_ENCODER_FOLDER) if with_image_adapter else ()
    for path in sorted(folder.glob("*/*.safetensors")):
        # a variant (model.fp16.safetensors) is not what is loaded
        loaded = re.fullmatch(r"(diffusion_pytorch_model|model)(-\d+-of-\d+)?", path.stem)
        if loaded or path.parent.name in adapter:
            total.update(f"{path.relative_to(folder).as_posix()} {_file_sha256(path)}\n".encode())
    return total.hexdigest()


def _file_sha256(path: Path) -> str:
    blob = path.resolve()
    if blob.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", blob.name):
        return blob.name  # the hub's cache names large files by this very hash
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
