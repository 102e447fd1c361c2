"""CLIP encoders: `load_encoder` finds one by name, folder or hub id; images and texts in, unit vectors out.

All backbones go one way: open_clip builds the model, and the model's own config says how an image is resized,
cropped and normalised. Weights are read from safetensors files only, and nobody's code is run. Importing this
module loads no torch.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from synthset.core.devices import DTYPES, choose_device, choose_dtype
from synthset.core.errors import ModelError, UnknownNameError, first_line, setting
from synthset.core.files import read_json
from synthset.core.hub import fetching, find_folder, is_hub_id
from synthset.core.libraries import library_errors
from synthset.core.plug_ins import find_plug_in, plug_in_names
from synthset.encoders.plug_in import load_plug_in
from synthset.images.decoding import to_rgb
from synthset.miniature import FOLDER as MINIATURE_FOLDER

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor

log = logging.getLogger("synthset")

# what is offered by name; open_clip's other architectures are understood too
ENCODERS = (
    "miniature",
    "RN50",
    "RN101",
    "ViT-B-32",
    "ViT-B-16",
    "ViT-L-14",
    "ViT-L-14-336",
    "ViT-B-16-SigLIP",
    "ViT-L-16-SigLIP-256",
    "ViT-SO400M-14-SigLIP",
)
DEFAULT_ENCODER = "miniature, for digits and what the miniature drew; else it must be named"
USUAL_TAGS = ("openai", "webli")  # the weights meant by an architecture alone: OpenAI's, and SigLIP's

CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILE = "open_clip_model.safetensors"  # as open_clip names it on the hub
_FOLDER_WEIGHTS = (WEIGHTS_FILE, "open_clip_pytorch_model.safetensors", "model.safetensors")  # its order too
_PREPROCESSING = ("mode", "mean", "std", "interpolation", "resize_mode", "fill_color")
_HINT = "Or open_clip's ARCHITECTURE/WEIGHTS, a folder with an open_clip_config.json, or a hub id (owner/name)."
_FINGERPRINT_VERSION = "synthset-clip-1"  # raised when the same model gets to give other vectors
_LARGEST_BATCH = 512


class Encoder(Protocol):
    """Images and texts to unit vectors of one space. Any object with these will do."""

    @property
    def name(self) -> str:
        """How to speak of it."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hex. Equal for two encoders only where all their vectors are, for caches go by it."""
        ...

    @property
    def dimension(self) -> int:
        """Length d of its vectors."""
        ...

    @property
    def logit_scale(self) -> float:
        """Factor of cosines before a softmax over classes, e.g. 100."""
        ...

    def images(self, images: Sequence[Image.Image]) -> Tensor:
        """float32 (n, d) unit rows, on the CPU."""
        ...

    def texts(self, texts: Sequence[str]) -> Tensor:
        """float32 (n, d) unit rows, on the CPU."""
        ...


def load_encoder(name: str = "miniature", *, device: str = "auto", dtype: str = "auto") -> Encoder:
    """Load a CLIP, or a model of its kind, that open_clip can build.

    Args:
        name: 'miniature'; an architecture of open_clip with its usual weights ('RN50', 'ViT-B-16', 'ViT-B/16':
            OpenAI's; 'ViT-B-16-SigLIP': webli); 'ARCHITECTURE/WEIGHTS' ('ViT-B-32/laion2b_s34b_b79k'); a folder
            with an open_clip_config.json, 'local-dir:' before it or not; a hub id, 'hf-hub:' before it or not; or a
            name that another package adds, see core/plug_ins.py.
        device: a torch device; 'auto' is a GPU where there is one.
        dtype: one of DTYPES; 'auto' is bfloat16 on a GPU and float32 on a CPU. What is not float32 is mixed
            precision: matrices in `dtype`, norms and the vectors in float32.
    Raises:
        UnknownNameError: a name or dtype that is not known, or weights that the architecture does not have.
        UsageError: a device that is not at hand.
        ModelError: a model that is not at hand, incomplete, or not safe to load.
    """
    if dtype not in DTYPES:
        raise UnknownNameError("dtype", dtype, DTYPES)
    try:
        source = _find(name)
    except UnknownNameError:
        if plug_in := find_plug_in("encoder", name):
            return load_plug_in(plug_in, device, dtype)
        raise

    import torch

    target = choose_device(device)
    log.debug("encoder %s: weights of '%s'", name, source.weights)
    return OpenClipEncoder(name, source, target, getattr(torch, choose_dtype(dtype, target)))


# ---- where a model is -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Source:
    """A model at hand, in open_clip's words.

    Attributes:
        model: for open_clip.create_model: an architecture, or 'local-dir:' and the folder of the weights.
        tokenizer: for open_clip.get_tokenizer: as `model`, or 'hf-hub:' and where the tokenizer is found.
        weights: the safetensors file.
        config: the model's config; of an architecture, with the activation that the weights were trained with.
        preprocessing: of an architecture's weights; the config of a folder has its own.
    """

    model: str
    tokenizer: str
    weights: Path
    config: Mapping[str, Any]
    preprocessing: Mapping[str, Any] | None = None


def _find(name: str) -> _Source:
    """The model that `name` means; fetched from the hub if it is not in the hub's cache."""
    if name == "miniature":
        return _from_folder(MINIATURE_FOLDER / "clip", name)
    if name.startswith("local-dir:"):
        return _from_folder(Path(name.removeprefix("local-dir:")).expanduser(), name)
    if name.startswith("hf-hub:"):
        return _from_hub(name.removeprefix("hf-hub:"), name)

    import open_clip

    architectures = set(open_clip.list_models())
    spelled = name.replace("/", "-")  # ViT-B/16 is how papers write it
    if spelled in architectures:
        return _from_tag(spelled, _usual_tag(spelled), name)
    architecture, _, tag = name.partition("/")
    if architecture in architectures:
        return _from_tag(architecture, tag, name)
    is_path = Path(name).is_absolute() or name.startswith(("./", "../", "~")) or name.count("/") > 1
    if is_path or is_hub_id(name) or Path(name).exists():
        folder = find_folder(name, f"a folder with {CONFIG_FILE} and safetensors weights, or a hub id")
        return _from_folder(folder, name) if folder else _from_hub(name, name)
    raise UnknownNameError("encoder", name, (*ENCODERS, *plug_in_names("encoder")), _HINT)


def _usual_tag(architecture: str) -> str:
    """The weights that are meant by an architecture alone. Raises ModelError where none are."""
    from open_clip import list_pretrained_tags_by_model

    tags = list_pretrained_tags_by_model(architecture)
    for tag in USUAL_TAGS:
        if tag in tags:
            return tag
    if len(tags) == 1:
        return tags[0]
    if not tags:
        raise ModelError(f"open_clip knows of no weights for '{architecture}'. Name another encoder, e.g. ViT-B-16.")
    raise ModelError(
        f"'{architecture}' has weights {', '.join(tags)}, none of them the usual ones. Name one, e.g. "
        f"'{architecture}/{tags[0]}'."
    )


def _from_tag(architecture: str, tag: str, name: str) -> _Source:
    """Weights that open_clip lists for one of its architectures."""
    from open_clip import get_model_config, get_pretrained_cfg, list_pretrained_tags_by_model

    listed = get_pretrained_cfg(architecture, tag)
    if not listed:
        known = list_pretrained_tags_by_model(architecture)
        raise UnknownNameError(f"weights of {architecture}", tag, known)
    repository, _, file = listed.get("hf_hub", "").rpartition("/")
    if not repository:
        raise ModelError(f"The weights '{tag}' of {architecture} are pickled; only safetensors are read.")
    # the same weights without a pickle lie beside the pickle that open_clip lists
    weights = _fetch(repository, f"{Path(file).stem}.safetensors" if file else WEIGHTS_FILE, name)
    config = dict(get_model_config(architecture) or {})
    # OpenAI's weights, and some others, were trained with another GELU than the architecture's config says;
    # left as it is, the model runs and is a little wrong
    config["quick_gelu"] = bool(config.get("quick_gelu") or listed.get("quick_gelu"))
    # the size is the architecture's
    preprocessing = {key: value for key, value in listed.items() if key in _PREPROCESSING and value is not None}
    return _Source(architecture, architecture, weights, config, preprocessing)


def _from_hub(repository: str, name: str) -> _Source:
    """A hub repository as open_clip writes it."""
    if not is_hub_id(repository):
        raise ModelError(f"Expected a hub id like 'owner/name', got '{repository}'.")
    _read_config(_fetch(repository, CONFIG_FILE, name), name)  # before gigabytes travel
    weights = _fetch(repository, WEIGHTS_FILE, name)
    config = _read_config(_fetch(repository, CONFIG_FILE, name), name)  # of the weights' revision, if that is newer
    # the folder of this revision in the hub's cache: open_clip reads this very file, and never a pickle instead
    return _Source(f"local-dir:{weights.parent}", f"hf-hub:{repository}", weights, config)


def _from_folder(folder: Path, name: str) -> _Source:
    """A folder as open_clip writes it."""
    if not (folder / CONFIG_FILE).is_file():
        raise ModelError(f"Expected {CONFIG_FILE} in the folder '{folder}', found none. Name a folder of open_clip's.")
    config = _read_config(folder / CONFIG_FILE, name)
    weights = next((folder / file for file in _FOLDER_WEIGHTS if (folder / file).is_file()), None)
    pickles = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern))
    if weights is None:
        found = f"found only pickled ones ({', '.join(pickles)}), which are not read" if pickles else "found none"
        raise ModelError(f"Expected the weights of '{name}' as {WEIGHTS_FILE}, {found}. Save them as safetensors.")
    if pickles and weights.name != WEIGHTS_FILE:
        # open_clip could prefer them
        raise ModelError(
            f"'{name}' holds pickled weights ({', '.join(pickles)}) beside {weights.name}. Remove them, or rename "
            f"{weights.name} to {WEIGHTS_FILE}."
        )
    return _Source(f"local-dir:{folder}", f"local-dir:{folder}", weights, config)


def _read_config(path: Path, name: str) -> dict[str, Any]:
    """The model's part of an open_clip_config.json. Raises ModelError if it is unusable or reaches elsewhere."""
    try:
        config = read_json(path)["model_cfg"]
        text, _, _ = dict(config["text_cfg"]), dict(config["vision_cfg"]), int(config["embed_dim"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"Expected the {CONFIG_FILE} of '{name}' to describe a model, but it cannot be read ({first_line(error)})."
        ) from error
    if text.get("hf_model_name"):
        raise ModelError(
            f"'{name}' takes its text tower from '{text['hf_model_name']}', another repository, whose code might be "
            "asked for. Such models are loaded by architecture only, e.g. xlm-roberta-base-ViT-B-32/laion5b_s13b_b90k."
        )
    return config


def _fetch(repository: str, file: str, name: str) -> Path:
    """A file of a hub repository, from the hub's cache where it is there."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    with fetching("encoder", name, repository=repository):
        try:
            return Path(hf_hub_download(repository, file, local_files_only=True))
        except LocalEntryNotFoundError:
            pass
        try:
            return Path(hf_hub_download(repository, file))
        except LocalEntryNotFoundError:
            raise
        except EntryNotFoundError as error:
            raise ModelError(
                f"Expected '{file}' in the hub repository '{repository}', found none. Only models that open_clip "
                "saved, with safetensors weights, are read."
            ) from error


# ---- what a model does ------------------------------------------------------------------------------------


class OpenClipEncoder:
    """A model of open_clip in eval mode; see `Encoder` for what it gives.

    SigLIP models add a bias to all logits alike. It changes no softmax and no ranking over classes, so it is left out.
    """

    def __init__(self, name: str, source: _Source, device: torch.device, dtype: torch.dtype) -> None:
        self.name = name
        self._device, self._dtype = device, dtype
        self._model, self._preprocess, self._tokenizer, self.fingerprint = _build(name, source, device, dtype)
        self.dimension = int(source.config["embed_dim"])
        self.logit_scale = float(self._model.logit_scale.exp().item())

    @property
    def model(self) -> Any:
        """The open_clip model, in eval mode and without gradients. To change its weights, change a copy's."""
        return self._model

    def images(self, images: Sequence[Image.Image | Tensor]) -> Tensor:
        """Vectors of images: float32 (n, d) unit rows, on the CPU. They may have been prepared before."""
        import torch

        prepared = [image if isinstance(image, torch.Tensor) else self.prepare(image) for image in images]
        return self._rows(prepared, torch.stack, self._model.encode_image)  # n of chw -> nchw

    def prepare(self, image: Image.Image) -> Tensor:
        """An image as the model takes it: float32 (3, h, w), resized, cropped and normalised; safe in threads."""
        return self._preprocess(image if image.mode == "RGB" else to_rgb(image))

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Vectors of texts: float32 (n, d) unit rows, on the CPU. What is too long for the model is cut off."""
        return self._rows(list(texts), self._tokenizer, self._model.encode_text)

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Tokens of texts, int64 (n, l), each as long as the model reads. What is too long is cut off."""
        return self._tokenizer(list(texts))

    def autocast(self) -> AbstractContextManager[object]:
        """The number format that the model computes in, for the time of a block."""
        import torch

        mixed = self._dtype != torch.float32
        return torch.autocast(self._device.type, self._dtype if mixed else None, enabled=mixed)

    def cut_texts(self, texts: Sequence[str]) -> list[str]:
        """Those of the texts that are too long for the model, of which it reads the beginning alone."""
        length = self._model.context_length
        long = [text for text in texts if len(text.encode()) > length - 2]  # a token has a byte at least
        if not long:
            return []
        # twice the room: what lies beyond the model's is not all padding, if a text is cut
        tokens = self._tokenizer([*long, ""], context_length=2 * length)[:, length:]
        return [text for text, row in zip(long, tokens, strict=False) if (row != tokens[-1]).any()]

    def _rows(self, items: list[Any], collate: Callable[[list[Any]], Tensor], encode: Callable[..., Tensor]) -> Tensor:
        """Unit rows of `items`, a batch at a time."""
        import torch

        batches = [items[start : start + _LARGEST_BATCH] for start in range(0, len(items), _LARGEST_BATCH)]
        with library_errors(f"The encoder '{self.name}' cannot encode"):
            rows = [self._encode(collate(batch), encode) for batch in batches]
        return torch.cat(rows) if rows else torch.zeros(0, self.dimension)

    def _encode(self, batch: Tensor, encode: Callable[..., Tensor]) -> Tensor:
        """Unit rows of one batch; of its halves where it does not fit into the device's memory."""
        import torch

        try:
            with torch.no_grad(), self.autocast():
                rows = encode(batch.to(self._device))
            return torch.nn.functional.normalize(rows.float(), dim=1).cpu()
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                raise ModelError(
                    f"The encoder '{self.name}' does not fit into the memory of {self._device}. Give "
                    f"{setting('device', 'cpu')}."
                ) from error
        middle = len(batch) // 2  # outside of the except, which would hold on to what did not fit
        return torch.cat([self._encode(batch[:middle], encode), self._encode(batch[middle:], encode)])


def _build(name: str, source: _Source, device: torch.device, dtype: torch.dtype) -> tuple[Any, Any, Any, str]:
    """The model, its image transform, its tokenizer, and the fingerprint of all three."""
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2

    # a tokenizer's folder may name code to run for it, and the config may ask for that
    safe: dict[str, Any] = {"trust_remote_code": False} if source.config["text_cfg"].get("hf_tokenizer_name") else {}
    advice = "Expected a model that open_clip saved, with its tokenizer at hand."
    with library_errors(f"The encoder '{name}' cannot be loaded", advice):
        with _root_logger_as_it_was():
            model = open_clip.create_model(
                source.model,
                # open_clip takes a file for an architecture only, and warns elsewhere
                pretrained=None if source.model.startswith("local-dir:") else str(source.weights),
                force_quick_gelu=bool(source.config.get("quick_gelu")),
                force_preprocess_cfg=dict(source.preprocessing) if source.preprocessing else None,
                require_pretrained=True,
                weights_only=True,
                device=device,
            )
            tokenizer = open_clip.get_tokenizer(source.tokenizer, **safe)
        preprocessing = open_clip.get_model_preprocess_cfg(model)
        transform = image_transform_v2(PreprocessCfg(**preprocessing), is_train=False)
    model.eval().requires_grad_(False)
    parts = [_FINGERPRINT_VERSION, source.config, preprocessing, _tokenizer_state(tokenizer), str(dtype)]
    description = json.dumps(parts, sort_keys=True)
    fingerprint = hashlib.sha256(f"{_file_sha256(source.weights)} {description}".encode()).hexdigest()
    return model, transform, tokenizer, fingerprint


@contextmanager
def _root_logger_as_it_was() -> Iterator[None]:
    """open_clip logs by functions that give the root logger a handler, and so all later warnings another look."""
    root = logging.getLogger()
    handlers = list(root.handlers)
    try:
        yield
    finally:
        root.handlers[:] = handlers


def _tokenizer_state(tokenizer: Any) -> Any:
    """All that the tokens of a text depend on beside the model's config, as JSON can hold it."""
    kind = type(tokenizer).__name__
    inner = getattr(tokenizer, "tokenizer", None)  # of transformers; open_clip's own has its one vocabulary built in
    if inner is None:
        return [kind]
    backend = getattr(inner, "backend_tokenizer", None)
    if backend is None:
        return [kind, type(inner).__name__, inner.get_vocab(), {k: str(v) for k, v in inner.special_tokens_map.items()}]
    state = json.loads(backend.to_str())
    # truncation and padding are set anew by every call
    return [kind, {key: value for key, value in state.items() if key not in ("version", "truncation", "padding")}]


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
