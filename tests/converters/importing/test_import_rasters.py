"""Rasters become chips and tasks: every pixel once, at its place, the same bytes again, nothing half written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from converters.errors import RasterError, SourceError
from converters.frames import NativePoint, Size, native_to_map
from converters.importing.grid import windows
from converters.importing.sources import EXTENSIONS
from converters.importing.survey import import_rasters
from converters.label_studio import chip_from_task_data
from converters.rasters import read_window
from converters.resolver import Resolver
from converters.task_addresses import TaskAddresses

PLACE = {"crs": "EPSG:32633", "transform": Affine(0.05, 0, 366976.5, 0, -0.05, 5809761.0)}


def write(path: Path, values: np.ndarray, **profile: Any) -> Path:
    count, height, width = values.shape
    with rasterio.open(path, "w", driver="GTiff", count=count, height=height, width=width, dtype=values.dtype, **profile) as dataset:
        dataset.write(values)
    return path


def noise(count: int, height: int, width: int, dtype: str = "uint8", high: int = 256) -> np.ndarray:
    return np.random.default_rng(0).integers(1, high, (count, height, width)).astype(dtype)


def addresses(tmp_path: Path, **options: Any) -> TaskAddresses:
    return TaskAddresses(out=tmp_path / "out", document_root=tmp_path, **options)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@given(st.integers(1, 200), st.integers(1, 200), st.integers(16, 90))
def test_chips_cover_every_pixel_once_and_the_rest_at_the_edge_is_kept(width: int, height: int, chip: int) -> None:
    covered = np.zeros((height, width), dtype=int)
    for window in windows(Size(width, height), chip):
        assert 0 < window.width <= chip
        assert 0 < window.height <= chip
        covered[window.row_off : window.row_off + window.height, window.col_off : window.col_off + window.width] += 1
    assert (covered == 1).all()


def test_a_task_finds_its_own_pixels_and_its_place(tmp_path: Path) -> None:
    """Through the addresses alone, as the browser and the backend use them."""
    values = noise(4, 130, 170)
    raster = write(tmp_path / "tile ä.tif", values, **PLACE)
    summary = import_rasters([str(raster)], addresses(tmp_path), chip=64, bands=("R", "G", "B", "IR"))
    assert summary.tasks == tmp_path / "out" / "tasks.json"
    tasks = json.loads(summary.tasks.read_text(encoding="utf-8"))
    assert len(tasks) == summary.chips == 9
    resolve = Resolver([tmp_path], document_root=tmp_path).local_path
    for task in tasks:
        chip = chip_from_task_data(task["data"])
        shown = np.asarray(Image.open(resolve(chip.image)))
        area = chip.window
        native = read_window(resolve(chip.raster), area, bands=(1, 2, 3))
        assert np.array_equal(shown, native)
        own = values[:3, area.row_off : area.row_off + area.height, area.col_off : area.col_off + area.width]
        assert np.array_equal(shown, np.moveaxis(own, 0, -1))
        assert chip.transform is not None
        assert native_to_map(NativePoint(0.5, 0.5), chip.transform) == pytest.approx(
            PLACE["transform"] @ (chip.window.col_off + 0.5, chip.window.row_off + 0.5)  # pyright: ignore
        )
        assert (chip.bands, chip.crs, chip.native_size, chip.stretch) == (("R", "G", "B", "IR"), "EPSG:32633", Size(170, 130), None)
        meta = task["meta"]["rsiseg"]
        assert (meta["bands_source"], meta["crs_source"]) == ("given", "file")
    assert len({task["data"]["chip_id"] for task in tasks}) == 9


def test_importing_again_gives_the_same_files_and_bytes(tmp_path: Path) -> None:
    raster = write(tmp_path / "deep.tif", noise(3, 100, 100, "uint16", 4000), **PLACE)
    import_rasters([str(raster)], addresses(tmp_path), chip=64)
    first = tree(tmp_path / "out")
    import_rasters([str(raster)], addresses(tmp_path), chip=64)
    assert tree(tmp_path / "out") == first
    assert len(first) == 5


def test_two_rasters_of_one_name_keep_their_own_chips(tmp_path: Path) -> None:
    for folder, value in (("a", 10), ("b", 20)):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "tile.tif", np.full((3, 8, 8), value, np.uint8))
    summary = import_rasters([str(tmp_path / "a"), str(tmp_path / "b" / "tile.tif"), str(tmp_path / "a" / "tile.tif")], addresses(tmp_path))
    assert summary.chips == 2
    pictures = sorted((tmp_path / "out" / "chips").rglob("*.png"))
    assert sorted(int(np.asarray(Image.open(path)).max()) for path in pictures) == [10, 20]


def test_one_stretch_serves_every_chip_of_a_raster(tmp_path: Path) -> None:
    values = np.tile(np.linspace(0, 10_000, 128, dtype=np.float32), (1, 64, 1))
    values[0, 0, 0] = np.nan
    raster = write(tmp_path / "float.tif", values)
    summary = import_rasters([str(raster)], addresses(tmp_path), chip=64)
    left, right = (np.asarray(Image.open(path)) for path in sorted((tmp_path / "out" / "chips").rglob("*.png")))
    assert left[0, 0].tolist() == [0, 0, 0]
    assert int(left.max()) < 130 < int(right.min()) + 10, "a stretch per chip would make both 0..255"
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text())
    assert tasks[0]["data"]["stretch"] == tasks[1]["data"]["stretch"]
    assert [list(pair) for pair in summary.imported[0].profile.stretch or ()] == tasks[0]["data"]["stretch"]


def test_transparent_and_missing_pixels_are_black_in_the_picture(tmp_path: Path) -> None:
    values = noise(4, 8, 8, "uint16", 4000)
    values[3] = 65535
    values[3, :4] = 0
    raster = write(tmp_path / "alpha.tif", values)
    with rasterio.open(raster, "r+") as dataset:
        dataset.colorinterp = [rasterio.enums.ColorInterp[name] for name in ("red", "green", "blue", "alpha")]
    import_rasters([str(raster)], addresses(tmp_path))
    [path] = (tmp_path / "out" / "chips").rglob("*.png")
    shown = np.asarray(Image.open(path))
    assert shown.shape == (8, 8, 3)
    assert not shown[:4].any()
    assert shown[4:].mean() > 50


def test_a_raster_that_breaks_off_leaves_nothing_and_does_not_hinder_the_others(tmp_path: Path) -> None:
    good = write(tmp_path / "good.tif", noise(3, 100, 100))
    whole = write(tmp_path / "whole.tif", noise(3, 300, 300), compress="deflate").read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.tif").write_text("no raster")
    told: list[tuple[int, int]] = []
    summary = import_rasters(
        [str(tmp_path / name) for name in ("cut.tif", "text.tif", "gone.tif", "good.tif")],
        addresses(tmp_path),
        chip=100,
        progress=lambda done, total: told.append((done, total)),
    )
    assert [entry.raster for entry in summary.imported] == [good]
    reasons = {Path(entry.raster).name: entry.reason for entry in summary.failed}
    assert "cut short or damaged" in reasons["cut.tif"]
    assert "not a raster" in reasons["text.tif"]
    assert "is not there" in reasons["gone.tif"]
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.png")) == ["r000000_c000000_100x100.png"]
    assert not [path for path in (tmp_path / "out").rglob("*") if path.name.startswith(".")]
    assert told[-1] == (10, 10)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_when_nothing_can_be_imported_the_old_task_file_stays(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "tasks.json").write_text("[]")
    (tmp_path / "text.tif").write_text("no raster")
    assert import_rasters([str(tmp_path / "text.tif")], addresses(tmp_path)).tasks is None
    assert (tmp_path / "out" / "tasks.json").read_text() == "[]"


def test_a_folder_is_searched_and_isprs_labels_in_it_are_skipped_by_name(tmp_path: Path) -> None:
    nested = tmp_path / "potsdam" / "2_Ortho_RGB" / "2_Ortho_RGB"
    nested.mkdir(parents=True)
    write(nested / "top_potsdam_2_10_RGB.tif", noise(3, 8, 8))
    write(nested / "top_potsdam_2_10_label.tif", noise(3, 8, 8))
    (nested / "notes.txt").write_text("")
    summary = import_rasters([str(tmp_path / "potsdam")], addresses(tmp_path))
    assert [entry.raster.name for entry in summary.imported] == ["top_potsdam_2_10_RGB.tif"]
    assert [path.name for path in summary.skipped] == ["top_potsdam_2_10_label.tif"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(RasterError, match="holds no raster"):
        import_rasters([str(tmp_path / "empty")], addresses(tmp_path))
    with pytest.raises(SourceError, match="is an address with the scheme ftp"):
        import_rasters(["ftp://example.org/a.tif"], addresses(tmp_path))


def test_addresses_for_other_set_ups(tmp_path: Path) -> None:
    raster = write(tmp_path / "a b.tif", noise(1, 8, 8))
    elsewhere = addresses(tmp_path, url_prefix="https://tiles.example.org/x/", raster_root=tmp_path)
    import_rasters([str(raster)], elsewhere)
    [task] = json.loads((tmp_path / "out" / "tasks.json").read_text())
    assert task["data"]["raster"] == "a b.tif"
    assert task["data"]["image"].startswith("https://tiles.example.org/x/chips/a_b-")
    (tmp_path / "other").mkdir()
    outside = addresses(tmp_path, raster_root=tmp_path / "other")
    assert "not below the raster root" in import_rasters([str(raster)], outside).failed[0].reason
    with pytest.raises(SourceError, match="not below Label Studio's document root"):
        TaskAddresses(out=tmp_path / "out", document_root=tmp_path / "other")


def test_every_real_raster_is_imported_or_gets_a_sentence(shared: Path, tmp_path: Path) -> None:
    """64 rasters of all kinds, and beside them label files, vectors and tables that are none."""
    images = [str(path) for path in sorted((shared / "data/geotiffs/images").rglob("*")) if path.is_file()]
    labels = [str(path) for path in sorted((shared / "data/geotiffs/labels").rglob("*")) if path.is_file()]
    summary = import_rasters([*images, *labels], addresses(tmp_path))
    assert {entry.raster for entry in summary.failed}.isdisjoint(images)
    assert len(images) == 64
    assert len(summary.imported) + len(summary.failed) == len(images) + len(labels)
    assert all("expected" in entry.reason for entry in summary.failed)
    assert summary.tasks is not None
    for task in json.loads(summary.tasks.read_text(encoding="utf-8")):
        chip = chip_from_task_data(task["data"])
        with Image.open(tmp_path / Resolver([], document_root=tmp_path).local_path(chip.image)) as picture:
            assert picture.mode == "RGB"
            assert picture.size == (chip.window.width, chip.window.height)


def test_every_tile_of_openaerialmap_is_imported(shared: Path, tmp_path: Path) -> None:
    """RGBA tiles of a web map: no georeference of their own, which the summary says of each."""
    tiles = [path for path in (shared / "data/fair_oam").rglob("*") if path.suffix.lower() in EXTENSIONS]
    summary = import_rasters([str(shared / "data/fair_oam")], addresses(tmp_path))
    assert len(summary.imported) == len(tiles) >= 147
    assert summary.failed == ()
    for entry in summary.imported:
        assert entry.profile.crs is not None or any("no georeference" in warning for warning in entry.profile.warnings)


def test_the_demonstration_tile_is_sixteen_chips_in_its_own_crs(shared: Path, tmp_path: Path) -> None:
    tile = shared / "data/geotiffs/images/deepforest/5b90f92da0d7280005fab355_4310.tif"
    summary = import_rasters([str(tile)], addresses(tmp_path))
    profile = summary.imported[0].profile
    assert (summary.chips, profile.crs, profile.bands, profile.stretch) == (16, "EPSG:3395", ("R", "G", "B"), None)
    assert profile.gsd == pytest.approx(0.1, rel=0.05)
    assert profile.warnings == ()
