"""HRNet with an object-contextual head for one class, as RITM uses it. MODELS.md 2.

Module and attribute names are those of the published checkpoints, so that their keys load as they are.
B batch, C channels; stride 4 means H/4 x W/4, rounded up, for an input of any H x W.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from backend.inference.crop import resize


def conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1, *, relu: bool = True) -> nn.Sequential:
    """Convolution without bias, batch norm, and ReLU unless told otherwise."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and the input added: [B, C, H, W] -> the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out."""
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(out)) + x, inplace=True)


class Bottleneck(nn.Module):
    """1x1 to 64 channels, 3x3, 1x1 to 256, and the input (projected where it has other channels) added."""

    def __init__(self, inputs: int, planes: int = 64, expansion: int = 4) -> None:
        super().__init__()
        outputs = planes * expansion
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = conv_bn(inputs, outputs, 1, relu=False) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, 256, H, W]."""
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = F.relu(self.bn2(self.conv2(out)), inplace=True)
        residual = x if self.downsample is None else self.downsample(x)
        return F.relu(self.bn3(self.conv3(out)) + residual, inplace=True)


class HighResolutionModule(nn.Module):
    """Branches at strides 4, 8, 16, 32, each refined, then every branch fused into every other."""

    def __init__(self, channels: Sequence[int], blocks: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(BasicBlock(c) for _ in range(blocks))) for c in channels)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(self._fuse(channels, target, source) for source in range(len(channels))) for target in range(len(channels))
        )

    @staticmethod
    def _fuse(channels: Sequence[int], target: int, source: int) -> nn.Module:
        """The path from branch `source` to branch `target`: a projection upwards, strided convolutions downwards."""
        if source == target:
            return nn.Identity()
        if source > target:
            return conv_bn(channels[source], channels[target], 1, relu=False)
        halvings = target - source
        steps = [conv_bn(channels[source], channels[source], 3, 2) for _ in range(halvings - 1)]
        return nn.Sequential(*steps, conv_bn(channels[source], channels[target], 3, 2, relu=False))

    def forward(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """One map per branch in, one per branch out, same shapes."""
        refined = [branch(x) for branch, x in zip(self.branches, inputs, strict=True)]
        outputs = []
        for target, paths in enumerate(self.fuse_layers):
            size = (refined[target].shape[2], refined[target].shape[3])
            parts = [resize(path(x), size) for path, x in zip(paths, refined, strict=True)]  # type: ignore[arg-type] - a ModuleList
            outputs.append(F.relu(reduce(torch.add, parts), inplace=True))
        return outputs


class ObjectContext(nn.Module):
    """The four projections of the attention between pixels and object regions; two of them count when there is one region."""

    def __init__(self, channels: int, key: int) -> None:
        super().__init__()
        self.f_pixel = self._projections(channels, key, key)
        self.f_object = self._projections(channels, key, key)
        self.f_down = self._projections(channels, key)
        self.f_up = self._projections(key, channels)

    @staticmethod
    def _projections(*widths: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Conv2d(inputs, outputs, 1, bias=False), nn.Sequential(nn.BatchNorm2d(outputs), nn.ReLU())]
        return nn.Sequential(*layers)

    def forward(self, proxy: Tensor) -> Tensor:
        """Region feature [B, C, 1, 1] -> the context of every pixel, [B, C, 1, 1].

        The attention is a softmax over one region, which is 1 everywhere: f_pixel and f_object cannot influence the result and are only
        there to be loaded (MODELS.md, gotcha 8).
        """
        return self.f_up(self.f_down(proxy))


class ContextHead(nn.Module):
    """Pixel features joined with their object context: [B, C, H, W] -> [B, C, H, W]."""

    def __init__(self, channels: int, key: int) -> None:
        super().__init__()
        self.object_context_block = ObjectContext(channels, key)
        self.conv_bn_dropout = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 1, bias=False), nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU()), nn.Dropout2d(0.05)
        )

    def read_directly(self) -> tuple[nn.Module, ...]:
        """Of `ReadsWeights`: the 1x1 convolution that is taken in halves."""
        return (self.conv_bn_dropout[0],)

    def forward(self, features: Tensor, proxy: Tensor) -> Tensor:
        """features [B, C, H, W], proxy [B, C, 1, 1]. The context is the same for every pixel, so its half of the 1x1 convolution is
        computed once and added, not broadcast and convolved."""
        convolution, normalise, dropout = self.conv_bn_dropout
        context_weight, feature_weight = convolution.weight.chunk(2, dim=1)  # type: ignore[union-attr]
        context = F.conv2d(self.object_context_block(proxy), context_weight)
        return dropout(normalise(F.conv2d(features, feature_weight) + context))


class HighResolutionNet(nn.Module):
    """`(image, clicks) -> (logits, auxiliary logits)`, both [B, 1, H/4, W/4].

    width: channels of the stride-4 branch (18 or 32). ocr_width: half the channels of the head. small: half the blocks.
    bands: channels of the image.
    """

    def __init__(self, *, width: int, ocr_width: int, small: bool, bands: int = 3) -> None:
        super().__init__()
        blocks = 2 if small else 4
        modules = (1, 3, 2) if small else (1, 4, 3)  # HighResolutionModules of stages 2, 3, 4
        w = [width, 2 * width, 4 * width, 8 * width]
        self.conv1 = nn.Conv2d(bands, 64, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 64, 3, 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(Bottleneck(64), *(Bottleneck(256) for _ in range(blocks - 1)))
        self.transition1 = nn.ModuleList([conv_bn(256, w[0], 3), nn.Sequential(conv_bn(256, w[1], 3, 2))])
        self.stage2 = self._stage(modules[0], w[:2], blocks)
        self.transition2 = self._transition(w[:3])
        self.stage3 = self._stage(modules[1], w[:3], blocks)
        self.transition3 = self._transition(w)
        self.stage4 = self._stage(modules[2], w, blocks)

        joined, features = sum(w), 2 * ocr_width
        self.channels = joined  # of `features`
        self.conv3x3_ocr = nn.Sequential(nn.Conv2d(joined, features, 3, 1, 1), nn.BatchNorm2d(features), nn.ReLU(inplace=True))
        self.ocr_distri_head = ContextHead(features, ocr_width)
        self.cls_head = nn.Conv2d(features, 1, 1)
        self.aux_head = nn.Sequential(nn.Conv2d(joined, joined, 1), nn.BatchNorm2d(joined), nn.ReLU(inplace=True), nn.Conv2d(joined, 1, 1))

    @staticmethod
    def _stage(modules: int, channels: Sequence[int], blocks: int) -> nn.Sequential:
        return nn.Sequential(*(HighResolutionModule(channels, blocks) for _ in range(modules)))

    @staticmethod
    def _transition(channels: Sequence[int]) -> nn.ModuleList:
        """Existing branches pass; a new one, at twice the stride, grows from the last. Passing has no parameters, hence no keys."""
        passing = [nn.Identity() for _ in channels[:-1]]
        return nn.ModuleList([*passing, nn.Sequential(conv_bn(channels[-2], channels[-1], 3, 2))])

    def forward(self, image: Tensor, clicks: Tensor) -> tuple[Tensor, Tensor]:
        """image: [B, bands, H, W], normalised. clicks: [B, 64, H/2, W/2], added to the stem's features."""
        return self.head(self.features(image, clicks))

    def features(self, image: Tensor, clicks: Tensor) -> Tensor:
        """The backbone: the four branches, brought to stride 4 and joined, [B, 15 * width, H/4, W/4]."""
        x = F.relu(self.bn1(self.conv1(image)), inplace=True) + clicks
        x = self.layer1(F.relu(self.bn2(self.conv2(x)), inplace=True))  # (B, 256, H/4, W/4)
        branches = self.stage2([transition(x) for transition in self.transition1])
        branches = self.stage3([*branches, self.transition2[-1](branches[-1])])
        branches = self.stage4([*branches, self.transition3[-1](branches[-1])])
        size = (branches[0].shape[2], branches[0].shape[3])
        return torch.cat([resize(branch, size) for branch in branches], dim=1)

    def head(self, joined: Tensor) -> tuple[Tensor, Tensor]:
        """Backbone features to (logits, auxiliary logits)."""
        features, auxiliary = self.object_features(joined)
        return self.cls_head(features), auxiliary

    def object_features(self, joined: Tensor) -> tuple[Tensor, Tensor]:
        """Backbone features to (features in their object context [B, 2 * ocr_width, H/4, W/4], auxiliary logits).

        The auxiliary logits weigh the pixels of the object's mean feature.
        """
        auxiliary = self.aux_head(joined)
        features = self.conv3x3_ocr(joined)  # (B, C, H/4, W/4)
        weights = auxiliary.flatten(2).softmax(dim=2)  # (B, 1, N)
        proxy = (features.flatten(2) @ weights.transpose(1, 2)).unsqueeze(3)  # (B, C, 1, 1)
        return self.ocr_distri_head(features, proxy), auxiliary
