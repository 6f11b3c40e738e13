"""Parity of FocalClick's networks: names and shapes of their weights, both raw passes, and their predictors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.evaluation.parity import (
    PROBABILITY_TOLERANCE,
    RAW_TOLERANCE,
    STATISTICS_TOLERANCE,
    Check,
    Fixture,
    close,
    skipped,
)
from backend.evaluation.parity_focal_predictor import FocalRecorder, click_through, compare_clicks, initial_mask, predictor, unsupported
from backend.evaluation.parity_networks import RITM_SHARED, check_keys, has_arrays, own_options, raw_input, with_weights
from backend.inference.crop import resize
from backend.segmenters.focalclick import ARCHITECTURES, SEGFORMERS, FocalClickNet, HrnetFocalClick, SegFormerFocalClick

PREFIX = "focalclick_"
# Constructor options, beyond those that every published model shares, that the networks are built from; `norm_radius` is replaced in the
# originals by the pipeline's own radii.
HRNET_OPTIONS = {"pipeline_version", "width", "ocr_width", "small"}
SEGFORMER_OPTIONS = {"pipeline_version", "model_version"}


def check(fixture: Fixture) -> Iterator[Check]:
    """Keys, then raw outputs, then variants; only the keys where the fixture is a key list alone."""
    network = _network(fixture)
    if isinstance(network, str):
        yield skipped(fixture.name, network)
        return
    build, options = network
    if fixture.keys is not None:
        with torch.device("meta"):
            yield check_keys(fixture, build(**options))
    if fixture.arrays is None:
        return
    net = with_weights(fixture, build(**options))
    with torch.inference_mode():
        yield from _check_raw(fixture, net)
    for name, variant in fixture.setting("variants").items():
        yield from _check_variant(fixture, net, name, variant)


def _check_variant(fixture: Fixture, net: FocalClickNet, name: str, variant: Mapping[str, Any]) -> Iterator[Check]:
    reason = unsupported(variant)
    if reason is not None:
        yield skipped(fixture.name, f"variant {name}: {reason}")
        return
    recorder = FocalRecorder(net)
    mask = initial_mask(fixture, name, variant)
    ours = click_through(predictor(recorder, variant), fixture.array("image"), fixture.setting("clicks"), mask)
    yield from compare_clicks(fixture, name, ours, recorder.calls, variant, PROBABILITY_TOLERANCE)


def _network(fixture: Fixture) -> tuple[type[FocalClickNet], dict[str, Any]] | str:
    """Class and constructor arguments: of NAME.json, or of the architecture that the name begins with; else why there are none."""
    if fixture.meta is None:
        wanted = _plain(fixture.name.removeprefix(PREFIX))
        names = [name for name in ARCHITECTURES if wanted.startswith(_plain(name))]
        known = ", ".join(ARCHITECTURES)
        return ARCHITECTURES[max(names, key=len)] if names else f"'{fixture.name}' is none of the architectures {known}"
    options, unlike = own_options(fixture.setting("ctor"), RITM_SHARED)
    segformer = "model_version" in options
    options.pop("feature_stride", None)  # of the published networks' head, 4 in every one
    unlike |= set(options) - (SEGFORMER_OPTIONS if segformer else HRNET_OPTIONS)
    if unlike:
        return f"the network options {', '.join(sorted(unlike))} are not supported yet"
    pipeline = options.pop("pipeline_version")
    if not segformer:
        return HrnetFocalClick, {"pipeline": pipeline, "small": False, **options}
    version = options["model_version"]
    known = SEGFORMERS.get(version)
    return f"there is no SegFormer '{version}'" if known is None else (SegFormerFocalClick, {"pipeline": pipeline, **known})


def _plain(name: str) -> str:
    """`segformerB0_S1` and `segformer_b0_s1` are one name."""
    return name.lower().replace("_", "")


def _check_raw(fixture: Fixture, net: FocalClickNet) -> Iterator[Check]:
    """The coarse pass on the whole image, then the refiner on the recorded part of it."""
    if not has_arrays(fixture, "raw_", "refine_"):
        return
    full = raw_input(fixture)
    sides = [int(match[1]) for name in fixture.arrays or () if (match := re.fullmatch(r"raw_logits_(\d+)(?:_s\d+)?", name))]
    size = (sides[0], sides[0]) if sides else (256, 256)
    image, clicks = net.encoded(resize(full, size), torch.tensor(fixture.array("raw_points")))
    logits, features, auxiliary = net.backbone(image, clicks)
    logits, auxiliary = resize(logits, size), resize(auxiliary, size)
    yield from _compare_maps(fixture, {f"raw_logits_{size[0]}": logits, f"raw_aux_{size[0]}": auxiliary})
    yield from _compare_features(fixture, features)
    if "refine_crop" in (fixture.arrays or ()):
        y1, y2, x1, x2 = (int(edge) for edge in fixture.array("refine_crop"))
        part = resize(full[:, :3, y1:y2, x1:x2], size)
        points, box = (torch.tensor(fixture.array(name)) for name in ("refine_points", "refine_roi"))
        refined, coarse, trimap = net.refiner(part, points, features, logits, box)
        yield from _compare_maps(fixture, {"refine_refined": refined, "refine_coarse": coarse, "refine_trimap": trimap})


def _compare_maps(fixture: Fixture, ours: Mapping[str, Tensor]) -> Iterator[Check]:
    """[1, 1, H, W] each, whole or subsampled as recorded."""
    for array in fixture.arrays or ():
        match = re.fullmatch(r"(\w+?)(?:_s(\d+))?", array)
        if match and match[1] in ours:
            step = int(match[2] or 1)
            yield close(fixture.name, f"raw:{array}", ours[match[1]][0, 0, ::step, ::step], fixture.array(array), RAW_TOLERANCE)


def _compare_features(fixture: Fixture, features: Tensor) -> Iterator[Check]:
    """The features that the refiner reads: channels one by one, and (mean, standard deviation) of all."""
    for array in fixture.arrays or ():
        match = re.fullmatch(r"raw_feature_(?:c(\d+)|stats)", array)
        if match:
            ours = features[0, int(match[1])].numpy() if match[1] else np.array([float(features.mean()), float(features.std())])
            yield close(fixture.name, f"raw:{array}", ours, fixture.array(array), STATISTICS_TOLERANCE)
