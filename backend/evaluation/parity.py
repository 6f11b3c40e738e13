"""Parity: our networks and strategies against recorded outputs of the originals.

A folder of fixtures (reference/fixtures/README.md describes the format) holds, per fixture, NAME.npz with arrays, NAME.json with settings
and NAME.keys.json with the names and shapes of all weights. Weights come from a formula, so nothing is downloaded. Nothing here is tied
to particular seeds, images, clicks or settings: everything is read from the folder.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backend.errors import UsageError

RAW_TOLERANCE = 5e-4
STATISTICS_TOLERANCE = 1e-3
PROBABILITY_TOLERANCE = 5e-4
STUB_TOLERANCE = 1e-4
LOSS_TOLERANCE = 1e-5
"""Relative, element by element."""
NEGLIGIBLE = 1e-4
"""Of an array's largest value: smaller ones are compared as if they were that large, since float32 sums leave them no more digits."""


@dataclass(frozen=True, slots=True)
class Fixture:
    """One fixture's files.

    arrays: of NAME.npz, None where there is only a key list. meta, keys: of the JSON files, None where absent.
    """

    name: str
    arrays: Mapping[str, NDArray[Any]] | None
    meta: Mapping[str, Any] | None
    keys: Mapping[str, list[int]] | None

    def array(self, name: str) -> NDArray[Any]:
        """An array that the fixture must have. Raises UsageError otherwise."""
        if self.arrays is None or name not in self.arrays:
            raise UsageError(f"the fixture {self.name} has no array '{name}'; its format needs one; see the README of the fixtures")
        return self.arrays[name]

    def setting(self, name: str) -> Any:
        """A value of NAME.json that the fixture must have. Raises UsageError otherwise."""
        if self.meta is None or name not in self.meta:
            raise UsageError(f"the fixture {self.name} has no setting '{name}' in {self.name}.json; its format needs one")
        return self.meta[name]


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one stage of one fixture.

    max_abs: largest absolute difference (relative for losses and their gradients), or the number of mismatches in exact stages
        (tolerance 0); None where nothing was compared.
    ok: None for what is not supported yet. reason: why it was skipped, or why no difference could be taken.
    """

    fixture: str
    stage: str
    max_abs: float | None = None
    tolerance: float | None = None
    ok: bool | None = None
    reason: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The element of the command's JSON array."""
        if self.ok is None:
            return {"fixture": self.fixture, "stage": self.stage, "reason": self.reason, "ok": None}
        element = {"fixture": self.fixture, "stage": self.stage, "max_abs": self.max_abs, "tolerance": self.tolerance, "ok": self.ok}
        return element if self.reason is None else {**element, "reason": self.reason}


def skipped(fixture: str, reason: str) -> Check:
    """What is not supported yet."""
    return Check(fixture, "skipped", reason=reason)


def close(fixture: str, stage: str, ours: ArrayLike, recorded: ArrayLike, tolerance: float) -> Check:
    """Arrays of equal shape whose values may differ by `tolerance`."""
    found, expected = np.asarray(ours, np.float64), np.asarray(recorded, np.float64)
    return _compared(fixture, stage, found, expected, tolerance, scale=np.ones(()))


def close_relatively(fixture: str, stage: str, ours: ArrayLike, recorded: ArrayLike, tolerance: float) -> Check:
    """Arrays of equal shape whose values may differ by `tolerance` times what was recorded there (see `NEGLIGIBLE`)."""
    found, expected = np.asarray(ours, np.float64), np.asarray(recorded, np.float64)
    magnitude = np.abs(expected)
    least = max(NEGLIGIBLE * float(magnitude.max(initial=0.0)), np.finfo(np.float32).tiny)
    return _compared(fixture, stage, found, expected, tolerance, scale=np.maximum(magnitude, least))


def _compared(
    fixture: str, stage: str, found: NDArray[np.float64], expected: NDArray[np.float64], tolerance: float, *, scale: NDArray[np.float64]
) -> Check:
    if found.shape != expected.shape:
        return Check(fixture, stage, None, tolerance, False, f"shape {found.shape}, recorded {expected.shape}")
    with np.errstate(invalid="ignore"):
        difference = float((np.abs(found - expected) / scale).max(initial=0.0))
    if not np.isfinite(difference):
        whose = "our values" if np.isfinite(expected).all() else "the recorded values"
        return Check(fixture, stage, None, tolerance, False, f"{whose} are not all finite")
    return Check(fixture, stage, difference, tolerance, difference <= tolerance)


def exact(fixture: str, stage: str, mismatches: int, reason: str | None = None) -> Check:
    """A stage that must agree entirely. reason: the first mismatch, in words."""
    return Check(fixture, stage, float(mismatches), 0.0, mismatches == 0, reason if mismatches else None)


def fixture_names(folder: Path) -> list[str]:
    """Every NAME.npz, and every NAME.keys.json that stands alone, sorted. Raises UsageError where there is none."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}; expected the folder of recorded outputs, such as ../shared/reference/fixtures")
    names = {path.name.removesuffix(".npz") for path in folder.glob("*.npz")}
    names |= {path.name.removesuffix(".keys.json") for path in folder.glob("*.keys.json")}
    if not names:
        raise UsageError(f"{folder} holds no fixture; expected files NAME.npz or NAME.keys.json, as its README describes them")
    return sorted(names)


def read_fixture(folder: Path, name: str) -> Fixture:
    """A fixture's files, arrays decompressed. Raises UsageError for files that cannot be read."""
    try:
        arrays = None
        if (folder / f"{name}.npz").is_file():
            with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
        meta, keys = (_read_json(folder / f"{name}{suffix}") for suffix in (".json", ".keys.json"))
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:  # what a damaged npz or JSON leads to
        raise UsageError(f"the fixture {name} in {folder} cannot be read ({error}); copy it again") from error
    return Fixture(name, arrays, meta, keys)


def _read_json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} is a JSON {type(value).__name__}, expected an object")
    return value
