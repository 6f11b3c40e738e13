"""What RSISeg writes into Label Studio's JSON: a chip as the `data` of a task (and back), masks and rings as region items.

The keys of that JSON stand here, in `label_studio_export.py` (which reads annotations) and in `backend/contract.py`, nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import ArrayLike

from converters import rle
from converters.bands import format_bands, parse_bands
from converters.chips import Chip, PixelWindow
from converters.errors import RasterError, TaskError
from converters.frames import NativePoint, Size, native_to_percent
from converters.json_values import is_number, shown

_AGAIN = "import the raster again with `rsiseg import`"


# --- a chip as the `data` of a task


def chip_to_task_data(chip: Chip) -> dict[str, Any]:
    """The `data` of the chip's task, plain JSON; inverse of `chip_from_task_data`. A nodata of NaN or infinity becomes a string."""
    window = chip.window
    return {
        "image": chip.image,
        "raster": chip.raster,
        "window": [window.col_off, window.row_off, window.width, window.height],
        "transform": None if chip.transform is None else list(tuple(chip.transform)[:6]),
        "crs": chip.crs,
        "bands": format_bands(chip.bands),
        "scale": chip.scale,
        "gsd": chip.gsd,
        "native_size": [chip.native_size.width, chip.native_size.height],
        "stretch": None if chip.stretch is None else [list(low_high) for low_high in chip.stretch],
        "nodata": chip.nodata if chip.nodata is None or math.isfinite(chip.nodata) else str(chip.nodata),
    }


def imported_task(
    chip: Chip, *, id: str, views: Mapping[str, str], meta: Mapping[str, Any], predictions: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """A task as Label Studio imports it.

    id: what this chip of this raster is called in every import; it stands in the data, which every export of Label Studio repeats.
    views: name -> address of further pictures of the chip, for `$image_<name>` in a labelling interface.
    meta: what the import settled and assumed. predictions: items of `prediction`, shown as a pre-annotation.
    """
    data = {**chip_to_task_data(chip), **{f"image_{name}": address for name, address in views.items()}, "chip_id": id}
    task: dict[str, Any] = {"data": data, "meta": {"rsiseg": dict(meta)}}
    if predictions:
        task["predictions"] = [dict(item) for item in predictions]
    return task


def prediction(result: Sequence[Mapping[str, Any]], version: str) -> dict[str, Any]:
    """Regions of a task as one stored prediction; version: what Label Studio shows as its author."""
    return {"model_version": version, "result": [dict(item) for item in result]}


def with_prediction(task: Mapping[str, Any], entry: Mapping[str, Any] | None, version: str) -> dict[str, Any]:
    """A task that is to be imported, with this prediction of a `version` instead of an earlier one of it; None leaves none of it."""
    others = [dict(each) for each in task.get("predictions", ()) if each.get("model_version") != version]
    given = {key: value for key, value in task.items() if key != "predictions"}
    if entry is not None:
        others.append(dict(entry))
    return {**given, "predictions": others} if others else given


def predicted_regions(task: Mapping[str, Any]) -> list[Any]:
    """The region items of all predictions of a task that is to be imported."""
    return [item for each in task.get("predictions", ()) for item in each["result"]]


def task_id(task: Mapping[str, Any]) -> str | None:
    """The `id` that `imported_task` gave a task; None for any other task."""
    data = task.get("data")
    found = data.get("chip_id") if isinstance(data, Mapping) else None
    return found if isinstance(found, str) else None


def import_meta(task: Mapping[str, Any]) -> Mapping[str, Any]:
    """The `meta` that `imported_task` gave a task; empty for any other task."""
    meta = task.get("meta")
    found = meta.get("rsiseg") if isinstance(meta, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def has_chip(data: object) -> bool:
    """Whether a task's `data` was made by `rsiseg import`: it names a raster and a window of it. The values may still be broken."""
    return isinstance(data, Mapping) and "raster" in data and "window" in data


def chip_from_task_data(data: object) -> Chip:
    """The chip of a task's `data` (the JSON of `chip_to_task_data`).

    `scale` is 1 when absent; `transform`, `crs`, `gsd`, `stretch`, `nodata` are None when absent.
    Raises TaskError, which names the field, for anything that is missing, of another type, or contradicts another field.
    """
    if not isinstance(data, Mapping):
        raise TaskError(f"the task's data is {shown(data)}; expected a JSON object; {_AGAIN}")
    native_size = Size(*_integers(data, "native_size", 2, "[width, height] in px, both at least 1", at_least=1))
    bands = _bands(data)
    return Chip(
        image=_text(data, "image"),
        raster=_text(data, "raster"),
        window=_window(data, native_size),
        transform=_transform(data),
        crs=None if data.get("crs") is None else _text(data, "crs"),
        bands=bands,
        scale=1.0 if data.get("scale") is None else _positive(data, "scale"),
        gsd=None if data.get("gsd") is None else _positive(data, "gsd"),
        native_size=native_size,
        stretch=_stretch(data, len(bands)),
        nodata=_nodata(data),
    )


def _window(data: Mapping[str, Any], raster: Size) -> PixelWindow:
    expected = f"[col_off, row_off, width, height], a part of the raster's {raster}"
    window = PixelWindow(*_integers(data, "window", 4, expected, at_least=0))
    inside = window.col_off + window.width <= raster.width and window.row_off + window.height <= raster.height
    if not inside or 0 in (window.width, window.height):
        raise _broken(data, "window", expected)
    return window


def _transform(data: Mapping[str, Any]) -> Affine | None:
    if data.get("transform") is None:
        return None
    expected = "null or the six numbers [a, b, c, d, e, f] of an affine with an area"
    transform = Affine(*_numbers(data, "transform", data["transform"], 6, expected))
    if transform.is_degenerate:
        raise _broken(data, "transform", expected)
    return transform


def _bands(data: Mapping[str, Any]) -> tuple[str, ...]:
    text = _text(data, "bands")
    try:
        return parse_bands(text)
    except RasterError as error:
        raise TaskError(f"the field 'bands' of the task's data is broken: {error}; {_AGAIN}") from error


def _stretch(data: Mapping[str, Any], count: int) -> tuple[tuple[float, float], ...] | None:
    pairs = data.get("stretch")
    if pairs is None:
        return None
    expected = f"null or one [low, high] for each of the raster's {count} bands"
    if not isinstance(pairs, list | tuple) or len(pairs) != count:
        raise _broken(data, "stretch", expected)
    numbers = [_numbers(data, "stretch", pair, 2, expected) for pair in pairs]
    if any(low > high for low, high in numbers):
        raise _broken(data, "stretch", expected)
    return tuple((low, high) for low, high in numbers)


def _nodata(data: Mapping[str, Any]) -> float | None:
    value = data.get("nodata")
    if value in ("nan", "inf", "-inf"):
        return math.nan if value == "nan" else float(value)
    if value is None or is_number(value):
        return value
    raise _broken(data, "nodata", 'null, a number, "nan", "inf" or "-inf"')


def _text(data: Mapping[str, Any], field: str) -> str:
    value = data.get(field)
    if not isinstance(value, str) or not value:
        raise _broken(data, field, "a text that is not empty")
    return value


def _positive(data: Mapping[str, Any], field: str) -> float:
    value = data[field]
    if not is_number(value) or value <= 0:
        raise _broken(data, field, "a number above 0")
    return float(value)


def _integers(data: Mapping[str, Any], field: str, count: int, expected: str, *, at_least: int) -> list[int]:
    numbers = _numbers(data, field, data.get(field), count, expected)
    if any(number != int(number) or number < at_least for number in numbers):
        raise _broken(data, field, expected)
    return [int(number) for number in numbers]


def _numbers(data: Mapping[str, Any], field: str, value: object, count: int, expected: str) -> list[float]:
    if not isinstance(value, list | tuple) or len(value) != count or not all(is_number(number) for number in value):
        raise _broken(data, field, expected)
    return [float(number) for number in value]


def _broken(data: Mapping[str, Any], field: str, expected: str) -> TaskError:
    found = shown(data[field]) if field in data else "missing"
    return TaskError(f"the field {field!r} of the task's data is {found}; expected {expected}; {_AGAIN}")


# --- masks and rings as region items


def brush_region(
    mask: ArrayLike, *, id: str, label: str, from_name: str, to_name: str, score: float | None = None, meta: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The region item of a mask HxW in display px (true: the object).

    from_name, to_name: the BrushLabels tag and the Image tag it belongs to. score: 0..1, shown beside the region.
    meta: the region's `meta`, which survives submit and export; the backend writes {"rsiseg": {"model", "version", "clicks", "cfr"}}.
    Raises TaskError for an array that is no mask.
    """
    height, width = np.shape(mask)[:2] if np.ndim(mask) == 2 else (0, 0)
    value = {"format": "rle", "rle": rle.encode(mask), "brushlabels": [label]}
    return _region("brushlabels", value, Size(width, height), id=id, from_name=from_name, to_name=to_name, score=score, meta=meta)


def polygon_region(
    ring: ArrayLike,
    native: Size,
    *,
    id: str,
    label: str,
    from_name: str,
    to_name: str,
    score: float | None = None,
    meta: Mapping[str, Any] | None = None,
    display: Size | None = None,
) -> dict[str, Any]:
    """The region item of one ring Nx2, (col, row) in native px of the window, edge-based; a repeated last vertex is left out.

    native: size of the window. display: size of the picture in the browser, the window's own when None. The rest as in `brush_region`,
    for a PolygonLabels tag. Raises TaskError for a ring of less than three vertices.
    """
    vertices = np.asarray(ring, float)
    if vertices.ndim == 2 and len(vertices) > 1 and np.array_equal(vertices[0], vertices[-1]):
        vertices = vertices[:-1]
    if vertices.ndim != 2 or vertices.shape[1] != 2 or len(vertices) < 3 or not np.isfinite(vertices).all():
        raise TaskError(f"a ring of shape {vertices.shape} cannot be a polygon; expected at least three finite vertices (col, row)")
    percents = [native_to_percent(NativePoint(col, row), native) for col, row in vertices.tolist()]
    value = {"points": [[percent.x, percent.y] for percent in percents], "closed": True, "polygonlabels": [label]}
    return _region("polygonlabels", value, display or native, id=id, from_name=from_name, to_name=to_name, score=score, meta=meta)


def _region(
    type: str,
    value: dict[str, Any],
    display: Size,
    *,
    id: str,
    from_name: str,
    to_name: str,
    score: float | None,
    meta: Mapping[str, Any] | None,
) -> dict[str, Any]:
    region: dict[str, Any] = {
        "id": id,
        "type": type,
        "from_name": from_name,
        "to_name": to_name,
        "original_width": display.width,
        "original_height": display.height,
        "image_rotation": 0,
        "value": value,
    }
    if score is not None:
        region["score"] = float(score)
    if meta is not None:
        region["meta"] = dict(meta)
    return region
