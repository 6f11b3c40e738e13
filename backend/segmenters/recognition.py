"""Which network a checkpoint belongs to, by the names and shapes of its tensors. The config decides only what they cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from backend.errors import ModelError
from backend.segmenters import registry, simpleclick
from backend.segmenters.checkpoint_files import Checkpoint
from backend.segmenters.normalisation import MEAN, STD

Shapes = Mapping[str, tuple[int, ...]]

# Family -> what a key of its networks begins with, and of no family further down. FocalClick's config names the same class as RITM's;
# only its networks have a refiner (MODELS.md 1.1).
SIGNATURES = {
    "sam": "image_encoder.",
    "simpleclick": "patch_embed_coords.",
    "vitclick": "click_embed.",
    "focalclick": "refiner.",
    "ritm": "feature_extractor.",
}
# Options that leave no trace in names and shapes, with the values our networks have built in.
BUILT_IN: dict[str, Any] = {
    "use_disks": True,
    "norm_radius": 5,
    "with_prev_mask": True,
    "binary_prev_mask": False,
    "cpu_dist_maps": False,
    "clicks_groups": None,
    "random_split": False,
    "norm_mean_std": (MEAN, STD),
}


@dataclass(frozen=True, slots=True)
class Recognised:
    """The builder of a checkpoint's network and its argument, as in the registry."""

    family: str
    architecture: str


def recognise(checkpoint: Checkpoint, *, architecture: str | None = None) -> Recognised:
    """The network whose complete state dict the checkpoint is.

    architecture: only this one is tried, for a checkpoint that fits several.
    Raises ModelError with the first differing keys where it fits none, and with the options where the config states some that our
    networks do not have.
    """
    found = {name: tuple(tensor.shape) for name, tensor in checkpoint.tensors.items()}
    family = _family(found, checkpoint.params)
    known = registry.family(family).architectures
    if architecture is not None and architecture not in known:
        raise ModelError(f"the family {family} has no architecture '{architecture}'; known are {', '.join(known)}; use one of those")
    expected = {name: shapes_of(family, name) for name in ([architecture] if architecture else known)}
    matches = [name for name, shapes in expected.items() if shapes == found]
    if not matches:
        nearest = min(expected, key=lambda name: _distance(expected[name], found))
        raise ModelError(
            f"the checkpoint is none of {family}'s {', '.join(expected)}: nearest is {nearest}, "
            f"but {differences(expected[nearest], found)}; it is damaged or of another version; get it from the authors again"
        )
    recognised = Recognised(family, _one_of(matches, family, checkpoint.params))
    _check_options(recognised, checkpoint.params)
    return recognised


@cache
def shapes_of(family: str, architecture: str) -> Shapes:
    """Names and shapes of a network's state dict; no memory is taken for the weights."""
    with torch.device("meta"):
        net = registry.build(family, architecture)
    return {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}


def differences(expected: Shapes, found: Shapes) -> str:
    """The first differing keys in words: missing, of another shape, superfluous; three of each at most."""
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    shapes = [name for name in expected if name in found and found[name] != expected[name]]
    unlike = [f"{name} has the shape {_shown(found[name])} for {_shown(expected[name])}" for name in shapes]
    parts = (("it lacks ", missing), ("", unlike), ("it also has ", extra))
    return ", ".join(f"{what}{_first(names)}" for what, names in parts if names)


def _first(names: list[str]) -> str:
    listed = ", ".join(name[:120] for name in names[:3])
    return listed if len(names) <= 3 else f"{listed} (and {len(names) - 3} more)"


def _shown(shape: tuple[int, ...]) -> str:
    return "x".join(str(side) for side in shape) or "scalar"


def _family(found: Shapes, params: Mapping[str, Any]) -> str:
    for family, prefix in SIGNATURES.items():
        if any(name.startswith(prefix) for name in found):
            return family
        if family == "focalclick" and "pipeline_version" in params:
            return family
    raise ModelError(
        f"the checkpoint begins with the key {next(iter(found))[:120]}, which no known network has; expected weights of RITM, SimpleClick, "
        "ICL, FocalClick or SAM; give one of their files"
    )


def _distance(expected: Shapes, found: Shapes) -> int:
    return sum(found.get(name) != shape for name, shape in expected.items()) + sum(name not in expected for name in found)


def _one_of(matches: list[str], family: str, params: Mapping[str, Any]) -> str:
    """FocalClick's S1 and S2 have the same weights at different input sizes; only the config tells them apart."""
    version = str(params.get("pipeline_version", "")).lower()
    fitting = [name for name in matches if version and name.lower().endswith(version)] if len(matches) > 1 else matches
    if len(fitting) != 1:
        raise ModelError(
            f"the checkpoint fits {' and '.join(matches)} of {family} alike, and no config in it says which; name one with --architecture"
        )
    return fitting[0]


def _check_options(recognised: Recognised, params: Mapping[str, Any]) -> None:
    """Raises ModelError for options that change what a network computes but not its weights, and that ours does not have."""
    expected: dict[str, Any] = dict(BUILT_IN)
    stated = dict(params)
    if recognised.family == "simpleclick":
        backbone = params.get("backbone_params")
        stated["num_heads"] = backbone.get("num_heads") if isinstance(backbone, Mapping) else None
        expected["num_heads"] = simpleclick.ARCHITECTURES[recognised.architecture]["heads"] if stated["num_heads"] else None
    else:
        expected["use_leaky_relu"] = True
    for name, value in expected.items():
        if name in stated and _plain(stated[name]) != _plain(value):
            raise ModelError(
                f"the checkpoint was trained with {name} = {str(stated[name])[:80]}; our {recognised.family} {recognised.architecture} has "
                f"{value} and would answer differently; it cannot be used here"
            )


def _plain(value: Any) -> Any:
    """Lists and tuples alike."""
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
