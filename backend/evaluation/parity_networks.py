"""Parity of the networks: names and shapes of their weights, their raw outputs, and their predictors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
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
from backend.segmenters.inference_form import inference_form

# Options of the originals' constructors that every published model shares, and that our networks build in.
SHARED = {
    "use_rgb_conv": False,
    "use_disks": True,
    "norm_radius": 5,
    "with_prev_mask": True,
    "binary_prev_mask": False,
    "cpu_dist_maps": False,
    "clicks_groups": None,
    "conv_extend": False,
    "norm_mean_std": [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]],
}
RITM_SHARED = {**SHARED, "with_aux_output": True, "use_leaky_relu": True}
SIMPLECLICK_SHARED = {**SHARED, "with_aux_output": False, "use_leaky_relu": False, "random_split": False}
# Options that change how a network is trained, not what it computes.
TRAINING_OPTIONS = {"backbone_lr_mult", "norm_layer"}
ICL = "cfr_icl_"
"""ICL is SimpleClick's network trained on: the same keys, other weights."""
SIMPLECLICK_OPTIONS = {"patch", "embed_dim", "depth", "heads", "out_dims", "head_channels", "upsample"}
UPSAMPLED = re.compile(r"(.+)_upsample_(x[124])")


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


def with_weights(fixture: Fixture, net: Net, *, rewritten: bool = True) -> Net:
    """`net` with the weights that the fixture's formula gives, in the form that the server runs, or as written."""
    weights = fixture.setting("weights")
    WeightFormula(seed=weights["S"], gain=weights["gain"], mult=weights["mult"], const=weights["const"]).fill(net)
    net = net.eval().requires_grad_(False)
    return inference_form(net) if rewritten else net


def network_options(fixture: Fixture, family: str, architecture: str) -> dict[str, Any] | str:
    """Constructor arguments: of NAME.json, or of the published architecture that the name begins with; otherwise why there are none."""
    if fixture.meta is None:
        return _published_options(ritm.ARCHITECTURES if family == "ritm" else simpleclick.ARCHITECTURES, architecture)
    options, unlike = own_options(fixture.setting("ctor"), RITM_SHARED if family == "ritm" else SIMPLECLICK_SHARED)
    if family == "ritm":
        unlike |= set(options) - {"width", "ocr_width", "small"}
    else:
        unlike |= set(options) - SIMPLECLICK_OPTIONS
        options["grid"] = _trained_grid(fixture)
    return f"the network options {', '.join(sorted(unlike))} are not supported yet" if unlike else options


def own_options(ctor: Mapping[str, Any], shared: Mapping[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """(the options that are a model's own, the names of the shared ones that differ from what our networks build in)."""
    own = {name: value for name, value in ctor.items() if name not in shared and name not in TRAINING_OPTIONS}
    return own, {name for name, value in shared.items() if ctor.get(name, value) != value}


def _published_options(known: Mapping[str, Mapping[str, Any]], architecture: str) -> dict[str, Any] | str:
    """Of the architecture that the name begins with; `_upsample_xN` behind it goes with as many times fewer channels of the head."""
    names = [name for name in known if architecture.startswith(name)]
    if not names:
        return f"'{architecture}' is none of the architectures {', '.join(known)}"
    options = dict(known[max(names, key=len)])
    upsampled = UPSAMPLED.fullmatch(architecture)
    if upsampled and "upsample" not in options:
        options |= {"upsample": upsampled[2], "head_channels": options["head_channels"] // int(upsampled[2][1:])}
    return options


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


def has_arrays(fixture: Fixture, *beginnings: str) -> bool:
    """Whether any array's name begins so."""
    return any(name.startswith(beginnings) for name in fixture.arrays or ())


def raw_input(fixture: Fixture) -> Tensor:
    """cat(image / 255, previous mask / 255), float32 [1, 4, H, W]."""
    image = torch.tensor(fixture.array("image")).permute(2, 0, 1).float().div(255)
    previous = torch.tensor(fixture.array("prev_mask_u8")).float().div(255)
    return torch.cat([image, previous[None]])[None]


def _check_ritm_raw(fixture: Fixture, net: nn.Module) -> Iterator[Check]:
    """Logits and auxiliary logits at stride 4 (`_quarter`) and at the input's size (`_sN`)."""
    if not has_arrays(fixture, "raw_"):
        return
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
    if not has_arrays(fixture, "raw_logits", "neck"):
        return
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
