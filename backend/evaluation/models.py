"""What `rsiseg bench --model` accepts: registry names, weight files, and baselines without weights."""

from __future__ import annotations

import re

from backend.errors import UsageError
from backend.evaluation.grabcut import GrabCut
from backend.inference.segmenter import Segmenter
from backend.segmenters import registry

BASELINES = {"grabcut": GrabCut}

_REFINEMENT = re.compile(r"(\+a?cfr\d*|@clicks=\w*)+$")


def load_model(name: str, device: str = "cpu") -> Segmenter:
    """The segmenter of that name: a baseline, a registry name (`default` included), or the path of a .safetensors file.

    device: for networks; baselines run on the CPU. Raises UsageError for refinement suffixes, which are not built yet, and ModelError
    for an unknown name or weights that are not there.
    """
    suffix = _REFINEMENT.search(name)
    if suffix:
        raise UsageError(
            f"the model {name} asks for the refinement {suffix.group()}, which this version cannot measure; give {name[: suffix.start()]}"
        )
    if name in BASELINES:
        return BASELINES[name]()
    return registry.load(name, device=device)
