"""The tables of docs/preannotation.md out of the records of benchmarks/preannotation.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from backend.evaluation.noc import clicks_needed
from backend.pre_annotation.calibration import expected_calibration_error, reliability

SHOWN = "0.25"
CURVE = ("0.05", "0.15", "0.25", "0.4", "0.5", "0.6")


def tables(chips: Sequence[dict[str, Any]]) -> str:
    """All of them, in Markdown."""
    return "\n\n".join([found_by_class(chips), by_threshold(chips), calibration(chips), clicks(chips), time_spent(chips)])


def _sets(chips: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    sets: dict[str, list[dict[str, Any]]] = {}
    for chip in chips:
        sets.setdefault(chip["set"], []).append(chip)
    return sets


def _percent(flags: Sequence[bool]) -> str:
    return f"{100 * np.mean(flags):.0f} %" if len(flags) else "-"


def found_by_class(chips: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| set | class | objects | found | found, class aside | proposals | precision | precision, class aside |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, own in _sets(chips).items():
        objects = [one for chip in own for one in chip["by_score"][SHOWN]["objects"]]
        proposals = [one for chip in own for one in chip["by_score"][SHOWN]["proposals"]]
        for label in [*sorted({one["class"] for one in (*objects, *proposals)}), None]:
            mine = [one for one in objects if label in (None, one["class"])]
            given = [one for one in proposals if label in (None, one["class"])]
            cells = [
                name,
                label or f"**all** ({len(own)} chips)",
                str(len(mine)),
                _percent([one["iou"] >= 0.5 for one in mine]),
                _percent([one["iou_any"] >= 0.5 for one in mine]),
                str(len(given)),
                _percent([one["iou"] >= 0.5 for one in given]),
                _percent([one["iou_any"] >= 0.5 for one in given]),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def by_threshold(chips: Sequence[dict[str, Any]]) -> str:
    lines = ["| set | least score | found | found, class aside | precision | proposals a chip |", "|---|--:|--:|--:|--:|--:|"]
    for name, own in _sets(chips).items():
        for least in CURVE:
            objects = [one for chip in own for one in chip["by_score"][least]["objects"]]
            proposals = [one for chip in own for one in chip["by_score"][least]["proposals"]]
            lines.append(
                f"| {name} | {least} | {_percent([one['iou'] >= 0.5 for one in objects])} | "
                f"{_percent([one['iou_any'] >= 0.5 for one in objects])} | {_percent([one['iou'] >= 0.5 for one in proposals])} | "
                f"{len(proposals) / len(own):.1f} |"
            )
    return "\n".join(lines)


def calibration(chips: Sequence[dict[str, Any]]) -> str:
    lines = ["| set | score | proposals | mean score | overlap an object of their class |", "|---|--:|--:|--:|--:|"]
    errors: list[str] = []
    for name, own in [*_sets(chips).items(), ("all", list(chips))]:
        proposals = [one for chip in own for one in chip["by_score"][CURVE[0]]["proposals"]]
        if not proposals:
            continue
        scores, found = [one["score"] for one in proposals], [one["iou"] >= 0.5 for one in proposals]
        for each in reliability(scores, found):
            lines.append(f"| {name} | {each.low:.1f} to {each.high:.1f} | {each.count} | {each.score:.2f} | {each.share:.2f} |")
        errors.append(f"{name} {expected_calibration_error(scores, found):.3f}")
    return "\n".join([*lines, "", f"Expected calibration error: {', '.join(errors)}."])


def clicks(chips: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| set | objects | IoU | from nothing | from proposals | saved | found ones | from nothing | from their proposal |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, own in [*_sets(chips).items(), ("all", list(chips))]:
        objects = [one for chip in own for one in chip["clicks"]]
        found = [one for one in objects if one["found"]]
        if not objects:
            continue
        for target in (0.85, 0.9):
            plain, helped = [_plain(one, target) for one in objects], [_helped(one, target) for one in objects]
            shown = [name, str(len(objects)), f"{target:.2f}", f"{np.mean(plain):.2f}", f"{np.mean(helped):.2f}"]
            shown += [f"{np.mean(plain) - np.mean(helped):.2f}", str(len(found))]
            if found:
                shown += [
                    f"{np.mean([_plain(one, target) for one in found]):.2f}",
                    f"{np.mean([_helped(one, target) for one in found]):.2f}",
                ]
            else:
                shown += ["-", "-"]
            lines.append(f"| {' | '.join(shown)} |")
    return "\n".join(lines)


def _plain(one: dict[str, Any], target: float) -> int:
    return clicks_needed(one["from_nothing"], target)


def _helped(one: dict[str, Any], target: float) -> int:
    """Clicks from the proposal where there is one: none where it is good enough as it is."""
    path = one["from_proposal"]
    if path is None:
        return _plain(one, target)
    return 0 if path[0] >= target else clicks_needed(path[1:], target)


def time_spent(chips: Sequence[dict[str, Any]]) -> str:
    lines = ["| set | chips | px | candidates a chip | seconds a chip | of them for features |", "|---|--:|--:|--:|--:|--:|"]
    for name, own in _sets(chips).items():
        size = np.mean([chip["size"][0] * chip["size"][1] for chip in own]) ** 0.5
        numbers = [np.mean([chip[key] for chip in own]) for key in ("candidates", "seconds", "seconds_features")]
        lines.append(f"| {name} | {len(own)} | {size:.0f} | {numbers[0]:.0f} | {numbers[1]:.1f} | {numbers[2]:.1f} |")
    return "\n".join(lines)
