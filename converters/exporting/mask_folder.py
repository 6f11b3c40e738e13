"""The format masks: `train/` and `val/`, each with `images/`, `labels/` (class codes, 8 bit, 255 without a class) and `classes.json`.

What `rsiseg train` and `rsiseg bench` read (`converters.labelled_folder`). Pixels are exact; objects of one class that touch become one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from converters.exporting.chip_set import ChipSet
from converters.exporting.set_pictures import encoded

if TYPE_CHECKING:
    from converters.exporting.formats import Request


def write(request: Request) -> None:
    """Writes the folder."""
    found = ChipSet.of(request)
    for chip in found.chips():
        part = request.out / chip.part
        if not part.is_dir():
            for folder in ("images", "labels"):
                (part / folder).mkdir(parents=True)
            (part / "classes.json").write_text(found.classes.classes_json(), encoding="utf-8", newline="\n")
        (part / "images" / f"{chip.name}.png").write_bytes(chip.png)
        (part / "labels" / f"{chip.name}.png").write_bytes(encoded(chip.codes()))
    request.out.mkdir(parents=True, exist_ok=True)
    request.account.fact("largest_deviation_px", 0)
