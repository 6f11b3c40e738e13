"""An entry of the catalogue: one segmenter that can be chosen by name, what it is used with, and its version. Needs no torch."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from backend.errors import ModelError
from backend.inference.zoom_in import ZoomIn
from backend.segmenters.generated import WeightFormula
from backend.segmenters.precision import Precision
from backend.segmenters.weight_headers import file_sha256
from converters.bands import LETTERS

_PLAIN_KEYS = ("sha256", "checkpoint", "checkpoint_sha256", "download", "non_commercial", "mixed")
"""Of a table in registry.toml, taken as they stand."""


# A weight file says its bands, and a network is built for them before its weights are looked at.
MOST_BANDS = 16


@dataclass(frozen=True, slots=True)
class Entry:
    """One segmenter that can be chosen by name.

    family, architecture: which builder, and its argument.
    recipes: band recipes it may be given, best first, all of as many bands as its network reads.
    input_size: (height, width) the network sees, None where any will do.
    threshold: probability above which a pixel belongs to the object. zoom_in, flip: how clicks are predicted, see `ClickPredictor`.
    licence, source: of the weights. sha256: of the file, hexadecimal; None where not recorded.
    file: the safetensors file; None for weights generated from `formula`.
    checkpoint: the authors' file name, for published weights; its own sha256, where stated; its direct address, where there is one.
    non_commercial: whether the licence forbids commercial use.
    mixed: whether masks computed in `mixed` precision are known to agree with fp32. precision: what it computes in here, see precision.py.

    Raises ValueError for values that no segmenter can be used with.
    """

    name: str
    family: str
    architecture: str
    licence: str
    source: str
    recipes: tuple[tuple[str, ...], ...] = (("R", "G", "B"),)
    input_size: tuple[int, int] | None = None
    threshold: float = 0.49
    zoom_in: ZoomIn | None = None
    flip: bool = False
    file: Path | None = None
    sha256: str | None = None
    formula: WeightFormula | None = None
    checkpoint: str | None = None
    checkpoint_sha256: str | None = None
    download: str | None = None
    non_commercial: bool = False
    mixed: bool = False
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        for name in ("family", "architecture", "licence", "source"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected a text")
        if not self.recipes or len({len(recipe) for recipe in self.recipes}) != 1 or not self.recipes[0]:
            raise ValueError(f"recipes are {self.recipes}, expected some, all of the same number of bands")
        if len(self.recipes[0]) > MOST_BANDS:
            raise ValueError(f"recipes name {len(self.recipes[0])} bands, expected {MOST_BANDS} at most")
        if unknown := sorted({str(letter) for recipe in self.recipes for letter in recipe if letter not in LETTERS}):
            raise ValueError(f"recipes name the bands {', '.join(unknown)}, expected letters of {', '.join(LETTERS)}")
        if isinstance(self.threshold, bool) or not isinstance(self.threshold, int | float) or not 0 < self.threshold < 1:
            raise ValueError(f"threshold is {self.threshold!r}, expected a number between 0 and 1")
        size = self.input_size
        if size is not None and (len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size)):
            raise ValueError(f"input_size is {size!r}, expected height and width in pixels")
        for name in ("sha256", "checkpoint_sha256"):
            if getattr(self, name) is not None and re.fullmatch("[0-9a-f]{64}", str(getattr(self, name))) is None:
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected 64 hexadecimal digits")
        for name in ("flip", "non_commercial", "mixed"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected true or false")

    @property
    def bands(self) -> int:
        """How many bands of the raster the network reads."""
        return len(self.recipes[0])

    @property
    def available(self) -> bool:
        """Whether the weights are on this machine."""
        return self.file is None or self.file.is_file()

    @property
    def how_to_get(self) -> str:
        """What to do for the weights where they are not on this machine."""
        if self.download is not None:
            flag = " --accept-non-commercial" if self.non_commercial else ""
            return f"fetch them with `rsiseg weights pull {self.name}{flag}`"
        if self.checkpoint is not None:
            return (
                f"the authors publish {self.checkpoint} at {self.source}, without an address that a program could fetch: download it "
                f"there, then run `rsiseg weights convert {self.checkpoint} --as {self.name}`"
            )
        return "train them with `rsiseg train`"

    def with_use(self, about: Mapping[str, Any]) -> Entry:
        """This entry used as a table of registry.toml, or the metadata of a weight file, says. Raises TypeError and ValueError."""
        changes: dict[str, Any] = {key: about[key] for key in ("threshold", "flip", "licence", "source") if key in about}
        if "recipes" in about:
            changes["recipes"] = tuple(tuple(recipe) for recipe in about["recipes"])
        if about.get("input_size") is not None:
            changes["input_size"] = tuple(about["input_size"])
        if about.get("zoom_in") is not None:
            changes["zoom_in"] = _zoom_in(about["zoom_in"])
        return replace(self, **changes)


def _zoom_in(table: Mapping[str, Any]) -> ZoomIn:
    """ZoomIn's settings. Raises TypeError and ValueError for names it does not have, and for values that are no numbers."""
    settings = dict(table)
    if isinstance(settings.get("target_size"), list):
        settings["target_size"] = tuple(settings["target_size"])
    for name, value in settings.items():
        sides = value if isinstance(value, tuple) else (value,)
        right = len(sides) == 2 or not isinstance(value, tuple)
        if value is not None and not (right and all(isinstance(side, int | float) and math.isfinite(side) for side in sides)):
            raise ValueError(f"zoom_in.{name} is {value!r}, expected a number, or two for the size")
    return ZoomIn(**settings)


def entry_of_table(name: str, table: Mapping[str, Any], folder: Path) -> Entry:
    """An entry from its table in registry.toml. folder: holds the weight files. Raises ModelError and names what is wrong."""
    try:
        if unknown := sorted(table.keys() - {field.name for field in fields(Entry)} - {"name", "precision"}):
            raise ValueError(f"it has {', '.join(unknown)}, which means nothing here")
        if missing := [key for key in ("family", "architecture", "licence", "source") if key not in table]:
            raise ValueError(f"it lacks {', '.join(missing)}")
        if ("file" in table) == ("formula" in table):
            raise ValueError("it needs either a file or a formula")
        plain = Entry(
            **{key: table[key] for key in ("family", "architecture", "licence", "source")},
            **{
                key: table[key]
                for key in ("sha256", "checkpoint", "checkpoint_sha256", "download", "non_commercial", "mixed")
                if key in table
            },
            name=name,
            file=folder / table["file"] if "file" in table else None,
            formula=WeightFormula(**table["formula"]) if "formula" in table else None,
        )
        return plain.with_use(table)
    except (TypeError, ValueError) as error:
        raise ModelError(f"the entry {name} of registry.toml cannot be read: {error}; see the head of that file") from error


def version_of(one: Entry) -> str:
    """Name, weights and use in one short string: it changes whenever answers may change.

    Such as `vitclick_s14@080775b1-9f8e7d6c`: first digits of the SHA-256 of the weight file (of the formula where weights are generated),
    then of the settings. Label Studio stores it with every prediction and skips tasks that have one of this version. The file is read only
    where the registry does not know its hash; loading refuses a file that has another.
    Raises ModelError for a file that is not there.
    """
    use = {
        "family": one.family,
        "architecture": one.architecture,
        "recipes": one.recipes,
        "threshold": one.threshold,
        "flip": one.flip,
        "zoom_in": None if one.zoom_in is None else asdict(one.zoom_in),
        "precision": one.precision,
    }
    return f"{one.name}@{(one.sha256 or weights_sha256(one))[:8]}-{_json_sha256(use)[:8]}"


def weights_sha256(one: Entry) -> str:
    """SHA-256, hexadecimal, of the weights that are here. Raises ModelError, which says how to get them, where they are not."""
    if one.file is None:
        return _json_sha256(asdict(one.formula or WeightFormula()))
    if not one.file.is_file():
        raise ModelError(
            f"the weights of {one.name} are not on this machine, expected at {one.file}; {one.how_to_get}, or choose an available model"
        )
    return file_sha256(one.file)


def _json_sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
