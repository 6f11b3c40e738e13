"""The mean of weight files of one network that share a past: what several stages of one training have in common, without their noise.

Wortsman et al., Model soups (2022), the uniform soup.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from backend.errors import ModelError, UsageError
from backend.segmenters.weight_files import first_difference, write_weights
from backend.segmenters.weight_headers import open_weights, read_metadata

_SAME = ("family", "architecture", "recipes", "licence")


def write_mean(files: Sequence[Path], out: Path) -> None:
    """Write the mean of every floating tensor of at least two weight files, taken in float32, to `out` in float16.

    Whole numbers come from the last file, and so does the metadata. Raises UsageError for fewer files, ModelError where they are of
    different networks, bands or licences; the files are never changed.
    """
    if len(files) < 2:
        raise UsageError(f"a mean of {len(files)} weight file was asked for; expected at least two of one network; name another")
    about = [read_metadata(file) for file in files]
    for key in _SAME:
        if any(one.get(key) != about[0].get(key) for one in about):
            found = ", ".join(f"{file.name}: {one.get(key)}" for file, one in zip(files, about, strict=True))
            raise ModelError(
                f"these files differ in their {key} ({found}); expected weights of one training; leave out what does not belong"
            )
    every = [_tensors(file) for file in files]
    shapes = [{name: tuple(tensor.shape) for name, tensor in tensors.items()} for tensors in every]
    for file, found in zip(files[1:], shapes[1:], strict=True):
        if (difference := first_difference(shapes[0], found)) is not None:
            raise ModelError(f"{file} and {files[0]} are of different networks: {difference}; expected weights of one training")
    mean = {
        name: torch.stack([tensors[name].float() for tensors in every]).mean(dim=0) if last.is_floating_point() else last
        for name, last in every[-1].items()
    }
    write_weights(out, mean, **about[-1])


def _tensors(file: Path) -> dict[str, Tensor]:
    with open_weights(file, framework="pt") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - the file is no mapping
