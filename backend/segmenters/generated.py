"""Weights from a formula instead of a file: the same numbers on every machine, from the names and shapes of the tensors alone.

Two uses: networks whose recorded outputs are compared (`rsiseg parity`; formula and names of the arguments: fixtures/README.md there),
and the tiny entries of the registry that tests run through the whole server. Imported without torch, as the catalogue of models is.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class WeightFormula:
    """Parameters of the formula.

    seed: one number for all tensors. gain: standard deviation of matrices and kernels before division by sqrt(fan in).
    mult: (regular expression, factor) applied in order to every tensor whose name matches. const: name -> value of all its elements,
    without factors.
    """

    seed: int = 0
    gain: float = 1.0
    mult: Sequence[tuple[str, float]] = ()
    const: Mapping[str, float] = field(default_factory=dict)

    def array(self, key: str, shape: Sequence[int]) -> NDArray[Any]:
        """The tensor named `key` of that shape, float32 (int64 for batch counters)."""
        leaf = key.rsplit(".", 1)[-1]
        if key in self.const:
            return np.full(tuple(shape), float(self.const[key]), dtype=np.float32)
        if leaf == "num_batches_tracked":
            return np.zeros(tuple(shape), dtype=np.int64)
        values = self._values(key, leaf, shape)
        for pattern, factor in self.mult:
            if re.search(pattern, key):
                values = values * factor
        return np.asarray(values, dtype=np.float32).reshape(tuple(shape))

    def _values(self, key: str, leaf: str, shape: Sequence[int]) -> NDArray[np.float64]:
        generator = np.random.Generator(np.random.PCG64((zlib.crc32(key.encode()) + 1000003 * self.seed) % 2**32))
        noise = generator.standard_normal(int(np.prod(shape)) or 1).reshape(tuple(shape))
        if leaf == "running_mean" or leaf in ("pos_embed", "cls_token"):
            return 0.1 * noise
        if leaf == "running_var":
            return 1 + 0.1 * np.abs(noise)
        if leaf.endswith("bias"):
            return 0.02 * noise
        if len(shape) <= 1:
            return 1 + 0.1 * noise
        return noise * self.gain / np.sqrt(np.prod(shape[1:]))

    def fill(self, net: nn.Module) -> None:
        """Give every parameter and buffer of the network's state dict its tensor, one by one: the largest network has 2.6 GB of them."""
        import torch  # noqa: PLC0415 - see the module

        with torch.no_grad():
            for key, value in net.state_dict().items():
                value.copy_(torch.from_numpy(self.array(key, tuple(value.shape))))
