"""Percent -> pixel -> map -> pixel is the identity for masks, whatever the affine, the CRS and the chip's window."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import rasterio.features
import shapely
from affine import Affine
from annotated_rasters import a_chip, a_task, brush, ring, write_raster, written
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools.coco import COCO
from shapely import Polygon

from converters.chips import Chip, PixelWindow
from converters.exporting.chosen import Choice
from converters.exporting.formats import Request
from converters.exporting.shaping import Shaping
from converters.frames import Size
from converters.label_studio_export import AnnotatedTask, read_export
from converters.vectorise import polygons

# A CRS and a point of it on the map.
GROUNDS = {
    "EPSG:32633": (366_000.0, 5_807_000.0), "EPSG:28992": (155_000.0, 463_000.0), "EPSG:2056": (2_600_000.0, 1_200_000.0),
    "EPSG:3857": (1_490_000.0, 6_890_000.0), "EPSG:2263": (980_000.0, 200_000.0), "EPSG:3031": (-300_000.0, 2_000_000.0),
    "EPSG:4326": (13.4, 52.5),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A chip of a raster somewhere on earth, and a mask drawn on it."""

    chip: Chip
    mask: np.ndarray


@st.composite
def cases(draw: st.DrawFn) -> Case:
    crs = draw(st.sampled_from(sorted(GROUNDS)))
    per_metre = 1e-5 if crs == "EPSG:4326" else 1.0
    side = st.floats(0.01, 30.0).map(lambda metres: metres * per_metre)
    transform = (
        Affine.translation(*GROUNDS[crs])
        @ Affine.rotation(draw(st.sampled_from([0.0, 90.0, 180.0]) | st.floats(0, 360)))
        @ Affine.shear(draw(st.sampled_from([0.0]) | st.floats(-40, 40)), 0)
        @ Affine.scale(draw(side), draw(side) * draw(st.sampled_from([-1, 1])))
    )
    height, width = draw(st.integers(1, 30)), draw(st.integers(1, 30))
    window = PixelWindow(draw(st.integers(0, 3000)), draw(st.integers(0, 3000)), width, height)
    size = Size(window.col_off + width + draw(st.integers(0, 50)), window.row_off + height + draw(st.integers(0, 50)))
    mask = draw(arrays(np.bool_, (height, width)).filter(np.any))
    return Case(a_chip("a.tif", window, size, transform, crs), mask)


def read(*tasks: dict) -> tuple[AnnotatedTask, ...]:
    return read_export(list(tasks))


def burnt(parts: list[Polygon], shape: tuple[int, int]) -> np.ndarray:
    return np.asarray(rasterio.features.rasterize(parts, shape, dtype=np.uint8)) != 0


@given(case=cases())
@settings(max_examples=100)
def test_a_mask_comes_back_from_the_map_bit_for_bit(case: Case) -> None:
    tasks = read(a_task(1, case.chip, brush(case.mask)))
    (found,) = Request(lambda: tasks, Path("unused"), shaping=Shaping(seams="keep")).objects()
    assert case.chip.transform is not None
    inverse = ~case.chip.transform

    def to_pixels(points: np.ndarray) -> np.ndarray:
        return np.column_stack(inverse @ points.T)

    back = [shapely.transform(part, to_pixels) for part in found.on_map()]
    assert np.array_equal(burnt(back, case.mask.shape), case.mask)
    corners = shapely.get_coordinates(back)
    assert np.abs(corners - np.rint(corners)).max() < 1e-3, "vertices are corners of pixels"


@given(case=cases())
@settings(max_examples=60)
def test_an_outline_drawn_on_pixel_edges_comes_back_from_percent_bit_for_bit(case: Case) -> None:
    size = case.chip.window.size
    for part in polygons(case.mask):
        outline = Polygon(part.exterior)
        tasks = read(a_task(1, case.chip, ring(list(outline.exterior.coords)[:-1], size)))
        (found,) = Request(lambda tasks=tasks: tasks, Path("unused")).regions()
        assert np.array_equal(found.mask(), burnt([outline], case.mask.shape))


@given(case=cases(), data=st.data())
@settings(max_examples=60)
def test_an_outline_drawn_anywhere_comes_back_from_percent_to_a_billionth_of_a_pixel(case: Case, data: st.DataObject) -> None:
    size = case.chip.window.size
    point = st.tuples(st.floats(0, size.width), st.floats(0, size.height))
    corners = data.draw(st.lists(point, min_size=3, max_size=3).filter(lambda three: Polygon(three).area > 1e-3))
    tasks = read(a_task(1, case.chip, ring(corners, size)))
    (found,) = Request(lambda: tasks, Path("unused")).regions()
    (part,) = found.parts()
    assert np.allclose(np.asarray(part.exterior.coords)[:-1], corners, rtol=0, atol=1e-9)


@given(case=cases(), scale=st.sampled_from([2, 3]))
@settings(max_examples=100)
def test_a_mask_drawn_on_an_enlarged_picture_comes_back_in_native_pixels(case: Case, scale: int) -> None:
    window = case.chip.window
    drawn = np.kron(case.mask, np.ones((scale, scale), bool))
    chip = a_chip("a.tif", window, case.chip.native_size, scale=float(scale))
    tasks = read(a_task(1, chip, brush(drawn)))
    (found,) = Request(lambda: tasks, Path("unused")).regions()
    assert np.array_equal(found.mask(), case.mask)
    assert np.array_equal(burnt(found.parts(), case.mask.shape), case.mask)


@given(case=cases())
@settings(max_examples=15)
def test_every_set_and_raster_rebuilds_the_mask_bit_for_bit(case: Case, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("exact")
    window, size = case.chip.window, Size(30, 30)
    # The same chip in a raster that is small enough to be on the disk.
    col, row = (30 - window.width) // 2, (30 - window.height) // 2
    transform = case.chip.transform
    write_raster(home / "a.tif", size, transform, case.chip.crs)
    chip = a_chip("a.tif", PixelWindow(col, row, window.width, window.height), size, transform, case.chip.crs)
    task = a_task(1, chip, brush(case.mask))
    for name in ("coco", "masks", "imagefolder", "yolo", "class-raster"):
        account = written(name, home / name, [task], home)
        assert account.features == 1
        assert name == "class-raster" or account.report()["facts"]["largest_deviation_px"] == 0
    coco = COCO(str(home / "coco" / "instances_train.json"))
    assert np.array_equal(coco.annToMask(coco.loadAnns(coco.getAnnIds())[0]).astype(bool), case.mask)
    for folder in (home / "masks" / "train" / "labels", home / "imagefolder" / "train" / "masks"):
        assert np.array_equal(np.asarray(Image.open(next(folder.iterdir()))) == 0, case.mask)
    with rasterio.open(home / "class-raster" / "a_classes.tif") as raster:
        whole = np.zeros((30, 30), bool)
        whole[row : row + window.height, col : col + window.width] = case.mask
        assert np.array_equal(raster.read(1) == 0, whole)
        assert transform is not None
        for corner in ((0, 0), (30, 0), (0, 30)):
            off = ~transform @ (raster.transform @ corner)
            assert np.hypot(*np.subtract(off, corner)) < 1e-3, "the raster lies where its source does"


@given(case=cases())
@settings(max_examples=15)
def test_a_geopackage_rebuilds_the_mask_bit_for_bit(case: Case, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("gpkg")
    written("gpkg", home / "a.gpkg", [a_task(1, case.chip, brush(case.mask))], home)
    geometries = pyogrio.raw.read(home / "a.gpkg", layer="building")[2]
    (found,) = shapely.from_wkb(geometries)
    assert case.chip.transform is not None
    inverse = ~case.chip.transform
    back = shapely.transform(found, lambda points: np.column_stack(inverse @ points.T))
    assert np.array_equal(burnt(list(shapely.get_parts(back)), case.mask.shape), case.mask)


def test_another_choice_of_annotations_changes_nothing_about_the_pixels() -> None:
    mask = np.eye(7, dtype=bool)
    task = a_task(1, a_chip("a.tif", PixelWindow(3, 4, 7, 7), Size(20, 20)), brush(mask), ground_truth=True)
    for which in ("latest", "all", "ground-truth"):
        tasks = read(task)
        (found,) = Request(lambda tasks=tasks: tasks, Path("unused"), choice=Choice(which)).regions()
        assert np.array_equal(found.mask(), mask)
