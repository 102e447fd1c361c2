"""A checkpoint by name, folder or hub id: found, checked, hashed, opened. Safetensors only, and no code of its own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthset.core.errors import ModelError, UsageError, first_line
from synthset.core.files import read_json
from synthset.core.hub import hub_error, is_hub_id
from synthset.generators.families import FAMILIES, Family
from synthset.generators.names import IMAGE_ADAPTER_FILE, IMAGE_ENCODER_FOLDER
from synthset.miniature import FOLDER as MINIATURE_FOLDER

if TYPE_CHECKING:
    import torch

INDEX_FILE = "model_index.json"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint at hand, whose pipeline is one of FAMILIES.

    Attributes:
        name: as the user gave it.
        folder: that holds its parts.
        class_name: of its pipeline.
        revision: the hub commit, None for a folder.
        weights_hash: SHA-256 over the names and contents of the weight files, in hexadecimal.
    """

    name: str
    folder: Path
    class_name: str
    revision: str | None = None
    weights_hash: str = ""

    @property
    def family(self) -> Family:
        """The declaration of its pipeline."""
        return FAMILIES[self.class_name]


def find_checkpoint(name: str, revision: str | None = None, image_conditions: bool = False) -> Checkpoint:
    """The checkpoint that a name means; fetched from the hub if it is not in the hub's cache.

    Args:
        name: 'miniature', a folder with a model_index.json, or a hub id.
        revision: branch, tag or commit of a hub id.
        image_conditions: it shall be conditioned on images; the hash covers the parts for that.
    Raises:
        UsageError: one that cannot be conditioned on images.
        ModelError: one that is not at hand, or of another kind.
    """
    folder, commit = _find_folder(name, revision)
    class_name = _check_index(folder / INDEX_FILE, name)
    images = FAMILIES[class_name].images
    with_adapter = image_conditions and images == "adapter"
    if image_conditions and (images == "none" or (with_adapter and not (folder / IMAGE_ADAPTER_FILE).is_file())):
        raise UsageError(
            f"'{name}', a {class_name}, cannot be conditioned on images. Draw with the miniature, an image-variation "
            f"or an unCLIP checkpoint, or put an IP-Adapter beside its parts ({IMAGE_ADAPTER_FILE}, and its CLIP in "
            f"{IMAGE_ENCODER_FOLDER}/)."
        )
    return Checkpoint(name, folder, class_name, commit, hash_weights(folder, with_adapter))


def _find_folder(name: str, revision: str | None) -> tuple[Path, str | None]:
    """The folder that holds the checkpoint, and its commit where it came from the hub."""
    if name == "miniature":
        if not (MINIATURE_FOLDER / INDEX_FILE).is_file():
            raise ModelError(
                f"Expected the miniature's weights in '{MINIATURE_FOLDER}', found none. Reinstall synthset, "
                "or name another checkpoint (a folder or a hub id) instead."
            )
        return MINIATURE_FOLDER, None
    folder = Path(name)
    if folder.is_dir():
        if not (folder / INDEX_FILE).is_file():
            raise ModelError(
                f"Expected a diffusers checkpoint in '{name}', but it holds no {INDEX_FILE}. Name the "
                "folder that holds the networks' folders, such as vae/ and text_encoder/."
            )
        return folder, None
    if not is_hub_id(name):
        raise ModelError(
            f"Expected 'miniature', a checkpoint's folder or a hub id like 'owner/name', got '{name}', "
            "which is none of them. Is the path spelled correctly?"
        )
    return _download(name, revision)


def _download(name: str, revision: str | None) -> tuple[Path, str]:
    """Fetch a checkpoint from the hub, safetensors only, or find it in the hub's cache; its folder and its commit."""
    from huggingface_hub import hf_hub_download

    try:
        index = Path(hf_hub_download(name, INDEX_FILE, revision=revision))
        class_name = _check_index(index, name)  # before gigabytes travel

        import diffusers

        folder = getattr(diffusers, class_name).download(name, revision=revision, use_safetensors=True)
        return Path(folder), index.parent.name
    except ModelError:
        raise
    except Exception as error:  # hub, HTTP client and file system each have their own
        raise hub_error("checkpoint", name, error, revision=revision) from error


def _check_index(path: Path, name: str) -> str:
    """The class of a checkpoint's pipeline. Refuses foreign ones, and components that bring their own code."""
    try:
        index = read_json(path)
        class_name = index["_class_name"]
        components = [(part[0], str(part[1])) for part in index.values() if isinstance(part, list)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ModelError(f"The {INDEX_FILE} of '{name}' cannot be read ({first_line(error)}).") from error
    if not isinstance(class_name, str) or class_name not in FAMILIES:
        raise ModelError(f"'{name}' is a checkpoint of {class_name}. Supported: {', '.join(FAMILIES)}.")
    own = FAMILIES[class_name].module
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


def hash_weights(folder: Path, with_image_adapter: bool = False) -> str:
    """SHA-256 over the name and the contents of each weight file that is loaded."""
    total = hashlib.sha256()
    adapter = (Path(IMAGE_ADAPTER_FILE).parent.name, IMAGE_ENCODER_FOLDER) if with_image_adapter else ()
    for path in sorted(folder.glob("*/*.safetensors")):
        # a variant (model.fp16.safetensors) is not loaded
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


def load_pipeline(checkpoint: Checkpoint, dtype: torch.dtype) -> Any:
    """Open a checkpoint as its pipeline. Raises ModelError, in one line, for whatever is wrong with it."""
    import diffusers

    family, tokenizer = checkpoint.family, checkpoint.folder / "tokenizer"
    has_vocabulary = any((tokenizer / file).is_file() for file in ("tokenizer.json", "vocab.json"))
    if family.own_loop and family.reads_text and not has_vocabulary:
        # transformers would go on with a vocabulary of nothing
        raise ModelError(f"The checkpoint '{checkpoint.name}' cannot be loaded (tokenizer/ holds no vocabulary).")
    try:
        with quiet():
            return getattr(diffusers, checkpoint.class_name).from_pretrained(
                str(checkpoint.folder),
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                **family.init,
            )
    except Exception as error:  # a checkpoint can be broken in any way
        raise ModelError(
            f"The checkpoint '{checkpoint.name}' cannot be loaded as a {checkpoint.class_name} ({first_line(error)}). "
            f"Expected all parts of its {INDEX_FILE} with safetensors files; pickled weights are not read."
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars of the libraries: loading is a part of our own."""
    import diffusers
    import transformers

    shown = [
        library
        for library in (diffusers.utils.logging, transformers.utils.logging)
        if library.is_progress_bar_enabled()
    ]
    for library in shown:
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library in shown:
            library.enable_progress_bar()
