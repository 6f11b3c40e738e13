"""How an entry of the catalogue becomes a segmenter that answers clicks. A family (one file in this package) registers its networks:

    @register("ritm", architectures=("hrnet18s", "hrnet18", "hrnet32", "tiny"))
    def build(architecture: str, bands: int = 3) -> nn.Module: ...

A family's module has the family's name and is imported when one of its entries is loaded.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from backend.errors import ModelError
from backend.inference.predictor import ClickPredictor
from backend.inference.segmenter import Segmenter
from backend.segmenters import catalogue
from backend.segmenters.catalogue_entry import Entry, version_of, weights_sha256
from backend.segmenters.generated import WeightFormula
from backend.segmenters.inference_form import inference_form
from backend.segmenters.precision import AUTO
from backend.segmenters.weight_files import load_weights


class Assemble(Protocol):
    """Puts strategies round a loaded network: what makes it a segmenter."""

    def __call__(self, net: nn.Module, entry: Entry, version: str, device: torch.device) -> Segmenter:
        """The segmenter of a network in eval mode on `device`."""
        ...


def click_predictor(net: nn.Module, entry: Entry, version: str, device: torch.device) -> Segmenter:
    """The usual way: a `ClickPredictor` with the entry's settings."""
    return ClickPredictor(
        net=net,
        name=entry.name,
        version=version,
        recipes=entry.recipes,
        threshold=entry.threshold,
        zoom_in=entry.zoom_in,
        flip=entry.flip,
        device=device,
    )


class Build(Protocol):
    """A family's builder."""

    def __call__(self, architecture: str, bands: int = 3) -> nn.Module:
        """A network with weights not yet loaded. bands: of the image; three are the published network, name for name."""
        ...


@dataclass(frozen=True, slots=True)
class Family:
    """How the networks of a family are built, and made to answer clicks."""

    name: str
    architectures: tuple[str, ...]
    build: Build
    assemble: Assemble


_families: dict[str, Family] = {}


def register(name: str, *, architectures: tuple[str, ...], assemble: Assemble = click_predictor) -> Callable[[Build], Build]:
    """Decorator on a family's builder.

    name: the family, which is also its module's name in this package. architectures: the names the builder accepts.
    assemble: how a network becomes a `Segmenter`, where it is not by a `ClickPredictor`.
    """

    def remember(build: Build) -> Build:
        _families[name] = Family(name, architectures, build, assemble)
        return build

    return remember


def family(name: str) -> Family:
    """The family of that name; its module is imported now. Raises ModelError for an unknown one."""
    module = f"{__package__}.{name}"
    if name not in _families and name.isidentifier() and importlib.util.find_spec(module) is not None:
        importlib.import_module(module)
    if name not in _families:
        known = ", ".join(sorted({one.family for one in catalogue.entries()}))
        raise ModelError(f"there is no model family '{name}'; known are {known}; use one of those")
    return _families[name]


def build(family_name: str, architecture: str, bands: int = 3) -> nn.Module:
    """A network for images of so many bands, with weights as its constructor left them.

    Raises ModelError for an unknown family or architecture.
    """
    found = family(family_name)
    if architecture not in found.architectures:
        raise ModelError(
            f"the family {family_name} has no architecture '{architecture}'; known are {', '.join(found.architectures)}; use one of those"
        )
    return found.build(architecture, bands)


def load(name: str, *, device: str = "cpu", precision: str = AUTO) -> Segmenter:
    """The segmenter of an entry of the shipped catalogue. Not cached: who serves requests keeps what it loads."""
    return load_entry(catalogue.shipped(precision).entry(name), device=device)


def load_entry(one: Entry, *, device: str = "cpu") -> Segmenter:
    """As `load`. Raises ModelError when weights are missing, damaged, changed, or of another architecture."""
    target = _device(device)
    _check_weights(one)  # first: the largest networks take many seconds to build
    net = build(one.family, one.architecture, one.bands)
    if one.file is None:
        (one.formula or WeightFormula()).fill(net)
    else:
        load_weights(net, one.file)
    net = inference_form(net.to(target).eval().requires_grad_(False), one.precision)
    return family(one.family).assemble(net, one, version_of(one), target)


def _check_weights(one: Entry) -> None:
    digest = weights_sha256(one)
    if one.sha256 is not None and digest != one.sha256:
        raise ModelError(
            f"{one.file} has the sha256 {digest[:12]}..., the registry expects {one.sha256[:12]}...; copy or download it again"
        )


def _device(name: str) -> torch.device:
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ModelError(
            f"the device '{name}' cannot be used ({str(error).splitlines()[0]}); use cpu, or cuda where there is one"
        ) from error
