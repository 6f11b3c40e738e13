"""Which tiles are for training and which for testing: text files, one tile a line.

`#` begins a comment. A tile is written as `rsiseg` names it (potsdam_2_10, vaihingen_area1), as its files are named, or by its number alone
(2_10, 02_10, area1, 1). Four splits of either data set come with the package, under `splits/`:

official-train, official-test   the benchmark's own: 24 + 14 tiles of Potsdam, 16 + 17 areas of Vaihingen
study-train, study-test         32 + 6 and 27 + 6 tiles, the numbers of the study, which does not say which tiles they were. Ours are all
                                tested on official test tiles, so that a model trained on the official training tiles has not seen
                                them; none has a known defect; Potsdam's are one a row of the town, Vaihingen's cut into the study's
                                385 patches.
"""

from __future__ import annotations

import re
from pathlib import Path

from converters.errors import TaskError
from converters.isprs import parse_name
from converters.isprs_sets import TILES

SPLITS = ("study-train", "study-test", "official-train", "official-test")
"""Names of the splits that come with the package."""

_NUMBER = {"potsdam": re.compile(r"0?(\d{1,2})_0?(\d{1,2})"), "vaihingen": re.compile(r"(?:area)?0?(\d{1,2})", re.IGNORECASE)}


def split_file(dataset: str, name: str) -> Path:
    """The file of one of SPLITS; dataset: "potsdam" or "vaihingen"."""
    return Path(__file__).parent / "splits" / f"{dataset}-{name}.txt"


def read_split(split: str | Path, dataset: str) -> tuple[str, ...]:
    """The tiles of a split (one of SPLITS, or a file), as `isprs.IsprsName.tile` spells them, in the file's order, each once.

    Raises TaskError for a file that cannot be read, is empty, or names what is no tile of the data set.
    """
    path = split_file(dataset, str(split)) if str(split) in SPLITS else Path(split)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise TaskError(
            f"the split {path} cannot be read ({error}); expected a text file with one tile a line, or one of {', '.join(SPLITS)}"
        ) from error
    named = [text for line in lines if (text := line.partition("#")[0].strip())]
    if not named:
        raise TaskError(f"the split {path} names no tile; expected one a line, such as {dataset}_{TILES[dataset][0]}")
    return tuple(dict.fromkeys(_tile(text, dataset, path) for text in named))


def _tile(text: str, dataset: str, path: Path) -> str:
    name = parse_name(text)
    if name is not None and name.dataset == dataset:
        tile = name.tile
    elif match := _NUMBER[dataset].fullmatch(text):
        tile = "_".join(match.groups()) if dataset == "potsdam" else f"area{match[1]}"
    else:
        tile = ""
    if tile not in TILES[dataset]:
        raise TaskError(
            f"the split {path} names {text}, which is no tile of ISPRS {dataset.capitalize()}; "
            f"expected names such as {dataset}_{TILES[dataset][0]}; correct that line"
        )
    return tile
