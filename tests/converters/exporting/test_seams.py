"""An object that chips cut comes out whole, whatever the chips; what they agree on is one object, exactly its pixels."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest
import shapely
from affine import Affine
from exported import Export, export
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from converters.chips import Chip, PixelWindow
from converters.exporting.chosen import Choice
from converters.exporting.cores import cores
from converters.exporting.shaping import Shaping
from converters.frames import Size
from converters.label_studio import brush_region, chip_to_task_data, polygon_region
from converters.label_studio_export import read_export
from converters.vectorise import polygons

GRID = Affine(0.05, 0, 366_000.0, 0, -0.05, 5_807_000.0)


def a_chip(window: PixelWindow, size: Size, raster: str = "a.tif") -> Chip:
    return Chip(
        image=f"{window.col_off}.png", raster=raster, window=window, transform=GRID @ Affine.translation(window.col_off, window.row_off),
        crs="EPSG:32633", bands=("R", "G", "B"), scale=1.0, gsd=0.05, native_size=size, stretch=None, nodata=None,
    )  # fmt: skip


def windows(size: Size, side: int, overlap: int) -> list[PixelWindow]:
    starts = [[*range(0, max(length - overlap, 1), side - overlap)] for length in (size.height, size.width)]
    return [PixelWindow(c, r, min(side, size.width - c), min(side, size.height - r)) for r, c in itertools.product(*starts)]


def task(number: int, chip: Chip, *items: dict[str, Any], **annotation: Any) -> dict[str, Any]:
    said = {"id": number, "completed_by": 1, "result": list(items)} | annotation
    return {"id": number, "data": chip_to_task_data(chip), "annotations": [said]}


def brush(mask: np.ndarray, label: str = "road", id: str = "r") -> dict[str, Any]:
    return brush_region(mask, id=id, label=label, from_name="b", to_name="img")


def cut(mask: np.ndarray, where: list[PixelWindow], label: str = "road") -> list[dict[str, Any]]:
    """A task a chip, each with its piece of the mask."""
    size = Size(mask.shape[1], mask.shape[0])
    tasks = []
    for number, window in enumerate(where):
        piece = mask[window.row_off : window.row_off + window.height, window.col_off : window.col_off + window.width]
        tasks.append(task(number, a_chip(window, size), *([brush(piece, label)] if piece.any() else [])))
    return tasks


def exported(tasks: list[dict[str, Any]], shaping: Shaping | None = None, **changes: Any) -> Export:
    return export(read_export(json.loads(json.dumps(tasks))), shaping=shaping, **{"pixels": True} | changes)


def shapes(done: Export) -> list[shapely.Geometry]:
    return [shapely.geometry.shape(feature["geometry"]) for feature in done.features]


def all_parts(done: Export) -> list[shapely.Polygon]:
    return [part for shape in shapes(done) for part in shapely.get_parts(shape).tolist()]


MASKS = arrays(np.bool_, st.tuples(st.integers(1, 24), st.integers(1, 24)), elements=st.sampled_from([True, True, False])).filter(np.any)


@given(mask=MASKS, side=st.integers(4, 12), overlap=st.integers(0, 3), data=st.data())
@settings(deadline=None, max_examples=150)
def test_a_mask_cut_into_chips_comes_out_as_the_uncut_mask(mask: np.ndarray, side: int, overlap: int, data: st.DataObject) -> None:
    where = windows(Size(mask.shape[1], mask.shape[0]), side, overlap)
    tasks = data.draw(st.permutations(cut(mask, where)))
    done = exported(tasks)
    uncut = polygons(mask)
    found = all_parts(done)
    assert {part.normalize().wkb for part in found} == {part.normalize().wkb for part in uncut} and len(found) == len(uncut)
    # Each connected part is in one feature: no two features share an edge.
    assert all(first.intersection(second).length == 0 for first, second in itertools.combinations(shapes(done), 2))
    assert all(shape.is_valid for shape in shapes(done))
    assert done.account.report()["area_m2"] == pytest.approx(mask.sum() * 0.0025, abs=1e-3)


@given(data=st.data(), size=st.integers(6, 30))
@settings(deadline=None, max_examples=100)
def test_cores_share_out_every_pixel_of_any_windows(data: st.DataObject, size: int) -> None:
    def window(draw: st.DrawFn) -> PixelWindow:
        col, row = draw(st.integers(0, size - 1)), draw(st.integers(0, size - 1))
        return PixelWindow(col, row, draw(st.integers(1, size - col)), draw(st.integers(1, size - row)))

    where = data.draw(st.lists(st.composite(window)(), min_size=1, max_size=6))
    found = cores(where)
    covered = np.zeros((size, size), int)
    shown = np.zeros((size, size), bool)
    for one, core in found.items():
        shown[one.row_off : one.row_off + one.height, one.col_off : one.col_off + one.width] = True
        for row, col in itertools.product(range(size), range(size)):
            inside = core.intersection(shapely.box(col, row, col + 1, row + 1)).area
            assert inside in (0, 1)
            covered[row, col] += int(inside)
        assert core.difference(shapely.box(one.col_off, one.row_off, one.col_off + one.width, one.row_off + one.height)).area == 0
    assert np.array_equal(covered, shown.astype(int))


def test_cores_of_a_grid_meet_in_the_middle_of_the_overlap() -> None:
    found = cores(windows(Size(26, 26), 10, 2))
    assert sorted({core.bounds[2] for core in found.values()}) == [9, 17, 26]
    assert all(core.equals(shapely.box(*core.bounds)) for core in found.values())


def test_an_object_cut_by_an_edge_is_one_feature_that_names_its_regions() -> None:
    mask = np.zeros((10, 20), bool)
    mask[2:6, 5:15] = True
    done = exported(cut(mask, windows(Size(20, 10), 10, 0)), pixels=False)
    (feature,) = done.features
    properties = feature["properties"]
    assert len(feature["geometry"]["coordinates"][0]) == 5
    assert (properties["merged_regions"], properties["source_regions"], properties["task"]) == (2, "0/0/r, 1/1/r", 0)
    assert properties["area_m2"] == pytest.approx(40 * 0.0025)
    said = done.account.report()
    assert (said["regions"], said["exported"], said["merged"], said["regions_left_out"]) == (2, 1, 1, 0)
    assert said["merged_into"] == [
        {"task": 1, "annotation": 1, "region": "r", "type": "brushlabels", "into": {"task": 0, "annotation": 0, "region": "r"}}
    ]
    assert said["by_class"] == {"road": {"features": 1, "regions": 2, "area_m2": 0.1}}


def test_seams_are_left_alone_on_request() -> None:
    mask = np.ones((10, 20), bool)
    done = exported(cut(mask, windows(Size(20, 10), 10, 2)), Shaping(seams="keep"))
    assert [shape.area for shape in shapes(done)] == [100, 100, 40]


def test_another_class_another_raster_and_a_corner_do_not_join() -> None:
    size = Size(20, 20)
    left, right, below = (PixelWindow(0, 0, 10, 10), PixelWindow(10, 0, 10, 10), PixelWindow(10, 10, 10, 10))
    full = np.ones((10, 10), bool)
    assert len(exported([task(1, a_chip(left, size), brush(full)), task(2, a_chip(right, size), brush(full, "tree"))]).features) == 2
    assert len(exported([task(1, a_chip(left, size), brush(full)), task(2, a_chip(right, size, "b.tif"), brush(full))]).features) == 2
    assert len(exported([task(1, a_chip(left, size), brush(full)), task(2, a_chip(below, size), brush(full))]).features) == 2


def test_two_objects_side_by_side_on_one_chip_stay_two() -> None:
    size = Size(20, 10)
    upper, lower = np.zeros((2, 10, 10), bool)
    upper[:5], lower[5:] = True, True
    chips = [a_chip(PixelWindow(0, 0, 10, 10), size), a_chip(PixelWindow(10, 0, 10, 10), size)]
    tasks = [task(n, chip, brush(upper, id="u"), brush(lower, id="l")) for n, chip in enumerate(chips)]
    # Across the border each touches its other half along its side, and the other one at a corner only.
    assert [shape.bounds for shape in shapes(exported(tasks))] == [(0, 0, 20, 5), (0, 5, 20, 10)]


def test_where_chips_overlap_the_core_decides() -> None:
    size = Size(18, 10)
    mask = np.zeros((10, 10), bool)
    mask[3:6, 8:10] = True  # in the overlap 8..10; the border is at 9
    left, right = a_chip(PixelWindow(0, 0, 10, 10), size), a_chip(PixelWindow(8, 0, 10, 10), size)
    nothing_there = exported([task(1, left, brush(mask)), task(2, right)])
    assert [shape.bounds for shape in shapes(nothing_there)] == [(8, 3, 9, 6)]
    not_annotated = exported([task(1, left, brush(mask)), task(2, right, was_cancelled=True)])
    assert [shape.bounds for shape in shapes(not_annotated)] == [(8, 3, 10, 6)]


def test_a_region_seen_beyond_the_border_is_merged_or_named() -> None:
    size = Size(18, 10)
    left, right = a_chip(PixelWindow(0, 0, 10, 10), size), a_chip(PixelWindow(8, 0, 10, 10), size)
    beyond, there = np.zeros((2, 10, 10), bool)
    beyond[3:6, 9:10], there[3:6, 1:5] = True, True
    both = exported([task(1, left, brush(beyond, id="seen")), task(2, right, brush(there, id="decides"))])
    assert [shape.bounds for shape in shapes(both)] == [(9, 3, 13, 6)]
    assert both.account.report()["merged_into"][0]["into"]["region"] == "decides"
    alone = exported([task(1, left, brush(beyond, id="seen")), task(2, right, brush(there, "tree"))])
    assert [remark.region for remark in alone.left_out] == ["seen"] and "neighbouring chip decides" in alone.left_out[0].reason


def test_outlines_drawn_by_hand_join_too() -> None:
    size = Size(18, 10)
    left, right = a_chip(PixelWindow(0, 0, 10, 10), size), a_chip(PixelWindow(8, 0, 10, 10), size)
    ring = [(2.3, 2.1), (15.7, 3.2), (15.1, 7.7), (2.9, 8.3)]
    whole = shapely.Polygon(ring)
    tasks = []
    for number, chip in enumerate((left, right)):
        shown = whole.intersection(shapely.box(0, 0, 10, 10) if number == 0 else shapely.box(8, 0, 18, 10))
        points = np.asarray(shown.exterior.coords)[:-1] - (chip.window.col_off, 0)
        tasks.append(task(number, chip, polygon_region(points, Size(10, 10), id="p", label="roof", from_name="p", to_name="img")))
    (shape,) = shapes(exported(tasks))
    assert shape.symmetric_difference(whole).area < 0.01 and shape.geom_type == "Polygon"


def test_each_annotator_is_a_layer_of_its_own() -> None:
    mask = np.ones((10, 20), bool)
    tasks = cut(mask, windows(Size(20, 10), 10, 2))
    for one in tasks:
        one["annotations"] += [one["annotations"][0] | {"id": 100 + one["id"], "completed_by": {"email": "b@example.org"}}]
    both = exported(tasks, choice=Choice("all"))
    assert [feature["properties"]["annotator"] for feature in both.features] == [1, "b@example.org"]
    assert [shape.area for shape in shapes(both)] == [200, 200]
    one = exported(tasks, choice=Choice(annotators=frozenset({"1"})))
    assert [shape.area for shape in shapes(one)] == [200]
    assert "--annotator names others" in one.left_out[0].reason
    assert both.account.report()["by_annotator"] == {name: {"features": 1, "regions": 3, "area_m2": 0.5} for name in ("1", "b@example.org")}


def test_rasters_come_one_after_the_other_whatever_the_order_of_tasks() -> None:
    size = Size(20, 10)
    full = np.ones((10, 10), bool)
    where = windows(size, 10, 0)
    tasks = [task(n, a_chip(where[n // 2], size, "ab"[n % 2]), brush(full)) for n in range(4)]
    done = exported(tasks)
    assert [(feature["properties"]["raster"], feature["properties"]["area_px"]) for feature in done.features] == [("a", 200), ("b", 200)]


def test_the_minimum_area_is_of_the_whole_object_not_of_its_pieces() -> None:
    mask = np.zeros((10, 20), bool)
    mask[2:6, 9:15] = True  # 4 px on the left chip, 20 on the right one
    mask[8, 18] = True
    tasks = cut(mask, windows(Size(20, 10), 10, 0))
    tasks[1]["annotations"][0]["result"] = [
        brush(np.pad(mask[2:6, 10:15], ((2, 4), (0, 5)))), brush(np.pad(np.ones((1, 1), bool), ((8, 1), (8, 1))), id="small")
    ]  # fmt: skip
    done = exported(tasks, choice=Choice(min_area_m2=20 * 0.0025))
    assert [shape.area for shape in shapes(done)] == [24]
    assert [remark.region for remark in done.left_out] == ["small"]
    assert "smaller (0.0025 m2) than --min-area 0.05" in done.left_out[0].reason
