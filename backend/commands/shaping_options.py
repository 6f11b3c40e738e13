"""The options of `rsiseg export` that say how regions become objects."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from converters.exporting.overlaps import OVERLAPS
from converters.exporting.shaping import SEAMS, Shaping

SEAMS_HELP = "join: an object that chips cut is one; where chips overlap, each decides up to the middle. keep: every region as drawn."
OVERLAPS_HELP = (
    "Who has the area that two regions of a chip claim: the later one, the class that --priority names first, or both (keep). "
    "[default: keep; later with --simplify or --right-angles; priority with --priority]"
)
SIMPLIFY_HELP = "Leave out vertices whose triangle is smaller than this squared, in m; neighbours keep sharing their edges."
RIGHT_ANGLES_HELP = "Give objects of this class right angles (buildings); may be repeated."


def shaping_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options to a command, which gets them as one argument `shaping`."""

    @functools.wraps(command)
    def with_shaping(
        *args: Any, seams: str, overlaps: str | None, priority: str, simplify: float, right_angles: tuple[str, ...], **rest: Any
    ) -> Any:
        classes = tuple(name.strip() for name in priority.split(",") if name.strip())
        rule = overlaps or ("priority" if classes else "later" if simplify > 0 or right_angles else "keep")
        return command(*args, shaping=Shaping(seams, rule, classes, simplify, frozenset(right_angles)), **rest)

    for option in reversed(
        (
            click.option("--seams", type=click.Choice(SEAMS), default=SEAMS[0], show_default=True, help=SEAMS_HELP),
            click.option("--overlaps", type=click.Choice(OVERLAPS), help=OVERLAPS_HELP),
            click.option("--priority", default="", metavar="CLASS,CLASS,...", help="Classes that win where regions overlap, first wins."),
            click.option("--simplify", type=click.FloatRange(min=0), default=0.0, metavar="METRES", help=SIMPLIFY_HELP),
            click.option("--right-angles", multiple=True, metavar="CLASS", help=RIGHT_ANGLES_HELP),
        )
    ):
        with_shaping = option(with_shaping)
    return with_shaping
