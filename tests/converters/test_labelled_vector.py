"""Vector polygons over rasters: the right pixels whatever the CRS and the raster's attitude, the right class, the right refusals."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pytest
import rasterio
import shapely
from affine import Affine
from PIL import Image
from pyproj import Transformer

from converters.chips import PixelWindow
from converters.errors import RasterError, TaskError
from converters.labelled import LabelledImage, open_labelled
from converters.labelled_place import WORLD

UTM = Affine(0.5, 0, 366_000.0, 0, -0.5, 5_807_000.0)
ATTITUDES = {
    "north-up": UTM,
    "rotated": UTM @ Affine.rotation(27),
    "south-up": Affine(0.5, 0, 366_000.0, 0, 0.5, 5_807_000.0),
    "sheared": Affine(0.4, 0.1, 366_000.0, 0.2, -0.5, 5_807_000.0),
}
# In native px: a house with a yard, one that the raster's edge cuts, and one elsewhere.
YARD = shapely.Polygon([(5.3, 4.2), (30.7, 6.1), (28.2, 25.9), (7.4, 22.6)], [[(12.2, 10.3), (20.6, 11.7), (19.1, 17.3)]])
CUT = shapely.Polygon([(50.3, 30.2), (70.3, 33.2), (55.1, 60.4)])
ELSEWHERE = shapely.Polygon([(900, 900), (910, 900), (910, 910)])


def raster(path: Path, transform: Affine | None = UTM, *, crs: str | None = "EPSG:32633", size: tuple[int, int] = (60, 40)) -> Path:
    width, height = size
    pixels = np.random.default_rng(0).integers(0, 255, (3, height, width), np.uint8)
    place: dict[str, Any] = {} if transform is None else {"transform": transform}
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=3, dtype="uint8", crs=crs, photometric="RGB", **place
    ) as out:
        out.write(pixels)
    return path


def vectors(path: Path, polygons: list[Any], crs: str | None, *, layer: str = "one", append: bool = False, **columns: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyogrio.raw.write(
        path,
        np.array([shapely.to_wkb(polygon) for polygon in polygons], object),
        [np.array(values, None if isinstance(values[0], int | float) else object) for values in columns.values()],
        list(columns),
        crs=crs,
        geometry_type="Unknown",
        layer=layer,
        append=append,
        driver={".gpkg": "GPKG", ".geojson": "GeoJSON", ".shp": "ESRI Shapefile", ".fgb": "FlatGeobuf"}[path.suffix],
    )
    return path


def placed(polygon: shapely.Geometry, transform: Affine, source: str, target: str) -> Any:
    """A polygon in native px, in the coordinates of `target`; edges stay straight, vertices are moved."""
    to_target = Transformer.from_crs(source, target, always_xy=True)
    a, b, c, d, e, f = tuple(transform)[:6]

    def move(points: np.ndarray) -> np.ndarray:
        x, y = points.T
        return np.stack(to_target.transform(a * x + b * y + c, d * x + e * y + f), axis=1)

    return shapely.transform(polygon, move)


def centres_inside(polygon: shapely.Geometry, size: tuple[int, int]) -> np.ndarray:
    rows, cols = np.mgrid[0 : size[1], 0 : size[0]] + 0.5
    return shapely.contains_xy(polygon, cols, rows)


def masks(image: LabelledImage, window: PixelWindow | None = None) -> list[np.ndarray]:
    return [each.mask == 1 for each in image.objects(1, window)]


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32633", "EPSG:25832", "EPSG:3857", "EPSG:3035", "EPSG:4258"])
@pytest.mark.parametrize("attitude", ATTITUDES)
def test_polygons_of_another_crs_fall_on_their_pixels(tmp_path: Path, attitude: str, crs: str) -> None:
    """EPSG:3035 and 4258 order their axes north first; files keep x before y all the same."""
    transform = ATTITUDES[attitude]
    raster(tmp_path / "a.tif", transform)
    drawn = [placed(polygon, transform, "EPSG:32633", crs) for polygon in (YARD, CUT, ELSEWHERE)]
    vectors(tmp_path / "a.gpkg", drawn, crs, label=["house", "shed", "far"])
    labelled = open_labelled(tmp_path)
    (image,) = labelled.images
    yard, cut = image.objects(1)
    assert (yard.class_name, cut.class_name) == ("house", "shed")
    assert np.array_equal(yard.mask == 1, centres_inside(YARD, (60, 40)))  # the yard is a hole
    assert np.array_equal(cut.mask == 1, centres_inside(CUT, (60, 40)))
    assert "a.gpkg: classes are taken from the attribute 'label'" in labelled.notes
    assert "a.gpkg: 1 of 3 polygons lie on no image" in labelled.notes
    side = math.sqrt(abs(transform.determinant))
    assert image.gsd == pytest.approx(side, rel=0.01) and image.bands == ("R", "G", "B")


def test_geojson_is_longitude_and_latitude(tmp_path: Path) -> None:
    path = raster(tmp_path / "a.tif")
    vectors(tmp_path / "all.geojson", [placed(YARD, UTM, "EPSG:32633", "EPSG:4326")], "EPSG:4326")
    for given in (tmp_path, path, tmp_path / "all.geojson"):
        labelled = open_labelled(given)
        (mask,) = masks(labelled.images[0])
        assert np.array_equal(mask, centres_inside(YARD, (60, 40)))
        assert "all.geojson: no attribute names classes, so every polygon counts as 'object'" in labelled.notes


def test_long_edges_are_straight_where_they_were_drawn(tmp_path: Path) -> None:
    """A field of 30 km along a parallel: its edge, straight in degrees, is bent by many pixels of a UTM raster."""
    transform = Affine(20, 0, 280_000.0, 0, -20, 6_800_000.0)
    size = (1600, 400)
    raster(tmp_path / "a.tif", transform, size=size)
    field = shapely.box(11.0, 61.24, 11.45, 61.27)
    vectors(tmp_path / "a.gpkg", [field], "EPSG:4326")
    (mask,) = masks(open_labelled(tmp_path).images[0])
    rows, cols = np.mgrid[0 : size[1], 0 : size[0]] + 0.5
    to_degrees = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(280_000 + 20 * cols, 6_800_000 - 20 * rows)
    truth = shapely.contains_xy(field, lon, lat)
    vertices_only = centres_inside(
        shapely.Polygon(
            [
                ((x - 280_000) / 20, (6_800_000 - y) / 20)
                for x, y in zip(*to_degrees.transform(*field.exterior.coords.xy, direction="INVERSE"), strict=True)
            ]
        ),
        size,
    )
    assert (mask != truth).sum() < 0.1 * (vertices_only != truth).sum()
    distance = np.minimum(abs(lat - 61.24), abs(lat - 61.27)) * 111_300 / 20  # px to the nearer parallel
    assert distance[mask != truth].max(initial=0) < 0.11


def test_windows_show_the_polygons_of_the_whole_image(tmp_path: Path) -> None:
    raster(tmp_path / "a.tif")
    vectors(tmp_path / "a.gpkg", [placed(one, UTM, "EPSG:32633", "EPSG:4326") for one in (YARD, CUT)], "EPSG:4326")
    (image,) = open_labelled(tmp_path).images
    whole = np.logical_or.reduce(masks(image))
    together = np.zeros((40, 60), bool)
    for row in range(0, 40, 16):
        for col in range(0, 60, 16):
            window = PixelWindow(col, row, min(16, 60 - col), min(16, 40 - row))
            for each in image.objects(1, window):
                together[row : row + window.height, col : col + window.width] |= each.mask == 1
                assert each.area == (each.mask == 1).sum()
            assert np.array_equal(image.read(window), image.read()[row : row + window.height, col : col + window.width])
    assert np.array_equal(together, whole)
    # The yard parts what this window shows of the house in two.
    assert len(image.objects(1, PixelWindow(0, 11, 40, 2))) == 2 and len(image.objects(1, PixelWindow(0, 0, 40, 40))) == 1
    with pytest.raises(TaskError, match=r"a\.tif is 60 x 40 px; expected a window inside it"):
        image.objects(1, PixelWindow(50, 0, 20, 20))


@pytest.mark.parametrize(
    ("columns", "attribute", "classes"),
    [
        ({"class": ["roof", "road"]}, None, ["roof", "road"]),
        ({"osm_id": [1, 2], "Class_Name": ["roof", ""]}, None, ["roof", "object"]),
        ({"Quatreclasses": ["4", "2"], "m2": [1.5, 2.5]}, None, ["4", "2"]),
        ({"class": [1, 2]}, None, ["1", "2"]),
        ({"class": [1.0, math.nan]}, None, ["1", "object"]),
        ({"class": [None, None], "type": ["a", "b"]}, None, ["a", "b"]),
        ({"class": ["roof", "road"], "use": ["school", "path"]}, "use", ["school", "path"]),
        ({"height": [3.0, 4.0]}, None, ["object", "object"]),
    ],
)
def test_the_class_is_found_or_named(tmp_path: Path, columns: dict[str, list[Any]], attribute: str | None, classes: list[str]) -> None:
    raster(tmp_path / "a.tif")
    polygons = [placed(one, UTM, "EPSG:32633", "EPSG:32633") for one in (YARD, CUT)]
    vectors(tmp_path / "a.gpkg", polygons, "EPSG:32633", **columns)
    assert [each.class_name for each in open_labelled(tmp_path, attribute=attribute).images[0].objects(1)] == classes
    with pytest.raises(TaskError, match=r"a\.gpkg has no attribute 'nothing'; expected one of"):
        open_labelled(tmp_path, attribute="nothing")


def test_layers_without_an_attribute_are_classes(tmp_path: Path) -> None:
    raster(tmp_path / "a.tif")
    for layer, polygon in (("roofs", YARD), ("sheds", CUT)):
        vectors(tmp_path / "a.gpkg", [placed(polygon, UTM, "EPSG:32633", "EPSG:32633")], "EPSG:32633", layer=layer, append=layer == "sheds")
    assert [each.class_name for each in open_labelled(tmp_path).images[0].objects(1)] == ["roofs", "sheds"]


def test_a_file_of_a_raster_s_name_is_its_own_and_others_are_shared(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        raster(tmp_path / "images" / f"{name}.tif")
    drawn = {name: placed(polygon, UTM, "EPSG:32633", "EPSG:32633") for name, polygon in {"yard": YARD, "cut": CUT}.items()}
    vectors(tmp_path / "labels" / "a.gpkg", [drawn["yard"]], "EPSG:32633", label=["own"])
    vectors(tmp_path / "labels" / "all.geojson", [placed(CUT, UTM, "EPSG:32633", "EPSG:4326")], "EPSG:4326", label=["shared"])
    labelled = open_labelled(tmp_path)
    found = {image.name: [each.class_name for each in image.objects(1)] for image in labelled.images}
    assert found == {"a.tif": ["own"], "b.tif": ["shared"], "c.tif": ["shared"]}
    assert [path.name for path in labelled.images[0].files] == ["a.tif", "a.gpkg"]
    only = open_labelled(tmp_path / "images" / "a.tif", labels=tmp_path / "labels" / "all.geojson")
    assert [each.class_name for each in only.images[0].objects(1)] == ["shared"]


def test_tiles_of_a_web_map_are_placed_by_their_names(tmp_path: Path) -> None:
    zoom, x, y = 18, 140_000, 86_000
    side = 2 * WORLD / 2**zoom
    transform = Affine(side / 256, 0, x * side - WORLD, 0, -side / 256, WORLD - y * side)
    Image.new("RGB", (256, 256)).save(tmp_path / f"T-{x}-{y}-{zoom}.png")
    vectors(tmp_path / "all.geojson", [placed(YARD, transform, "EPSG:3857", "EPSG:4326")], "EPSG:4326")
    labelled = open_labelled(tmp_path)
    (mask,) = masks(labelled.images[0])
    assert np.array_equal(mask, centres_inside(YARD, (256, 256)))
    latitude = math.degrees(2 * math.atan(math.exp((WORLD - (y + 0.5) * side) / 6378137)) - math.pi / 2)
    assert labelled.images[0].gsd == pytest.approx(side / 256 * math.cos(math.radians(latitude)), rel=0.005)
    assert "1 images without a georeference are placed as tiles of a web map, by their names" in labelled.notes


def test_coordinates_that_cannot_be_degrees_are_the_raster_s_own(tmp_path: Path) -> None:
    raster(tmp_path / "a.tif")
    shape = shapely.geometry.mapping(placed(YARD, UTM, "EPSG:32633", "EPSG:32633"))
    collection = {"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {}, "geometry": shape}]}
    (tmp_path / "a.geojson").write_text(json.dumps(collection))
    labelled = open_labelled(tmp_path)
    (mask,) = masks(labelled.images[0])
    assert np.array_equal(mask, centres_inside(YARD, (60, 40)))
    assert any("its coordinates are no degrees; they are taken for the raster's own CRS" in note for note in labelled.notes)


def test_what_is_no_polygon_is_left_out_and_said(tmp_path: Path) -> None:
    raster(tmp_path / "a.tif")
    point = placed(shapely.Point(5, 5), UTM, "EPSG:32633", "EPSG:32633")
    vectors(tmp_path / "a.gpkg", [placed(YARD, UTM, "EPSG:32633", "EPSG:32633"), point], "EPSG:32633")
    labelled = open_labelled(tmp_path)
    assert len(labelled.images[0].objects(1)) == 1
    assert "a.gpkg: 1 of 2 features are no polygons and are left out" in labelled.notes
    vectors(tmp_path / "a.gpkg", [point], "EPSG:32633")
    with pytest.raises(TaskError, match=r"a\.gpkg holds no polygon"):
        open_labelled(tmp_path)


def test_what_cannot_be_placed_is_refused_in_one_sentence(tmp_path: Path) -> None:
    here = placed(YARD, UTM, "EPSG:32633", "EPSG:32633")
    raster(tmp_path / "a.tif")
    vectors(tmp_path / "a.gpkg", [ELSEWHERE], "EPSG:32633")
    with pytest.raises(
        TaskError, match=r"no polygon of .*a\.gpkg lies on any raster, such as a\.tif: it claims EPSG:32633 and spans x 900"
    ):
        open_labelled(tmp_path)
    vectors(tmp_path / "a.gpkg", [here], None)
    with pytest.raises(TaskError, match=r"of a\.tif and a\.gpkg, one names its CRS and the other does not"):
        open_labelled(tmp_path)
    raster(tmp_path / "a.tif", None, crs=None)
    with pytest.raises(TaskError, match=r"a\.tif has no georeference, so a\.gpkg cannot be laid over it"):
        open_labelled(tmp_path)
    (tmp_path / "a.gpkg").rename(tmp_path / "all.gpkg")
    with pytest.raises(TaskError, match=r"a\.tif has no georeference"):
        open_labelled(tmp_path)
    (tmp_path / "all.gpkg").write_bytes(b"SQLite format 3\0 and no more")
    with pytest.raises(TaskError, match=r"all\.gpkg is no vector file that GDAL can read"):
        open_labelled(tmp_path)


def test_a_damaged_raster_in_the_middle_of_a_set_is_named(tmp_path: Path) -> None:
    for name in ("a", "m", "z"):
        raster(tmp_path / f"{name}.tif")
    vectors(tmp_path / "all.gpkg", [placed(YARD, UTM, "EPSG:32633", "EPSG:32633")], "EPSG:32633")
    (tmp_path / "m.tif").write_bytes((tmp_path / "m.tif").read_bytes()[:60])
    with pytest.raises(RasterError, match=r"m\.tif"):
        open_labelled(tmp_path)


# --- real files


def linked(folder: Path, shared: Path, part: str) -> Path:
    """images/ and labels/ of a part of the shared rasters, side by side."""
    for kind in ("images", "labels"):
        (folder / kind).symlink_to(shared / "data" / "geotiffs" / kind / part)
    return folder


def test_every_pair_of_the_shared_rasters_opens(tmp_path: Path, shared: Path) -> None:
    labelled = open_labelled(linked(tmp_path, shared, "nrcan"))
    counts = {image.name: len(image.objects(1)) for image in labelled.images}
    assert counts["SN2_Vegas_056155973080_01_P001-WV03-RGB.tif"] == 3
    assert counts["SN4_PS-RGBNIR_732701_3729639_clipped.tif"] == 18
    assert counts["23429155_15_uint8_clipped.tif"] == 302 and counts["22978945_15_uint8_clipped.tif"] == 98
    # EPSG:2953 over EPSG:2036, both with northing first
    baker = next(image for image in labelled.images if image.name.endswith("1of2.tif"))
    assert {each.class_name for each in baker.objects(1)} <= {"1", "2", "3", "4", "255"}
    assert np.logical_or.reduce(masks(baker)).mean() == pytest.approx(0.336, abs=0.002)  # looked at: roofs, roads and shores fit
    assert "BakerLake_2017_clipped.gpkg: classes are taken from the attribute 'Quatreclasses'" in labelled.notes
    assert {name for name, count in counts.items() if not count} == {"tiled_image_1.tif", "tiled_image_2.tif"}


def test_footprints_of_spacenet_have_their_areas(tmp_path: Path, shared: Path) -> None:
    labelled = open_labelled(linked(tmp_path, shared, "solaris"))
    images = {image.name: image for image in labelled.images}
    footprints = shared / "data" / "geotiffs" / "labels" / "solaris" / "geotiff_labels.geojson"
    polygons = shapely.from_wkb(pyogrio.raw.read(footprints)[2])
    pan = images["sample_geotiff.tif"]
    assert [each.area for each in pan.objects(1)] == pytest.approx((shapely.area(polygons) / 0.25).tolist(), rel=0.05, abs=10)
    assert pan.read().shape == (900, 900, 1) and pan.read().dtype == np.uint8  # 16 bit in the file
    assert len(images["sample_geotiff_custom_proj.tif"].objects(1)) == 19


def test_openaerialmap_s_tiles_carry_their_buildings(shared: Path) -> None:
    labelled = open_labelled(shared / "data" / "fair_oam")
    assert len(labelled.images) == 147
    assert sum(len(image.objects(1)) for image in labelled.images) == 842
    gsd = {round(image.gsd or 0, 3) for image in labelled.images}
    assert gsd <= {0.075, 0.149, 0.297, 0.299, 0.298, 0.148}  # zoom 21, 20, 19 at the equator


def test_label_rasters_without_classes_and_boxes_are_refused(tmp_path: Path, shared: Path) -> None:
    (tmp_path / "detectree").mkdir()
    folder = linked(tmp_path / "detectree", shared, "detectree")
    with pytest.raises(
        TaskError, match=r"neither classes\.json nor vector files \(1091-322_00\.tif has the values 0, 1: name their classes\)"
    ):
        open_labelled(folder)
    (folder / "classes.json").write_text('{"classes": {"tree": 1}}')
    labelled = open_labelled(folder)
    assert [image.name for image in labelled.images] == ["1091-322_00.tif", "1091-322_05.tif", "1091-322_11.tif", "1091-322_19.tif"]
    assert labelled.images[0].gsd == pytest.approx(0.5, rel=0.01) and labelled.images[0].objects(30)
    with pytest.raises(TaskError, match=r"ending in \.csv was found"):
        open_labelled(shared / "data" / "geotiffs" / "labels" / "deepforest" / "OSBS_029.csv")
