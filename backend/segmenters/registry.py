"""Which segmenters there are, and how a name becomes one that answers clicks.

The entries stand in weights/registry.toml. A family (one file in this package) registers how its networks are built:

    @register("ritm", architectures=("hrnet18s", "hrnet18", "hrnet32", "tiny"))
    def build(architecture: str) -> nn.Module: ...

A family's module has the family's name and is imported when one of its entries is loaded.
"""

from __future__ import annotations

import importlib
import importlib.util
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from backend.errors import ModelError
from backend.inference.predictor import ClickPredictor
from backend.inference.segmenter import Segmenter
from backend.inference.zoom_in import ZoomIn
from backend.segmenters.generated import WeightFormula
from backend.segmenters.obtaining import how_to_get
from backend.segmenters.weight_files import file_sha256, load_weights, read_metadata

DEFAULT = "default"
# Installed with the package as data, beside it in a checkout.
WEIGHTS_FOLDER = Path(__file__).resolve().parents[2] / "weights"


@dataclass(frozen=True, slots=True)
class Entry:
    """One segmenter that can be chosen by name.

    family, architecture: which builder, and its argument.
    recipes: band recipes it may be given, best first. input_size: (height, width) the network sees, None where any will do.
    threshold: probability above which a pixel belongs to the object. zoom_in, flip: how clicks are predicted, see `ClickPredictor`.
    licence, source: of the weights. sha256: of the file, hexadecimal; None where not recorded.
    file: the safetensors file; None for weights generated from `formula`.
    checkpoint: the authors' file name, for published weights; its own sha256, where stated; its direct address, where there is one.
    non_commercial: whether the licence forbids commercial use.
    """

    name: str
    family: str
    architecture: str
    recipes: tuple[tuple[str, ...], ...]
    input_size: tuple[int, int] | None
    threshold: float
    zoom_in: ZoomIn | None
    flip: bool
    licence: str
    source: str
    sha256: str | None
    file: Path | None
    formula: WeightFormula | None = None
    checkpoint: str | None = None
    checkpoint_sha256: str | None = None
    download: str | None = None
    non_commercial: bool = False

    @property
    def available(self) -> bool:
        """Whether the weights are on this machine."""
        return self.file is None or self.file.is_file()


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


@dataclass(frozen=True, slots=True)
class Family:
    """How the networks of a family are built, and made to answer clicks."""

    name: str
    architectures: tuple[str, ...]
    build: Callable[[str], nn.Module]
    assemble: Assemble


_families: dict[str, Family] = {}


def register(
    name: str, *, architectures: tuple[str, ...], assemble: Assemble = click_predictor
) -> Callable[[Callable[[str], nn.Module]], Callable[[str], nn.Module]]:
    """Decorator on a family's builder: architecture name -> network with weights not yet loaded.

    name: the family, which is also its module's name in this package. architectures: the names the builder accepts.
    assemble: how a network becomes a `Segmenter`, where it is not by a `ClickPredictor`.
    """

    def remember(build: Callable[[str], nn.Module]) -> Callable[[str], nn.Module]:
        _families[name] = Family(name, architectures, build, assemble)
        return build

    return remember


def family(name: str) -> Family:
    """The family of that name; its module is imported now. Raises ModelError for an unknown one."""
    module = f"{__package__}.{name}"
    if name not in _families and name.isidentifier() and importlib.util.find_spec(module) is not None:
        importlib.import_module(module)
    if name not in _families:
        known = ", ".join(sorted({one.family for one in entries()}))
        raise ModelError(f"there is no model family '{name}'; known are {known}; use one of those")
    return _families[name]


def build(family_name: str, architecture: str) -> nn.Module:
    """A network with weights as its constructor left them. Raises ModelError for an unknown family or architecture."""
    found = family(family_name)
    if architecture not in found.architectures:
        raise ModelError(
            f"the family {family_name} has no architecture '{architecture}'; known are {', '.join(found.architectures)}; use one of those"
        )
    return found.build(architecture)


def entries() -> tuple[Entry, ...]:
    """All entries in the order of registry.toml, whether their weights are here or not."""
    tables = {name: value for name, value in _registry().items() if isinstance(value, dict)}
    return tuple(_entry_from(name, table) for name, table in tables.items())


def entry(name: str) -> Entry:
    """The entry of that name, `default`, or a path to a .safetensors file. Raises ModelError for anything else."""
    if name.endswith(".safetensors"):
        return _entry_of_file(Path(name))
    wanted = _registry().get(DEFAULT) if name == DEFAULT else name
    known = entries()
    for one in known:
        if one.name == wanted:
            return one
    names = ", ".join([DEFAULT, *(one.name for one in known)])
    raise ModelError(f"there is no model '{name}'; known are {names}; use one of those, or the path of a .safetensors file")


def load(name: str, *, device: str = "cpu") -> Segmenter:
    """The segmenter of `entry(name)`, weights read and checked. Not cached: who serves requests keeps what it loads."""
    return load_entry(entry(name), device=device)


def load_entry(one: Entry, *, device: str = "cpu") -> Segmenter:
    """As `load`. Raises ModelError when weights are missing, damaged, changed, or of another architecture."""
    net = build(one.family, one.architecture)
    if one.file is None:
        (one.formula or WeightFormula()).fill(net)
        digest = f"formula{(one.formula or WeightFormula()).seed}"
    else:
        digest = _checked_digest(one, one.file)
        load_weights(net, one.file)
    target = _device(device)
    net = net.to(target).eval().requires_grad_(False)
    return family(one.family).assemble(net, one, version_of(one, digest), target)


def version_of(one: Entry, digest: str) -> str:
    """Name, first 12 digits of the weights' sha256, and every setting that changes answers, such as
    `vitclick_s14@0a1b2c3d4e5f:t0.49,zoom224x224,skip-1,x1.4,min200,iou0.5,p0.5`."""
    parts = [f"t{one.threshold:g}"]
    if one.zoom_in is not None:
        zoom = one.zoom_in
        target = str(zoom.target_size) if isinstance(zoom.target_size, int) else f"{zoom.target_size[0]}x{zoom.target_size[1]}"
        parts += [f"zoom{target}", f"skip{zoom.skip_clicks}", f"x{zoom.expansion_ratio:g}", f"min{zoom.min_crop_size}"]
        parts += [f"iou{zoom.recompute_thresh_iou:g}", f"p{zoom.prob_thresh:g}"]
        parts += [f"first{zoom.first_window}x{zoom.first_looks}below{zoom.again_below:g}"] if zoom.first_window is not None else []
        parts += ["stale"] if zoom.keep_stale_roi else []
    parts += ["flip"] if one.flip else []
    return f"{one.name}@{digest[:12]}:{','.join(parts)}"


def _checked_digest(one: Entry, file: Path) -> str:
    if not file.is_file():
        advice = how_to_get(one.name, _registry().get(one.name, {}))
        raise ModelError(f"the weights of {one.name} are not on this machine, expected at {file}; {advice}, or choose an available model")
    digest = file_sha256(file)
    if one.sha256 is not None and digest != one.sha256:
        raise ModelError(f"{file} has the sha256 {digest[:12]}..., the registry expects {one.sha256[:12]}...; copy or download it again")
    return digest


def _device(name: str) -> torch.device:
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ModelError(
            f"the device '{name}' cannot be used ({str(error).splitlines()[0]}); use cpu, or cuda where there is one"
        ) from error


def _registry() -> dict[str, Any]:
    path = WEIGHTS_FOLDER / "registry.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"the list of models {path} is missing; it comes with the package; install it again") from error
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"{path} is not valid TOML ({error}); correct that line") from error


def _entry_from(name: str, table: Mapping[str, Any]) -> Entry:
    """An entry from its table in registry.toml."""
    try:
        blank = Entry(
            name=name,
            family=table["family"],
            architecture=table["architecture"],
            recipes=(("R", "G", "B"),),
            input_size=None,
            threshold=0.49,
            zoom_in=None,
            flip=False,
            licence=table["licence"],
            source=table["source"],
            sha256=table.get("sha256"),
            file=WEIGHTS_FOLDER / table["file"] if "file" in table else None,
            formula=WeightFormula(**table["formula"]) if "formula" in table else None,
            checkpoint=table.get("checkpoint"),
            checkpoint_sha256=table.get("checkpoint_sha256"),
            download=table.get("download"),
            non_commercial=table.get("non_commercial", False),
        )
        return _with_settings(blank, table)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"the entry {name} of registry.toml cannot be read ({error!r}); see the head of that file") from error


def _with_settings(one: Entry, table: Mapping[str, Any]) -> Entry:
    """`one` with what a table of registry.toml, or the metadata of a weight file, says about its use."""
    changes: dict[str, Any] = {key: table[key] for key in ("threshold", "flip", "licence", "source") if key in table}
    if "recipes" in table:
        changes["recipes"] = tuple(tuple(recipe) for recipe in table["recipes"])
    if "input_size" in table:
        changes["input_size"] = tuple(table["input_size"])
    if "zoom_in" in table:
        settings = dict(table["zoom_in"])
        if isinstance(settings.get("target_size"), list):
            settings["target_size"] = tuple(settings["target_size"])
        changes["zoom_in"] = ZoomIn(**settings)
    return replace(one, **changes)


def _entry_of_file(path: Path) -> Entry:
    """A weight file that is in no list: its metadata names the architecture, the rest is as in that architecture's first entry."""
    about = read_metadata(path)
    alike = [one for one in entries() if (one.family, one.architecture) == (about["family"], about["architecture"])]
    family(about["family"])
    licence, source = str(about.get("licence", "unknown")), str(about.get("source", path))
    plain = Entry(
        path.stem, about["family"], about["architecture"], (("R", "G", "B"),), None, 0.49, None, False, licence, source, None, path
    )
    changes: dict[str, Any] = {"sha256": None, "file": path, "formula": None, "checkpoint": None, "download": None, "non_commercial": False}
    base = replace(alike[0], name=path.stem, licence=licence, source=source, **changes) if alike else plain
    try:
        return _with_settings(base, about)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"the metadata of {path} cannot be read ({error}); write it again with `rsiseg train` or `rsiseg weights convert`"
        ) from error
