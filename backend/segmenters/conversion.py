"""The authors' checkpoints as weight files of ours: the same numbers, under the same names, in a format that holds nothing else."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from backend.errors import ModelError
from backend.segmenters import catalogue
from backend.segmenters.catalogue_entry import Entry
from backend.segmenters.checkpoint_files import Checkpoint, read_checkpoint
from backend.segmenters.recognition import Recognised, recognise
from backend.segmenters.weight_files import write_weights
from backend.segmenters.weight_headers import file_sha256


@dataclass(frozen=True, slots=True)
class Conversion:
    """What was converted.

    published: the registry's entry whose settings and licence the new file got; None where it lists none alike.
    genuine: whether the file's sha256 is that of the published file of the same name; None where that is not known.
    """

    recognised: Recognised
    published: Entry | None
    genuine: bool | None
    out: Path


def convert(path: Path, out: Path, *, architecture: str | None = None, part: int | None = None, entry: Entry | None = None) -> Conversion:
    """Write the network of the authors' file `path` to `out` (.safetensors), every number as it is, and how the authors use it.

    architecture: for a checkpoint that fits several. part: which of the networks, from 1, where the file holds one for each click.
    entry: the registry's entry that the file belongs to; found by file name and architecture when not given.
    Raises ModelError for a file that is damaged, not one of a known network, or not the one `entry` asks for.
    """
    checkpoint = _part(path, read_checkpoint(path), part)
    try:
        recognised = recognise(checkpoint, architecture=architecture or (entry.architecture if entry else None))
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    if entry is not None and (entry.family, entry.architecture) != (recognised.family, recognised.architecture):
        raise ModelError(
            f"{path} is {recognised.family} {recognised.architecture}, but {entry.name} is {entry.family} {entry.architecture}; "
            "give that entry's own file"
        )
    broken = next((name for name, tensor in checkpoint.tensors.items() if not torch.isfinite(tensor).all()), None)
    if broken is not None:
        raise ModelError(f"{path} holds numbers that are not finite in {broken}; expected real weights; download it again")
    published = entry or published_entry(recognised, path.name)
    sha256 = file_sha256(path)
    about = {"checkpoint": path.name, "checkpoint_sha256": sha256, **_use(published)}
    write_weights(
        out, checkpoint.tensors, family=recognised.family, architecture=recognised.architecture, half=False, **about
    )  # half=False: a rounded weight is another answer
    stated = published.checkpoint_sha256 if published is not None and published.checkpoint == path.name else None
    return Conversion(recognised, published, None if stated is None else stated == sha256, out)


def published_entry(recognised: Recognised, file_name: str) -> Entry | None:
    """The published entry of that file name, else the first of that architecture: how its authors predict with it."""
    alike = [
        one
        for one in catalogue.entries()
        if one.checkpoint is not None and (one.family, one.architecture) == (recognised.family, recognised.architecture)
    ]
    return next((one for one in alike if one.checkpoint == file_name), alike[0] if alike else None)


def _part(path: Path, parts: tuple[Checkpoint, ...], number: int | None) -> Checkpoint:
    if number is None and len(parts) > 1:
        raise ModelError(f"{path} holds {len(parts)} networks, one for each click; a weight file holds one; choose it with --part")
    if number is not None and not 1 <= number <= len(parts):
        raise ModelError(f"{path} holds {len(parts)} network(s), there is no part {number}; give a number from 1 to {len(parts)}")
    return parts[(number or 1) - 1]


def _use(published: Entry | None) -> dict[str, Any]:
    """Metadata of the new file: how clicks are predicted with it, and whose it is."""
    if published is None:
        return {"licence": "unknown", "source": "converted"}
    about: dict[str, Any] = {
        "threshold": published.threshold,
        "flip": published.flip,
        "recipes": published.recipes,
        "licence": published.licence,
        "source": published.source,
    }
    if published.input_size is not None:
        about["input_size"] = published.input_size
    if published.zoom_in is not None:
        about["zoom_in"] = asdict(published.zoom_in)
    return about
