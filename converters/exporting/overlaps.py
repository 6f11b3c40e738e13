"""Which of two regions has the px that both claim. Only regions of one chip can: cores keep those of different chips apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import shapely
from shapely import MultiPolygon

from converters.errors import ExportError
from converters.exporting.account import Account
from converters.exporting.drawn import Drawn
from converters.exporting.outlines import overlay_grid, polygons_of

OVERLAPS = ("keep", "later", "priority")


def settled(drawn: Sequence[Drawn], rule: str, priority: Sequence[str], account: Account) -> list[Drawn]:
    """The regions, each without what stronger ones take from it; who keeps nothing is left out.

    rule: "keep" changes nothing; "later": what comes later in the export was drawn over what came before; "priority": a class wins over
    those behind it in `priority`, every listed one over all others, and later wins within a class.
    """
    if rule not in OVERLAPS:
        raise ExportError(f"{rule!r} is no rule for overlaps; expected one of {', '.join(OVERLAPS)}")
    if rule == "keep" or len(drawn) < 2:
        return list(drawn)
    rank = {name: len(priority) - position for position, name in enumerate(priority)} if rule == "priority" else {}
    chips: dict[object, list[int]] = defaultdict(list)
    for index, one in enumerate(drawn):
        chips[one.chip.window].append(index)
    left: dict[int, Drawn] = {}
    for indices in chips.values():
        ascending = sorted(indices, key=lambda index: (rank.get(drawn[index].class_name, 0), drawn[index].name.order))
        left |= _settled_on_chip({index: drawn[index] for index in ascending}, account)
    return [left[index] for index in sorted(left)]


def _settled_on_chip(ascending: dict[int, Drawn], account: Account) -> dict[int, Drawn]:
    """The regions of one chip, given from the weakest to the strongest, without what stronger ones take from them."""
    regions = list(ascending.values())
    shapes = [MultiPolygon(one.parts) for one in regions]
    tree = shapely.STRtree(shapes)
    kept: dict[int, Drawn] = {}
    for position, (index, one) in enumerate(ascending.items()):
        stronger = [int(other) for other in tree.query(shapes[position], predicate="intersects") if other > position]
        if not stronger:
            kept[index] = one
            continue
        grid = overlay_grid(one.parts, *(regions[other].parts for other in stronger))
        taken = shapely.union_all([shapes[other] for other in stronger], grid_size=grid)
        rest = shapely.difference(shapes[position], taken, grid_size=grid)
        parts = polygons_of(rest)
        if not parts:
            above = regions[max(stronger)].name
            account.left_out(
                one.name, f"other regions lie over all of it, such as {above.region} of task {above.task}; --overlaps keep exports both"
            )
        else:
            # Neighbours that only touch take nothing.
            kept[index] = one if rest.area == shapes[position].area else replace(one, parts=parts)
    return kept
