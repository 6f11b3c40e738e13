"""Parity of the networks: names and shapes of their weights, their raw outputs, and their predictors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from backend.evaluation.parity import (
    PROBABILITY_TOLERANCE,
    RAW_TOLERANCE,
    STATISTICS_TOLERANCE,
    Check,
    Fixture,
    close,
    exact,
    skipped,
)
from backend.evaluation.parity_predictor import as_clicks, check_variants
from backend.inference.click_maps import points_tensor
from backend.inference.crop import resize
from backend.segmenters import ritm, simpleclick
from backend.segmenters.generated import WeightFormula

# The options of RITM's constructor that every published model shares, and that RitmNet builds in.
RITM_SHARED = {
    "with_aux_output": True,
    "use_leaky_relu": True,
    "use_rgb_conv": False,
    "use_disks": True,
    "norm_radius": 5,
    "with_prev_mask": True,
}
ICL = "cfr_icl_"
"""ICL is SimpleClick's network trained on: the same keys, other weights."""
SIMPLECLICK_OPTIONS = {"patch", "embed_dim", "depth", "heads", "out_dims", "head_channels", "upsample"}


def check(fixture: Fixture) -> Iterator[Check]:
    """Keys, then raw outputs, then variants; only the keys where the fixture is a key list alone."""
    family, _, rest = fixture.name.partition("_")
    if fixture.name.startswith(ICL):
        family, rest = "simpleclick", fixture.name.removeprefix(ICL)
    options = network_options(fixture, family, rest)
    if isinstance(options, str):
        yield skipped(fixture.name, options)
        return
    build: Callable[..., nn.Module] = {"ritm": ritm.RitmNet, "simpleclick": simpleclick.SimpleClickNet}[family]
    if fixture.keys is not None:
        with torch.device("meta"):  # shapes without memory: the largest network has 662 million weights
            yield check_keys(fixture, build(**options))
    if fixture.arrays is None:
        return
    net = with_weights(fixture, build(**options))
    with torch.inference_mode():
        yield from {"ritm": _check_ritm_raw, "simpleclick": _check_simpleclick_raw}[family](fixture, net)
    yield from check_variants(fixture, net, PROBABILITY_TOLERANCE)


Net = TypeVar("Net", bound=nn.Module)


def with_weights(fixture: Fixture, net: Net) -> Net:
    """`net` with the weights that the fixture's formula gives, ready to predict."""
    weights = fixture.setting("weights")
    WeightFormula(seed=weights["S"], gain=weights["gain"], mult=weights["mult"], const=weights["const"]).fill(net)
    return net.eval().requires_grad_(False)


def network_options(fixture: Fixture, family: str, architecture: str) -> dict[str, Any] | str:
    """Constructor arguments: of NAME.json, or of the published architecture that the name begins with; otherwise why there are none."""
    if fixture.meta is None:
        known = ritm.ARCHITECTURES if family == "ritm" else simpleclick.ARCHITECTURES
        names = [name for name in known if architecture.startswith(name)]
        return dict(known[max(names, key=len)]) if names else f"'{architecture}' is none of the architectures {', '.join(known)}"
    options = dict(fixture.setting("ctor"))
    if family == "ritm":
        unlike = {name for name, value in RITM_SHARED.items() if options.pop(name, value) != value}
        unlike |= set(options) - {"width", "ocr_width", "small"}
    else:
        unlike = set(options) - SIMPLECLICK_OPTIONS
        options["grid"] = _trained_grid(fixture)
    return f"the network options {', '.join(sorted(unlike))} are not supported yet" if unlike else options


def _trained_grid(fixture: Fixture) -> int:
    """Tokens along a side that position embeddings are stored for; 448 px where no key list says so."""
    if fixture.keys is None:
        return 448 // fixture.setting("ctor")["patch"]
    return round((fixture.keys["backbone.pos_embed"][1] - 1) ** 0.5)


def check_keys(fixture: Fixture, net: nn.Module) -> Check:
    """Counts names that are missing, superfluous or of another shape."""
    ours = {name: list(tensor.shape) for name, tensor in net.state_dict().items()}
    recorded = dict(fixture.keys or {})
    wrong = [name for name in {**recorded, **ours} if ours.get(name) != recorded.get(name)]
    first = f"{wrong[0]}: {ours.get(wrong[0], 'missing')}, recorded {recorded.get(wrong[0], 'no such key')}" if wrong else None
    return exact(fixture.name, "keys", len(wrong), first)


def raw_input(fixture: Fixture) -> Tensor:
    """cat(image / 255, previous mask / 255), float32 [1, 4, H, W]."""
    image = torch.tensor(fixture.array("image")).permute(2, 0, 1).float().div(255)
    previous = torch.tensor(fixture.array("prev_mask_u8")).float().div(255)
    return torch.cat([image, previous[None]])[None]


def _check_ritm_raw(fixture: Fixture, net: nn.Module) -> Iterator[Check]:
    """Logits and auxiliary logits at stride 4 (`_quarter`) and at the input's size (`_sN`)."""
    x = raw_input(fixture)
    clicks = [(click.row - 0.5, click.col - 0.5, click.positive) for click in as_clicks(fixture.setting("clicks"))]
    assert isinstance(net, ritm.RitmNet)  # built by `check`
    outputs: dict[str, Tensor] = dict(zip(("logits", "aux"), net.with_auxiliary(x, points_tensor([clicks])), strict=True))
    for array in fixture.arrays or ():
        match = re.fullmatch(r"raw_(logits|aux)_(?:quarter|s(\d+))", array)
        if match:
            step = match[2]
            ours = (
                outputs[match[1]] if step is None else resize(outputs[match[1]], (x.shape[2], x.shape[3]))[..., :: int(step), :: int(step)]
            )
            yield close(fixture.name, f"raw:{array}", ours[0, 0], fixture.array(array), RAW_TOLERANCE)


def _check_simpleclick_raw(fixture: Fixture, net: nn.Module) -> Iterator[Check]:
    """Logits of the head (`_head`), at the input's size (`raw_logits_SIZE_sN`), and statistics of the neck's maps."""
    assert isinstance(net, simpleclick.SimpleClickNet)  # built by `check`
    full = [match for name in fixture.arrays or () if (match := re.fullmatch(r"raw_logits_(\d+)(?:_s(\d+))?", name))]
    side = int(full[0][1]) if full else net.backbone.grid * net.backbone.patch
    x = resize(raw_input(fixture), (side, side))
    levels = net.levels(x, torch.tensor(fixture.array("raw_input_points")))
    head = net.head(levels)
    if "raw_logits_head" in (fixture.arrays or ()):
        yield close(fixture.name, "raw:raw_logits_head", head[0, 0], fixture.array("raw_logits_head"), RAW_TOLERANCE)
    for match in full:
        size, step = int(match[1]), int(match[2] or 1)
        ours = resize(head, (size, size))[0, 0, ::step, ::step]
        yield close(fixture.name, f"raw:{match[0]}", ours, fixture.array(match[0]), RAW_TOLERANCE)
    for number, level in enumerate(levels):
        array = f"neck{number}_stats"
        if array in (fixture.arrays or ()):
            ours = [level.mean(), level.std(), level.flatten()[0], level.flatten()[-1]]
            yield close(fixture.name, f"raw:{array}", [float(value) for value in ours], fixture.array(array), STATISTICS_TOLERANCE)
