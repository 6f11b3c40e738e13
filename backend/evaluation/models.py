"""What `rsiseg bench --model` accepts: registry names, weight files, baselines without weights, refined or not."""

from __future__ import annotations

import re

from backend.errors import ContractError, UsageError
from backend.evaluation.grabcut import GrabCut
from backend.inference.cfr import OFF, Cascade, cascaded
from backend.inference.segmenter import Segmenter
from backend.segmenters import registry
from backend.segmenters.feature_splits import with_fbrs
from backend.segmenters.precision import AUTO

BASELINES = {"grabcut": GrabCut}

_REFINED = re.compile(r"(?P<name>.+)\+(?P<auto>a?)cfr(?P<passes>\d+)(?:@clicks=(?P<clicks>all|\d+))?", re.ASCII)
_FBRS = re.compile(r"(?P<name>.+)\+fbrs(?P<place>[abc])")
_MEANT_REFINED = re.compile(r"(\+a?cfr\w*|\+fbrs\w*|@clicks=.*)+$")


def load_model(name: str, device: str = "cpu", precision: str = AUTO) -> Segmenter:
    """The segmenter of that name: a baseline, a registry name (`default` included), or the path of a .safetensors file.

    With the suffix `+cfr4` or `+acfr4` its first click is refined by 4 or up to 4 further passes (MODELS.md 6.3), with `@clicks=3` or
    `@clicks=all` behind it the first three or all. With `+fbrsb`, or `+fbrsc` on RITM, f-BRS moves its features until the clicks are
    satisfied (MODELS.md 6.6).
    device, precision: for networks; baselines run on the CPU in their own way. Raises UsageError for a suffix without a meaning, and
    ModelError for an unknown name or weights that are not there.
    """
    optimised = _FBRS.fullmatch(name)
    if optimised is not None and not _MEANT_REFINED.search(optimised["name"]):
        name = optimised["name"]
        return with_fbrs(_plain(name, device, precision), optimised["place"])
    name, cascade = _split(name)
    return cascaded(_plain(name, device, precision), cascade)


def plain_name(name: str) -> str:
    """The name without its refinement: `default+cfr4@clicks=all` -> `default`. Raises UsageError for a suffix without a meaning."""
    optimised = _FBRS.fullmatch(name)
    return optimised["name"] if optimised is not None and not _MEANT_REFINED.search(optimised["name"]) else _split(name)[0]


def _plain(name: str, device: str, precision: str) -> Segmenter:
    return BASELINES[name]() if name in BASELINES else registry.load(name, device=device, precision=precision)


def _split(name: str) -> tuple[str, Cascade]:
    refined = _REFINED.fullmatch(name)
    if refined is not None and not _MEANT_REFINED.search(refined["name"]):
        try:
            cfr = f"auto:{refined['passes']}" if refined["auto"] else refined["passes"]
            return refined["name"], Cascade.parse(cfr, refined["clicks"] or "1")
        except ContractError as error:
            raise UsageError(f"the model {name} asks for a refinement that there is not: {error}") from None
    meant = _MEANT_REFINED.search(name)
    if meant:
        raise UsageError(
            f"the model {name} ends in {meant.group()}; expected one suffix such as +cfr4, +acfr4@clicks=all or +fbrsb; "
            f"write one of those, or {name[: meant.start()]} alone"
        )
    return name, OFF
