"""FocalClick's refiner: full detail and the coarse answer, mixed where the answer is doubtful. MODELS.md 4.3."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torchvision.ops import roi_align

from backend.inference.click_maps import disk_maps
from backend.inference.crop import resize

DISK_RADIUS = 5.0  # pixels of the crop
WIDTH = 32


class ConvBnRelu(nn.Module):
    """Convolution with bias, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, H / stride, W / stride]."""
        return F.relu(self.norm(self.conv(x)), inplace=True)


class SeparableConvBnRelu(nn.Module):
    """3x3 of each channel by itself, 1x1 across channels, batch norm, ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv3x3 = nn.Conv2d(channels, channels, 3, 1, 1, groups=channels)
        self.conv1x1 = nn.Conv2d(channels, channels, 1)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out."""
        return F.relu(self.norm(self.conv1x1(self.conv3x3(x))), inplace=True)


class Refiner(nn.Module):
    """Looks again at a part of what the coarse network saw.

    channels: of the coarse network's features. gate: the published SegFormer files also hold a gate that nothing uses.
    bands: channels of the image.
    """

    def __init__(self, channels: int, *, gate: bool, bands: int = 3) -> None:
        super().__init__()
        self.image_conv1 = ConvBnRelu(bands + 3, WIDTH, 3, stride=2)
        self.image_conv2 = SeparableConvBnRelu(WIDTH)
        self.image_conv3 = SeparableConvBnRelu(WIDTH)
        self.refine_fusion = ConvBnRelu(channels, WIDTH, 1)
        self.refine_fusion2 = SeparableConvBnRelu(WIDTH)
        self.refine_fusion3 = SeparableConvBnRelu(WIDTH)
        if gate:
            self.feature_gate = nn.Sequential(nn.Conv2d(WIDTH, 1, 1))
        self.refine_pred = nn.Conv2d(WIDTH, 1, 3, 1, 1)
        self.refine_trimap = nn.Conv2d(WIDTH, 1, 3, 1, 1)

    def forward(self, image: Tensor, points: Tensor, features: Tensor, logits: Tensor, box: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(refined logits, coarse logits inside the box, logits of the doubt that mixes them), all [B, 1, h, w].

        image: [B, bands, h, w] in 0..1, not normalised: the part, at full detail. points: [B, 2n, 3] in its pixels.
        features [B, C, Hf, Wf], logits [B, 1, H, W]: what the coarse network gave for the whole.
        box: [B, 5] (sample, x1, y1, x2, y2): where the part lies in the whole, px of `logits`, edges, inside 0..W and 0..H.
        """
        size = (image.shape[2], image.shape[3])
        scale = features.shape[3] / logits.shape[3]
        inside = roi_align(features, box, (features.shape[2], features.shape[3]), spatial_scale=scale, sampling_ratio=-1, aligned=True)
        coarse = roi_align(logits, box, size, spatial_scale=1.0, sampling_ratio=-1, aligned=True)
        x = torch.cat([image, disk_maps(points, size, DISK_RADIUS).to(image.dtype), coarse.sigmoid()], dim=1)
        detail = self.image_conv3(self.image_conv2(self.image_conv1(x)))  # (B, 32, h/2, w/2)
        joined = detail + resize(self.refine_fusion(inside), (detail.shape[2], detail.shape[3]))
        joined = self.refine_fusion3(self.refine_fusion2(joined))
        predicted, doubt = resize(self.refine_pred(joined), size), resize(self.refine_trimap(joined), size)
        mixed = doubt.sigmoid()
        return predicted * mixed + coarse * (1 - mixed), coarse, doubt
