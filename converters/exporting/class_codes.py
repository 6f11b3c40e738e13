"""Classes as numbers: one code for each class of an export, the same in every file of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from converters import palette
from converters.errors import ExportError

UNLABELLED = 255
"""Code of a pixel without a class; the nodata value of class rasters."""


@dataclass(frozen=True, slots=True)
class ClassCodes:
    """names[k] is the class with the code k, colours[k] its "#rrggbb"."""

    names: tuple[str, ...]
    colours: tuple[str, ...]

    @classmethod
    def of(cls, found: Iterable[str], colours: Mapping[str, str]) -> ClassCodes:
        """Codes 0..n-1: first the classes of the labelling interface (`colours`, its order, used or not), then the others by name.

        found: class names of the export, repeated at will. Raises ExportError for more classes than there are codes.
        """
        names = (*colours, *sorted(set(found) - set(colours)))
        if len(names) > UNLABELLED:
            raise ExportError(
                f"the export has {len(names)} classes; expected at most {UNLABELLED}, the codes of 8 bits without {UNLABELLED}, which "
                "marks pixels without a class; merge classes in the labelling interface"
            )
        return cls(names, tuple(colours.get(name) or palette.colour(name) for name in names))

    def code(self, name: str) -> int:
        """Code of a class. KeyError-free by construction: every class of the export is in `names`."""
        return self.names.index(name)

    def table(self) -> dict[int, tuple[int, int, int]]:
        """Colour table: code -> (red, green, blue), 0..255 each."""
        return {code: rgb(colour) for code, colour in enumerate(self.colours)}

    def tags(self) -> dict[str, str]:
        """TIFF tags of a class raster: CLASS_0, CLASS_1, ... are the names."""
        return {f"CLASS_{code}": name for code, name in enumerate(self.names)}

    def classes_json(self) -> str:
        """`classes.json` as `converters.labelled_folder` reads it; colours are for people."""
        document = {
            "classes": {name: code for code, name in enumerate(self.names)},
            "background": [UNLABELLED],
            "colours": dict(zip(self.names, self.colours, strict=True)),
        }
        return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green, blue of "#rrggbb"."""
    red, green, blue = bytes.fromhex(colour.removeprefix("#")[:6])
    return red, green, blue
