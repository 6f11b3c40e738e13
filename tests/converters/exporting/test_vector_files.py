"""What is written to a file comes back through GDAL and pyarrow: place, winding, holes, attributes; and always in the same bytes."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow.parquet
import pyogrio.raw
import pytest
import shapely
from affine import Affine
from pyproj import CRS
from test_seams import brush, cut, task, windows

from converters.chips import Chip, PixelWindow
from converters.errors import ExportError
from converters.exporting import geoparquet
from converters.exporting.formats import FORMATS, Request
from converters.exporting.run import run
from converters.frames import Size
from converters.label_studio_export import AnnotatedTask, read_export

UTM = Affine(0.5, 0, 366_000.0, 0, -0.5, 5_807_000.0)
PLACES = {
    "utm": (UTM, "EPSG:32633"),
    "rotated": (UTM @ Affine.rotation(27), "EPSG:32633"),
    "south-up": (Affine(0.5, 0, 366_000.0, 0, 0.5, 5_807_000.0), "EPSG:32633"),
    "anisotropic": (Affine(0.5, 0, 366_000.0, 0, -0.13, 5_807_000.0), "EPSG:32633"),
    "dutch": (Affine(0.25, 0, 155_000, 0, -0.25, 463_000), "EPSG:28992"),
    "degrees": (Affine(1e-6, 0, 13.4, 0, -1e-6, 52.5), "EPSG:4326"),
    "custom": (UTM, CRS.from_proj4("+proj=tmerc +lat_0=52 +lon_0=15.3 +k=0.9997 +x_0=366000 +y_0=5807000 +ellps=GRS80 +units=m").to_wkt()),
}


def a_chip(place: str, window: PixelWindow, size: Size, raster: str = "a.tif") -> Chip:
    transform, crs = PLACES[place]
    return Chip(
        image="a.png", raster=raster, window=window, transform=transform @ Affine.translation(window.col_off, window.row_off), crs=crs,
        bands=("R", "G", "B"), scale=1.0, gsd=0.5, native_size=size, stretch=None, nodata=None,
    )  # fmt: skip


def hollow() -> np.ndarray:
    mask = np.zeros((30, 30), bool)
    mask[3:20, 4:25] = True
    mask[6:9, 7:12] = False
    mask[25:28, 25:28] = True
    return mask


def read(tasks: list[dict[str, Any]]) -> tuple[AnnotatedTask, ...]:
    return tuple(read_export(json.loads(json.dumps(tasks))))


def write(format: str, out: Path, tasks: list[dict[str, Any]], **changes: Any) -> Request:
    known = read(tasks)
    request = Request(tasks=lambda: known, out=out, **changes)
    run(FORMATS[format], request)
    return request


def one_task(place: str) -> list[dict[str, Any]]:
    return [task(7, a_chip(place, PixelWindow(60, 90, 30, 30), Size(300, 300)), brush(hollow(), "tree"))]


def layers(path: Path) -> dict[str, Any]:
    return {name: kind for name, kind in pyogrio.list_layers(path).tolist() if kind}


def features(path: Path, layer: str | None = None) -> tuple[dict[str, Any], np.ndarray, list[dict[str, Any]]]:
    meta, _, geometry, columns = pyogrio.raw.read(path, layer=layer or pyogrio.list_layers(path)[0, 0])
    return meta, shapely.from_wkb(geometry), [dict(zip(meta["fields"], cells, strict=True)) for cells in zip(*columns, strict=True)]


def in_pixels(shape: shapely.Geometry, transform: Affine) -> list[shapely.Polygon]:
    a, b, c, d, e, f = tuple(~transform)[:6]
    back = shapely.transform(shape, lambda xy: np.column_stack((a * xy[:, 0] + b * xy[:, 1] + c, d * xy[:, 0] + e * xy[:, 1] + f)))
    return shapely.get_parts(shapely.set_precision(back, 1e-3)).tolist()


@pytest.mark.parametrize("place", PLACES)
def test_gdal_reads_a_geopackage_back(place: str, tmp_path: Path) -> None:
    out = tmp_path / "a.gpkg"
    write("gpkg", out, one_task(place))
    assert layers(out) == {"tree": "MultiPolygon"}
    meta, (shape,), (row,) = features(out)
    transform, crs = PLACES[place]
    assert CRS.from_user_input(meta["crs"]) == CRS.from_user_input(crs) or CRS.from_user_input(meta["crs"]).equals(CRS(crs), True)
    assert (row["class"], row["colour"], row["task"], row["annotator"], row["region"]) == ("tree", "#00ff00", 7, "1", "r")
    assert np.isnan(row["score"]) and row["merged_regions"] == 1 and row["source_regions"] == "7/7/r" and row["area_m2"] > 0
    expected = [shapely.box(64, 93, 85, 110).difference(shapely.box(67, 96, 72, 99)), shapely.box(85, 115, 88, 118)]
    assert shapely.union_all(in_pixels(shape, transform)).symmetric_difference(shapely.union_all(expected)).area < 1e-6
    for part in shapely.get_parts(shape):
        assert part.exterior.is_ccw and not any(hole.is_ccw for hole in part.interiors)
    assert sorted(len(part.interiors) for part in shapely.get_parts(shape)) == [0, 1]


def test_gdal_reads_a_geojson_back(tmp_path: Path) -> None:
    out = tmp_path / "a.geojson"
    write("geojson", out, one_task("utm"))
    meta, (shape,), (row,) = features(out)
    assert meta["crs"] == "EPSG:4326" and (row["class"], row["task"]) == ("tree", 7)
    assert [len(part.interiors) for part in shapely.get_parts(shape)] == [1, 0]
    assert all(part.exterior.is_ccw for part in shapely.get_parts(shape))


@pytest.mark.parametrize("format", ["gpkg", "geoparquet", "geojson"])
def test_the_same_export_gives_the_same_bytes(format: str, tmp_path: Path) -> None:
    tasks = [*one_task("utm"), *one_task("dutch"), *cut(hollow(), windows(Size(30, 30), 12, 3), "road")]
    program = "import sys, time; sys.path[:0] = sys.argv[3:]; import test_vector_files as t; t.again(*sys.argv[1:3])"
    (tmp_path / "in.json").write_text(json.dumps(tasks))
    write(format, tmp_path / "one", tasks)
    # Another process, another second.
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    subprocess.run([sys.executable, "-c", program, format, str(tmp_path / "in.json"), *folders], check=True)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "again").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "in.json", "one"]


def again(format: str, tasks: str) -> None:
    write(format, Path(tasks).parent / "again", json.loads(Path(tasks).read_text()))


def test_each_class_is_a_layer_with_a_style(tmp_path: Path) -> None:
    chip = a_chip("utm", PixelWindow(0, 0, 30, 30), Size(30, 30))
    out = tmp_path / "a.gpkg"
    names = ["low vegetation", "Tree", "tree", "gpkg_roofs", "Haus \"A\" & 'B'", " "]
    write("gpkg", out, [task(1, chip, *(brush(hollow(), name, id=name) for name in names))], colours={"Tree": "#123456"})
    expected = ["low vegetation", "Tree", "tree (2)", "class gpkg_roofs", "Haus \"A\" & 'B'", "unnamed"]
    assert list(layers(out)) == expected
    for name in expected:
        assert len(features(out, name)[1]) == 1
    with sqlite3.connect(out) as base:
        styles = base.execute("SELECT f_table_name, f_geometry_column, styleQML, useAsDefault FROM layer_styles").fetchall()
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert [(name, column, default) for name, column, _, default in styles] == [(name, "geom", 1) for name in expected]
    colours = {name: ElementTree.fromstring(text).find(".//prop[@k='outline_color']").attrib["v"] for name, _, text, _ in styles}  # type: ignore[union-attr]
    assert colours["Tree"] == "18,52,86,255" and colours["tree (2)"] == "0,255,0,255"


def test_several_crss_are_layers_of_their_own(tmp_path: Path) -> None:
    out = tmp_path / "a.gpkg"
    write("gpkg", out, [*one_task("utm"), *one_task("dutch"), *one_task("custom")])
    names = list(layers(out))
    assert names[:2] == ["tree EPSG_32633", "tree EPSG_28992"] and names[2].startswith("tree ")
    assert [features(out, name)[0]["crs"] for name in names[:2]] == ["EPSG:32633", "EPSG:28992"]


def test_a_code_and_its_wkt_are_one_crs(tmp_path: Path) -> None:
    first, second = one_task("utm"), one_task("utm")
    second[0]["data"] |= {"crs": CRS("EPSG:32633").to_wkt(), "raster": "b.tif"}
    write("gpkg", tmp_path / "a.gpkg", [*first, *second])
    assert list(layers(tmp_path / "a.gpkg")) == ["tree"]


def test_an_export_without_objects_is_a_file_without_features(tmp_path: Path) -> None:
    empty = [task(1, a_chip("utm", PixelWindow(0, 0, 30, 30), Size(30, 30)))]
    for format in ("gpkg", "geoparquet", "geojson"):
        write(format, tmp_path / f"a.{format}", empty)
    assert len(features(tmp_path / "a.gpkg")[1]) == 0 and len(features(tmp_path / "a.geojson")[1]) == 0
    assert pyarrow.parquet.read_table(tmp_path / "a.geoparquet").num_rows == 0


def test_pixels_have_no_crs(tmp_path: Path) -> None:
    write("gpkg", tmp_path / "a.gpkg", one_task("utm"), pixels=True)
    write("geoparquet", tmp_path / "a.parquet", one_task("utm"), pixels=True)
    meta, (shape,), _ = features(tmp_path / "a.gpkg")
    assert shape.bounds == (64, 93, 88, 118) and (meta["crs"] is None or "EPSG" not in meta["crs"])
    assert geo(tmp_path / "a.parquet")["columns"]["geometry"]["crs"] is None


def geo(path: Path) -> dict[str, Any]:
    return json.loads(pyarrow.parquet.read_metadata(path).metadata[b"geo"])


@pytest.mark.parametrize("place", PLACES)
def test_geoparquet_says_what_it_holds(place: str, tmp_path: Path) -> None:
    out = tmp_path / "a.parquet"
    write("geoparquet", out, one_task(place))
    said = geo(out)
    column = said["columns"][said["primary_column"]]
    assert (said["version"], column["encoding"], column["orientation"], column["edges"]) == ("1.1.0", "WKB", "counterclockwise", "planar")
    transform, crs = PLACES[place]
    assert CRS.from_json_dict(column["crs"]).equals(CRS.from_user_input(crs), ignore_axis_order=True)
    (row,) = pyarrow.parquet.read_table(out).to_pylist()
    shape = shapely.from_wkb(row["geometry"])
    assert shape.geom_type in column["geometry_types"] and list(shape.bounds) == column["bbox"] == list(row["bbox"].values())
    assert all(part.exterior.is_ccw for part in shapely.get_parts(shape))
    assert (row["class"], row["task"], row["score"], row["raster"]) == ("tree", 7, None, "a.tif")
    assert sum(part.area for part in in_pixels(shape, transform)) == pytest.approx(hollow().sum(), rel=1e-6)


def test_geoparquet_of_several_crss_is_in_degrees(tmp_path: Path) -> None:
    write("geoparquet", tmp_path / "a.parquet", [*one_task("utm"), *one_task("dutch")])
    column = geo(tmp_path / "a.parquet")["columns"]["geometry"]
    assert CRS.from_json_dict(column["crs"]) == CRS("OGC:CRS84") and 4 < column["bbox"][0] < column["bbox"][2] < 14


def test_without_pyarrow_geoparquet_is_refused_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ExportError, match="written with pyarrow, which is not installed; expected it; install"):
        write("geoparquet", tmp_path / "a.parquet", one_task("utm"))
    assert list(tmp_path.iterdir()) == []


def test_more_objects_than_a_batch_are_all_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("converters.exporting.geopackage.BATCH", 2)
    monkeypatch.setattr(geoparquet, "ROWS", 2)
    tasks = [task(n, a_chip("utm", PixelWindow(0, 0, 30, 30), Size(30, 30), f"{n}.tif"), brush(hollow(), "ab"[n % 2])) for n in range(7)]
    write("gpkg", tmp_path / "a.gpkg", tasks)
    write("geoparquet", tmp_path / "a.parquet", tasks)
    assert [[row["task"] for row in features(tmp_path / "a.gpkg", name)[2]] for name in "ab"] == [[0, 2, 4, 6], [1, 3, 5]]
    assert pyarrow.parquet.read_table(tmp_path / "a.parquet")["task"].to_pylist() == list(range(7))


def test_an_export_that_fails_leaves_the_file_before_it(tmp_path: Path) -> None:
    out = tmp_path / "a.gpkg"
    write("gpkg", out, one_task("utm"))
    before = out.read_bytes()
    lost = one_task("utm")
    lost[0]["data"] |= {"crs": None}
    with pytest.raises(ExportError, match="nothing can be placed"):
        write("gpkg", out, lost)
    assert out.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["a.gpkg"]
