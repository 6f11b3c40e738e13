"""In which coordinate reference systems the chosen chips lie, and which of them mean the same."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from pyproj import CRS
from pyproj.exceptions import CRSError

from converters.exporting.account import Account
from converters.exporting.chosen import chosen_tasks

if TYPE_CHECKING:
    from converters.exporting.formats import Request


@functools.lru_cache(maxsize=256)
def same(text: str) -> str:
    """One spelling for a CRS: "EPSG:..." or another authority's code where it has one, else the text as it is."""
    try:
        authority = CRS.from_user_input(text).to_authority(min_confidence=100)
    except CRSError:
        return text
    return text if authority is None else ":".join(authority)


def all_of(request: Request) -> list[str]:
    """The CRSs of all chips with a chosen annotation, each once, in the order of the export; a pass over the export."""
    tasks = chosen_tasks(request.tasks(), request.choice, Account())
    return list(dict.fromkeys(same(task.chip.crs) for task in tasks if task.chip.crs is not None))


def short_name(text: str) -> str:
    """A CRS fit for the name of a layer, such as EPSG_32633."""
    name = text if len(text) <= 20 else CRS.from_user_input(text).name
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:40]
