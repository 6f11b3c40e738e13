"""The network gets the native pixels of the chip's window, in its own band order, whatever the browser was shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from harness import Server, config, point
from PIL import Image
from rasterio.transform import from_origin

from converters import rle
from converters.chips import Chip, PixelWindow
from converters.frames import Size
from converters.label_studio import chip_to_task_data

WINDOW = PixelWindow(40, 20, 60, 50)


def write_raster(path: Path, values: np.ndarray, **profile: Any) -> None:
    bands, height, width = values.shape
    profile = {"driver": "GTiff", "crs": "EPSG:32633", "transform": from_origin(0, 0, 0.05, 0.05), **profile}
    with rasterio.open(path, "w", count=bands, height=height, width=width, dtype=values.dtype, **profile) as file:
        file.write(values)


def chip_data(path: Path, letters: tuple[str, ...], *, scale: float = 1.0, **changes: Any) -> dict[str, Any]:
    chip = Chip("chip.png", str(path), WINDOW, None, None, letters, scale, None, Size(150, 100), None, None)
    return {**chip_to_task_data(chip), **changes}


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(2).integers(1, 255, (4, 100, 150), dtype=np.uint8)


def clicked(server: Server, data: dict[str, Any], *, size: tuple[int, int] = (60, 50), model: str = "fake") -> np.ndarray:
    """What the segmenter was given to encode; fails if there was no mask of the picture's size."""
    images: list[np.ndarray] = []
    segmenter = server.segmenters[model]
    original = type(segmenter).encode
    segmenter.encode = lambda image: images.append(image) or original(segmenter, image)  # type: ignore[method-assign, func-returns-value]
    (region,) = server.click([point(50, 50, size=size)], data=data, config=config(model_name=model))["result"]
    assert rle.decode(region["value"]["rle"], Size(*size))[size[1] // 2, size[0] // 2]
    (image,) = images
    return image


def test_the_window_in_the_models_bands(server: Server, values: np.ndarray) -> None:
    path = server.files / "r.tif"
    write_raster(path, values)
    window = values[:, 20:70, 40:100]
    np.testing.assert_array_equal(clicked(server, chip_data(path, ("R", "G", "B", "IR"))), np.moveaxis(window[:3], 0, -1))
    infrared = clicked(server, chip_data(path, ("R", "G", "B", "IR")), model="infrared")
    np.testing.assert_array_equal(infrared, np.moveaxis(window[[3, 0, 1]], 0, -1))


def test_a_band_recipe_of_the_tag(server: Server, values: np.ndarray) -> None:
    path = server.files / "r.tif"
    write_raster(path, values)
    server.click([point(50, 50, size=(60, 50))], data=chip_data(path, ("R", "G", "B", "IR")), config=config(model_bands="IRRG"))
    ((key, _),) = server.runtime.sessions.encodings._entries
    assert key.bands == (4, 1, 2)


def test_sixteen_bits_go_through_the_stretch_of_the_task(server: Server) -> None:
    path = server.files / "r.tif"
    values = np.linspace(0, 4000, 3 * 100 * 150).reshape(3, 100, 150).astype(np.uint16)
    write_raster(path, values)
    image = clicked(server, chip_data(path, ("R", "G", "B"), stretch=[[1000, 3000]] * 3))
    assert image.dtype == np.uint8
    expected = np.clip((values[:, 20:70, 40:100].astype(float) - 1000) / 2000, 0, 1) * 255
    assert np.abs(np.moveaxis(image.astype(float), -1, 0) - expected).max() <= 1


def test_transparent_pixels_are_black_for_the_network(server: Server, values: np.ndarray) -> None:
    path = server.files / "r.tif"
    values[3] = 255
    values[3, :, 70:] = 0
    write_raster(path, values)
    image = clicked(server, chip_data(path, ("R", "G", "B", "A")))
    assert (image[:, 30:] == 0).all() and (image[:, :30] > 0).all()


@pytest.mark.parametrize("scale", [2.0, 0.5])
def test_a_scaled_picture_is_clicked_and_answered_in_its_own_pixels(server: Server, values: np.ndarray, scale: float) -> None:
    path = server.files / "r.tif"
    write_raster(path, values)
    size = (round(60 * scale), round(50 * scale))
    image = clicked(server, chip_data(path, ("R", "G", "B"), scale=scale), size=size)
    assert image.shape == (50, 60, 3)
    (click,) = server.fake.steps[-1]
    assert (click.col, click.row) == (30, 25)


@pytest.mark.parametrize(
    ("changes", "size", "words"),
    [
        ({}, (61, 50), "61 x 50 px, recorded were 60 x 50 px"),
        ({"scale": 2.0}, (60, 50), "60 x 50 px, recorded were 120 x 100 px"),
        ({"native_size": [300, 200]}, (60, 50), "150 x 100 px, recorded were 300 x 200 px"),
        ({"bands": "XXXX"}, (60, 50), "expected RGB"),
        ({"bands": 7}, (60, 50), "'bands'"),
        ({"stretch": [[0, 1]]}, (60, 50), "'stretch'"),
        ({"raster": "gone.tif"}, (60, 50), "gone.tif"),
    ],
)
def test_a_chip_that_contradicts_its_raster_is_refused_naming_both(
    server: Server, values: np.ndarray, changes: dict[str, Any], size: tuple[int, int], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = server.files / "r.tif"
    write_raster(path, values)
    assert server.click([point(50, 50, size=size)], data={**chip_data(path, ("R", "G", "B", "IR")), **changes})["result"] == []
    assert "task 4: " in caplog.text and words in caplog.text
    assert server.metric('rsiseg_failures_total{reason="unexpected"}') == 0


def test_a_truncated_raster_is_said_to_be_truncated(server: Server, values: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    path = server.files / "r.tif"
    write_raster(path, values)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    data = {**chip_data(path, ("R", "G", "B", "IR")), "window": [40, 50, 60, 50]}
    assert server.click([point(50, 50, size=(60, 50))], data=data)["result"] == []
    assert "cut short" in caplog.text


def test_a_picture_too_large_for_memory_is_refused_before_it_is_read(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    path = server.files / "huge.tif"
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "tiled": True, "SPARSE_OK": "TRUE", "BIGTIFF": "YES"}
    with rasterio.open(path, "w", width=60_000, height=60_000, **profile):
        pass  # a few KB on disk, 10 GB in memory
    assert server.click([point(50, 50, size=(60_000, 60_000))], data={"image": "huge.tif"})["result"] == []
    assert "60000 x 60000 px" in caplog.text and "rsiseg import" in caplog.text
    assert server.fake.encodes == 0


def test_a_picture_that_the_browser_turns_is_refused(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    turned = Image.new("RGB", (60, 60), "green")
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(server.files / "turned.jpg", exif=exif)
    assert server.click([point(50, 50, size=(60, 60))], data={"image": "turned.jpg"})["result"] == []
    assert "EXIF" in caplog.text


def test_a_picture_with_alpha_and_a_grey_one_serve_as_they_are(server: Server) -> None:
    Image.new("RGBA", (60, 50), (10, 20, 30, 255)).save(server.files / "rgba.png")
    Image.new("L", (60, 50), 77).save(server.files / "grey.png")
    assert clicked(server, {"image": "rgba.png"})[0, 0].tolist() == [10, 20, 30]
    assert clicked(server, {"image": "grey.png"})[0, 0].tolist() == [77, 77, 77]


def test_the_window_is_read_once_for_two_models(server: Server, values: np.ndarray) -> None:
    path = server.files / "r.tif"
    write_raster(path, values)
    data = chip_data(path, ("R", "G", "B"))
    first, second = clicked(server, data), clicked(server, data, model="other")
    assert first is second
    assert not first.flags.writeable
