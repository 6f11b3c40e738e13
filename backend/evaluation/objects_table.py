"""Results by object as a Parquet file: what pandas, DuckDB or QGIS open to look at single objects, and what bench itself reads again.

A row an object, in the order in which they were given:

| column | type | meaning |
|---|---|---|
| model, version | string | as asked for; the segmenter's own string with the hash of its weights |
| image | string | name in its set |
| window | int32[4] | (col_off, row_off, width, height) of the patch, px of the image |
| index | int32 | which object of the patch |
| class | string | |
| area_px | int64 | |
| area_m2 | double, null | area_px * gsd^2; null where the ground sample distance is unknown |
| gsd | double, null | metres per px |
| clicks | list<struct<positive bool, row int32, col int32>> | px of the window, in click order |
| ious | list<double> | 0..1, after each click |
| met | list<int32> | after each click, how many clicks so far lie on their side of the mask's edge; empty where it was not counted |
| noc80, noc85, noc90, noc95 | int32 | clicks to that IoU in percent, 20 where it was never reached |

Times are not in it: they differ between two runs of the same thing, this file does not. The conditions of the run stand as JSON in the
file's metadata under `rsiseg.conditions`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from backend.errors import UsageError
from backend.evaluation.noc import TARGETS, ObjectResult, clicks_needed
from converters.whole_file import replacing

_CONDITIONS = b"rsiseg.conditions"

SCHEMA = pa.schema(
    [
        pa.field("model", pa.string(), nullable=False),
        pa.field("version", pa.string(), nullable=False),
        pa.field("image", pa.string(), nullable=False),
        pa.field("window", pa.list_(pa.int32(), 4), nullable=False),
        pa.field("index", pa.int32(), nullable=False),
        pa.field("class", pa.string(), nullable=False),
        pa.field("area_px", pa.int64(), nullable=False),
        pa.field("area_m2", pa.float64()),
        pa.field("gsd", pa.float64()),
        pa.field("clicks", pa.list_(pa.struct([("positive", pa.bool_()), ("row", pa.int32()), ("col", pa.int32())])), nullable=False),
        pa.field("ious", pa.list_(pa.float64()), nullable=False),
        pa.field("met", pa.list_(pa.int32()), nullable=False),
        *(pa.field(f"noc{target}", pa.int32(), nullable=False) for target in TARGETS),
    ]
)


def write_objects(path: Path, results: Sequence[ObjectResult], conditions: Mapping[str, Any] | None = None) -> None:
    """Write `results` to `path`, whole or not at all; the same results give the same bytes.

    conditions: JSON values on which every result depends.
    """
    columns = {
        "model": [result.model for result in results],
        "version": [result.version for result in results],
        "image": [result.image for result in results],
        "window": [list(result.window) for result in results],
        "index": [result.index for result in results],
        "class": [result.class_name for result in results],
        "area_px": [result.area for result in results],
        "area_m2": [result.area_m2 for result in results],
        "gsd": [result.gsd for result in results],
        "clicks": [[{"positive": positive, "row": row, "col": col} for positive, row, col in result.clicks] for result in results],
        "ious": [list(result.ious) for result in results],
        "met": [list(result.met) for result in results],
        **{f"noc{target}": [clicks_needed(result.ious, target / 100) for result in results] for target in TARGETS},
    }
    kept = json.dumps(conditions or {}, sort_keys=True).encode()
    table = pa.Table.from_pydict(columns, schema=SCHEMA.with_metadata({_CONDITIONS: kept}))
    with replacing(path) as aside:
        pq.write_table(table, aside, compression="zstd")


def read_objects(path: Path) -> list[ObjectResult]:
    """The results in `path`, without times. UsageError for a file that `write_objects` did not write."""
    table = _read(path)
    columns = [table.column(name).to_pylist() for name in SCHEMA.names[:12] if name != "area_m2"]
    return [
        ObjectResult(
            model=model,
            version=version,
            image=image,
            window=(window[0], window[1], window[2], window[3]),
            index=index,
            class_name=class_name,
            area=area,
            clicks=tuple((click["positive"], click["row"], click["col"]) for click in clicks),
            ious=tuple(ious),
            met=tuple(met),
            gsd=gsd,
        )
        for model, version, image, window, index, class_name, area, gsd, clicks, ious, met in zip(*columns, strict=True)
    ]


def read_conditions(path: Path) -> dict[str, Any]:
    """The conditions that `write_objects` was given. UsageError for a file that it did not write."""
    return json.loads((_read(path).schema.metadata or {})[_CONDITIONS])


def _read(path: Path) -> pa.Table:
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"{path} is no Parquet file that can be read ({error}); run that benchmark again") from error
    if not table.schema.equals(SCHEMA, check_metadata=False) or _CONDITIONS not in (table.schema.metadata or {}):
        raise UsageError(f"{path} is a Parquet file of other columns than this version of bench writes; run that benchmark again")
    return table
