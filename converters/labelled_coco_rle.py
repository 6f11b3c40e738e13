"""COCO's two spellings of a mask as runs, read exactly.

Runs go down the columns, first column first, and alternate between outside and inside, beginning outside. Uncompressed, `counts` is the
list of run lengths. Compressed, it is text: every number in groups of 5 bits, least significant group first, each group a character from
"0" (48) on, 32 added to every group that another one follows; the sign is the top bit of the last group; from the fourth number on, the
number is the difference to the run length two before.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.errors import TaskError
from converters.frames import Size


def is_rle(segmentation: object) -> bool:
    """Whether a COCO segmentation is one of the two spellings."""
    return isinstance(segmentation, Mapping) and "counts" in segmentation


def decode(segmentation: Mapping[str, Any], size: Size) -> NDArray[np.bool_]:
    """The mask HxW. TaskError for runs that do not fill an image of `size`, and for what is no COCO RLE."""
    counts, stated = segmentation.get("counts"), segmentation.get("size")
    if stated != [size.height, size.width]:
        raise TaskError(f"its RLE is of size {stated!r} (height, width); expected that of its image, {[size.height, size.width]}")
    runs = _uncompress(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(isinstance(run, int) and not isinstance(run, bool) and run >= 0 for run in runs):
        raise TaskError("its RLE holds something else than run lengths; expected whole numbers from 0 on, or COCO's compressed text")
    if sum(runs) != size.height * size.width:
        raise TaskError(f"its RLE has runs for {sum(runs)} px; expected {size.height * size.width}, the pixels of its image")
    flat = np.zeros(size.height * size.width, np.bool_)
    ends = np.cumsum(runs).tolist()
    for start, end in list(pairwise([0, *ends]))[1::2]:
        flat[start:end] = True
    return flat.reshape(size.width, size.height).T


def _uncompress(text: str) -> list[int]:
    runs: list[int] = []
    number = shift = 0
    for letter in text:
        group = ord(letter) - 48
        if not 0 <= group < 64 or shift > 60:
            raise TaskError(f"its compressed RLE holds {letter!r} at a wrong place; expected COCO's compressed counts; export it again")
        number |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            number -= 1 << shift
        runs.append(number + runs[-2] if len(runs) > 2 else number)
        number = shift = 0
    if shift:
        raise TaskError("its compressed RLE ends in the middle of a number; expected COCO's compressed counts; export it again")
    return runs
