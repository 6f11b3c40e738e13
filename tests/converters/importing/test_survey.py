"""An import of a survey: resumed after a kill, parallel, the same again; overlap, views, area, empty chips, remote rasters."""

from __future__ import annotations

import functools
import http.server
import itertools
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from converters.errors import RasterError, RSISegError, SourceError, TaskError
from converters.frames import Size
from converters.importing.grid import windows
from converters.importing.survey import import_rasters
from converters.importing.views import parse_view
from converters.remote_raster import remote_raster
from converters.task_addresses import TaskAddresses

UTM = {"crs": "EPSG:32633", "transform": Affine(0.5, 0, 366976.5, 0, -0.5, 5809761.0)}


def write(path: Path, values: np.ndarray, **profile: Any) -> Path:
    count, height, width = values.shape
    with rasterio.open(path, "w", driver="GTiff", count=count, height=height, width=width, dtype=values.dtype, **profile) as dataset:
        dataset.write(values)
    return path


def noise(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 256, (count, height, width)).astype(np.uint8)


def addresses(tmp_path: Path, out: str = "out") -> TaskAddresses:
    return TaskAddresses(out=tmp_path / out, document_root=tmp_path)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def tasks_of(out: Path) -> list[dict[str, Any]]:
    return json.loads((out / "tasks.json").read_text(encoding="utf-8"))


def shown(out: Path, task: dict[str, Any], key: str = "image") -> np.ndarray:
    return np.asarray(Image.open(out.parent / task["data"][key].partition("?d=")[2]))


# --- the grid


@given(st.integers(1, 150), st.integers(1, 150), st.integers(16, 90), st.integers(0, 15))
def test_overlapping_chips_cover_every_pixel_and_none_lies_in_its_neighbours_share(
    width: int, height: int, chip: int, overlap: int
) -> None:
    covered = np.zeros((height, width), int)
    found = list(windows(Size(width, height), chip, overlap))
    for window in found:
        assert window.width > min(overlap, width - 1)
        assert window.height > min(overlap, height - 1)
        covered[window.row_off : window.row_off + window.height, window.col_off : window.col_off + window.width] += 1
    assert covered.min() == 1
    across = [window for window in found if window.row_off == 0]
    assert all(left.col_off + left.width - right.col_off == overlap for left, right in itertools.pairwise(across))


def test_an_overlap_as_wide_as_a_chip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RasterError, match="overlap of 64 px with chips of 64 px"):
        import_rasters(["a.tif"], addresses(tmp_path), chip=64, overlap=64)


# --- the same again


def test_ids_are_the_same_in_another_folder_and_after_other_options_and_unlike_for_every_chip(tmp_path: Path) -> None:
    raster = write(tmp_path / "a.tif", noise(4, 100, 130), **UTM)
    ids = []
    for out, options in (("one", {}), ("two", {"bands": ("R", "G", "B", "IR"), "views": [parse_view("cir")]})):
        import_rasters([str(raster)], addresses(tmp_path, out), chip=64, **options)
        ids.append([task["data"]["chip_id"] for task in tasks_of(tmp_path / out)])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == len(ids[0]) == 6
    import_rasters([str(raster)], addresses(tmp_path, "three"), chip=50)
    assert not {task["data"]["chip_id"] for task in tasks_of(tmp_path / "three")} & set(ids[0])


def test_a_second_import_makes_nothing_again_unless_asked_or_something_changed(tmp_path: Path) -> None:
    rasters = [write(tmp_path / f"{name}.tif", noise(3, 100, 100, seed), **UTM) for seed, name in enumerate("ab")]
    sources = [str(raster) for raster in rasters]

    def stamps() -> dict[str, int]:
        return {path.parent.name[0] + path.name: path.stat().st_ino for path in (tmp_path / "out" / "chips").rglob("*.png")}

    import_rasters(sources, addresses(tmp_path), chip=64)
    first, before = tree(tmp_path / "out"), stamps()
    summary = import_rasters(sources, addresses(tmp_path), chip=64)
    assert [entry.reused for entry in summary.imported] == [True, True]
    assert (summary.chips, tree(tmp_path / "out"), stamps()) == (8, first, before)

    write(rasters[1], noise(3, 100, 101, 5), **UTM)
    assert [entry.reused for entry in import_rasters(sources, addresses(tmp_path), chip=64).imported] == [True, False]
    assert {name for name, inode in stamps().items() if before.get(name) == inode} >= {name for name in before if name.startswith("a")}
    next(iter((tmp_path / "out" / "chips").glob("a-*/*.png"))).unlink()
    assert [entry.reused for entry in import_rasters(sources, addresses(tmp_path), chip=64).imported] == [False, True]
    again = import_rasters(sources, addresses(tmp_path), chip=64, again=True)
    assert [entry.reused for entry in again.imported] == [False, False]


def test_several_processes_give_the_same_bytes_as_one(tmp_path: Path) -> None:
    rasters = [str(write(tmp_path / f"{name}.tif", noise(4, 200, 150, seed), **UTM)) for seed, name in enumerate("abc")]
    (tmp_path / "bad.tif").write_text("no raster")
    for out, processes in (("one", 1), ("two", 2)):
        summary = import_rasters([*rasters, str(tmp_path / "bad.tif")], addresses(tmp_path, out), chip=64, overlap=8, processes=processes)
        assert len(summary.imported) == 3
        assert "not a raster" in summary.failed[0].reason
    one, two = tree(tmp_path / "one"), tree(tmp_path / "two")
    assert one.pop("tasks.json").replace(b"one/", b"two/").count(b"\n") == two["tasks.json"].count(b"\n")
    strip = [{key: value for key, value in task["data"].items() if key != "image"} for task in tasks_of(tmp_path / "one")]
    assert strip == [{key: value for key, value in task["data"].items() if key != "image"} for task in tasks_of(tmp_path / "two")]
    two.pop("tasks.json")
    assert one == two


# --- killed


SLOW = """
    import sys, time
    from converters.importing import chip_writer, survey
    from converters.task_addresses import TaskAddresses
    from pathlib import Path
    write = chip_writer._write
    def slowly(*arguments):
        write(*arguments)
        time.sleep(0.15)
    chip_writer._write = slowly
    root = Path(sys.argv[1])
    survey.import_rasters([str(root / "a.tif"), str(root / "b.tif")], TaskAddresses(out=root / "out", document_root=root), chip=32)
"""


def test_a_killed_import_leaves_the_old_output_and_the_next_run_goes_on(tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        write(tmp_path / f"{name}.tif", noise(3, 128, 128, seed), **UTM)
    sources = [str(tmp_path / "a.tif"), str(tmp_path / "b.tif")]
    import_rasters(sources, addresses(tmp_path), chip=128)
    old = tree(tmp_path / "out")
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(SLOW), str(tmp_path)], cwd=Path(__file__).parents[3])
    staged = tmp_path / "out" / ".importing"
    deadline = time.monotonic() + 60
    while len(list(staged.rglob("*.png"))) < 5:
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    left = {name: content for name, content in tree(tmp_path / "out").items() if not name.startswith(".importing")}
    assert left == old
    finished = {path.name: path.stat().st_ino for path in staged.rglob("*.png")}
    assert 5 <= len(finished) < 32

    summary = import_rasters(sources, addresses(tmp_path), chip=32)
    assert summary.chips == 32
    assert not staged.exists()
    now = {path.name: path.stat().st_ino for path in (tmp_path / "out" / "chips").glob("a-*/*.png")}
    assert {name: now[name] for name in finished} == finished, "finished chips were made again"
    fresh = import_rasters(sources, addresses(tmp_path, "fresh"), chip=32)
    assert fresh.chips == 32
    chips = {name: content for name, content in tree(tmp_path / "fresh").items() if name.endswith(".png")}
    assert chips.items() <= tree(tmp_path / "out").items()


def test_what_an_interrupted_import_made_of_something_else_is_not_used(tmp_path: Path) -> None:
    raster = write(tmp_path / "a.tif", noise(3, 64, 64), **UTM)
    import_rasters([str(raster)], addresses(tmp_path, "other"), chip=64)
    [folder] = (tmp_path / "other" / "chips").iterdir()
    stage = tmp_path / "out" / ".importing" / folder.name
    stage.mkdir(parents=True)
    stage.with_name(f"{folder.name}.key").write_text("something else")
    [name] = [path.name for path in folder.iterdir()]
    (stage / name).write_bytes(b"stale")
    import_rasters([str(raster)], addresses(tmp_path), chip=64)
    assert (tmp_path / "out" / "chips" / folder.name / name).read_bytes() == (folder / name).read_bytes()


# --- views, alpha, empty chips


def test_views_show_the_bands_they_name(tmp_path: Path) -> None:
    values = noise(4, 40, 40)
    raster = write(tmp_path / "a.tif", values, **UTM)
    views = [parse_view(text) for text in ("true", "cir", "own=4,1,1", "grey1=2")]
    import_rasters([str(raster)], addresses(tmp_path), chip=64, bands=("R", "G", "B", "IR"), views=views)
    [task] = tasks_of(tmp_path / "out")
    for key, bands in (("image", (0, 1, 2)), ("image_cir", (3, 0, 1)), ("image_own", (3, 0, 0)), ("image_grey1", (1, 1, 1))):
        assert np.array_equal(shown(tmp_path / "out", task, key), np.moveaxis(values[list(bands)], 0, -1)), key


@pytest.mark.parametrize("text", ["veg", "veg=", "veg=RGBX", "veg=1,2", "Veg=RGB", "veg=0", "veg=A", "=RGB", "a b=RGB"])
def test_a_view_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(RSISegError, match="expected"):
        parse_view(text)


def test_a_raster_without_the_bands_of_a_view_is_refused_by_name(tmp_path: Path) -> None:
    raster = write(tmp_path / "a.tif", noise(3, 40, 40), photometric="RGB")
    for text, reason in (("cir", "expected IRRG"), ("x=7", "shows band 7")):
        assert reason in import_rasters([str(raster)], addresses(tmp_path), views=[parse_view(text)]).failed[0].reason
    with pytest.raises(RasterError, match="two views are called cir"):
        import_rasters([str(raster)], addresses(tmp_path), views=[parse_view("cir"), parse_view("cir")])


def test_empty_chips_are_left_out_on_request_and_counted(tmp_path: Path) -> None:
    values = noise(4, 64, 256)
    values[:3, :, :64] = 7  # constant
    values[:3, 3, 5] = 99  # hidden by alpha below
    values[3] = 255
    values[3, 3, 5] = 0
    values[3, :, 64:128] = 0  # transparent
    values[3, :, 128:192] = 0
    values[3, 5, 130] = 255  # one opaque pixel is constant too
    values[3, 9, 200] = 0
    raster = write(tmp_path / "a.tif", values, photometric="RGB", alpha="yes", **UTM)
    summary = import_rasters([str(raster)], addresses(tmp_path), chip=64, skip_empty=True)
    assert (summary.chips, summary.imported[0].empty) == (1, 3)
    assert [task["data"]["window"][0] for task in tasks_of(tmp_path / "out")] == [192]
    assert len(list((tmp_path / "out").rglob("*.png"))) == 1
    assert import_rasters([str(raster)], addresses(tmp_path), chip=64).chips == 4


@pytest.mark.parametrize("nodata", [-9999.0, float("nan")])
def test_chips_of_nodata_are_empty_and_one_pixel_of_data_beside_another_is_not(tmp_path: Path, nodata: float) -> None:
    values = np.full((3, 64, 192), nodata, np.float32)
    values[:, 3, 70] = 1.0
    values[:, 5, 140], values[:, 6, 140] = 1.0, 2.0
    raster = write(tmp_path / "a.tif", values, nodata=nodata)
    summary = import_rasters([str(raster)], addresses(tmp_path), chip=64, skip_empty=True)
    assert [task["data"]["window"][0] for task in tasks_of(tmp_path / "out")] == [128]
    assert summary.imported[0].empty == 2


def test_the_mask_inside_a_file_hides_pixels(tmp_path: Path) -> None:
    raster = write(tmp_path / "a.tif", noise(3, 64, 128), photometric="RGB")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(raster, "r+") as dataset:
        mask = np.zeros((64, 128), bool)
        mask[:, 64:] = True
        dataset.write_mask(mask)
    import_rasters([str(raster)], addresses(tmp_path), chip=64, skip_empty=True)
    assert [task["data"]["window"][0] for task in tasks_of(tmp_path / "out")] == [64]


# --- the area of interest


@pytest.mark.parametrize(("crs", "ending"), [("EPSG:32633", ".gpkg"), ("OGC:CRS84", ".geojson"), ("EPSG:3857", ".gpkg")])
def test_only_chips_that_touch_the_area_are_imported_whatever_its_crs(tmp_path: Path, crs: str, ending: str) -> None:
    import pyogrio.raw
    import pyproj

    raster = write(tmp_path / "a.tif", noise(3, 128, 128), **UTM)
    far = write(tmp_path / "far.tif", noise(3, 64, 64), crs="EPSG:32633", transform=Affine(0.5, 0, 400000, 0, -0.5, 5809761))
    # Pixels 70..100 across, 10..60 down: the second chip of the first row, and nothing else.
    corners = np.array([UTM["transform"] @ corner for corner in ((70, 10), (100, 10), (100, 60), (70, 60))])  # pyright: ignore
    to = pyproj.Transformer.from_crs("EPSG:32633", crs, always_xy=True)
    polygon = shapely.Polygon(np.stack(to.transform(*corners.T), axis=1))
    area = tmp_path / f"area{ending}"
    pyogrio.raw.write(area, np.array([shapely.to_wkb(polygon)]), [], [], geometry_type="Polygon", crs=crs)
    summary = import_rasters([str(raster), str(far)], addresses(tmp_path), chip=64, area=area)
    assert [task["data"]["window"] for task in tasks_of(tmp_path / "out")] == [[64, 0, 64, 64]]
    assert [path.name for path in summary.outside] == ["far.tif"]


def test_an_area_needs_polygons_and_a_raster_with_a_place(tmp_path: Path) -> None:
    area = tmp_path / "area.geojson"
    area.write_text('{"type": "FeatureCollection", "features": []}')
    with pytest.raises(TaskError, match="polygon"):
        import_rasters(["a.tif"], addresses(tmp_path), area=area)
    ring = [[0, 0], [1, 0], [1, 1], [0, 0]]
    area.write_text(json.dumps({"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}))
    raster = write(tmp_path / "a.tif", noise(3, 64, 64))
    assert "no georeference" in import_rasters([str(raster)], addresses(tmp_path), area=area).failed[0].reason


# --- remote


class Ranges(http.server.SimpleHTTPRequestHandler):
    """Answers requests for ranges, as web servers do and Python's own does not, and remembers them."""

    asked: list[tuple[str, int]]

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            return self.send_error(404)
        content = path.read_bytes()
        header = self.headers.get("Range", "")
        first, _, last = header.removeprefix("bytes=").partition("-")
        begin, end = (int(first), min(int(last) + 1 if last else len(content), len(content))) if header else (0, len(content))
        self.asked.append((path.name, end - begin))
        self.send_response(206 if header else 200)
        if header:
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(content)}")
        self.send_header("Content-Length", str(end - begin))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        self.wfile.write(content[begin:end])
        return None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path, list[tuple[str, int]]]]:
    folder = tmp_path / "served"
    folder.mkdir()
    asked: list[tuple[str, int]] = []
    handler = type("Handler", (Ranges,), {"asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder))) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", folder, asked
        running.shutdown()


def test_a_remote_raster_is_read_in_pieces_and_named_by_its_address(server: Any, tmp_path: Path) -> None:
    url, folder, asked = server
    values = noise(3, 2048, 2048)
    write(folder / "big.tif", values, tiled=True, blockxsize=256, blockysize=256, photometric="RGB", **UTM)
    area = tmp_path / "area.geojson"
    to_area = [UTM["transform"] @ corner for corner in ((10, 10), (40, 10), (40, 40), (10, 10))]  # pyright: ignore
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
    geometry = {"type": "Polygon", "coordinates": [[list(corner) for corner in to_area]]}
    feature = {"type": "Feature", "properties": {}, "geometry": geometry}
    area.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": [feature]}))
    summary = import_rasters([f"{url}/big.tif"], addresses(tmp_path), chip=256, area=area)
    assert summary.failed == ()
    [task] = tasks_of(tmp_path / "out")
    assert task["data"]["raster"] == f"{url}/big.tif"
    assert np.array_equal(shown(tmp_path / "out", task), np.moveaxis(values[:, :256, :256], 0, -1))
    read = sum(size for _, size in asked)
    assert read < (folder / "big.tif").stat().st_size / 4, f"{read} bytes were fetched for one chip"
    assert import_rasters([f"{url}/big.tif"], addresses(tmp_path), chip=256, area=area).imported[0].reused


def test_a_remote_raster_that_is_not_there_gets_a_sentence(server: Any, tmp_path: Path) -> None:
    url, folder, _ = server
    (folder / "text.tif").write_text("no raster")
    summary = import_rasters([f"{url}/gone.tif", f"{url}/text.tif"], addresses(tmp_path))
    assert all("could not be opened" in entry.reason and "expected a raster" in entry.reason for entry in summary.failed)
    assert len(summary.failed) == 2


@pytest.mark.parametrize(
    "address",
    ["https://me:secret@example.org/a.tif", "https://example.org/a.tif?sig=secret", "s3://bucket", "gs://bucket/a.tif", "https:///a"],
)
def test_an_address_with_a_secret_or_of_another_kind_is_refused_without_repeating_the_secret(address: str) -> None:
    with pytest.raises(SourceError) as refused:
        remote_raster(address)
    assert "secret" not in str(refused.value)


def test_a_bucket_is_read_through_gdal(tmp_path: Path) -> None:
    assert remote_raster("s3://bucket/folder/a.tif").gdal == "/vsis3/bucket/folder/a.tif"
    assert TaskAddresses(out=tmp_path, document_root=tmp_path).raster(remote_raster("s3://bucket/a.tif")) == "s3://bucket/a.tif"


def test_a_bucket_is_read_by_ranges_too(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, folder, asked = server
    settings = {"S3_ENDPOINT": url.removeprefix("http://"), "HTTPS": "NO", "VIRTUAL_HOSTING": "FALSE", "NO_SIGN_REQUEST": "YES"}
    for name, value in settings.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    (folder / "survey").mkdir()
    values = noise(3, 300, 300)
    write(folder / "survey" / "a.tif", values, tiled=True, blockxsize=256, blockysize=256, photometric="RGB", **UTM)
    summary = import_rasters(["s3://survey/a.tif"], addresses(tmp_path), chip=300)
    assert summary.failed == ()
    [task] = tasks_of(tmp_path / "out")
    assert task["data"]["raster"] == "s3://survey/a.tif"
    assert np.array_equal(shown(tmp_path / "out", task), np.moveaxis(values, 0, -1))
    assert {name for name, _ in asked} == {"a.tif"}


def test_a_task_that_names_an_address_opens_nothing_remote(server: Any) -> None:
    from converters import rasters

    url, folder, asked = server
    write(folder / "a.tif", noise(3, 8, 8))
    for text in (f"{url}/a.tif", f"/vsicurl/{url}/a.tif"):
        with pytest.raises(RasterError, match="is not there"):
            rasters.describe(text)
    assert asked == []
