"""Parity, fixture by fixture: which checks a fixture's name asks for, and what is left over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from backend.evaluation import parity_fbrs, parity_focal, parity_focal_stub, parity_networks, parity_protocol, parity_sam, parity_stub
from backend.evaluation.parity import Check, read_fixture, skipped
from converters.errors import RSISegError

# What a name begins with -> the checks of that family.
FAMILIES = {
    "ritm_": parity_networks.check,
    "simpleclick_": parity_networks.check,
    "cfr_icl_": parity_networks.check,
    "focalclick_": parity_focal.check,
    "sam_": parity_sam.check,
    "fbrs_": parity_fbrs.check,
    "stub_ritm": parity_stub.check,
    "stub_cfr": parity_stub.check,
    "stub_focal": parity_focal_stub.check,
    "protocol_ritm": parity_protocol.check,
}
# What a name begins with -> why it is not compared.
SKIPPED = {"protocol_focal": "FocalClick's training loss; no FocalClick network is trained here, and evaluation stands below training"}
# Arrays that stages read and none compares.
INPUTS = {"image", "prev_mask_u8", "init_mask", "raw_points", "raw_input_points", "refine_crop", "refine_points", "refine_roi"}
INPUTS |= {"gt", "gts", "preds", "dist_points", "box"}


def check_fixture(folder: Path, name: str) -> Iterator[Check]:
    """All stages of one fixture. A fixture that cannot be carried out is one failed stage `error`, and the others still run."""
    reason = next((why for prefix, why in SKIPPED.items() if name.startswith(prefix)), None)
    if reason is not None:
        yield skipped(name, reason)
        return
    run = next((check for prefix, check in FAMILIES.items() if name.startswith(prefix)), None)
    if run is None:
        yield skipped(name, f"the family of '{name}' is not supported yet; supported are names that begin with {', '.join(FAMILIES)}")
        return
    try:
        fixture = read_fixture(folder, name)
        compared = set()
        for check in run(fixture):
            compared.add(check.stage.rpartition(":")[2])
            yield check
        left = set(fixture.arrays or ()) - compared - INPUTS
        if left:
            yield skipped(name, f"arrays that nothing is compared with yet: {', '.join(sorted(left))}")
    except (RSISegError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        yield Check(name, "error", None, None, False, f"{type(error).__name__}: {error}")
