"""Where the networks of a checkpoint lie and in which form: quantised, moved to the device, or offloaded from it.

Quantisation is done in place, on networks that are loaded, as LoRAs must be in the weights before. So the full weights
are in the memory of the CPU for a while; the GPU sees the small ones alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from diffusers.hooks import apply_group_offloading, apply_layerwise_casting
from torch import nn

from synthset.core.errors import UsageError, setting
from synthset.core.libraries import library_errors, quiet
from synthset.generators.families import denoiser_of
from synthset.generators.memory import GROUP, MODEL, MemoryOptions

# what fp8 leaves alone: normalisation and positions, of which little is to be saved, as diffusers does; and the
# embedding of words, by whose dtype transformers tells that of an encoder
_KEPT_IN_FP8 = ("pos_embed", "patch_embed", "norm", "^proj_in$", "^proj_out$", "embed_tokens", "embedding", "shared")

_GROUPS: dict[str, Any] = {"offload_device": torch.device("cpu"), "offload_type": "leaf_level"}


# ---- quantisation -----------------------------------------------------------------------------------------


def quantise(pipeline: Any, form: str, dtype: torch.dtype, name: str) -> None:
    """Hold the weights of the denoiser and of the text encoders in fewer bits; activations keep `dtype`.

    Args:
        pipeline: of diffusers, on the CPU.
        form: one of QUANTISATIONS but none.
        dtype: that is computed in.
        name: of the checkpoint, for messages.
    Raises:
        ModelError: the library or this machine cannot.
    """
    encoders = [part for key, part in pipeline.components.items() if key.startswith("text_encoder")]
    networks = [part for part in (denoiser_of(pipeline), *encoders) if isinstance(part, nn.Module)]
    problem = f"'{name}' cannot be held in {form} here"
    with library_errors(problem, f"Give another {setting('quantise')}, or leave it out."), quiet():
        for network in networks:
            _QUANTISERS[form](network, dtype)


def _to_4bit(network: nn.Module, dtype: torch.dtype) -> None:
    """NF4 of Dettmers et al. 2023; weights are packed when they come to the device."""
    import bitsandbytes  # pyright: ignore[reportMissingImports]

    for parent, name, linear in _linears(network):
        packed = bitsandbytes.nn.Linear4bit(
            linear.in_features,
            linear.out_features,
            bias=linear.bias is not None,
            compute_dtype=dtype,
            quant_type="nf4",
            device="meta",
        )
        packed.weight = bitsandbytes.nn.Params4bit(linear.weight.data, requires_grad=False, quant_type="nf4")
        packed.bias = linear.bias
        setattr(parent, name, packed)


def _to_8bit(network: nn.Module, dtype: torch.dtype) -> None:
    """Weights as int8 with a scale for each row of them; activations stay as they are."""
    from torchao.quantization import (  # pyright: ignore[reportMissingImports]
        Int8WeightOnlyConfig,
        quantize_,
    )

    chosen = {id(linear) for _, _, linear in _linears(network)}
    quantize_(network, Int8WeightOnlyConfig(version=2), filter_fn=lambda module, _: id(module) in chosen)


def _to_fp8(network: nn.Module, dtype: torch.dtype) -> None:
    """Weights as float8 e4m3, each layer's unpacked while it computes."""
    own = getattr(network, "_skip_layerwise_casting_patterns", None) or ()
    kept = {*own, *_KEPT_IN_FP8, *(rf"\b{name}\b" for name in _kept_in_full(network))}
    apply_layerwise_casting(network, torch.float8_e4m3fn, dtype, skip_modules_pattern=tuple(sorted(kept)))


_QUANTISERS: Mapping[str, Callable[[nn.Module, torch.dtype], None]] = {
    "4bit": _to_4bit,
    "8bit": _to_8bit,
    "fp8": _to_fp8,
}


def _linears(network: nn.Module) -> list[tuple[nn.Module, str, nn.Linear]]:
    """The linear layers of a network with their parent and name there, but those that it wants in full precision."""
    kept = _kept_in_full(network)
    return [
        (parent, name, child)
        for path, parent in network.named_modules()
        for name, child in parent.named_children()
        if type(child) is nn.Linear and not any(part in kept for part in (*path.split("."), name))
    ]


def _kept_in_full(network: nn.Module) -> tuple[str, ...]:
    """Names of the parts that a network wants in full precision, such as T5's `wo`."""
    return tuple(getattr(network, "_keep_in_fp32_modules", None) or ())


# ---- decoding ---------------------------------------------------------------------------------------------


def decode_in_tiles(vae: Any, name: str) -> None:
    """Have a VAE decode images that are larger than those that it was trained on by tiles.

    Raises:
        ModelError: it cannot.
    """
    with library_errors(f"The VAE of '{name}' has no tiles", f"Leave out {setting('vae_tiling')}."):
        vae.enable_tiling()


# ---- offloading -------------------------------------------------------------------------------------------


def check_device(memory: MemoryOptions, device: torch.device) -> None:
    """Refuse offloading to where the networks are already.

    Raises:
        UsageError: on a CPU.
    """
    if memory.is_offloaded and device.type == "cpu":
        raise UsageError(
            f"Expected a GPU with {setting('offload', memory.offload)}, got the device 'cpu', in whose memory all "
            "weights are. Leave it out."
        )
    if memory.quantise == "4bit" and memory.is_offloaded:
        raise UsageError(
            f"Expected {setting('quantise', '8bit')} or fp8 with {setting('offload', memory.offload)}, got 4bit, whose "
            "weights are packed once, on the GPU. Drop one."
        )


def place(networks: Sequence[nn.Module], memory: MemoryOptions, device: torch.device) -> None:
    """Bring networks to the device, or have each brought there while it computes.

    Args:
        networks: in the order in which they compute: with offload=model each sends the one before it back.
        memory: its `offload`.
        device: that they compute on.
    """
    if memory.offload == MODEL:
        _offload_models(networks, device)
    elif memory.offload == GROUP:
        for network in networks:
            offload_groups(network, device)
    else:
        for network in networks:
            network.to(device)


def place_pipeline(pipeline: Any, memory: MemoryOptions, device: torch.device) -> Any:
    """The pipeline, its networks brought to the device, or each brought there while it computes."""
    if memory.offload == MODEL:
        pipeline.enable_model_cpu_offload(device=device)
    elif memory.offload == GROUP:
        pipeline.enable_group_offload(onload_device=device, **_GROUPS, use_stream=device.type == "cuda")
    else:
        pipeline.to(device)
    return pipeline


def _offload_models(networks: Sequence[nn.Module], device: torch.device) -> None:
    from accelerate import cpu_offload_with_hook

    hook = None
    for network in networks:
        network, hook = cpu_offload_with_hook(network, device, prev_module_hook=hook)
    first: Any = networks[0]
    first._hf_hook.prev_module_hook = hook  # the next batch begins where this one ends


def offload_groups(network: nn.Module, device: torch.device) -> None:
    """Have each layer of a network brought to the device while it computes; on CUDA the next comes meanwhile."""
    apply_group_offloading(
        network,
        onload_device=device,
        **_GROUPS,
        use_stream=device.type == "cuda",
    )
