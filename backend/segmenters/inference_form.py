"""A loaded network rewritten for answering clicks: the same function in fewer and faster operations, in bfloat16 where asked for.

Batch norms are folded into the convolution before them, linear layers packed for oneDNN with their GELU fused, convolutions laid out
channels last. In fp32 all of that changes results by rounding only; parity with the originals is checked on this form.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from backend.segmenters.low_precision import Bf16Convolution, Bf16Linear
from backend.segmenters.packed_linear import PackedLinear, onednn_linear_available
from backend.segmenters.precision import Precision

# Attribute names of a convolution and the batch norm that follows it directly, in the modules of this package.
_CONV_AND_NORM = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"), ("conv", "norm"), ("conv1x1", "norm"))
# Of an MLP's two layers: timm's and SegFormer's, segment-anything's. GELU follows the first where the MLP has it as `act`.
_MLPS = (("fc1", "fc2"), ("lin1", "lin2"))
Net = TypeVar("Net", bound=nn.Module)


@runtime_checkable
class ReadsWeights(Protocol):
    """A module that uses the weights of some children itself instead of calling them: those stay as they are."""

    def read_directly(self) -> tuple[nn.Module, ...]:
        """The children in question."""
        ...


def inference_form(net: Net, precision: Precision = "fp32") -> Net:
    """`net`, in eval mode on its device, rewritten in place. Not for training, and its state dict is no longer a published one."""
    for module in list(net.modules()):
        _fold_batch_norms(module)
    kept = {id(child) for module in net.modules() if isinstance(module, ReadsWeights) for child in module.read_directly()}
    on_cpu = all(parameter.device.type == "cpu" for parameter in net.parameters())
    pack = on_cpu and onednn_linear_available()
    for module in list(net.modules()):
        _rewrite_mlp(module, low=precision != "fp32", pack=pack)
        _rewrite_attention(module, low=precision == "bf16", on_cpu=on_cpu, pack=pack)
        for name, child in list(module.named_children()):
            if id(child) in kept:
                continue
            if isinstance(child, nn.Linear):
                setattr(module, name, _linear(child, low=precision == "bf16", pack=pack))
            elif isinstance(child, nn.Conv2d | nn.ConvTranspose2d):
                child.to(memory_format=torch.channels_last)  # type: ignore[call-overload] - torch's stubs lack it
                setattr(module, name, Bf16Convolution(child) if precision == "bf16" else child)
    return net


def _fold_batch_norms(module: nn.Module) -> None:
    """Conv + BatchNorm -> Conv, wherever one directly follows the other."""
    for conv_name, norm_name in _adjacent(module):
        conv, norm = module._modules.get(conv_name), module._modules.get(norm_name)
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, conv_name, fuse_conv_bn_eval(conv, norm).requires_grad_(False))
            setattr(module, norm_name, nn.Identity())


def _adjacent(module: nn.Module) -> Iterator[tuple[str, str]]:
    if isinstance(module, nn.Sequential):
        yield from pairwise(module._modules)
    else:
        yield from _CONV_AND_NORM


def _rewrite_mlp(module: nn.Module, *, low: bool, pack: bool) -> None:
    """Both layers of an MLP, with the GELU between them where there is one and the first layer can take it along."""
    for first_name, second_name in _MLPS:
        first, second = module._modules.get(first_name), module._modules.get(second_name)
        if not isinstance(first, nn.Linear) or not isinstance(second, nn.Linear):
            continue
        activation = module._modules.get("act")
        fuse = (pack or low) and isinstance(activation, nn.GELU) and activation.approximate == "none"
        setattr(module, first_name, _linear(first, low=low, pack=pack, gelu=fuse, keep=fuse))
        setattr(module, second_name, _linear(second, low=low, pack=pack))
        if fuse:
            module.act = nn.Identity()


def _rewrite_attention(module: nn.Module, *, low: bool, on_cpu: bool, pack: bool) -> None:
    """Attention of a ViT in bfloat16 from the projection to the product with the values: timm's, and SAM's with relative positions."""
    projection = module._modules.get("qkv")
    if not low or not isinstance(projection, nn.Linear):
        return
    module.qkv = _linear(projection, low=True, pack=pack, keep=True)
    for name in ("rel_pos_h", "rel_pos_w", "attention_biases"):
        if name in module._parameters:
            setattr(module, name, nn.Parameter(getattr(module, name).to(torch.bfloat16), requires_grad=False))
    module.train(module.training)  # makes TinyViT forget the biases it has laid out already
    if on_cpu and hasattr(module, "fused_attn"):  # two products and a softmax take half the time of torch's fused kernel there
        setattr(module, "fused_attn", False)  # noqa: B010 - no module's type knows the name


def _linear(layer: nn.Linear, *, low: bool, pack: bool, gelu: bool = False, keep: bool = False) -> nn.Module:
    if pack:
        return PackedLinear(layer, torch.bfloat16 if low else torch.float32, gelu=gelu, keep=keep)
    return Bf16Linear(layer, gelu=gelu, keep=keep) if low else layer
