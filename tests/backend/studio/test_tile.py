from pathlib import Path

import numpy as np
import pytest
import rasterio

from backend.studio import tile
from backend.studio.installation import Installation
from converters.errors import RasterError


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path / "data")


def quiet(done: int, total: int) -> None:
    pass


def write(path: Path, pixels: np.ndarray) -> Path:
    bands, height, width = pixels.shape
    profile = {"driver": "GTiff", "count": bands, "height": height, "width": width, "dtype": "uint8", "crs": "EPSG:32633"}
    with rasterio.open(path, "w", transform=rasterio.Affine(0.05, 0, 392_000, 0, -0.05, 5_820_000), **profile) as dataset:
        dataset.write(pixels)
    return path


def test_missing_tile_is_an_error(installation: Installation, tmp_path: Path) -> None:
    with pytest.raises(RasterError, match=r"there is no raster .*absent\.tif; expected"):
        tile.choose_tile(tmp_path / "absent.tif", installation)


def test_real_tile_beside_the_checkout_is_the_default(installation: Installation, shared: Path) -> None:
    chosen = tile.choose_tile(None, installation)
    assert chosen.is_relative_to(shared)
    assert chosen.is_file()


def test_without_it_a_scene_is_drawn_once(installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile, "CHECKOUT", tmp_path / "elsewhere")
    monkeypatch.setattr(tile, "_SCENE_SIZE", 256)
    drawn = tile.choose_tile(None, installation)
    with rasterio.open(drawn) as dataset:
        assert (dataset.count, dataset.crs.to_epsg(), dataset.res) == (4, 32633, (0.05, 0.05))
    before = drawn.stat().st_mtime_ns
    assert tile.choose_tile(None, installation) == drawn
    assert drawn.stat().st_mtime_ns == before


def test_chips_are_cut_once_for_each_state_of_the_file(installation: Installation, tmp_path: Path) -> None:
    raster = write(tmp_path / "my tile.tif", np.random.default_rng(0).integers(1, 255, (3, 700, 650), dtype=np.uint8))
    first = tile.import_tile(raster, installation, quiet)
    assert [task["data"]["window"] for task in first.tasks] == [
        [0, 0, 600, 600],
        [600, 0, 50, 600],
        [0, 600, 600, 100],
        [600, 600, 50, 100],
    ]
    assert all(task["data"]["image"].startswith(f"/data/local-files/?d={first.name}/") for task in first.tasks)
    stamps = {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")}
    assert tile.import_tile(raster, installation, quiet) == first
    assert {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")} == stamps
    write(raster, np.random.default_rng(1).integers(1, 255, (3, 700, 651), dtype=np.uint8))
    assert tile.import_tile(raster, installation, quiet).name != first.name


def test_chips_that_show_nothing_come_last(installation: Installation, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(1, 255, (3, 600, 1800), dtype=np.uint8)
    pixels[:, :, :600] = 0
    chips = tile.import_tile(write(tmp_path / "tile.tif", pixels), installation, quiet)
    assert [task["data"]["window"][0] for task in chips.tasks] == [600, 1200, 0]


def test_file_that_is_no_raster_leaves_nothing(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "text.tif").write_text("no raster")
    with pytest.raises(RasterError, match=r"text\.tif"):
        tile.import_tile(tmp_path / "text.tif", installation, quiet)
    assert list(installation.files.rglob("*.png")) == []
    assert list(installation.files.rglob("tasks.json")) == []
