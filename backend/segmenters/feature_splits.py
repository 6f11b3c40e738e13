"""Networks cut in two at the feature map that f-BRS changes. MODELS.md 6.6.

Published is f-BRS on HRNets, places B and C of RITM's. On the other networks the same idea changes the last map of their backbone, place B.

RITM's heads compute in the published order of operations, not by the exact rewrites of `hrnet.py`: those differ in the last bit of a
float32, and the search for scales and shifts amplifies that to another, equally good, answer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from backend.errors import ModelError
from backend.inference.fbrs import FbrsSegmenter
from backend.inference.fbrs_search import Answer, Head, SplitNetwork
from backend.inference.focus_predictor import FocalPredictor
from backend.inference.predictor import ClickPredictor
from backend.inference.segmenter import Segmenter
from backend.segmenters.focalclick import HrnetFocalClick, SegFormerFocalClick
from backend.segmenters.hrnet import HighResolutionNet
from backend.segmenters.ritm import RitmNet
from backend.segmenters.simpleclick import SimpleClickNet
from backend.segmenters.vitclick import VitClick


def ritm_b(net: RitmNet, x: Tensor, points: Tensor) -> tuple[Tensor, Head]:
    """Between backbone and head: f-BRS-B, and f-BRS-A, which is the same place in an HRNet. 15 * width channels at stride 4."""
    extractor = net.feature_extractor
    return net.features(x, points), lambda features: (extractor.cls_head(_in_context(extractor, features)), None)


def ritm_c(net: RitmNet, x: Tensor, points: Tensor) -> tuple[Tensor, Head]:
    """Before the last convolution, behind the object context: f-BRS-C. 2 * ocr_width channels at stride 4."""
    extractor = net.feature_extractor
    return _in_context(extractor, net.features(x, points)), lambda features: (extractor.cls_head(features), None)


def simpleclick_b(net: SimpleClickNet, x: Tensor, points: Tensor) -> tuple[Tensor, Head]:
    """Between the vision transformer and the pyramid built on its last map. embed_dim channels at stride patch."""
    return net.features(x, points), lambda features: (net.head(net.neck(features)), None)


def vitclick_b(net: VitClick, x: Tensor, points: Tensor) -> tuple[Tensor, Head]:
    """Between the vision transformer, its four depths joined, and the decoder. 128 channels at stride 14; the stem's detail stays."""
    tokens, *details = net.body(x, points)
    return tokens, lambda features: (net.decode(features, *details), None)


def segformer_b(net: SegFormerFocalClick, x: Tensor, points: Tensor) -> tuple[Tensor, Head]:
    """Between the last stage of the encoder, stride 32, and the head that joins all four; the refiner reads what that then joins."""
    extractor = net.feature_extractor
    *finer, last = extractor.backbone(*net.encoded(x, points))
    return last, lambda features: extractor.decode_head([*finer, features])


def focal_hrnet_b(net: HrnetFocalClick, x: Tensor, points: Tensor) -> tuple[Tensor, Head]:
    """As `ritm_b`; the refiner reads the features in their object context."""
    extractor = net.feature_extractor

    def head(features: Tensor) -> Answer:
        found, _ = extractor.object_features(features)
        return extractor.cls_head(found), found

    image, clicks = net.encoded(x, points)
    return extractor.features(image, net.maps_transform(clicks)), head


PLACES: dict[str, dict[type[nn.Module], Callable[..., tuple[Tensor, Head]]]] = {
    "a": {RitmNet: ritm_b},
    "b": {
        RitmNet: ritm_b,
        SimpleClickNet: simpleclick_b,
        VitClick: vitclick_b,
        SegFormerFocalClick: segformer_b,
        HrnetFocalClick: focal_hrnet_b,
    },
    "c": {RitmNet: ritm_c},
}


def split_network(net: object, place: str) -> SplitNetwork:
    """`net` cut at the place that f-BRS-`place` changes: a, b or c. Raises ModelError where f-BRS knows no such place."""
    if place not in PLACES:
        raise ModelError(f"f-BRS-{place.upper()} is not known; expected one of A, B and C")
    for kind, split in PLACES[place].items():
        if isinstance(net, kind):
            return partial(split, net)
    known = ", ".join(kind.__name__ for kind in PLACES[place])
    raise ModelError(
        f"f-BRS-{place.upper()} changes a feature map of {known}, and this network is a {type(net).__name__}; turn f-BRS off, or choose "
        f"another model{' or place b' if place != 'b' else ''}"
    )


def with_fbrs(segmenter: Segmenter, place: str) -> FbrsSegmenter:
    """`segmenter` with its clicks met by f-BRS at that place: as published on RITM, only where it helps on the others (see `fbrs`).

    Raises ModelError for a segmenter without such a network: a baseline, or SAM, which reads clicks as prompts and not as pixels.
    """
    if not isinstance(segmenter, ClickPredictor | FocalPredictor):
        raise ModelError(f"f-BRS changes features of a network that reads clicks as pixels, and {segmenter.name} does not; turn f-BRS off")
    published = isinstance(segmenter.net, RitmNet)
    split = split_network(segmenter.net, place)
    return FbrsSegmenter(segmenter, split, place, clicks_limit=8 if published else None, published=published)


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
