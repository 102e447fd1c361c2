"""LoRAs and embeddings put into a loaded pipeline: fused into its weights, and added to its vocabulary.

    pipeline ─▶ LoRAs fused ─▶ embeddings added ─▶ quantised ─▶ our own changes of the UNet ─▶ moved or offloaded

In this order, for each step would hide from the ones before it what they change. Nothing on disk is changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from synthset.core.errors import ModelError, first_line, setting, some
from synthset.core.libraries import quiet
from synthset.generators.additions import A_TOKEN, Embedding, Lora, is_token
from synthset.generators.reading import EmbeddedTokens
from synthset.generators.tensor_files import TensorOutline, outline_tensors

_ADAPTER = "added"  # the name of a LoRA in a pipeline
_MISFIT = re.compile(r"size mismatch for ([^:]+): .*?torch\.Size\((.+?)\).*?torch\.Size\((.+?)\)")
_HALVES = (("lora_A", "lora_B"), ("lora_down", "lora_up"), ("lora.down", "lora.up"))  # as names have them
# of files whose name is the token, by the encoder whose vectors they are
_UNNAMED, _ENCODERS = ("emb_params",), ("clip_l", "clip_g")


# ---- LoRA -------------------------------------------------------------------------------------------------


def fuse_loras(pipeline: Any, loras: Sequence[Lora], name: str) -> None:
    """Add the low-rank changes of LoRAs, times their scales, to the weights of a pipeline.

    Args:
        pipeline: of diffusers, in full precision.
        loras: each is added to what the ones before it made.
        name: of the checkpoint, for messages.
    Raises:
        ModelError: the pipeline takes none, or one was made for other networks: a tensor of it has no place.
    """
    if not loras:
        return
    if not hasattr(pipeline, "load_lora_weights"):
        raise ModelError(
            f"'{name}', a {type(pipeline).__name__}, takes no LoRA: diffusers has no way to load one into it. "
            f"Leave out {setting('lora')}."
        )
    from peft.tuners.tuners_utils import BaseTunerLayer

    for lora in loras:
        _load_lora(pipeline, lora, name)
        for network in _adapted(pipeline).values():
            for layer in network.modules():
                if isinstance(layer, BaseTunerLayer):
                    _fuse(layer, lora, name)
        pipeline.unload_lora_weights()  # the layers of LoRA, whose product is in the weights now


def _adapted(pipeline: Any) -> dict[str, nn.Module]:
    """The networks of a pipeline that take LoRAs, by part."""
    networks = {part: getattr(pipeline, part, None) for part in pipeline._lora_loadable_modules}
    return {part: network for part, network in networks.items() if isinstance(network, nn.Module)}


def _load_lora(pipeline: Any, lora: Lora, name: str) -> None:
    where = {
        "weight_name": lora.path.name,
        "use_safetensors": True,  # else a pickle beside it would be read in its place
        "local_files_only": True,
    }
    unfit = f"The LoRA '{lora.path}' does not fit '{name}', a {type(pipeline).__name__}"
    advice = "It was made for another model, or for another size of this one: draw with that."
    tensors = outline_tensors(lora.path, "LoRA")
    if unread := [tensor for tensor in tensors if "dora_scale" in tensor or "hada_" in tensor]:
        raise ModelError(f"{unfit}: it is a DoRA or a LoHa ({unread[0]}), which diffusers does not read. Leave it out.")
    if odd := next(_oddities(tensors), ""):
        raise ModelError(f"{unfit}: {odd}. Fetch it anew, or leave it out.")
    try:
        with quiet():
            options = {"unet_config": pipeline.unet.config} if hasattr(pipeline, "unet") else {}
            expected = pipeline.lora_state_dict(str(lora.path.parent), **where, **options)
            pipeline.load_lora_weights(str(lora.path.parent), **where, adapter_name=_ADAPTER)
    except Exception as error:  # a LoRA can be of any model
        mismatch = _MISFIT.search(str(error))
        reason = "{}: {} in the LoRA, {} here".format(*mismatch.groups()) if mismatch else _reason(error)
        raise ModelError(f"{unfit} ({reason}). {advice}") from error
    wanted = [key for key in (expected[0] if isinstance(expected, tuple) else expected) if not key.endswith("alpha")]
    taken = list(_taken(pipeline))
    if empty := [parameter for parameter, value in taken if value.is_meta]:
        raise ModelError(f"{unfit}: it lacks one half of a change ({some(empty, 3)}). Fetch it anew.")
    if len(taken) != len(wanted):
        modules = {_module_of(parameter) for parameter, _ in taken}
        stray = [key for key in wanted if _module_of(key) not in modules] or wanted
        raise ModelError(
            f"{unfit}: {len(wanted) - len(taken)} of its {len(wanted)} tensors have no place there ({some(stray, 3)}). "
            f"{advice}"
        )


def _oddities(tensors: Mapping[str, TensorOutline]) -> Iterator[str]:
    """What no LoRA has, of which libraries say nothing that helps."""
    for name, tensor in tensors.items():
        if not tensor.kind.startswith(("F", "BF")):
            yield f"'{name}' is of {tensor.kind}, not of floating-point numbers"
        for first, second in _HALVES:
            other = tensors.get(name.replace(first, second)) if first in name else None
            if other and tensor.shape and len(other.shape) > 1 and tensor.shape[0] != other.shape[1]:
                yield f"the two halves of a change are of rank {tensor.shape[0]} and {other.shape[1]} ({name})"


def _reason(error: Exception) -> str:
    """The line of an error that says most: those of libraries may begin with a heading, or be the name of a key."""
    if isinstance(error, KeyError | AttributeError | TypeError):
        return f"{type(error).__name__}: {first_line(error)}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = next((line for line in lines if not line.endswith(":")), "")
    return said.rstrip(".") or first_line(error)


def _taken(pipeline: Any) -> Iterator[tuple[str, Tensor]]:
    """The tensors that a pipeline has got for a LoRA, by part and name; one that was made and not filled is of meta."""
    for part, network in _adapted(pipeline).items():
        for parameter, value in network.named_parameters():
            if f".{_ADAPTER}." in f"{parameter}.":
                yield f"{part}.{parameter.replace(f'.{_ADAPTER}', '')}", value


def _module_of(key: str) -> str:
    """The part and the module of a LoRA's tensor, however the file spells which of the two matrices it is."""
    return re.sub(r"(\.text_model\b)|([._]lora[._].*)|(\.lora_linear_layer.*)|(\.processor\b)", "", key)


def _fuse(layer: Any, lora: Lora, name: str) -> None:
    layer.set_scale(_ADAPTER, lora.scale)
    try:
        layer.merge(safe_merge=True, adapter_names=[_ADAPTER])
    except ValueError as error:
        raise ModelError(
            f"The LoRA '{lora.path}' makes weights of '{name}' that are no numbers ({first_line(error)}). Give it a "
            "smaller scale, or leave it out."
        ) from error


# ---- textual inversion ------------------------------------------------------------------------------------


def add_embeddings(pipeline: Any, embeddings: Sequence[Embedding], name: str) -> EmbeddedTokens:
    """Add the tokens of embeddings to the vocabulary of a pipeline, and their vectors to its text encoders.

    A token of several vectors is a word of as many tokens; `EmbeddedTokens.expand` puts them into a text.

    Args:
        pipeline: of diffusers, in full precision, whose text encoders are all CLIP's.
        embeddings: with a token each.
        name: of the checkpoint, for messages.
    Raises:
        ModelError: a pipeline or an embedding of another kind, or a token that is a word already.
    """
    vectors: dict[str, tuple[str, ...]] = {}
    for embedding in embeddings:
        token, tensors = _read_embedding(embedding)
        encoders = _encoders(pipeline, name)
        if token in vectors:
            other = f"{embedding.path.name}:<other>"
            raise ModelError(
                f"Two embeddings have the token '{token}'. Give one of them another, e.g. "
                f"{setting('embedding', other)}."
            )
        chosen = _vectors_for(encoders, tensors, embedding, name)
        words = (token, *(f"<|{i}|{token}|>" for i in range(1, len(chosen[0]))))
        for (_, tokenizer, encoder), rows in zip(encoders, chosen, strict=True):
            if token in tokenizer.get_vocab():
                other = f"{embedding.path.name}:<{token}>"
                raise ModelError(
                    f"The token '{token}' of '{embedding.path}' is a word of '{name}' already. Give it another, e.g. "
                    f"{setting('embedding', other)}."
                )
            _add_words(tokenizer, encoder, words, rows)
        vectors[token] = words
    return EmbeddedTokens(vectors)


def _read_embedding(embedding: Embedding) -> tuple[str, dict[str, Tensor]]:
    """Its token, and its vectors (n, d) by their name in the file."""
    from safetensors.torch import load_file

    tensors = {key: value[None] if value.ndim == 1 else value for key, value in load_file(embedding.path).items()}
    keys = list(tensors)
    is_known = len(keys) == 1 or set(keys) <= set(_ENCODERS)
    if not is_known or any(value.ndim != 2 or not value.isfinite().all() for value in tensors.values()):
        raise ModelError(
            f"Expected vectors of one token in '{embedding.path}', or those for both text encoders "
            f"({', '.join(_ENCODERS)}), got {some([f'{key} {tuple(value.shape)}' for key, value in tensors.items()])}. "
            "Is it an embedding of textual inversion?"
        )
    is_named = len(keys) == 1 and keys[0] not in (*_UNNAMED, *_ENCODERS)
    token = embedding.token or (keys[0] if is_named else embedding.path.stem)
    if not is_token(token):
        other = f"{embedding.path.name}:<token>"
        raise ModelError(
            f"Expected {A_TOKEN} in '{embedding.path}', got '{token[:100]}'. Give it one, e.g. "
            f"{setting('embedding', other)}."
        )
    return token, tensors


def _encoders(pipeline: Any, name: str) -> list[tuple[str, Any, Any]]:
    """The name of its vectors in files, the tokenizer and the encoder, for each text encoder of a pipeline."""
    parts = [part for part in pipeline.components if part.startswith("text_encoder") and pipeline.components[part]]
    is_clip = all("CLIPText" in type(pipeline.components[part]).__name__ for part in parts)
    if not parts or not is_clip or len(parts) > len(_ENCODERS):
        raise ModelError(
            f"'{name}', a {type(pipeline).__name__}, takes no embedding: only Stable Diffusion, SDXL and others that "
            f"read by CLIP alone do. Leave out {setting('embedding')}."
        )
    tokenizers = [pipeline.components[part.replace("text_encoder", "tokenizer")] for part in parts]
    return list(zip(_ENCODERS, tokenizers, (pipeline.components[part] for part in parts), strict=False))


def _vectors_for(
    encoders: Sequence[tuple[str, Any, Any]], tensors: dict[str, Tensor], embedding: Embedding, name: str
) -> list[Tensor]:
    """The vectors (n, d) for each encoder."""
    widths = [encoder.get_input_embeddings().weight.shape[1] for _, _, encoder in encoders]
    keys = [key for key, _, _ in encoders] if len(encoders) > 1 else list(tensors)
    chosen = [tensors[key] for key in keys if key in tensors]
    if [value.shape[1] for value in chosen] != widths or len({len(value) for value in chosen}) != 1:
        found = ", ".join(f"{key} of width {value.shape[1]}" for key, value in tensors.items())
        raise ModelError(
            f"The embedding '{embedding.path}' does not fit '{name}', whose text encoders read vectors of width "
            f"{' and '.join(map(str, widths))}; it has {found}. It was made for another model: draw with that."
        )
    return chosen


def _add_words(tokenizer: Any, encoder: Any, words: Iterable[str], rows: Tensor) -> None:
    tokenizer.add_tokens(list(words))
    if len(tokenizer) > encoder.get_input_embeddings().num_embeddings:
        with quiet():
            encoder.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    weight = encoder.get_input_embeddings().weight
    with torch.no_grad():
        weight[tokenizer.convert_tokens_to_ids(list(words))] = rows.to(weight)
