"""Work of a UNet that is the same in every step, done once; and layers that a CPU computes faster in another form."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Remembering(nn.Module):
    """A projection of the text: the same in every step, so computed in the first and remembered."""

    def __init__(self, projection: nn.Module) -> None:
        super().__init__()
        self.projection = projection
        self.forget()

    def forward(self, text: Tensor) -> Tensor:
        """The projection of `text`, computed anew only for another tensor."""
        projected = self._projected
        if projected is None or text is not self._text:
            self._text, self._projected = text, (projected := self.projection(text))
        return projected

    def forget(self) -> None:
        """Free the memory."""
        self._text: Tensor | None = None
        self._projected: Tensor | None = None


def remember_text_projections(unet: nn.Module) -> list[Remembering]:
    """Make the keys and values of every cross-attention remember; 10 % of a small UNet's work."""
    memories = []
    for name, module in unet.named_modules():
        if name.endswith(".attn2"):  # diffusers' name for the attention to the text
            for projection in ("to_k", "to_v"):
                memory = Remembering(module.get_submodule(projection))
                setattr(module, projection, memory)
                memories.append(memory)
    return memories


class _LinearAsConvolution(nn.Module):
    """A linear layer on (n, tokens, d), computed as a 1×1 convolution over a row of pixels.

    On CPUs PyTorch multiplies matrices with MKL, which reaches half of oneDNN's speed on AMD's; its
    convolutions are oneDNN's everywhere. No data moves: (n, tokens, d) is a channels-last image.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach()[:, :, None, None]
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last), requires_grad=False)
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """x (n, tokens, d) -> (n, tokens, out)."""
        return F.conv2d(x.mT.unsqueeze(2), self.weight, self.bias).squeeze(2).mT


def use_convolutions_for_attention(unet: nn.Module) -> None:
    """Compute the linear layers of all attention blocks as convolutions."""
    for name, module in list(unet.named_modules()):
        if "attentions." in name:
            for child_name, child in list(module.named_children()):
                if isinstance(child, nn.Linear):
                    setattr(module, child_name, _LinearAsConvolution(child))
