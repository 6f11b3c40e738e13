"""`rsiseg export` writes all of a file or nothing, says what it left out, and needs no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.features
import rasterio.warp
from affine import Affine
from click.testing import CliRunner, Result

from backend.commands.export import command
from backend.errors import UsageError
from converters.chips import Chip, PixelWindow
from converters.errors import ExportError, RSISegError, TaskError
from converters.frames import Size
from converters.label_studio import brush_region, chip_to_task_data

REAL = "geotiffs/images/deepforest/5b90f92da0d7280005fab355_4310.tif"


def a_chip(**changes: Any) -> Chip:
    fields: dict[str, Any] = {
        "image": "a.png", "raster": "a.tif", "window": PixelWindow(0, 0, 6, 5),
        "transform": Affine(0.1, 0, 4e5, 0, -0.1, 5e6), "crs": "EPSG:32633",
        "bands": ("R", "G", "B"), "scale": 1.0, "gsd": 0.1, "native_size": Size(6, 5), "stretch": None, "nodata": None,
    }  # fmt: skip
    return Chip(**fields | changes)


def document(chip: Chip, *masks: np.ndarray, extra: tuple[dict[str, Any], ...] = ()) -> list[dict[str, Any]]:
    regions = [brush_region(mask, id=f"r{n}", label="roof", from_name="b", to_name="img") for n, mask in enumerate(masks)]
    return [{"id": 1, "data": chip_to_task_data(chip), "annotations": [{"id": 2, "completed_by": 3, "result": [*regions, *extra]}]}]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "project.json"
    key_point = {"id": "k", "type": "keypointlabels", "value": {}}
    path.write_text(json.dumps(document(a_chip(), np.ones((5, 6), bool), extra=(key_point,))))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def refusal(*arguments: object) -> RSISegError:
    error = run(*arguments).exception
    assert isinstance(error, RSISegError), error
    return error


def test_it_writes_the_features_and_names_what_it_left_out(source: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "new" / "roofs.geojson", tmp_path / "report.json"
    result = run(source, "--format", "geojson", "--out", out, "--report", report, "--json")
    assert result.exit_code == 0, result.output
    collection = json.loads(out.read_text())
    assert [feature["properties"]["class"] for feature in collection["features"]] == ["roof"]
    said = json.loads(result.stdout)
    assert said == json.loads(report.read_text())
    assert (said["features"], said["tasks"], said["out"]) == (1, 1, str(out))
    assert [(remark["region"], remark["type"]) for remark in said["left_out"]] == [("k", "keypointlabels")]
    assert "1 features of 1 tasks" in result.stderr and "left out: 1 x a key point" in result.stderr and "region k" in result.stderr


def test_a_second_export_gives_the_same_bytes_and_leaves_nothing_behind(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "roofs.geojson"
    run(source, "--out", out)
    first = out.read_bytes()
    run(source, "--out", out)
    assert out.read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["project.json", "roofs.geojson"]


def test_colours_come_from_the_label_config(source: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.xml"
    config.write_text('<View><BrushLabels name="b" toName="img"><Label value="roof" background="#123456"/></BrushLabels></View>')
    run(source, "--out", tmp_path / "out.geojson", "--label-config", config)
    assert json.loads((tmp_path / "out.geojson").read_text())["features"][0]["properties"]["colour"] == "#123456"


def test_without_a_georeference_it_refuses_and_writes_pixels_on_request(tmp_path: Path) -> None:
    source, out = tmp_path / "project.json", tmp_path / "out.geojson"
    source.write_text(json.dumps(document(a_chip(crs=None), np.ones((5, 6), bool))))
    error = refusal(source, "--out", out)
    assert isinstance(error, ExportError) and "no CRS" in str(error) and "--pixels" in str(error)
    assert not out.exists()
    assert run(source, "--out", out, "--pixels").exit_code == 0
    written = json.loads(out.read_text())
    assert "px" in written["coordinates"] and "not a place on earth" in written["coordinates"]
    assert max(max(written["features"][0]["geometry"]["coordinates"][0])) == 6


def test_an_unknown_format_is_refused_in_a_sentence(source: Path, tmp_path: Path) -> None:
    error = refusal(source, "--out", tmp_path / "x", "--format", "dxf")
    assert isinstance(error, UsageError) and "'dxf' is no export format; expected geojson" in str(error)


def test_input_that_is_no_export_is_refused_in_a_sentence(tmp_path: Path) -> None:
    cases = {
        "csv": b"id,image\n1,a.png\n",
        "zip": b"PK\x03\x04\xff\xfe",
        "min": b'[{"image": "a", "annotation_id": 1}]',
        "coco": b'{"images": []}',
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        error = refusal(tmp_path / name, "--out", tmp_path / "x.geojson")
        assert isinstance(error, TaskError) and "expected Label Studio's JSON export" in str(error)
        assert "\n" not in str(error)
    assert isinstance(refusal(tmp_path / "absent.json", "--out", tmp_path / "x.geojson"), UsageError)
    assert not (tmp_path / "x.geojson").exists()


def test_a_broken_label_config_stops_before_anything_is_written(source: Path, tmp_path: Path) -> None:
    (tmp_path / "config.xml").write_text("<View>")
    assert isinstance(refusal(source, "--out", tmp_path / "x.geojson", "--label-config", tmp_path / "config.xml"), TaskError)
    assert not (tmp_path / "x.geojson").exists()


def test_the_export_never_overwrites_its_own_input(source: Path) -> None:
    before = source.read_bytes()
    assert isinstance(refusal(source, "--out", source), UsageError)
    assert source.read_bytes() == before


def test_a_place_that_cannot_be_written_is_named(source: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    error = refusal(source, "--out", tmp_path / "folder")
    assert isinstance(error, ExportError) and "cannot be written" in str(error)
    assert list((tmp_path / "folder").iterdir()) == [] and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("option", ["--out", "--report"])
def test_a_folder_that_is_a_file_is_named(source: Path, tmp_path: Path, option: str) -> None:
    (tmp_path / "file").write_text("")
    places = {"--out": tmp_path / "out.geojson", "--report": tmp_path / "report.json"} | {option: tmp_path / "file" / "x.geojson"}
    error = refusal(source, *(word for pair in places.items() for word in pair))
    assert "x.geojson cannot be written" in str(error)
    assert f"change {option}" in str(error)
    assert not list((tmp_path).glob(".*"))


def test_it_runs_where_torch_cannot_be_imported(source: Path, tmp_path: Path) -> None:
    program = "import sys; sys.modules['torch'] = None; sys.modules['label_studio_sdk'] = None; from backend.cli import main; main()"
    out = tmp_path / "out.geojson"
    done = subprocess.run(
        [sys.executable, "-c", program, "export", str(source), "--out", str(out)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(out.read_text())["features"]) == 1


def test_a_failure_is_one_sentence_and_exit_code_1(tmp_path: Path) -> None:
    program = "from backend.cli import main; main()"
    arguments = [sys.executable, "-c", program, "export", str(tmp_path / "absent.json"), "--out", str(tmp_path / "x")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("rsiseg: ") and "Traceback" not in done.stderr


def test_on_a_real_raster_the_geojson_burns_the_same_pixels(shared: Path, tmp_path: Path) -> None:
    """The exported file, reprojected by GDAL and burnt into the real raster's grid, gives the annotated pixels."""
    path = shared / "data" / REAL
    with rasterio.open(path) as raster:
        window = PixelWindow(700, 900, 600, 600)
        grid, crs = raster.transform, raster.crs
        chip = a_chip(
            raster=str(path), window=window, transform=grid @ Affine.translation(700, 900), crs=crs.to_string(),
            native_size=Size(raster.width, raster.height),
        )  # fmt: skip
        red = raster.read(1, window=rasterio.windows.Window(700, 900, 600, 600))
    mask = red > np.percentile(red, 70)  # ragged, with thousands of parts and holes
    (tmp_path / "project.json").write_text(json.dumps(document(chip, mask)))
    assert run(tmp_path / "project.json", "--out", tmp_path / "out.geojson").exit_code == 0
    (feature,) = json.loads((tmp_path / "out.geojson").read_text())["features"]
    on_map = rasterio.warp.transform_geom("OGC:CRS84", crs, feature["geometry"])
    burnt = rasterio.features.rasterize([on_map], (2048, 2048), transform=grid, dtype=np.uint8)
    assert np.array_equal(burnt[900:1500, 700:1300].astype(bool), mask)
    assert burnt.sum() == mask.sum()
    # EPSG:3395 stretches: its own square metres are not those of the ground.
    assert feature["properties"]["area_method"] == "geodesic"


def two_chips() -> list[dict[str, Any]]:
    """Two chips side by side, one roof over both and a car on it."""
    tasks = []
    for number in (0, 1):
        window = PixelWindow(6 * number, 0, 6, 5)
        chip = a_chip(window=window, native_size=Size(12, 5), transform=Affine(0.1, 0, 4e5 + 0.6 * number, 0, -0.1, 5e6))
        roof = np.ones((5, 6), bool)
        car = np.zeros((5, 6), bool)
        car[1:3, 2:4] = True
        regions = [brush_region(mask, id=name, label=name, from_name="b", to_name="img") for mask, name in ((roof, "roof"), (car, "car"))]
        tasks.append({"id": number, "data": chip_to_task_data(chip), "annotations": [{"id": number, "completed_by": 3, "result": regions}]})
    return tasks


@pytest.mark.parametrize(
    ("options", "roofs", "area"),
    [
        ((), 1, 0.6), (("--seams", "keep"), 2, 0.6), (("--overlaps", "later"), 1, 0.52), (("--priority", "roof, car"), 1, 0.6),
        (("--simplify", "0.01"), 1, 0.52), (("--right-angles", "roof"), 1, 0.52), (("--min-area", "0.5"), 1, 0.6),
    ],
)  # fmt: skip
def test_options_say_how_regions_become_objects(tmp_path: Path, options: tuple[str, ...], roofs: int, area: float) -> None:
    (tmp_path / "in.json").write_text(json.dumps(two_chips()))
    result = run(tmp_path / "in.json", "--format", "gpkg", "--out", tmp_path / "out.gpkg", "--json", *options)
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert (said["by_class"]["roof"]["features"], said["by_class"]["roof"]["area_m2"]) == (roofs, pytest.approx(area, abs=0.01))
    assert said["exported"] + said["merged"] + said["regions_left_out"] == said["regions"] == 4
    assert said["coordinates"] == "the rasters' CRS"
    cars = 0 if options[:1] in (("--min-area",), ("--priority",)) else 2
    assert said["by_class"].get("car", {"features": 0})["features"] == cars


def test_options_that_contradict_each_other_are_refused(source: Path, tmp_path: Path) -> None:
    error = refusal(source, "--out", tmp_path / "x", "--simplify", "1", "--overlaps", "keep")
    assert isinstance(error, ExportError) and "--overlaps later or priority" in str(error)
