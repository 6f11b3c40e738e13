"""A STAC catalogue that pystac validates and walks: imagery, labels, and what belongs to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine
from annotated_rasters import a_chip, a_task, brush, write_raster, written
from pystac.extensions.label import LabelExtension, LabelType
from pystac.validation.stac_validator import JsonSchemaSTACValidator

from converters.chips import PixelWindow
from converters.errors import ExportError
from converters.frames import Size

SIZE = Size(60, 40)
WINDOW = PixelWindow(0, 0, 60, 40)
MODEL = {"rsiseg": {"model": "default", "version": "v1", "clicks": 2}}

# What the label extension's README (stac-extensions/label) demands of an item, in words of our own: its schema is on the web only.
LABEL_RULES: dict[str, Any] = {
    "type": "object",
    "required": ["label:properties", "label:classes", "label:description", "label:type"],
    "properties": {
        "label:type": {"const": "vector"},
        "label:description": {"type": "string", "minLength": 1},
        "label:properties": {"type": "array", "minItems": 1, "items": {"type": "string"}},
        "label:classes": {
            "type": "array",
            "items": {
                "required": ["name", "classes"],
                "properties": {"name": {"type": "string", "minLength": 1}, "classes": {"type": "array", "items": {"type": "string"}}},
            },
        },
        "label:tasks": {"type": "array", "items": {"enum": ["regression", "classification", "detection", "segmentation"]}},
        "label:methods": {"type": "array", "minItems": 1, "items": {"enum": ["automated", "manual"]}},
        "label:overviews": {
            "type": "array",
            "items": {"properties": {"counts": {"items": {"required": ["name", "count"], "properties": {"count": {"type": "integer"}}}}}},
        },
    },
    "patternProperties": {"^(?!label:)": {}},
    "additionalProperties": False,
}


def blob() -> np.ndarray:
    mask = np.zeros((40, 60), bool)
    mask[5:20, 10:30] = True
    return mask


def a_catalogue(home: Path) -> pystac.Catalog:
    write_raster(home / "a.tif", SIZE)
    write_raster(home / "b.tif", SIZE)
    tasks = [
        a_task(1, a_chip("a.tif", WINDOW, SIZE), brush(blob()), brush(~blob(), "tree", "t") | {"meta": MODEL}),
        a_task(2, a_chip("b.tif", WINDOW, SIZE), brush(blob()), updated_at="2026-10-02T12:30:00+02:00"),
        a_task(3, a_chip("b.tif", WINDOW, SIZE), brush(blob()), updated_at="2026-10-01T00:00:00Z"),
    ]
    written("stac", home / "out", tasks, home)
    return pystac.Catalog.from_file(str(home / "out" / "catalog.json"))


def test_pystac_validates_the_catalogue_and_every_item(tmp_path: Path) -> None:
    catalogue = a_catalogue(tmp_path)
    catalogue.validate()
    items = list(catalogue.get_items())
    assert [item.id for item in items] == ["a-imagery", "a-labels", "b-imagery", "b-labels"]
    validator = JsonSchemaSTACValidator()
    for item in items:
        document = item.to_dict(include_self_link=False)
        document["stac_extensions"] = []  # their schemas are fetched from the web
        assert validator.validate_core(document, pystac.STACObjectType.ITEM, "1.1.0"), "core schema"
        if item.id.endswith("labels"):
            jsonschema.validate(document["properties"], LABEL_RULES)


def test_labels_name_their_imagery_classes_and_methods(tmp_path: Path) -> None:
    imagery, labels, *_ = a_catalogue(tmp_path).get_items()
    extension = LabelExtension.ext(labels)
    assert extension.label_type == LabelType.VECTOR and extension.label_tasks == ["segmentation"]
    assert extension.label_methods == ["automated", "manual"]
    (classes,) = extension.label_classes or []
    assert (classes.name, classes.classes) == ("class", ["building", "tree"])
    (overview,) = extension.label_overviews or []
    assert {count.name: count.count for count in overview.counts or []} == {"building": 1, "tree": 1}
    (source,) = extension.get_sources()
    assert source.id == imagery.id
    assert Path(imagery.assets["image"].get_absolute_href() or "").samefile(tmp_path / "a.tif")
    assert labels.common_metadata.start_datetime is not None


def test_the_interval_of_the_labels_is_that_of_their_annotations(tmp_path: Path) -> None:
    *_, imagery, labels = a_catalogue(tmp_path).get_items()
    assert labels.properties["start_datetime"] == "2026-10-01T00:00:00Z"
    assert labels.properties["end_datetime"] == "2026-10-02T10:30:00Z"
    assert imagery.properties["end_datetime"] == "2026-10-01T00:00:00Z", "the imagery is older than its first annotation"


def test_assets_are_there_and_lie_where_the_item_says(tmp_path: Path) -> None:
    _, labels, *_ = a_catalogue(tmp_path).get_items()
    paths = {name: Path(asset.get_absolute_href() or "") for name, asset in labels.assets.items()}
    features = json.loads(paths["labels"].read_text())["features"]
    assert [one["properties"]["class"] for one in features] == ["building", "tree"]
    with rasterio.open(paths["class_raster"]) as raster:
        assert np.array_equal(raster.read(1), np.where(blob(), 0, 1))
        bounds = rasterio.warp.transform_bounds(raster.crs, "OGC:CRS84", *raster.bounds)
    assert labels.bbox == pytest.approx(bounds, abs=2e-7)
    assert paths["overview"].read_bytes().startswith(b"\x89PNG")


def test_a_raster_across_the_antimeridian_has_a_box_that_says_so(tmp_path: Path) -> None:
    place = Affine(10, 0, 165_950, 0, -10, 1e7)
    write_raster(tmp_path / "a.tif", SIZE, place, "EPSG:32701")
    chip = a_chip("a.tif", WINDOW, SIZE, place, "EPSG:32701")
    written("stac", tmp_path / "out", [a_task(1, chip, brush(blob()))], tmp_path)
    west, _, east, _ = json.loads((tmp_path / "out" / "a" / "a-labels.json").read_text())["bbox"]
    assert (west > 179 and east < -179) or west <= east < 180
    assert west > east, "west is the larger number"


def test_a_raster_without_a_place_and_annotations_without_a_time_are_refused(tmp_path: Path) -> None:
    write_raster(tmp_path / "a.tif", SIZE, None, None)
    with pytest.raises(ExportError, match="no georeference"):
        written("stac", tmp_path / "out", [a_task(1, a_chip("a.tif", WINDOW, SIZE, None, None), brush(blob()))], tmp_path)
    with pytest.raises(ExportError, match="says when it was made"):
        written("stac", tmp_path / "out", [a_task(1, a_chip("a.tif", WINDOW, SIZE), brush(blob()), updated_at="")], tmp_path)
    assert not (tmp_path / "out").exists()
