"""Class rasters and ISPRS label files: the exact pixels on the source's grid, whatever its size, and files that other programs accept."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from shapely.affinity import translate

from converters import isprs_labels
from converters.chips import Chip, PixelWindow
from converters.errors import ExportError
from converters.exporting import class_raster, isprs_colours, raster_painter
from converters.exporting.class_codes import UNLABELLED, ClassCodes
from converters.exporting.class_raster import RasterGrid, write_class_raster
from converters.exporting.isprs_colours import colour_table, label_name, write_isprs_colours
from converters.exporting.raster_painter import RasterPainter
from converters.frames import Size
from converters.vectorise import polygons

UTM = Affine(0.05, 0, 366_000.0, 0, -0.05, 5_807_000.0)
CLASSES = ClassCodes.of(["tree", "building"], {})


def a_painter(codes: np.ndarray, shift: tuple[int, int] = (0, 0)) -> RasterPainter:
    """Every class of a raster of codes as polygons, moved by (columns, rows)."""
    present = [int(code) for code in np.unique(codes) if code != UNLABELLED]
    return RasterPainter(([translate(part, *shift) for part in polygons(codes == code)], code) for code in present)


@given(codes=arrays(np.uint8, st.tuples(st.integers(1, 30), st.integers(1, 30)), elements=st.sampled_from([0, 1, 2, UNLABELLED])))
def test_painting_gives_back_the_pixels_that_were_outlined(codes: np.ndarray) -> None:
    height, width = codes.shape
    painted = a_painter(codes, (7, 5)).paint(PixelWindow(0, 0, width + 10, height + 10))
    expected = np.full((height + 10, width + 10), UNLABELLED, np.uint8)
    expected[5 : 5 + height, 7 : 7 + width] = codes
    assert np.array_equal(expected if painted is None else painted, expected)


@given(codes=arrays(np.uint8, (25, 25), elements=st.sampled_from([0, 1, UNLABELLED])), strip=st.integers(7, 26))
@settings(max_examples=40)
def test_windows_of_any_size_paint_the_same_raster(codes: np.ndarray, strip: int) -> None:
    painter, whole = a_painter(codes), np.full(codes.shape, UNLABELLED, np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(raster_painter, "STRIP", strip)
        for window, values in painter.windows(Size(25, 25)):
            whole[window.row_off : window.row_off + window.height, window.col_off : window.col_off + window.width] = values
    assert np.array_equal(whole, codes)


def test_where_objects_overlap_the_later_one_is_on_top() -> None:
    lower, upper = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    lower[:3, :3], upper[1:, 1:] = True, True
    painted = RasterPainter([(polygons(lower), 0), (polygons(upper), 1)]).paint(PixelWindow(0, 0, 4, 4))
    assert painted is not None
    assert painted.tolist() == [[0, 0, 0, 255], [0, 1, 1, 1], [0, 1, 1, 1], [255, 1, 1, 1]]


PLACES = {
    "north-up": (UTM, "EPSG:32633"), "rotated": (UTM @ Affine.rotation(27), "EPSG:32633"),
    "south-up": (Affine(0.05, 0, 366_000.0, 0, 0.05, 5_807_000.0), "EPSG:32633"),
    "anisotropic": (Affine(0.5, 0, 366_000.0, 0, -0.13, 5_807_000.0), "EPSG:32633"), "nowhere": (None, None),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_class_raster_is_a_valid_cog_with_codes_colours_names_and_place(place: str, tmp_path: Path) -> None:
    transform, crs = PLACES[place]
    codes = np.random.default_rng(3).choice(np.array([0, 1, UNLABELLED], np.uint8), (1300, 1100))
    codes[:40] = UNLABELLED
    codes = np.kron(codes[::10, ::10], np.ones((10, 10), np.uint8))
    path = tmp_path / "a.tif"
    write_class_raster(path, RasterGrid(Size(1100, 1300), transform, crs), a_painter(codes), CLASSES)
    with rasterio.open(path) as raster:
        assert np.array_equal(raster.read(1), codes)
        assert raster.nodata == UNLABELLED
        assert raster.crs == (None if crs is None else rasterio.CRS.from_string(crs))
        assert transform is None or raster.transform.almost_equals(transform, 1e-9)
        table = raster.colormap(1)
        assert table[0][:3] == (0, 0, 255) and table[1][:3] == (0, 255, 0)
        assert raster.tags(1) == {"CLASS_0": "building", "CLASS_1": "tree"}
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert raster.overviews(1) == [2, 4]
        reduced = raster.read(1, out_shape=(650, 550))
        assert set(np.unique(reduced)) <= set(np.unique(codes)), "overviews hold codes only, no mixtures"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.tif"], "nothing is left beside it"


@pytest.mark.skipif(shutil.which("gdalinfo") is None, reason="gdalinfo is not on the PATH (Debian: gdal-bin)")
def test_gdalinfo_reports_a_cloud_optimised_layout_and_the_names(tmp_path: Path) -> None:
    codes = np.zeros((1200, 1200), np.uint8)
    path = tmp_path / "a.tif"
    write_class_raster(path, RasterGrid(Size(1200, 1200), UTM, "EPSG:32633"), a_painter(codes), CLASSES)
    said = json.loads(subprocess.run(["gdalinfo", "-json", "-checksum", str(path)], capture_output=True, text=True, check=True).stdout)
    assert said["metadata"]["IMAGE_STRUCTURE"]["LAYOUT"] == "COG"
    (band,) = said["bands"]
    assert band["block"] == [512, 512] and band["noDataValue"] == 255 and band["colorInterpretation"] == "Palette"
    assert band["metadata"][""] == {"CLASS_0": "building", "CLASS_1": "tree"}
    assert [overview["size"] for overview in band["overviews"]] == [[600, 600], [300, 300]]
    # LAYOUT is dropped, with a warning, once something is changed in place; the structure itself is in the file's first bytes.
    assert re.search(rb"LAYOUT=IFDS_BEFORE_DATA", path.read_bytes()[:4096])


def test_the_same_objects_give_the_same_bytes(tmp_path: Path) -> None:
    codes = np.random.default_rng(1).choice(np.array([0, 1, UNLABELLED], np.uint8), (40, 60))
    for name in ("a.tif", "b.tif"):
        write_class_raster(tmp_path / name, RasterGrid(Size(60, 40), UTM, "EPSG:32633"), a_painter(codes), CLASSES)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="cannot be written"):
        write_class_raster(tmp_path / "missing" / "a.tif", RasterGrid(Size(9, 9), UTM, "EPSG:32633"), RasterPainter([]), CLASSES)
    assert not list(tmp_path.iterdir())


def test_the_grid_of_a_raster_follows_from_any_of_its_chips() -> None:
    for turned in (UTM, UTM @ Affine.rotation(27)):
        place = turned @ Affine.translation(600, 1200)
        chip = Chip("", "a.tif", PixelWindow(600, 1200, 10, 10), place, "EPSG:32633", (), 1.0, None, Size(2000, 3000), None, None)
        grid = RasterGrid.of(chip)
        assert grid.size == Size(2000, 3000)
        assert grid.transform is not None and grid.transform.almost_equals(turned, 1e-6)


# --- codes


def test_codes_begin_with_the_classes_of_the_labelling_interface() -> None:
    classes = ClassCodes.of(["road", "building", "road"], {"tree": "#112233", "building": "#445566"})
    assert classes.names == ("tree", "building", "road")
    assert classes.table()[0] == (0x11, 0x22, 0x33)
    assert json.loads(classes.classes_json())["classes"] == {"tree": 0, "building": 1, "road": 2}


def test_more_classes_than_codes_are_refused() -> None:
    with pytest.raises(ExportError, match="256 classes; expected at most 255"):
        ClassCodes.of(map(str, range(256)), {})


# --- ISPRS


@settings(max_examples=20)
@given(codes=arrays(np.uint8, (20, 30), elements=st.sampled_from([0, 1, 2, 3, 4, 5, UNLABELLED])))
def test_isprs_colours_are_read_back_as_the_classes(codes: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> None:
    names = ["Impervious_surfaces", "building", "low vegetation", "trees", "car", "clutter"]
    corners = [0b111, 0b001, 0b011, 0b010, 0b110, isprs_labels.CLUTTER]
    path = tmp_path_factory.mktemp("isprs") / "top_potsdam_2_10_label.tif"
    write_isprs_colours(path, RasterGrid(Size(30, 20), UTM, None), a_painter(codes), colour_table(names))
    found = isprs_labels.decode(path, PixelWindow(0, 0, 30, 20))
    expected = np.select([codes == code for code in range(6)], corners, isprs_labels.IGNORED)
    assert np.array_equal(found, expected)
    assert isprs_labels.survey(path).repaired == 0


def test_classes_that_the_benchmark_does_not_have_are_named() -> None:
    with pytest.raises(ExportError, match=r"no class 'pool'; expected impervious surfaces, building, .*; rename"):
        colour_table(["building", "pool"])


@pytest.mark.parametrize(
    ("raster", "expected"),
    [
        ("/data/2_Ortho_RGB/top_potsdam_2_10_RGB.tif", "top_potsdam_2_10_label.tif"),
        ("top_mosaic_09cm_area1.tif", "top_mosaic_09cm_area1_label.tif"),
        ("scene.jp2", "scene_label.tif"),
    ],
)
def test_label_files_are_named_as_the_benchmark_names_them(raster: str, expected: str) -> None:
    assert label_name(raster) == expected


def test_blocks_are_whole_parts_of_the_painted_windows() -> None:
    assert raster_painter.STRIP % class_raster.BLOCK == 0
    assert isprs_colours.SUFFIX.endswith(".tif")
