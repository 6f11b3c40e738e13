"""The benchmark's numbers as Markdown tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MOST_GROUPS = 12
"""A grouping with more groups than this stays in the JSON only."""

_GROUPINGS = (("by_image", "image"), ("by_class", "class"), ("by_size", "size"))


def markdown(models: Mapping[str, Mapping[str, Any]]) -> str:
    """Tables of `models` (name -> `statistics.summarise`): all objects, then NoC80 / NoC90 by image, class and size."""
    tables = [_overall(models)]
    for key, title in _GROUPINGS:
        groups = list(dict.fromkeys(group for numbers in models.values() for group in numbers[key]))
        if 1 < len(groups) <= MOST_GROUPS:
            tables.append(_grouped(models, key, title, groups))
    return "\n\n".join(tables) + "\n"


def _overall(models: Mapping[str, Mapping[str, Any]]) -> str:
    header = [
        "model",
        "objects",
        "NoC80",
        "NoC85",
        "NoC90",
        "95 % interval",
        "NoC95",
        ">=20@90",
        "mIoU@1",
        "mIoU@5",
        "mIoU@20",
        "met",
        "s/click",
    ]
    rows = [
        [
            name,
            str(numbers["objects"]),
            *(f"{numbers['noc'][target]:.2f}" for target in ("80", "85", "90")),
            "-" if numbers["interval"] is None else "{:.2f} to {:.2f}".format(*numbers["interval"]["noc"]["90"]),
            f"{numbers['noc']['95']:.2f}",
            f"{numbers['over20']['90']:.0%}",
            *(f"{numbers['miou'][min(k, len(numbers['miou'])) - 1]:.3f}" for k in (1, 5, 20)),
            "-" if numbers["met"] is None else f"{numbers['met']:.2%}",
            f"{numbers['seconds_per_click']:.3f}",
        ]
        for name, numbers in models.items()
    ]
    return aligned_table(header, rows)


def _grouped(models: Mapping[str, Mapping[str, Any]], key: str, title: str, groups: Sequence[str]) -> str:
    header = [f"NoC80 / NoC90 by {title}", "objects", *models]
    rows: list[list[str]] = []
    for group in groups:
        cells = [numbers[key].get(group) for numbers in models.values()]
        count = next(str(cell["objects"]) for cell in cells if cell)
        rows.append([group, count, *(f"{cell['noc']['80']:.2f} / {cell['noc']['90']:.2f}" if cell else "-" for cell in cells)])
    return aligned_table(header, rows)


def aligned_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table that also lines up in a terminal; every column but the first is right-aligned."""
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        return (
            f"| {cells[0]:<{widths[0]}} | "
            + " | ".join(f"{cell:>{width}}" for cell, width in zip(cells[1:], widths[1:], strict=True))
            + " |"
        )

    rule = f"|{'-' * (widths[0] + 2)}|" + "|".join("-" * (width + 1) + ":" for width in widths[1:]) + "|"
    return "\n".join([line(header), rule, *map(line, rows)])
