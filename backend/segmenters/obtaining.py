"""How weights that are not on this machine get here, in words. Needs no torch: the server says it while it starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def how_to_get(name: str, table: Mapping[str, Any]) -> str:
    """What to do for the weights of `name`. table: its table in registry.toml."""
    if "download" in table:
        flag = " --accept-non-commercial" if table.get("non_commercial") else ""
        return f"fetch them with `rsiseg weights pull {name}{flag}`"
    if "checkpoint" in table:
        return (
            f"the authors publish {table['checkpoint']} at {table['source']}, without an address that a program could fetch: download it "
            f"there, then run `rsiseg weights convert {table['checkpoint']} --as {name}`"
        )
    return "train them with `rsiseg train`"
