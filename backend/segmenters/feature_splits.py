"""Networks cut in two at the feature map that f-BRS changes. MODELS.md 6.6.

Heads compute in the published order of operations, not by the exact rewrites of `hrnet.py`: those differ in the last bit of a float32, and
the search for scales and shifts amplifies that to another, equally good, answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from backend.errors import ModelError
from backend.inference.fbrs import Head, SplitNetwork
from backend.segmenters.hrnet import HighResolutionNet
from backend.segmenters.ritm import RitmNet


@dataclass(frozen=True, eq=False)
class BackboneSplit:
    """RITM cut between backbone and head: f-BRS-B, and f-BRS-A, which is the same place in an HRNet. 15 * width channels."""

    net: RitmNet

    @property
    def channels(self) -> int:
        """Channels of the map."""
        return self.net.feature_extractor.channels

    def __call__(self, x: Tensor, points: Tensor) -> tuple[Tensor, Head]:
        """See `SplitNetwork`; features at stride 4."""
        extractor = self.net.feature_extractor
        return self.net.features(x, points), lambda features: extractor.cls_head(_in_context(extractor, features))


@dataclass(frozen=True, eq=False)
class ContextSplit:
    """RITM cut before its last convolution, behind the object context: f-BRS-C. 2 * ocr_width channels."""

    net: RitmNet

    @property
    def channels(self) -> int:
        """Channels of the map."""
        return self.net.feature_extractor.cls_head.in_channels

    def __call__(self, x: Tensor, points: Tensor) -> tuple[Tensor, Head]:
        """See `SplitNetwork`; features at stride 4."""
        extractor = self.net.feature_extractor
        return _in_context(extractor, self.net.features(x, points)), extractor.cls_head


PLACES = {"a": BackboneSplit, "b": BackboneSplit, "c": ContextSplit}


def split_network(net: object, place: str) -> SplitNetwork:
    """`net` cut at the place that f-BRS-`place` changes: a, b or c. Raises ModelError where f-BRS knows no such place."""
    if place not in PLACES:
        raise ModelError(f"f-BRS-{place.upper()} is not known; expected one of A, B and C")
    if not isinstance(net, RitmNet):
        kind = type(net).__name__ if isinstance(net, nn.Module) else "no network"
        raise ModelError(f"f-BRS changes features of HRNet networks of the family ritm, and this is {kind}; choose a model of that family")
    return PLACES[place](net)


def _in_context(net: HighResolutionNet, joined: Tensor) -> Tensor:
    """`HighResolutionNet.object_features` as published: the context is spread over all pixels, then projected, then joined."""
    weights = net.aux_head(joined).flatten(2).softmax(dim=2)  # (B, 1, N)
    features = net.conv3x3_ocr(joined)  # (B, C, h, w)
    batch, _, height, width = features.shape
    proxy = (weights @ features.flatten(2).transpose(1, 2)).transpose(1, 2).unsqueeze(3)  # (B, C, 1, 1)
    block = net.ocr_distri_head.object_context_block
    value = block.f_down(proxy).flatten(2).transpose(1, 2)  # (B, 1, key)
    attention = torch.ones(batch, height * width, 1, device=joined.device)  # a softmax over one region
    context = (attention @ value).transpose(1, 2).contiguous().view(batch, -1, height, width)
    return net.ocr_distri_head.conv_bn_dropout(torch.cat([block.f_up(context), features], dim=1))
