"""Parity, fixture by fixture: which checks a fixture's name asks for, and what is left over.

It stands above `evaluation` and `training`, because a fixture of the protocol holds the robot's clicks and the training losses alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from backend.evaluation import parity_fbrs, parity_focal, parity_focal_stub, parity_networks, parity_protocol, parity_sam, parity_stub
from backend.evaluation.parity import Check, Fixture, read_fixture, skipped
from backend.training import parity_losses

# What a name begins with -> the checks of that family.
FAMILIES: dict[str, tuple[Callable[[Fixture], Iterator[Check]], ...]] = {
    "ritm_": (parity_networks.check,),
    "simpleclick_": (parity_networks.check,),
    "cfr_icl_": (parity_networks.check,),
    "focalclick_": (parity_focal.check,),
    "sam_": (parity_sam.check,),
    "fbrs_": (parity_fbrs.check,),
    "stub_ritm": (parity_stub.check,),
    "stub_cfr": (parity_stub.check,),
    "stub_focal": (parity_focal_stub.check,),
    "protocol_": (parity_protocol.check, parity_losses.check),
}
WITHOUT_NETWORK = ("stub_", "protocol_")
# Arrays that are nobody's answer: there is nothing to compare with them.
INPUTS = {"image", "prev_mask_u8", "init_mask", "raw_points", "raw_input_points", "refine_crop", "refine_points", "refine_roi"}
INPUTS |= {"gt", "gts", "preds", "dist_points", "box", "logits", "labels", "trimap", "loss_logits", "loss_labels"}


def check_fixture(folder: Path, name: str) -> Iterator[Check]:
    """All stages of one fixture, then at most one element `skipped` that says everything that was not compared, and why.

    A fixture that cannot be carried out is one failed stage `error`, and the others still run. Every array of the fixture is compared,
    or is an input, or is named in the skipped element.
    """
    checks = next((checks for prefix, checks in FAMILIES.items() if name.startswith(prefix)), None)
    if checks is None:
        yield skipped(name, f"the family of '{name}' is not supported yet; supported are names that begin with {', '.join(FAMILIES)}")
        return
    reasons: list[str] = []
    compared: set[str] = set()
    try:
        fixture = read_fixture(folder, name)
        if fixture.arrays is None and name.startswith(WITHOUT_NETWORK):
            reasons.append(f"'{name}' is a list of keys, and fixtures that begin with {' and '.join(WITHOUT_NETWORK)} have no network")
            checks = ()
        for check in checks:
            for one in check(fixture):
                if one.ok is None:
                    reasons.append(str(one.reason))
                    continue
                compared.add(one.stage.rpartition(":")[2])
                yield one
        left = sorted(set(fixture.arrays or ()) - compared - INPUTS)
        if left and (compared or not reasons):  # a fixture that is skipped as a whole has said why
            reasons.append(f"arrays that nothing is compared with yet: {', '.join(left)}")
    except Exception as error:
        # A fixture is foreign data: whatever it provokes is its own failure, and the others still run.
        yield Check(name, "error", None, None, False, f"{type(error).__name__}: {error}")
    if reasons:
        yield skipped(name, "; ".join(reasons))
