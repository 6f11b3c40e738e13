"""Which of several masks of the same pixels is proposed, and who gets a pixel that two of them have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.pre_annotation.mask_place import MaskPlace

SAME_IOU = 0.5
"""Two masks that overlap more are one object; the better scored one stays."""
CONTAINED = 0.8
"""Share of the smaller mask inside the other from which they are one object too, unless class and size tell them apart."""
ON_TOP = 0.25
"""A contained mask of another class of at most this share of the other's area lies on it, as a car on a road: both stay."""
KEPT_SHARE = 0.6
"""A mask that loses more than the rest of its pixels to better ones is no object any more."""


def suppressed(places: Sequence[MaskPlace], scores: Sequence[float], classes: Sequence[str]) -> list[int]:
    """Numbers of the masks that stay, best score first; of equal scores the earlier one."""
    kept: list[int] = []
    for number in sorted(range(len(places)), key=lambda one: (-scores[one], one)):
        if not any(_one_object(places[number], places[other], classes[number] == classes[other]) for other in kept):
            kept.append(number)
    return kept


def _one_object(first: MaskPlace, second: MaskPlace, same_class: bool) -> bool:
    common = first.common(second)
    if common == 0:
        return False
    small, large = sorted((first.area, second.area))
    if common / (small + large - common) > SAME_IOU:
        return True
    return common / small > CONTAINED and (same_class or small > ON_TOP * large)


def disjoint(places: Sequence[MaskPlace], *, min_area: int) -> list[MaskPlace | None]:
    """The masks cut so that no pixel is in two. places: best first.

    A pixel goes to the mask that lies on the other (much smaller), else to the better one. None: less than `KEPT_SHARE` of a mask, or less
    than `min_area` px of it, is left to itself beside what lies on it.
    """
    if not places:
        return []
    areas = [place.area for place in places]
    owner = np.full((places[0].chip.height, places[0].chip.width), -1, np.int32)
    for number in reversed(range(len(places))):  # the best last, over the others
        row0, col0, row1, col1 = places[number].box
        window = owner[row0:row1, col0:col1]
        on_top = np.isin(window, [other for other in range(number + 1, len(places)) if areas[other] <= ON_TOP * areas[number]])
        window[places[number].inside & ~on_top] = number
    found: list[MaskPlace | None] = []
    for number, place in enumerate(places):
        row0, col0, row1, col1 = place.box
        window = owner[row0:row1, col0:col1]
        own = place.inside & (window == number)
        covered = place.inside & (window != number)
        lying = [other for other in range(len(places)) if areas[other] <= ON_TOP * areas[number]]
        lost = np.count_nonzero(covered & ~np.isin(window, lying))
        left = int(np.count_nonzero(own))
        if left < min_area or lost > (1 - KEPT_SHARE) * areas[number]:
            found.append(None)
            continue
        mask = np.zeros(owner.shape, np.bool_)
        mask[row0:row1, col0:col1] = own
        found.append(MaskPlace.of(mask))
    return found
