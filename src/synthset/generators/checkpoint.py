"""A checkpoint by name, folder or hub id: found, checked, hashed, opened. Safetensors only, and no code of its own."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthset.core.errors import ModelError, UsageError, first_line, setting
from synthset.core.files import read_json
from synthset.core.hub import fetching, find_folder
from synthset.core.libraries import quiet
from synthset.core.plug_ins import plug_in_names
from synthset.generators.families import FAMILIES, Family
from synthset.generators.names import IMAGE_ADAPTER_FILE, IMAGE_ENCODER_FOLDER
from synthset.generators.single_file import find_layout, has_decoder, is_single_file, make_tokenizers
from synthset.miniature import FOLDER as MINIATURE_FOLDER

if TYPE_CHECKING:
    import torch

logger = logging.getLogger("synthset")

INDEX_FILE = "model_index.json"
# of a part: configuration, vocabulary, merges, chat template
_SETTINGS = (".json", ".txt", ".model", ".jinja", ".tiktoken")
# a variant, such as fp16, stands before or after the number of a shard
_WEIGHTS = re.compile(r"(?:diffusion_pytorch_model|model)(?:\.(\w+))?(?:-\d+-of-\d+)?(?:\.(\w+))?\.safetensors")
_VOCABULARIES = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("vocab.txt",), ("*.model",))  # any, whole
_LOST_TENSORS = re.compile(r"(?m)^(\S+?)\s*\| MISSING|newly initialized: \['([^']+)'")
_MOST_TOKENS = 10**6  # transformers has 10**30 where nothing is said


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint at hand, whose pipeline is one of FAMILIES.

    Attributes:
        name: as the user gave it.
        folder: that holds its parts, or the configurations that its file is read by.
        class_name: of its pipeline.
        revision: the hub commit, None for a folder.
        variant: of its weights, such as fp16, where it has no plain ones; else empty.
        weights_hash: SHA-256 over the names and contents of the weight files, in hexadecimal.
        parts: SHA-256 over all else that loading reads, by part.
        without: parts that its index has as null.
        file: of a single file, which holds the whole, or the denoiser alone.
    """

    name: str
    folder: Path
    class_name: str
    revision: str | None
    variant: str
    weights_hash: str
    parts: Mapping[str, str]
    without: tuple[str, ...]
    file: Path | None = None

    @property
    def family(self) -> Family:
        """The declaration of its pipeline."""
        return FAMILIES[self.class_name]


def find_checkpoint(
    name: str, revision: str | None = None, image_conditions: bool = False, layout: str | None = None
) -> Checkpoint:
    """The checkpoint that a name means; fetched from the hub if it is not in the hub's cache.

    Args:
        name: 'miniature', a folder with a model_index.json, a single safetensors file, or a hub id.
        revision: branch, tag or commit of a hub id.
        image_conditions: it shall be conditioned on images; the hash covers the parts for that.
        layout: what a single file is read by, see `single_file.find_layout`.
    Raises:
        UsageError: one that cannot be conditioned on images, or a revision of a folder.
        ModelError: one that is not at hand, or of another kind.
    """
    if "://" in name:
        raise ModelError(f"Expected a checkpoint of this machine, or a hub id, got '{name}'. Fetch it before.")
    file = Path(name).expanduser() if is_single_file(name) else None
    if layout is not None and file is None:
        raise UsageError(f"Expected a single safetensors file with {setting('layout')}, got '{name}'. Leave it out.")
    folder, commit = (find_layout(file, layout), None) if file else _find_folder(name, revision)
    if revision is not None and commit is None:
        raise UsageError(
            f"Expected a hub id with {setting('CreateConfig.revision', revision)}, got '{name}', which has no "
            "revisions. Leave it out."
        )
    class_name, parts = _read_index(folder / INDEX_FILE, name)
    images = FAMILIES[class_name].images
    with_adapter = image_conditions and images == "adapter"
    if image_conditions and (images == "none" or (with_adapter and not (folder / IMAGE_ADAPTER_FILE).is_file())):
        raise UsageError(
            f"'{name}', a {class_name}, cannot be conditioned on images. Draw with the miniature, an image-variation "
            f"or an unCLIP checkpoint, or put an IP-Adapter beside its parts ({IMAGE_ADAPTER_FILE}, and its CLIP in "
            f"{IMAGE_ENCODER_FOLDER}/)."
        )
    adapter = (Path(IMAGE_ADAPTER_FILE).parent.name, IMAGE_ENCODER_FOLDER) if with_adapter else ()
    variant = _choose_variant(name, parts, (path.relative_to(folder).as_posix() for path in folder.glob("*/*")))
    weights_hash = hash_weights(folder, variant, adapter) if file is None or not has_decoder(file) else ""
    if file is not None:
        weights_hash = hashlib.sha256(f"{_file_sha256(file)} {weights_hash}".encode()).hexdigest()
    return Checkpoint(
        name=name,
        folder=folder,
        class_name=class_name,
        revision=commit,
        variant=variant,
        weights_hash=weights_hash,
        parts=_hash_parts(folder, [*(part for part in parts if parts[part]), *adapter]),
        without=tuple(part for part in parts if not parts[part]),
        file=file,
    )


def _find_folder(name: str, revision: str | None) -> tuple[Path, str | None]:
    """The folder that holds the checkpoint, and its commit where it came from the hub."""
    if name == "miniature":
        if not (MINIATURE_FOLDER / INDEX_FILE).is_file():
            raise ModelError(
                f"Expected the miniature's weights in '{MINIATURE_FOLDER}', found none. Reinstall synthset, "
                "or name another checkpoint (a folder or a hub id) instead."
            )
        return MINIATURE_FOLDER, None
    known = ", ".join(f"'{known}'" for known in ("miniature", *plug_in_names("generator")))
    folder = find_folder(name, f"{known}, a checkpoint's folder or a hub id like 'owner/name'")
    if folder is None:
        return _download(name, revision)
    if not (folder / INDEX_FILE).is_file():
        raise ModelError(
            f"Expected a diffusers checkpoint in '{name}', but it holds no {INDEX_FILE}. Name the "
            "folder that holds the networks' folders, such as vae/ and text_encoder/."
        )
    return folder, None


def _download(name: str, revision: str | None) -> tuple[Path, str]:
    """Fetch a checkpoint from the hub, safetensors only, or find it in the hub's cache; its folder and its commit."""
    import diffusers
    from huggingface_hub import hf_hub_download, list_repo_files

    with fetching("checkpoint", name, revision=revision):
        index = Path(hf_hub_download(name, INDEX_FILE, revision=revision))
        class_name, parts = _read_index(index, name)  # before gigabytes travel
        try:
            files = list_repo_files(name, revision=revision)
        except Exception:  # out of reach: what was fetched before lies beside it
            files = [path.relative_to(index.parent).as_posix() for path in index.parent.glob("*/*")]
        variant = _choose_variant(name, parts, files)
        options = {"variant": variant} if variant else {}
        download = getattr(diffusers, class_name).download
        return Path(download(name, revision=revision, use_safetensors=True, **options)), index.parent.name


def _read_index(path: Path, name: str) -> tuple[str, dict[str, bool]]:
    """The class of a checkpoint's pipeline, and by the name of each part, whether it is there or null.

    Refuses foreign pipelines, and components that bring their own code.
    """
    try:
        index = read_json(path)
        class_name = index["_class_name"]
        parts = {key: (part[0], str(part[1])) for key, part in index.items() if isinstance(part, list)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ModelError(f"The {INDEX_FILE} of '{name}' cannot be read ({first_line(error)}).") from error
    if not isinstance(class_name, str) or class_name not in FAMILIES:
        raise ModelError(f"'{name}' is a checkpoint of {class_name}. Supported: {', '.join(FAMILIES)}.")
    own = FAMILIES[class_name].module
    # "stable_diffusion" has the safety checker, also of other families
    foreign = {library for library, _ in parts.values()} - {"diffusers", "transformers", "stable_diffusion", own, None}
    if foreign:
        raise ModelError(
            f"'{name}' needs code from {', '.join(map(str, foreign))}; only components of "
            "diffusers and transformers are run."
        )
    for library, component in parts.values():
        # these look for further classes, in files that came with the checkpoint
        if component.endswith("Pipeline") or (library == "transformers" and component.startswith("Auto")):
            raise ModelError(f"'{name}' has a component of class {component}, which may bring code and is not run.")
    return class_name, {part: library is not None for part, (library, _) in parts.items()}


def _variants(files: Iterable[str]) -> dict[str, set[str]]:
    """The variants of the weights in each folder, "" for plain ones; of files relative to the checkpoint's."""
    variants: dict[str, set[str]] = {}
    for folder, _, file in (file.rpartition("/") for file in files):
        if match := _WEIGHTS.fullmatch(file):
            variants.setdefault(folder, set()).add(match[1] or match[2] or "")
    return variants


def _choose_variant(name: str, parts: Mapping[str, bool], files: Iterable[str]) -> str:
    """Plain weights, "", where all parts have them, else the one variant that is complete, with plain ones beside it.

    Raises ModelError where none is complete, or several are.
    """
    variants = {part: of for part, of in _variants(files).items() if parts.get(part)}
    if all("" in of for of in variants.values()):
        return ""
    complete = [v for v in set().union(*variants.values()) if v and all({v, ""} & of for of in variants.values())]
    if len(complete) != 1:
        described = "; ".join(f"{part}/ {', '.join(v or 'plain' for v in sorted(of))}" for part, of in variants.items())
        raise ModelError(
            f"Expected plain weights of '{name}' or one complete variant of them, got {len(complete)} ({described}). "
            "Leave those there that shall be read."
        )
    return complete[0]


def hash_weights(folder: Path, variant: str = "", adapter: Collection[str] = ()) -> str:
    """SHA-256 over the name and the contents of each weight file that is loaded; all of those of an adapter."""
    total, paths = hashlib.sha256(), sorted(folder.glob("*/*.safetensors"))
    variants = _variants(path.relative_to(folder).as_posix() for path in paths)
    for path in paths:
        match, part = _WEIGHTS.fullmatch(path.name), path.parent.name
        # a part that has no weights of the variant is read plain
        is_read = match and (match[1] or match[2] or "") == (variant if variant in variants[part] else "")
        if is_read or part in adapter:
            total.update(f"{path.relative_to(folder).as_posix()} {_file_sha256(path)}\n".encode())
    return total.hexdigest()


def _hash_parts(folder: Path, parts: Iterable[str]) -> dict[str, str]:
    """SHA-256 over the names and the contents of all files but the weights that are loaded, by part."""
    hashes = {"model_index": _file_sha256(folder / INDEX_FILE)}
    for part in parts:
        total = hashlib.sha256()
        for path in sorted(_place(folder, part).iterdir()):
            # an index says where tensors are, which the weights say themselves
            if path.suffix in _SETTINGS and ".index." not in path.name and path.is_file():
                total.update(f"{path.name} {_file_sha256(path)}\n".encode())
        hashes[part] = total.hexdigest()
    return hashes


def _place(folder: Path, part: str) -> Path:
    """The folder of a part; some checkpoints have parts beside their index."""
    return folder / part if (folder / part).is_dir() else folder


def _file_sha256(path: Path) -> str:
    blob = path.resolve()
    if blob.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", blob.name):
        return blob.name  # the hub's cache names large files by this very hash
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_pipeline(checkpoint: Checkpoint, dtype: torch.dtype) -> Any:
    """Open a checkpoint as its pipeline. Raises ModelError, in one line, for whatever is wrong with it."""
    import diffusers

    family, folder, name = checkpoint.family, checkpoint.folder, checkpoint.name
    tokenizers = make_tokenizers(folder, checkpoint.parts) if checkpoint.file else {}
    for part in [part for part in checkpoint.parts if part.startswith("tokenizer") and part not in tokenizers]:
        if not any(all(any(_place(folder, part).glob(file)) for file in files) for files in _VOCABULARIES):
            # transformers would go on with a vocabulary of nothing
            raise ModelError(f"The checkpoint '{name}' cannot be loaded ({part}/ holds no vocabulary).")
    try:
        with quiet() as warnings:
            options = {"dtype": dtype, "local_files_only": True, **family.init, **tokenizers}
            if checkpoint.file is not None and has_decoder(checkpoint.file):
                pipeline = getattr(diffusers, checkpoint.class_name).from_single_file(
                    str(checkpoint.file), config=str(folder), **options
                )
            else:
                pipeline = getattr(diffusers, checkpoint.class_name).from_pretrained(
                    str(folder),
                    variant=checkpoint.variant or None,
                    use_safetensors=True,
                    trust_remote_code=False,
                    **options,
                    **{part: None for part in checkpoint.without if part in family.may_lack},
                    **_denoiser_in(checkpoint, dtype),
                )
        # transformers would go on with random numbers, diffusers with none
        if lost := [found for text in warnings for found in _LOST_TENSORS.findall(text)]:
            raise ModelError(f"no tensor {lost[0][0] or lost[0][1]}")
        _check_whole(pipeline)
    except Exception as error:  # a checkpoint can be broken in any way
        needed = [part for part in checkpoint.parts if part not in ("model_index", *tokenizers)]
        lacking = [f"{part}/" for part in needed if not (folder / part).is_dir()]
        reason = f"no {' and no '.join(lacking)} is there" if lacking else first_line(error)
        by_layout = f" It was read by the configurations in '{folder}'." if checkpoint.file else ""
        raise ModelError(
            f"The checkpoint '{name}' cannot be loaded as a {checkpoint.class_name} ({reason}). "
            f"Expected all parts of its {INDEX_FILE}, or [null, null] in it for one that its pipeline can do without, "
            f"with safetensors files; pickled weights are not read.{by_layout}"
        ) from error
    for text in warnings:
        if "were not used" in text:  # of diffusers; transformers reads a part of many a file
            logger.warning("%s", " ".join(text.split()))
    _bound_tokenizers(pipeline)
    return pipeline


def _denoiser_in(checkpoint: Checkpoint, dtype: torch.dtype) -> dict[str, Any]:
    """The denoiser by the name of its part, where a single file holds it alone; else nothing."""
    if checkpoint.file is None:
        return {}
    import diffusers

    part = "unet" if "unet" in checkpoint.parts else "transformer"
    class_name = read_json(checkpoint.folder / INDEX_FILE)[part][1]
    network = getattr(diffusers, class_name).from_single_file(
        str(checkpoint.file), config=str(checkpoint.folder), subfolder=part, dtype=dtype, local_files_only=True
    )
    return {part: network}


def _check_whole(pipeline: Any) -> None:
    """Raise ModelError for a tensor that no file had."""
    for part, network in pipeline.components.items():
        for name, value in network.named_parameters() if hasattr(network, "named_parameters") else ():
            if value.is_meta:
                raise ModelError(f"no tensor {part}.{name}")


def _bound_tokenizers(pipeline: Any) -> None:
    """Give tokenizers that know no longest text that of their encoder: they are asked for so many tokens."""
    for part, tokenizer in pipeline.components.items():
        if part.startswith("tokenizer") and getattr(tokenizer, "model_max_length", 0) > _MOST_TOKENS:
            encoder = pipeline.components.get(part.replace("tokenizer", "text_encoder"))
            if positions := getattr(getattr(encoder, "config", None), "max_position_embeddings", None):
                tokenizer.model_max_length = positions
    if getattr(pipeline, "tokenizer_max_length", 0) > _MOST_TOKENS:  # read from the first when the pipeline was made
        pipeline.tokenizer_max_length = pipeline.tokenizer.model_max_length
