"""Image embeddings computed once and read again from disk: what makes a step of decoder training cost milliseconds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from converters.whole_file import replacing


class Embeddings:
    """Embeddings of images by an encoder whose weights do not change, float16 files named by what was encoded and with what.

    encoder: the state dict of its part that does not change. folder: for the files, shared by any number of runs; each file is written
    whole or not at all.
    """

    def __init__(self, folder: Path, encoder: Mapping[str, Tensor]) -> None:
        digest = hashlib.sha256()
        for name, tensor in encoder.items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().numpy().tobytes())
        self._folder = folder / digest.hexdigest()[:16]
        self._folder.mkdir(parents=True, exist_ok=True)

    def of(self, image: NDArray[np.uint8], encode: Callable[[NDArray[np.uint8]], NDArray[np.float32]]) -> NDArray[np.float32]:
        """The embedding of a uint8 SxSxbands image, float32 [C, h, w] rounded to float16; `encode` is called where it is not there yet."""
        path = self._folder / f"{hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()[:32]}.npy"
        if path.exists():
            return np.load(path, allow_pickle=False).astype(np.float32)
        half = encode(image).astype(np.float16)
        with replacing(path) as aside, aside.open("wb") as stream:
            np.save(stream, half, allow_pickle=False)
        return half.astype(np.float32)
