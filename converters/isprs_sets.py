"""The tiles of the ISPRS benchmark, and the four data sets that the study of interactive segmentation made of them.

Patches are the study's: 600 px for Potsdam, which cut its 38 tiles into 38 x 100; 300 px for Vaihingen with the partial ones at the right
and lower edge kept, which gives exactly the study's 1770 + 385 over the 33 areas.
"""

from __future__ import annotations

from dataclasses import dataclass

GSD = {"potsdam": 0.05, "vaihingen": 0.09}
"""Ground sampling distance as published, metres per px."""

POTSDAM_SIDE = 6000
"""Width and height of every Potsdam tile, px."""

_POTSDAM_COLUMNS = {2: range(10, 15), 3: range(10, 15), 4: range(10, 16), 5: range(10, 16), 6: range(7, 16), 7: range(7, 14)}
_VAIHINGEN_AREAS = (*range(1, 9), *range(10, 18), *range(20, 25), *range(26, 36), 37, 38)

TILES: dict[str, tuple[str, ...]] = {
    "potsdam": tuple(f"{row}_{column}" for row, columns in _POTSDAM_COLUMNS.items() for column in columns),
    "vaihingen": tuple(f"area{number}" for number in _VAIHINGEN_AREAS),
}
"""Every tile that exists, as `isprs.IsprsName.tile` spells them."""


@dataclass(frozen=True, slots=True)
class StudySet:
    """One data set of the study.

    dataset: "potsdam" or "vaihingen". bands: letters in the order of the channels. patch: side in px. gsd: metres per px.
    train, test: names of the default splits (`isprs_splits`). patches, objects: the study's counts, (training, test).
    """

    dataset: str
    bands: tuple[str, ...]
    patch: int
    gsd: float
    patches: tuple[int, int]
    objects: tuple[int, int]
    train: str = "study-train"
    test: str = "study-test"


def _potsdam(*bands: str) -> StudySet:
    return StudySet("potsdam", bands, 600, GSD["potsdam"], (3200, 600), (47152, 10365))


STUDY_SETS: dict[str, StudySet] = {
    "PRGB": _potsdam("R", "G", "B"),
    "PRGIR": _potsdam("IR", "R", "G"),
    "PRGBIR": _potsdam("R", "G", "B", "IR"),
    "VRGIR": StudySet("vaihingen", ("IR", "R", "G"), 300, GSD["vaihingen"], (1770, 385), (20102, 4651)),
}
"""The study's names. It does not say in which order it fed infrared, red and green; this is the order of the published files."""
