"""A scene of the published ways of training: a piece of an image, and which of its pixels are wanted, other objects, or ignored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.training.augment import RGB

BACKGROUND = 0
OTHER = 254  # of an object that is not wanted
IGNORED = 255
Labels = NDArray[np.uint8]
"""HxW. 1, 2, ... are the objects wanted, each by its number; BACKGROUND, OTHER and IGNORED as above."""


@dataclass(frozen=True, slots=True)
class Scene:
    """image: uint8 HxWxbands. labels: uint8 HxW, see `Labels`. bands: letters of the image's channels."""

    image: NDArray[np.uint8]
    labels: Labels
    bands: tuple[str, ...] = RGB

    @property
    def target(self) -> NDArray[np.int8]:
        """HxW of 1 wanted, 0 not, -1 ignored: what losses and simulated clicks go by."""
        target = wanted(self.labels).astype(np.int8)
        target[self.labels == IGNORED] = -1
        return target


def wanted(labels: Labels) -> NDArray[np.bool_]:
    """HxW bool: the pixels of the objects to be found."""
    return (labels > BACKGROUND) & (labels < OTHER)
