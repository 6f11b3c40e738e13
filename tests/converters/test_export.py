"""Regions become the same pixels on the map; what does not become a feature is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio.features
import shapely
from affine import Affine
from exported import Export, export
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from label_studio_sdk.converter import brush as brush_codec
from pyproj import Transformer

from converters import geojson
from converters.chips import Chip, PixelWindow
from converters.errors import ExportError, TaskError
from converters.frames import Size
from converters.label_studio import brush_region, chip_to_task_data, polygon_region
from converters.label_studio_export import read_export

UTM = Affine(0.05, 0, 366_000.0, 0, -0.05, 5_807_000.0)
ROTATED = UTM @ Affine.rotation(27)
SOUTH_UP = Affine(0.05, 0, 366_000.0, 0, 0.05, 5_807_000.0)
ANISOTROPIC = Affine(0.5, 0, 366_000.0, 0, -0.13, 5_807_000.0)
SHEARED = Affine(0.4, 0.1, 366_000.0, 0.2, -0.5, 5_807_000.0)
META = {"rsiseg": {"model": "default", "version": "default-1a2b", "clicks": 3, "cfr": "off"}}


def a_chip(size: Size, *, transform: Affine | None = UTM, crs: str | None = "EPSG:32633", scale: float = 1.0, **changes: Any) -> Chip:
    fields: dict[str, Any] = {
        "image": "a.png", "raster": "a.tif", "window": PixelWindow(600, 1200, size.width, size.height), "transform": transform, "crs": crs,
        "bands": ("R", "G", "B"), "scale": scale, "gsd": None, "native_size": Size(600 + size.width, 1200 + size.height),
        "stretch": None, "nodata": None,
    }  # fmt: skip
    return Chip(**fields | changes)


def brush(mask: np.ndarray, **changes: Any) -> dict[str, Any]:
    return brush_region(mask, id="r1", label="building", from_name="brush", to_name="img", score=0.75, meta=META) | changes


def ring(points: list, native: Size, **changes: Any) -> dict[str, Any]:
    return polygon_region(points, native, id="r2", label="tree", from_name="poly", to_name="img") | changes


def a_task(data: Any, *results: dict[str, Any], **annotation: Any) -> dict[str, Any]:
    said = {"id": 11, "completed_by": 4, "result": list(results), "was_cancelled": False, "updated_at": "2026-09-30T10:00:00Z"}
    return {"id": 7, "data": chip_to_task_data(data) if isinstance(data, Chip) else data, "annotations": [said | annotation]}


def exported(*tasks: dict[str, Any], **options: Any) -> Export:
    return export(read_export(json.loads(json.dumps(tasks))), **options)


def reasons(done: Export) -> list[str]:
    return [remark.reason for remark in done.left_out]


def back_on_the_grid(done: Export, chip: Chip) -> list[shapely.Geometry]:
    """The written geometries in native px of the chip's window, by another way than the one that wrote them."""
    assert chip.transform is not None
    collection = json.loads(geojson.dumps(done.features))
    to_map = Transformer.from_crs("OGC:CRS84", chip.crs, always_xy=True)

    def to_native(lonlat: np.ndarray) -> np.ndarray:
        return np.column_stack(~chip.transform @ np.array(to_map.transform(*lonlat.T)))  # type: ignore[operator]

    written = [shapely.geometry.shape(feature["geometry"]) for feature in collection["features"]]
    assert all(geometry.is_valid for geometry in written)
    # Pieces on both sides of the antimeridian become one again.
    return [shapely.union_all(shapely.get_parts(shapely.transform(geometry, to_native)), grid_size=1e-6) for geometry in written]


def pixels(geometry: shapely.Geometry, size: Size) -> np.ndarray:
    return rasterio.features.rasterize([geometry], (size.height, size.width), dtype=np.uint8).astype(bool)


PLACES = {
    "utm": (UTM, "EPSG:32633"), "rotated": (ROTATED, "EPSG:32633"), "south-up": (SOUTH_UP, "EPSG:32633"),
    "anisotropic": (ANISOTROPIC, "EPSG:32633"), "sheared": (SHEARED, "EPSG:32633"),
    "dutch": (Affine(0.25, 0, 155_000, 0, -0.25, 463_000), "EPSG:28992"),
    "swiss": (Affine(0.5, 0, 2_600_000, 0, -0.5, 1_200_000), "EPSG:2056"),
    "feet": (Affine(0.5, 0, 980_000, 0, -0.5, 200_000), "EPSG:2263"),
    "web mercator": (Affine(0.3, 0, 1_490_000, 0, -0.3, 6_890_000), "EPSG:3857"),
    "degrees": (Affine(1e-6, 0, 13.4, 0, -1e-6, 52.5), "EPSG:4326"),
    "far north": (Affine(0.1, 0, 500_000, 0, -0.1, 9_200_000), "EPSG:32633"),
    "coarse": (Affine(60, 0, 300_000, 0, -60, 6_000_000), "EPSG:32633"), "polar": (Affine(10, 0, -300_000, 0, -10, 2_000_000), "EPSG:3031"),
    "antimeridian": (Affine(10, 0, 165_950, 0, -10, 1e7), "EPSG:32701"),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@given(mask=arrays(np.bool_, st.tuples(st.integers(1, 20), st.integers(1, 20))).filter(np.any))
@settings(deadline=None, max_examples=15)
def test_an_exported_mask_covers_the_same_pixels(place: str, mask: np.ndarray) -> None:
    size = Size(mask.shape[1], mask.shape[0])
    transform, crs = PLACES[place]
    chip = a_chip(size, transform=transform, crs=crs)
    done = exported(a_task(chip, brush(mask)))
    (geometry,) = back_on_the_grid(done, chip)
    assert np.array_equal(pixels(geometry, size), mask)
    assert geometry.area == pytest.approx(mask.sum(), rel=0.02)


@pytest.mark.parametrize("place", PLACES)
def test_a_large_region_lies_within_half_a_pixel_everywhere(place: str) -> None:
    size = Size(3000, 2000)
    mask = np.zeros((size.height, size.width), bool)
    mask[10:1990, 5:2995] = True
    mask[500:1500, 700:2000] = False
    transform, crs = PLACES[place]
    chip = a_chip(size, transform=transform, crs=crs)
    (geometry,) = back_on_the_grid(exported(a_task(chip, brush(mask))), chip)
    true = shapely.Polygon(shapely.box(5, 10, 2995, 1990).exterior, [shapely.box(700, 500, 2000, 1500).exterior])
    if geometry.geom_type == "Polygon":
        written, expected = (shapely.segmentize(shapely.boundary(one), 25) for one in (geometry, true))
        assert written.hausdorff_distance(expected) < 0.5
    assert geometry.symmetric_difference(true).area < 0.1 * true.length


@given(mask=arrays(np.bool_, st.tuples(st.integers(1, 30), st.integers(1, 30))).filter(np.any))
@settings(deadline=None)
def test_rings_follow_the_right_hand_rule_and_have_8_decimals(mask: np.ndarray) -> None:
    done = exported(a_task(a_chip(Size(mask.shape[1], mask.shape[0])), brush(mask)))
    shape = done.features[0]["geometry"]
    for shell, *holes in [shape["coordinates"]] if shape["type"] == "Polygon" else shape["coordinates"]:
        assert shapely.LinearRing(shell).is_ccw
        assert not any(shapely.LinearRing(hole).is_ccw for hole in holes)
        for line in (shell, *holes):
            assert line[0] == line[-1] and len(line) >= 4
            assert all(number == float(f"{number:.8f}") for position in line for number in position)


def test_holes_are_kept_and_parts_make_one_feature() -> None:
    mask = np.zeros((20, 20), bool)
    mask[2:10, 2:10] = True
    mask[4:6, 4:6] = False
    mask[15:18, 15:18] = True
    (feature,) = exported(a_task(a_chip(Size(20, 20)), brush(mask))).features
    assert feature["geometry"]["type"] == "MultiPolygon"
    assert [len(part) for part in feature["geometry"]["coordinates"]] == [2, 1]


@pytest.mark.parametrize(("width", "height", "scale"), [(40, 30, 0.5), (37, 23, 0.5), (40, 30, 2.0), (40, 30, 0.37)])
def test_display_pixels_are_shares_of_the_window(width: int, height: int, scale: float) -> None:
    native = Size(width, height)
    display = Size(round(width * scale), round(height * scale))
    mask = np.zeros((display.height, display.width), bool)
    mask[1:4, 2:7] = True
    chip = a_chip(native, scale=scale)
    (geometry,) = back_on_the_grid(exported(a_task(chip, brush(mask))), chip)
    per_col, per_row = width / display.width, height / display.height
    assert geometry.bounds == pytest.approx((2 * per_col, 1 * per_row, 7 * per_col, 4 * per_row), abs=0.03)


@pytest.mark.parametrize("place", ["utm", "rotated", "south-up", "anisotropic"])
def test_a_polygon_region_keeps_its_own_ring(place: str) -> None:
    transform, crs = PLACES[place]
    chip = a_chip(Size(200, 100), transform=transform, crs=crs)
    points = [(10.25, 20.5), (150.125, 30.75), (120.4, 90.9), (50.6, 44.4)]
    (geometry,) = back_on_the_grid(exported(a_task(chip, ring(points, Size(200, 100)))), chip)
    written = shapely.Polygon(points)
    assert len(geometry.exterior.coords) == 5
    assert geometry.hausdorff_distance(written) < 0.05


def test_properties_name_the_object_and_where_it_comes_from() -> None:
    mask = np.ones((4, 5), bool)
    (feature,) = exported(a_task(a_chip(Size(5, 4)), brush(mask))).features
    assert feature["properties"] == {
        "class": "building", "colour": "#0000ff", "task": 7, "annotation": 11, "annotator": 4, "region": "r1", "score": 0.75,
        "model": "default", "model_version": "default-1a2b", "clicks": 3, "cfr": "off",
        "area_m2": pytest.approx(20 * 0.0025), "area_method": "planar",
    }  # fmt: skip


def test_a_region_drawn_by_hand_has_no_model_and_the_config_colours_it() -> None:
    task = a_task(a_chip(Size(20, 20)), ring([(0, 0), (9, 0), (9, 9)], Size(20, 20)), completed_by={"id": 3, "email": "a@example.org"})
    (feature,) = exported(task, colours={"tree": "#123456"}).features
    properties = feature["properties"]
    assert (properties["colour"], properties["annotator"], properties["score"]) == ("#123456", "a@example.org", None)
    assert [properties[name] for name in ("model", "model_version", "clicks", "cfr")] == [None] * 4


@pytest.mark.parametrize(
    ("transform", "crs", "method", "area"),
    [
        (UTM, "EPSG:32633", "planar", 100 * 100 * 0.0025),
        (ROTATED, "EPSG:32633", "planar", 100 * 100 * 0.0025),
        (Affine(10, 0, 980_000, 0, -10, 200_000), "EPSG:2263", "planar", (1000 * 1200 / 3937) ** 2),  # US survey feet
        (Affine(1 / 3600, 0, 0, 0, -1 / 3600, 0.5 / 36), "EPSG:4326", "geodesic", 100**2 * 30.922 * 30.715),  # a second at the equator
        (Affine(10, 0, 0, 0, -10, 8_399_737.9), "EPSG:3857", "geodesic", 1000**2 / 4 * 1.0034),  # twice as long at 60 degrees
    ],
)
def test_areas_are_square_metres_on_the_ground(transform: Affine, crs: str, method: str, area: float) -> None:
    (feature,) = exported(a_task(a_chip(Size(100, 100), transform=transform, crs=crs), brush(np.ones((100, 100), bool)))).features
    assert feature["properties"]["area_method"] == method
    assert feature["properties"]["area_m2"] == pytest.approx(area, rel=1e-9 if method == "planar" else 0.001)


def test_a_hole_is_not_area() -> None:
    mask = np.ones((10, 10), bool)
    mask[2:4, 2:4] = False
    for transform, crs in ((UTM, "EPSG:32633"), (Affine(1e-6, 0, 13.4, 0, -1e-6, 52.5), "EPSG:4326")):
        chip = a_chip(Size(10, 10), transform=transform, crs=crs)
        hollow, full = (exported(a_task(chip, brush(one))).features[0]["properties"]["area_m2"] for one in (mask, np.ones((10, 10), bool)))
        assert hollow / full == pytest.approx(0.96, abs=0.01)


def test_a_region_across_the_antimeridian_is_cut_there() -> None:
    # The zone's western edge at the equator lies at 166 021 m.
    chip = a_chip(Size(1000, 100), transform=Affine(10, 0, 161_021, 0, -10, 1e7), crs="EPSG:32701")
    (feature,) = exported(a_task(chip, brush(np.ones((100, 1000), bool)))).features
    west, east = sorted((shapely.Polygon(part[0]) for part in feature["geometry"]["coordinates"]), key=lambda part: part.bounds[0])
    assert (west.bounds[0], east.bounds[2]) == (-180, 180)
    assert -179.96 < west.bounds[2] < -179.95 and 179.95 < east.bounds[0] < 179.96


def test_a_region_around_a_pole_is_named() -> None:
    chip = a_chip(Size(20, 20), transform=Affine(10, 0, -100, 0, -10, 100), crs="EPSG:3031")
    assert "surrounds a pole" in reasons(exported(a_task(chip, brush(np.ones((20, 20), bool)))))[0]


def test_the_same_input_gives_the_same_bytes() -> None:
    mask = np.random.default_rng(5).random((60, 60)) < 0.6
    task = a_task(a_chip(Size(60, 60)), brush(mask), ring([(0, 0), (9, 0), (9, 9)], Size(60, 60)))
    texts = {geojson.dumps(exported(task).features) for _ in range(3)}
    assert len(texts) == 1
    text = texts.pop()
    assert "crs" not in json.loads(text) and json.loads(text)["type"] == "FeatureCollection"
    assert text.count("\n") == 2 + 2  # a feature a line


def test_an_annotation_that_label_studio_stored_is_exported(shared: Path) -> None:
    """A brush, a polygon, and two key points that the annotator left, as Label Studio 1.23.2 sent them."""
    recorded = json.loads((shared / "label_studio" / "wire" / "webhook_annotation_created.json").read_text())["json"]
    annotation = recorded["annotation"]
    task = a_task(a_chip(Size(800, 450))) | {"annotations": [annotation]}
    chip = a_chip(Size(800, 450))
    done = exported(task)
    assert [feature["properties"]["region"] for feature in done.features] == [item["id"] for item in annotation["result"][:2]]
    assert [remark.type for remark in done.left_out] == ["keypointlabels"] * 2
    drawn, outlined = back_on_the_grid(done, chip)
    alpha = brush_codec.decode_rle(annotation["result"][0]["value"]["rle"]).reshape(450, 800, 4)[:, :, 3]
    assert np.array_equal(pixels(drawn, chip.window.size), alpha >= 128)
    points = np.array(annotation["result"][1]["value"]["points"]) * (8, 4.5)
    assert outlined.hausdorff_distance(shapely.Polygon(points)) < 0.05


# --- which annotations


def annotations(*changes: dict[str, Any]) -> dict[str, Any]:
    task = a_task(a_chip(Size(4, 4)), brush(np.ones((4, 4), bool)))
    task["annotations"] = [task["annotations"][0] | {"id": number} | change for number, change in enumerate(changes, start=1)]
    return task


def numbers(done: Export) -> list[int]:
    return [feature["properties"]["annotation"] for feature in done.features]


def test_the_latest_annotation_is_exported_and_the_others_are_named() -> None:
    task = annotations(
        {"updated_at": "2026-09-30T10:00:00Z"}, {"updated_at": "2026-09-30T14:00:00+02:00"}, {"updated_at": "2026-09-30T09:00:00.5Z"}
    )
    done = exported(task)
    assert numbers(done) == [2]
    assert [remark.annotation for remark in done.left_out] == [1, 3] and "later annotation (2)" in reasons(done)[0]
    assert numbers(exported(task, annotations="all")) == [1, 2, 3]


def test_of_annotations_without_a_date_the_highest_number_is_the_latest() -> None:
    assert numbers(exported(annotations({"updated_at": None}, {"updated_at": "?"}))) == [2]


def test_cancelled_annotations_are_never_exported() -> None:
    task = annotations({}, {"was_cancelled": True, "updated_at": "2027-01-01T00:00:00Z"})
    for which in ("latest", "all"):
        done = exported(task, annotations=which)
        assert numbers(done) == [1]
        assert "cancelled" in reasons(done)[0]


def test_ground_truth_takes_the_marked_ones_only() -> None:
    done = exported(annotations({"ground_truth": True}, {}), annotations="ground-truth")
    assert numbers(done) == [1] and "not marked as ground truth" in reasons(done)[0]


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(ExportError, match="expected one of latest, all, ground-truth"):
        exported(annotations({}), annotations="first")


# --- what is left out


MASK = np.ones((4, 4), bool)
KEYPOINT = {"id": "k", "type": "keypointlabels", "value": {"x": 1, "y": 2, "width": 1, "keypointlabels": ["a"]}}
BOX = {"id": "b", "type": "rectanglelabels", "value": {"x": 1, "y": 2, "width": 5, "height": 5, "rectanglelabels": ["a"]}}


def without(region: dict[str, Any], *path: str) -> dict[str, Any]:
    copy = json.loads(json.dumps(region))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return copy


@pytest.mark.parametrize(
    ("region", "reason"),
    [
        (KEYPOINT, "a key point .* is a prompt"),
        (BOX, "a box .* is a prompt"),
        ({"id": "e", "type": "ellipselabels", "value": {}}, "'ellipselabels' is no area"),
        ({"id": "c", "type": "choices", "value": {"choices": ["good"]}}, "'choices' is no area"),
        ({"type": "relation", "from_id": "a", "to_id": "b"}, "'relation' is no area"),
        ({}, "'None' is no area"),
        (brush(MASK, value={}), "mask is None"),
        (without(brush(MASK), "value", "brushlabels"), "label is None"),
        (brush(MASK, value=brush(MASK)["value"] | {"brushlabels": []}), r"label is \[\]"),
        (brush(MASK, value=None), "value is None"),
        (brush(MASK, value={"brushlabels": ["a"]}), "mask is None"),
        (brush(MASK, value={"brushlabels": ["a"], "rle": [1, 2, 3]}), "RLE is damaged"),
        (without(brush(MASK), "original_width"), "original_width and original_height are missing"),
        (brush(MASK, image_rotation=90), "rotated by 90"),
        (brush(np.ones((5, 4), bool)), "drawn on a picture of 4 x 5 px, but the chip was imported as 4 x 4 px"),
        (brush(np.ones((2, 2), bool), original_width=4, original_height=4), "holds 16 values; expected 64"),
        (brush(np.zeros((4, 4), bool)), "mask is empty"),
        (ring([(0, 0), (2, 0), (2, 2)], Size(4, 4), value={"points": [[0, 0], [1, 1]], "polygonlabels": ["a"]}), "at least three"),
        (
            ring([(0, 0), (2, 0), (2, 2)], Size(4, 4), value={"points": [[0, 0], [1, 1], [2, 2]], "polygonlabels": ["a"]}),
            "encloses no area",
        ),
        (ring([(0, 0), (2, 0), (2, 2)], Size(4, 4), value={"points": [[0, 0], [9, 0], "x"], "polygonlabels": ["a"]}), "at least three"),
        (ring([(0, 0), (2, 0), (2, 2)], Size(4, 4), value={"points": [[0, 0], [9, 0], [9, 9]], "closed": False}), "not closed"),
        (ring([(0, 0), (2, 0), (2, 2)], Size(8, 8)), "drawn on a picture of 8 x 8 px"),
    ],
)
def test_a_region_that_cannot_be_exported_is_named_and_the_others_stay(region: dict[str, Any], reason: str) -> None:
    done = exported(a_task(a_chip(Size(4, 4)), brush(MASK, id="good"), region))
    assert [feature["properties"]["region"] for feature in done.features] == ["good"]
    (remark,) = done.left_out
    assert (remark.task, remark.annotation, remark.region) == (7, 11, region.get("id"))
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(remark.reason)


def test_nothing_disappears_without_a_word() -> None:
    regions = [brush(MASK, id="1"), KEYPOINT, BOX, brush(np.zeros((4, 4), bool), id="2"), {"id": "x", "type": "vector", "value": {}}]
    done = exported(a_task(a_chip(Size(4, 4)), *regions))
    named = [feature["properties"]["region"] for feature in done.features] + [remark.region for remark in done.left_out]
    assert sorted(map(str, named)) == sorted(str(region["id"]) for region in regions)


@pytest.mark.parametrize("kind", ["brush", "polygon"])
def test_a_region_written_twice_for_two_tags_is_one_feature(kind: str) -> None:
    labelled = brush(MASK) if kind == "brush" else ring([(0, 0), (2, 0), (2, 2)], Size(4, 4))
    bare_value = {key: value for key, value in labelled["value"].items() if not key.endswith("labels")}
    pair = labelled | {"type": kind, "value": bare_value}, labelled | {"type": "labels", "value": bare_value | {"labels": ["car"]}}
    done = exported(a_task(a_chip(Size(4, 4)), *pair))
    assert [feature["properties"]["class"] for feature in done.features] == ["car"] and not done.left_out


def test_several_labels_are_noted() -> None:
    done = exported(a_task(a_chip(Size(4, 4)), brush(MASK, value=brush(MASK)["value"] | {"brushlabels": ["roof", "new"]})))
    assert done.features[0]["properties"]["class"] == "roof"
    assert "roof, new" in done.notes[0].reason


def test_an_outline_that_crosses_itself_is_mended_and_noted() -> None:
    bow = [(0, 0), (8, 8), (8, 0), (0, 8)]
    done = exported(a_task(a_chip(Size(10, 10)), ring(bow, Size(10, 10))))
    (feature,) = done.features
    assert feature["properties"]["area_m2"] == pytest.approx(32 * 0.0025)
    assert "crosses" in done.notes[0].reason


def test_tasks_without_chip_or_annotation_are_named() -> None:
    empty = {"id": 8, "data": {"image": "x.png"}, "annotations": [], "drafts": [{}], "predictions": [{}, {}]}
    done = exported(a_task(a_chip(Size(4, 4)), brush(MASK)), a_task({"image": "x.png"}, brush(MASK, id="lost"), KEYPOINT), empty)
    assert len(done.features) == 1
    assert [remark.region for remark in done.left_out] == ["lost", "k", None]
    assert "was not made by `rsiseg import`" in reasons(done)[0] and "key point" in reasons(done)[1]
    assert "no annotation (1 drafts and 2 predictions" in reasons(done)[2]
    assert done.account.report()["left_out"][0]["task"] == 7


def test_a_broken_chip_is_named() -> None:
    data = chip_to_task_data(a_chip(Size(4, 4))) | {"window": [0, 0, 4]}
    done = exported(a_task(a_chip(Size(4, 4)), brush(MASK)), a_task(data, brush(MASK)))
    assert "'window'" in reasons(done)[0]


# --- no place on the map


NOWHERE: dict[str, Callable[[], Chip]] = {
    "no CRS": lambda: a_chip(Size(4, 4), crs=None),
    "no transform": lambda: a_chip(Size(4, 4), transform=None),
    "no georeference": lambda: a_chip(Size(4, 4), transform=None, crs=None),
    "no place on earth": lambda: a_chip(Size(4, 4), crs='LOCAL_CS["site",UNIT["metre",1]]'),
}


@pytest.mark.parametrize("missing", NOWHERE)
def test_without_a_place_the_export_is_refused(missing: str) -> None:
    with pytest.raises(ExportError, match=rf"{missing}.*expected.*--pixels"):
        exported(a_task(NOWHERE[missing](), brush(MASK)))


def test_beside_placed_regions_the_others_are_named() -> None:
    done = exported(a_task(a_chip(Size(4, 4)), brush(MASK)), a_task(a_chip(Size(4, 4), crs=None), brush(MASK)))
    assert len(done.features) == 1 and "no CRS" in reasons(done)[0]


def test_coordinates_outside_the_projection_are_named() -> None:
    chip = a_chip(Size(4, 4), transform=Affine(1, 0, 1e12, 0, -1, 1e12))
    done = exported(a_task(a_chip(Size(4, 4)), brush(MASK)), a_task(chip, brush(MASK)))
    assert "outside the area" in reasons(done)[0]


@pytest.mark.parametrize("missing", NOWHERE)
def test_pixels_are_those_of_the_whole_raster(missing: str) -> None:
    mask = np.zeros((4, 4), bool)
    mask[1:3, 0:2] = True
    (feature,) = exported(a_task(NOWHERE[missing](), brush(mask)), pixels=True).features
    assert shapely.geometry.shape(feature["geometry"]).bounds == (600, 1201, 602, 1203)
    properties = feature["properties"]
    assert (properties["raster"], properties["area_px"], properties["area_m2"]) == ("a.tif", 4, None)


def test_pixel_areas_are_metres_where_the_ground_sampling_distance_is_known() -> None:
    (feature,) = exported(a_task(a_chip(Size(4, 4), crs=None, gsd=0.5), brush(MASK)), pixels=True).features
    assert (feature["properties"]["area_m2"], feature["properties"]["area_method"]) == (4.0, "gsd")


# --- other files than the JSON export


@pytest.mark.parametrize(
    "document",
    [
        {"images": [], "annotations": []}, [1, 2], ["a"], None, [{"image": "a.png", "annotation_id": 3, "brush": []}],
        [{"data": {"image": "a.png"}}], [{"data": {}, "annotations": None}], [{"data": {}, "annotations": [3]}],
        [{"data": {}, "annotations": [{"id": 1, "result": None}]}], [{"data": {}, "annotations": [{"id": 1, "result": ["x"]}]}],
    ],
)  # fmt: skip
def test_another_file_than_the_json_export_is_refused(document: object) -> None:
    with pytest.raises(TaskError, match=r"expected.*export again"):
        read_export(document)


def test_json_min_is_named() -> None:
    with pytest.raises(TaskError, match="JSON_MIN"):
        read_export([{"image": "a.png", "annotation_id": 3, "brush": []}])
