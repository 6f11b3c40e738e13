"""The catalogue in print: the columns of `rsiseg weights list`, and docs/models.md, which is written by it. Needs no torch."""

from __future__ import annotations

import re
from collections.abc import Sequence

from backend.segmenters.catalogue import Catalogue
from backend.segmenters.catalogue_entry import Entry

COLUMNS = ("name", "family", "architecture", "bands", "input", "licence", "weights", "sha256", "source")
PAGE = """# Models

`rsiseg weights list --markdown > docs/models.md` writes this page from `weights/registry.toml`; a test compares the two. The default is
`{default}`.

- bands: what a model may be given, best first; a raster needs all the bands of one of them. input: height x width in px, if fixed.
- NC: the licence forbids commercial use.
- weights: *shipped* with the package; *pull*: `rsiseg weights pull NAME`; *convert*: download the authors' file from the source, then
  `rsiseg weights convert FILE --as NAME`; *train*: `rsiseg train`; *generated*: random numbers, for tests.
- sha256: its first digits, of the authors' file where they publish one. Where it is not known, the first download is pinned.
  `rsiseg weights list --json` has all digits.

{table}
"""


def cells(one: Entry) -> tuple[str, ...]:
    """An entry in words, column by column; the same on every machine."""
    licence = re.split("[,;(]", one.licence)[0].strip() + (" (NC)" if one.non_commercial else "")
    digest = one.checkpoint_sha256 or one.sha256
    return (
        one.name,
        one.family,
        one.architecture,
        "/".join("".join(recipe) for recipe in one.recipes),
        "x".join(map(str, one.input_size)) if one.input_size else "any",
        licence,
        whence(one),
        digest[:12] if digest else "-",
        one.source,
    )


def whence(one: Entry) -> str:
    """How the weights come to a machine: `pull` and `convert` are commands, `shipped` is in the package."""
    if one.file is None:
        return "generated"
    if one.checkpoint is None:
        return "shipped" if one.sha256 else "train"
    return "pull" if one.download else "convert"


def markdown(catalogue: Catalogue) -> str:
    """The page docs/models.md."""
    rows: list[Sequence[str]] = [COLUMNS, ["---"] * len(COLUMNS), *(_linked(cells(one)) for one in catalogue.entries)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return PAGE.format(default=catalogue.default.name, table=table)


def _linked(row: Sequence[str]) -> list[str]:
    name, *rest, digest, source = (cell.replace("|", "\\|") for cell in row)
    return [f"`{name}`", *rest, digest, f"<{source}>" if source.startswith("https://") else source]
