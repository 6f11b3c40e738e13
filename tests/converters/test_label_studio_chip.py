"""A chip survives the trip through a task's data, and broken data is named."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from converters.chips import Chip, PixelWindow
from converters.errors import TaskError
from converters.frames import Size
from converters.label_studio import chip_from_task_data, chip_to_task_data, has_chip

FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(min_size=1, max_size=20)


@st.composite
def chips(draw: st.DrawFn) -> Chip:
    size = Size(draw(st.integers(1, 100_000)), draw(st.integers(1, 100_000)))
    col_off = draw(st.integers(0, size.width - 1))
    row_off = draw(st.integers(0, size.height - 1))
    bands = tuple(draw(st.lists(st.sampled_from(["R", "G", "B", "IR", "L", "A", "X"]), min_size=1, max_size=6, unique=True)))
    moderate = st.floats(-1e7, 1e7)
    transform = Affine(*draw(st.tuples(*[moderate] * 6)))
    return Chip(
        image=draw(TEXT),
        raster=draw(TEXT),
        window=PixelWindow(col_off, row_off, draw(st.integers(1, size.width - col_off)), draw(st.integers(1, size.height - row_off))),
        transform=None if transform.is_degenerate else transform,
        crs=draw(st.none() | TEXT),
        bands=bands,
        scale=draw(st.floats(0.01, 100)),
        gsd=draw(st.none() | st.floats(0.001, 1000)),
        native_size=size,
        stretch=draw(st.none() | st.tuples(*[st.tuples(st.floats(-1e9, 0), st.floats(0, 1e9))] * len(bands))),
        nodata=draw(st.none() | FINITE | st.sampled_from([math.nan, math.inf, -math.inf])),
    )


@given(chips())
def test_a_chip_survives_strict_json(chip: Chip) -> None:
    data = chip_to_task_data(chip)
    assert has_chip(data)
    assert chip_from_task_data(json.loads(json.dumps(data, allow_nan=False))) == chip


def task_data(**changes: Any) -> dict[str, Any]:
    data: dict[str, Any] = {
        "image": "/data/local-files/?d=chips/a.png", "raster": "a.tif", "window": [600, 0, 600, 400],
        "transform": [0.05, 0.0, 1000.0, 0.0, -0.05, 2000.0], "crs": "EPSG:32633", "bands": "RGBIR", "scale": 1.0, "gsd": 0.05,
        "native_size": [1200, 400], "stretch": None, "nodata": None,
    }  # fmt: skip
    return data | changes


def test_the_documented_json_is_written_exactly() -> None:
    data = task_data(stretch=[[0.0, 1.0], [0.0, 2.0], [0.0, 3.0], [0.0, 4.0]], nodata=0.0)
    chip = chip_from_task_data(data)
    assert chip.bands == ("R", "G", "B", "IR")
    assert list(chip_to_task_data(chip).items()) == list(data.items())


def test_optional_fields_may_be_absent() -> None:
    data = task_data()
    for field in ("transform", "crs", "scale", "gsd", "stretch", "nodata"):
        del data[field]
    chip = chip_from_task_data(data)
    assert (chip.transform, chip.crs, chip.scale, chip.gsd, chip.stretch, chip.nodata) == (None, None, 1.0, None, None, None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image", ""), ("image", None), ("raster", 7), ("window", [0, 0, 600]),
        ("window", [700, 0, 600, 400]), ("window", [-1, 0, 600, 400]),
        ("window", [0, 0, 0, 400]), ("window", [0.5, 0, 600, 400]), ("window", "0,0,600,400"), ("window", [True, 0, 600, 400]),
        ("transform", [0.05, 0, 0]), ("transform", [0, 0, 1000, 0, 0, 2000]), ("transform", [math.nan, 0, 0, 0, 1, 0]), ("crs", 32633),
        ("bands", "RGQ"), ("bands", ""), ("scale", 0), ("scale", "1"), ("gsd", -0.05), ("native_size", [1200]), ("native_size", None),
        ("stretch", [[0, 1]]), ("stretch", [[1, 0]] * 4), ("stretch", 5), ("nodata", "none"), ("nodata", math.nan),
    ],
)  # fmt: skip
def test_a_broken_field_is_named(field: str, value: object) -> None:
    with pytest.raises(TaskError, match=f"'{field}'.*expected.*import"):
        chip_from_task_data(task_data(**{field: value}))


@pytest.mark.parametrize("field", ["image", "raster", "window", "bands", "native_size"])
def test_a_missing_field_is_named(field: str) -> None:
    data = task_data()
    del data[field]
    with pytest.raises(TaskError, match=f"'{field}' of the task's data is missing"):
        chip_from_task_data(data)


@pytest.mark.parametrize("data", [None, [], "x", {"image": "a.png"}, {"image": "a.png", "raster": "a.tif"}])
def test_data_that_rsiseg_did_not_make_has_no_chip(data: object) -> None:
    assert not has_chip(data)
    with pytest.raises(TaskError):
        chip_from_task_data(data)


def test_a_whole_number_beyond_any_float_is_refused_like_any_wrong_value() -> None:
    for field, value in (("scale", 10**400), ("gsd", 10**400), ("transform", [10**400, 0, 0, 0, -1, 0]), ("window", [0, 0, 10**400, 5])):
        with pytest.raises(TaskError, match=field):
            chip_from_task_data(task_data(**{field: value}))
