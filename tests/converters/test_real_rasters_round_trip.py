"""Every real raster goes in, and a mask drawn on its chip comes out where GDAL puts those pixels; or the refusal says what is missing."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.features
import rasterio.warp
from click.testing import CliRunner
from numpy.typing import NDArray

from backend.commands.export import command
from converters.errors import ExportError
from converters.importing.survey import import_rasters
from converters.label_studio import brush_region
from converters.task_addresses import TaskAddresses

CHIP = 300
SETS = ("deepforest", "detectree", "naip", "nrcan", "rasterio", "solaris")


def drawn(width: int, height: int, seed: int) -> NDArray[np.bool_]:
    """A ragged mask with a hole, a speck, and the window's lower right corner, so that no flip or shift by a pixel goes unseen."""
    rng, (rows, cols) = np.random.default_rng(seed), np.indices((height, width))
    mask = ((rows / height - 0.4) ** 2 + (cols / width - 0.45) ** 2 < 0.09) & (rng.random((height, width)) < 0.98)
    mask[height // 3 : height // 3 + 5, width // 2 : width // 2 + 9] = False
    mask[2, width - 3] = mask[-1, -1] = True
    return mask


@functools.lru_cache
def imported(folder: Path, out: Path) -> list[dict[str, Any]]:
    """The last task of each raster, its chip the smallest one at the lower right, with a mask drawn on it."""
    summary = import_rasters([str(folder)], TaskAddresses(out=out, document_root=out.parent), chip=CHIP)
    assert summary.failed == ()
    files = [path for path in folder.rglob("*") if path.suffix.lower() in (".tif", ".tiff", ".png", ".jpg", ".jpeg")]
    last = {task["data"]["raster"]: task for task in json.loads((out / "tasks.json").read_text(encoding="utf-8"))}
    assert len(last) == len(files)
    for number, task in enumerate(last.values(), start=1):
        width, height = task["data"]["window"][2:]
        region = brush_region(drawn(width, height, number), id=f"r{number}", label="roof", from_name="b", to_name="img")
        task |= {"id": number, "annotations": [{"id": number, "result": [region]}], "predictions": []}
    return list(last.values())


def exported(tasks: list[dict[str, Any]], folder: Path, *options: str) -> tuple[dict[int, Any], dict[int, str]]:
    """Geometry, and reason for being left out, by task. Raises what the command raises."""
    source, out, report = folder / "export.json", folder / "out.geojson", folder / "report.json"
    source.write_text(json.dumps(tasks), encoding="utf-8")
    result = CliRunner().invoke(command, [str(source), "--out", str(out), "--report", str(report), *options])
    if result.exception is not None:
        raise result.exception
    features = json.loads(out.read_text(encoding="utf-8"))["features"]
    left_out = json.loads(report.read_text(encoding="utf-8"))["left_out"]
    return {one["properties"]["task"]: one["geometry"] for one in features}, {one["task"]: one["reason"] for one in left_out}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chips")


@pytest.mark.parametrize("name", SETS)
def test_a_mask_on_a_real_raster_comes_out_where_gdal_puts_its_pixels(name: str, shared: Path, out: Path, tmp_path: Path) -> None:
    tasks = imported(shared / "data" / "geotiffs" / "images" / name, out / name)
    placed, refused = exported(tasks, tmp_path)
    assert placed.keys() | refused.keys() == {task["id"] for task in tasks} and not placed.keys() & refused.keys()
    for task in tasks:
        col, row, width, height = task["data"]["window"]
        with rasterio.open(task["data"]["raster"]) as dataset:
            transform, crs, shape = dataset.transform, dataset.crs, dataset.shape
        expected = np.zeros(shape, bool)
        expected[row : row + height, col : col + width] = drawn(width, height, task["id"])
        if task["id"] in refused:
            assert crs is None or transform.is_identity, f"{task['data']['raster']}: {refused[task['id']]}"
            assert "expected a CRS and a transform" in refused[task["id"]]
            continue
        on_map = rasterio.warp.transform_geom("OGC:CRS84", crs, placed[task["id"]])
        burnt = np.asarray(rasterio.features.rasterize([on_map], shape, transform=transform, dtype=np.uint8)).astype(bool)
        assert np.array_equal(burnt, expected), f"{task['data']['raster']}: {np.count_nonzero(burnt != expected)} px differ"


def test_tiles_without_a_georeference_are_refused_and_come_out_in_pixels(shared: Path, out: Path, tmp_path: Path) -> None:
    tasks = imported(shared / "data" / "fair_oam" / "images", out / "fair_oam")
    with pytest.raises(ExportError, match=r"nothing can be placed.* has no georeference; .*--pixels"):
        exported(tasks, tmp_path)
    placed, refused = exported(tasks, tmp_path, "--pixels")
    assert refused == {} and len(placed) == len(tasks)
    for task in tasks:
        col, row, width, height = task["data"]["window"]
        burnt = np.asarray(rasterio.features.rasterize([placed[task["id"]]], (row + height, col + width), dtype=np.uint8)).astype(bool)
        assert np.array_equal(burnt[row:, col:], drawn(width, height, task["id"])) and not burnt[:row].any() and not burnt[:, :col].any()
