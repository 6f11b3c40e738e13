"""Colours for classes that can be seen on aerial imagery and told apart, by people with red-green blindness too.

Distances are CIE76 in CIE Lab (D65): about 2 is the smallest difference that is seen side by side, 100 that of black and white. Red-green
blindness is simulated with the matrices of Machado, Oliveira and Fernandes (2009) at full severity, in linear RGB.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from converters.errors import TaskError

Floats = NDArray[np.float64]

# What fills aerial imagery: asphalt, concrete, shadow, soil, dry grass, lawn, tree crowns, tiles, metal roofs, water, gravel, sand.
TYPICAL_OF_IMAGERY = (
    "#7d7d7a", "#a5a39c", "#55585a", "#2e3230", "#b0a58f", "#8f8468", "#6b7a4a", "#4d5f3a", "#31402a", "#8b5a48", "#a8664f", "#8e9aa0",
    "#3f5058", "#d8d6d0", "#c6b79a",
)  # fmt: skip
VISIBLE = 45.0
"""The distance from every colour typical of imagery that a class colour keeps."""

_VISIONS: dict[str, Floats] = {
    "normal": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
}
_TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
_WHITE = np.array([0.95047, 1.0, 1.08883])
_STEPS = range(0, 256, 51)
# Greyer ones vanish on roofs when a mask is half transparent: difference of the largest and the smallest channel.
_LEAST_COLOUR = 180


def colour_codes(rgb: Sequence[int]) -> str:
    """ "#rrggbb" of three whole numbers 0..255."""
    return "#{:02x}{:02x}{:02x}".format(*rgb)


def rgb(colours: Sequence[str]) -> Floats:
    """N "#rrggbb" as Nx3 float64, 0..255."""
    return np.array([list(bytes.fromhex(colour.removeprefix("#"))) for colour in colours], dtype=np.float64).reshape(-1, 3)


def lab(pixels: NDArray[np.generic], vision: str = "normal") -> Floats:
    """CIE Lab of sRGB colours ...x3, 0..255, as seen with `vision`: "normal", "protanopia" or "deuteranopia"."""
    part = np.asarray(pixels, dtype=np.float64) / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ _VISIONS[vision].T, 0, 1)
    x = seen @ _TO_XYZ.T / _WHITE
    f = np.where(x > 216 / 24389, np.cbrt(x), (24389 / 27 * x + 16) / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def apart(one: NDArray[np.generic], other: NDArray[np.generic]) -> Floats:
    """Nx3 and Mx3 sRGB colours -> NxM: the distance of each pair to whoever of the three visions sees the least of it."""
    return np.min([_distances(lab(one, vision), lab(other, vision)) for vision in _VISIONS], axis=0)


def from_imagery(colours: NDArray[np.generic]) -> Floats:
    """Nx3 sRGB colours -> N: the distance from the nearest colour typical of imagery, in normal vision."""
    return _distances(lab(colours), lab(rgb(TYPICAL_OF_IMAGERY))).min(axis=1)


def distinct(count: int, taken: Sequence[str] = ()) -> list[str]:
    """`count` colours as "#rrggbb", each as far as can be from those before it and from `taken`, all visible on imagery.

    The same numbers give the same colours, and more colours begin with those of fewer. Raises TaskError for more than there are.
    """
    candidates = np.array([one for one in itertools.product(_STEPS, repeat=3) if max(one) - min(one) >= _LEAST_COLOUR])
    from_ground = from_imagery(candidates)
    candidates, from_ground = candidates[from_ground >= VISIBLE], from_ground[from_ground >= VISIBLE]
    # Nothing chosen yet: the most visible one first.
    distance = apart(candidates, rgb(taken)).min(axis=1) if taken else from_ground
    chosen: list[str] = []
    while len(chosen) < count:
        best = int(np.argmax(distance))
        if distance[best] <= 0:
            raise TaskError(
                f"{count} classes need {count} colours, and {len(chosen)} can be told apart on imagery; give the others colours of "
                "your own, as in name=#rrggbb"
            )
        chosen.append(colour_codes(candidates[best].tolist()))
        to_best = apart(candidates, candidates[best : best + 1])[:, 0]
        distance = to_best if len(chosen) == 1 and not taken else np.minimum(distance, to_best)
    return chosen


def _distances(one: Floats, other: Floats) -> Floats:
    return np.linalg.norm(one[:, None, :] - other[None, :, :], axis=-1)
