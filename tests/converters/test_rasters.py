"""What a file says about itself, and windows of it in 8 bits."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from affine import Affine
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import ColorInterp

from converters import raster_files, rasters
from converters.chips import PixelWindow
from converters.errors import RasterError
from converters.frames import Size

PLACE = {"crs": "EPSG:32633", "transform": Affine(0.05, 0, 366976.5, 0, -0.05, 5809761.0)}


def write(path: Path, values: NDArray[Any], *, colours: str = "", **profile: Any) -> Path:
    """A GeoTIFF of CxHxW values; colours: names of colour interpretation, blank separated."""
    count, height, width = values.shape
    with rasterio.open(path, "w", driver="GTiff", count=count, height=height, width=width, dtype=values.dtype, **profile) as dataset:
        if colours:
            dataset.colorinterp = [ColorInterp[name] for name in colours.split()]
        dataset.write(values)
    return path


def noise(count: int, height: int, width: int, dtype: str = "uint8", *, high: int = 256, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(1, high, (count, height, width)).astype(dtype)


def test_a_file_is_described_by_what_it_says(tmp_path: Path) -> None:
    path = write(tmp_path / "tile.tif", noise(4, 40, 60), colours="red green blue nir", nodata=0, **PLACE)
    info = rasters.describe(path)
    assert (info.size, info.bands, info.bands_source) == (Size(60, 40), ("R", "G", "B", "IR"), "file")
    assert (info.dtype, info.crs, info.nodata, info.driver) == ("uint8", "EPSG:32633", 0, "GTiff")
    assert info.transform == PLACE["transform"]
    assert info.gsd == pytest.approx(0.05)
    assert info.warnings == ()


def test_a_bare_picture_has_no_place(tmp_path: Path) -> None:
    info = rasters.describe(write(tmp_path / "bare.tif", noise(1, 5, 5)))
    assert (info.transform, info.crs, info.gsd, info.bands) == (None, None, None, ("L",))


def test_a_custom_crs_is_kept_as_wkt(tmp_path: Path) -> None:
    crs = "+proj=tmerc +lat_0=1.5 +lon_0=12.25 +k=0.9997 +x_0=1234 +ellps=GRS80 +units=m"
    info = rasters.describe(write(tmp_path / "custom.tif", noise(1, 5, 5), crs=crs, transform=PLACE["transform"]))
    assert info.crs is not None
    assert "12.25" in info.crs
    assert info.gsd == pytest.approx(0.05)


def test_ground_sampling_distance_in_degrees_and_in_mercator_is_metres_on_the_ground(tmp_path: Path) -> None:
    degrees = Affine(1e-6, 0, 13.0, 0, -1e-6, 60.0)
    info = rasters.describe(write(tmp_path / "degrees.tif", noise(1, 8, 8), crs="EPSG:4326", transform=degrees))
    assert info.gsd == pytest.approx((0.0558 + 0.1114) / 2, rel=0.01)  # a degree of longitude at 60 N is 55.8 km, of latitude 111.4 km
    mercator = Affine(1.0, 0, 1447153.0, 0, -1.0, 8399737.9)  # 13 E 60 N
    info = rasters.describe(write(tmp_path / "mercator.tif", noise(1, 8, 8), crs="EPSG:3857", transform=mercator))
    assert info.gsd == pytest.approx(0.5, rel=0.01)  # cos 60


def test_a_fourth_band_without_a_name_is_infrared_or_alpha_as_its_pixels_say(tmp_path: Path) -> None:
    picture, mask = noise(4, 64, 64), noise(4, 64, 64)
    mask[3] = 255
    mask[3, :20] = 0
    infrared = rasters.describe(write(tmp_path / "a.tif", picture, colours="red green blue undefined"))
    transparent = rasters.describe(write(tmp_path / "b.tif", mask, colours="red green blue undefined"))
    assert (infrared.bands, infrared.bands_source) == (("R", "G", "B", "IR"), "assumed")
    assert (transparent.bands, transparent.bands_source) == (("R", "G", "B", "A"), "assumed")
    assert "assumed" in infrared.warnings[0]


def test_an_alpha_band_that_holds_a_picture_is_reported_and_kept_out(tmp_path: Path) -> None:
    info = rasters.describe(write(tmp_path / "odd.tif", noise(4, 64, 64), colours="red green blue alpha"))
    assert info.bands == ("R", "G", "B", "A")
    assert "--bands RGBIR" in info.warnings[0]


def test_band_names_in_the_file_win_over_colours(tmp_path: Path) -> None:
    path = write(tmp_path / "named.tif", noise(3, 8, 8), colours="red green blue")
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = ("NIR", "Red", "Green")
    assert rasters.describe(path).bands == ("IR", "R", "G")


def test_an_isprs_name_tells_the_bands(tmp_path: Path) -> None:
    rgbir = write(tmp_path / "top_potsdam_2_10_RGBIR.tif", noise(4, 8, 8), colours="red green blue alpha")
    area = write(tmp_path / "top_mosaic_09cm_area1.tif", noise(3, 8, 8), colours="red green blue")
    assert (rasters.describe(rgbir).bands, rasters.describe(rgbir).bands_source) == (("R", "G", "B", "IR"), "ISPRS name")
    assert rasters.describe(area).bands == ("IR", "R", "G")


def test_a_world_file_names_the_centre_of_the_first_pixel(tmp_path: Path) -> None:
    """The example of one Potsdam tile: the affine's origin is half a pixel away from the world file's."""
    path = write(tmp_path / "top_potsdam_2_10_RGB.tif", noise(3, 8, 8))
    path.with_suffix(".tfw").write_text("0.05\n0\n0\n-0.05\n366976.525\n5809761.000\n")
    info = rasters.describe(path)
    assert info.transform is not None
    assert info.transform.c == pytest.approx(366976.5, abs=1e-6)
    assert info.transform.f == pytest.approx(5809761.025, abs=1e-6)
    assert info.crs is None


def test_uint8_windows_are_the_files_own_pixels_in_the_order_asked(tmp_path: Path) -> None:
    values = noise(4, 30, 50)
    path = write(tmp_path / "tile.tif", values, nodata=7)
    window = rasters.read_window(path, PixelWindow(5, 3, 20, 10), bands=(4, 1, 1), nodata=7)
    assert window.dtype == np.uint8
    assert np.array_equal(window, np.moveaxis(values[[3, 0, 0], 3:13, 5:25], 0, -1))


def test_other_types_go_through_the_recorded_stretch_and_nodata_and_nan_become_black(tmp_path: Path) -> None:
    values = np.array([[[100, 150, 200, 250, -9999, np.nan]]], dtype=np.float32)
    path = write(tmp_path / "float.tif", values, nodata=-9999)
    window = rasters.read_window(path, PixelWindow(0, 0, 6, 1), bands=(1,), stretch=((100, 200),), nodata=-9999)
    assert window[0, :, 0].tolist() == [0, 128, 255, 255, 0, 0]


def test_transparent_pixels_are_black_when_the_caller_names_the_alpha_band(tmp_path: Path) -> None:
    values = noise(4, 8, 8)
    values[3] = 255
    values[3, :4] = 0
    path = write(tmp_path / "alpha.tif", values, colours="red green blue alpha")
    window = rasters.read_window(path, PixelWindow(0, 0, 8, 8), bands=(1, 2, 3), alpha=4)
    assert not window[:4].any()
    assert np.array_equal(window[4:], np.moveaxis(values[:3, 4:], 0, -1))


def test_a_palette_is_read_as_the_colours_it_stands_for(tmp_path: Path) -> None:
    path = tmp_path / "palette.tif"
    with rasterio.open(path, "w", driver="GTiff", count=1, height=1, width=3, dtype="uint8", photometric="palette") as dataset:
        dataset.write(np.array([[[0, 1, 2]]], dtype=np.uint8))
        dataset.write_colormap(1, {0: (0, 0, 0, 255), 1: (255, 0, 0, 255), 2: (9, 8, 7, 255)})
    assert rasters.describe(path).bands == ("R", "G", "B")
    assert rasters.read_window(path, PixelWindow(0, 0, 3, 1), bands=(3, 2, 1)).tolist() == [[[0, 0, 0], [0, 0, 255], [7, 8, 9]]]


def test_a_window_decodes_only_the_blocks_it_touches(tmp_path: Path) -> None:
    """Every other block of the file is destroyed: reading the window cannot have needed them."""
    values = noise(3, 1024, 1024)
    path = write(tmp_path / "tiled.tif", values, tiled=True, blockxsize=256, blockysize=256, compress="deflate", interleave="pixel")
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        blocks = list(zip(page.dataoffsets, page.databytecounts, strict=True))  # pyright: ignore
    with path.open("r+b") as file:
        for index, (offset, length) in enumerate(blocks):
            if index not in (5, 6):  # second row of blocks, columns 1 and 2
                file.seek(offset)
                file.write(b"\xff" * length)
    window = rasters.read_window(path, PixelWindow(300, 260, 400, 200), bands=(1, 2, 3))
    assert np.array_equal(window, np.moveaxis(values[:, 260:460, 300:700], 0, -1))
    with pytest.raises(RasterError, match="could not be decoded"):
        rasters.read_window(path, PixelWindow(0, 0, 10, 10), bands=(1, 2, 3))


def test_a_thread_opens_a_file_once_and_shares_it_with_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "tile.tif", noise(1, 32, 32))
    opened: list[int] = []
    real = rasterio.open

    def spy(*args: Any, **kwargs: Any) -> Any:
        opened.append(threading.get_ident())
        return real(*args, **kwargs)

    monkeypatch.setattr(raster_files.rasterio, "open", spy)

    both_alive = threading.Barrier(2)

    def work() -> None:
        both_alive.wait()
        for _ in range(5):
            rasters.read_window(path, PixelWindow(0, 0, 8, 8), bands=(1,))
        both_alive.wait()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(opened) == sorted({thread.ident for thread in threads})


def test_a_replaced_file_is_read_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "tile.tif", np.full((1, 4, 4), 10, np.uint8))
    assert rasters.read_window(path, PixelWindow(0, 0, 4, 4), bands=(1,)).max() == 10
    write(tmp_path / "new.tif", np.full((1, 4, 5), 20, np.uint8)).replace(path)
    assert rasters.read_window(path, PixelWindow(0, 0, 4, 4), bands=(1,)).max() == 20


@pytest.mark.parametrize("window", [PixelWindow(-1, 0, 4, 4), PixelWindow(0, 0, 9, 4), PixelWindow(0, 5, 4, 4), PixelWindow(0, 0, 0, 4)])
def test_a_window_outside_the_raster_is_refused_with_both_sizes(tmp_path: Path, window: PixelWindow) -> None:
    path = write(tmp_path / "tile.tif", noise(1, 8, 8))
    with pytest.raises(RasterError, match=r"8 x 8 px; expected a window inside"):
        rasters.read_window(path, window, bands=(1,))


def test_bands_outside_the_raster_and_a_missing_stretch_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "deep.tif", noise(2, 8, 8, "uint16"))
    with pytest.raises(RasterError, match="between 1 and 2"):
        rasters.read_window(path, PixelWindow(0, 0, 8, 8), bands=(3,), stretch=((0, 1), (0, 1)))
    with pytest.raises(RasterError, match="must record a stretch"):
        rasters.read_window(path, PixelWindow(0, 0, 8, 8), bands=(1,))


def test_the_stretch_ignores_nodata_nan_and_transparent_pixels(tmp_path: Path) -> None:
    values = np.linspace(1000, 2000, 100 * 100, dtype=np.float32).reshape(1, 100, 100).repeat(2, axis=0)
    values[0, :10] = -9999
    values[0, 10:20] = np.nan
    values[0, 20:30] = 1e6
    values[1] = 1
    values[1, 20:30] = 0
    path = write(tmp_path / "float.tif", values, nodata=-9999)
    stretch = rasters.raster_stretch(path, bands=("L", "A"), nodata=-9999)
    assert stretch is not None
    valid = values[0, 30:]
    assert stretch[0] == pytest.approx((np.percentile(valid, 2), np.percentile(valid, 98)))
    assert rasters.raster_stretch(write(tmp_path / "byte.tif", noise(1, 8, 8)), bands=("L",), nodata=None) is None


def test_the_stretch_of_a_large_raster_is_taken_from_its_overviews(tmp_path: Path) -> None:
    """The full-resolution blocks are destroyed: the percentiles cannot have needed them."""
    values = noise(1, 4096, 4096, "uint16", high=2000)
    path = write(tmp_path / "large.tif", values, tiled=True, compress="deflate")
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4])
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        blocks = list(zip(page.dataoffsets, page.databytecounts, strict=True))  # pyright: ignore
    with path.open("r+b") as file:
        for offset, length in blocks:
            file.seek(offset)
            file.write(b"\xff" * length)
    stretch = rasters.raster_stretch(path, bands=("L",), nodata=None)
    assert stretch is not None
    assert stretch[0] == pytest.approx((40, 1960), abs=5)


def test_a_constant_band_becomes_middle_grey_and_an_empty_one_black(tmp_path: Path) -> None:
    values = np.zeros((2, 8, 8), dtype=np.uint16)
    values[0] = 300
    path = write(tmp_path / "flat.tif", values, nodata=0)
    stretch = rasters.raster_stretch(path, bands=("X", "X"), nodata=0)
    window = rasters.read_window(path, PixelWindow(0, 0, 8, 8), bands=(1, 2), stretch=stretch, nodata=0)
    assert set(np.unique(window[..., 0])) == {128}
    assert not window[..., 1].any()


def test_unreadable_files_each_get_their_own_sentence(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.tif", noise(3, 256, 256), compress="deflate").read_bytes()
    (tmp_path / "text.tif").write_text("no raster at all")
    (tmp_path / "empty.tif").write_bytes(b"")
    (tmp_path / "head.tif").write_bytes(whole[:100])
    (tmp_path / "half.tif").write_bytes(whole[: len(whole) // 2])
    write(tmp_path / "complex.tif", np.ones((1, 4, 4), np.complex64))
    for name, sentence in {
        "missing.tif": "is not there",
        "text.tif": "not a raster that GDAL can read",
        "empty.tif": "is empty",
        "head.tif": "cut short or damaged",
        "complex.tif": "complex numbers",
        ".": "is not a file",
    }.items():
        with pytest.raises(RasterError, match=sentence):
            rasters.describe(tmp_path / name)
    with pytest.raises(RasterError, match=r"half\.tif is cut short or damaged: .* could not be decoded"):
        rasters.read_window(tmp_path / "half.tif", PixelWindow(0, 0, 256, 256), bands=(1, 2, 3))


@pytest.mark.parametrize("kind", ["png", "jpg", "tif", "webp", "bmp"])
def test_a_picture_that_is_cut_short_is_never_returned_as_pixels(tmp_path: Path, kind: str) -> None:
    whole, cut = tmp_path / f"whole.{kind}", tmp_path / f"cut.{kind}"
    Image.fromarray(np.moveaxis(noise(3, 300, 400), 0, -1)).save(whole)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    window = PixelWindow(0, 0, 400, 300)
    assert rasters.read_window(whole, window, bands=(1, 2, 3)).shape == (300, 400, 3)
    with pytest.raises(RasterError, match="cut short or damaged"):
        rasters.read_window(cut, window, bands=(1, 2, 3))


def test_a_decimated_window_is_the_same_picture_with_fewer_pixels(tmp_path: Path) -> None:
    blocks = np.random.default_rng(0).integers(0, 256, (3, 5, 7), np.uint8)
    path = tmp_path / "a.tif"
    with rasterio.open(path, "w", driver="GTiff", width=70, height=50, count=3, dtype="uint8") as raster:
        raster.write(np.kron(blocks, np.ones((1, 10, 10), np.uint8)))
    picture = rasters.read_window(path, PixelWindow(0, 0, 70, 50), bands=(3, 2, 1), shape=(5, 7))
    assert np.array_equal(picture, np.moveaxis(blocks[::-1], 0, -1))
