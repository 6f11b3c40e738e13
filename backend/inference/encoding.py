"""An image ready to be clicked on, and the map before the first click: what every predictor over a click network begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.errors import ContractError
from backend.inference.crop import IndexClick
from converters.frames import Click, Size, network_index


@dataclass(frozen=True, slots=True)
class Encoding:
    """An image on the network's device. pixels: uint8 [1, C, H, W]; scaled to 0..1 only inside the RoI, click by click."""

    pixels: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.pixels.shape[2], self.pixels.shape[3]

    @property
    def nbytes(self) -> int:
        """Bytes of memory that keeping this encoding costs."""
        return self.pixels.numel() * self.pixels.element_size()

    def placed(self, clicks: Sequence[Click]) -> list[IndexClick]:
        """Clicks in edge-based px of this image as pixel indices. Raises ContractError where there is none."""
        return placed(clicks, self.size)


def placed(clicks: Sequence[Click], size: tuple[int, int]) -> list[IndexClick]:
    """Clicks in edge-based px of an image of (height, width) as pixel indices. Raises ContractError where there is none."""
    if not clicks:
        raise ContractError("a step was asked for without a click; `start` gives the state before the first click")
    image = Size(width=size[1], height=size[0])
    return [(*network_index(click, image), click.positive) for click in clicks]


def encode_pixels(image: NDArray[np.uint8], *, name: str, bands: int, device: torch.device | str) -> Encoding:
    """image: HxWxC uint8, C = bands. name: of the model, for the ContractError that anything else raises."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != bands or 0 in image.shape:
        raise ContractError(
            f"{name} was given an image of shape {image.shape} and type {image.dtype}; it takes HxWx{bands} uint8; "
            f"read the raster in one of its band recipes and stretch it to 8 bit"
        )
    return Encoding(torch.tensor(image).permute(2, 0, 1)[None].contiguous().to(device))


def initial_map(size: tuple[int, int], mask: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    """Zeros, or the HxW mask as 0 and 1; read-only. Raises ContractError for a mask of another size (height, width)."""
    if mask is None:
        return read_only(np.zeros(size, np.float32))
    if mask.shape != size:
        raise ContractError(f"the mask to be corrected is {mask.shape}, the image {size} (rows, cols); they must agree")
    return read_only(np.asarray(mask, bool).astype(np.float32))


def read_only(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same array, protected: states are values."""
    array.setflags(write=False)
    return array
