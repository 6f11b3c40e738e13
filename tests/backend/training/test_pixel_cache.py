"""Decoded once, found again, never half there; what a sample reads of it; what a loader process gets."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image

from backend.errors import UsageError
from backend.training import pixel_cache
from backend.training.objects import Pool, load_pools
from backend.training.pixel_cache import CachedImages, CachedWindow, PixelCache, Wanted
from backend.training.sources import Source
from converters.chips import PixelWindow
from converters.errors import RasterError
from converters.labelled import open_labelled


def write_set(folder: Path, images: int = 10, bands: int = 3, side: int = 70) -> Path:
    """Images of noise with two squares each, of two classes."""
    rng = np.random.default_rng(1)
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for number in range(images):
        label = np.zeros((side, side + 10), np.uint8)
        label[5:25, 10:40], label[40:60, 30:50] = 1, 2
        label[0, 0] = 9
        Image.fromarray(label).save(folder / "labels" / f"n{number}.png")
        pixels = rng.integers(0, 256, (bands, side, side + 10), dtype=np.uint8)
        if bands == 3:
            Image.fromarray(np.moveaxis(pixels, 0, -1)).save(folder / "images" / f"n{number}.png")
        else:
            path = folder / "images" / f"n{number}.tif"
            with rasterio.open(path, "w", driver="GTiff", width=side + 10, height=side, count=bands, dtype="uint8") as out:
                out.write(pixels)
                out.descriptions = ("red", "green", "blue", "nir")[:bands]
    (folder / "classes.json").write_text(json.dumps({"classes": {"roof": 1, "car": 2}, "ignore": [9], "background": [0]}))
    return folder


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    return write_set(tmp_path / "set")


def pixels_of(folder: Path, name: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(folder / "images" / name))


def wanted(folder: Path, channels: tuple[int, ...] | None = None) -> list[Wanted]:
    return [Wanted(image, channels, 3 if channels is None else len(channels)) for image in open_labelled(folder).images]


def windows(files: tuple[Path, ...], box: tuple[int, int, int, int] = (0, 0, 70, 80)) -> CachedImages:
    return CachedImages([CachedWindow(file, box) for file in files])


def test_cached_pixels_are_the_decoded_ones_in_the_channels_asked_for(noise: Path, tmp_path: Path) -> None:
    cache = PixelCache(tmp_path / "cache")
    for channels in (None, (2, 0), (1, 1, 1)):
        images = windows(cache.fill(wanted(noise, channels)))
        for number, image in enumerate(images):
            expected = pixels_of(noise, f"n{number}.png")
            np.testing.assert_array_equal(image, expected if channels is None else expected[..., list(channels)])
    cut = windows(cache.fill(wanted(noise)), (10, 20, 30, 60))
    np.testing.assert_array_equal(cut[3], pixels_of(noise, "n3.png")[10:30, 20:60])
    assert not list((tmp_path / "cache").glob(".*"))


def test_an_image_is_decoded_once(noise: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = Wanted.read

    def counted(self: Wanted, window: PixelWindow | None = None) -> NDArray[np.uint8]:
        read.append(self.image.name)
        return original(self, window)

    monkeypatch.setattr(Wanted, "read", counted)
    files = PixelCache(tmp_path / "cache").fill(wanted(noise))
    assert sorted(read) == sorted(f"n{number}.png" for number in range(10))
    assert PixelCache(tmp_path / "cache").fill(wanted(noise)) == files
    assert len(read) == 10


def test_what_changed_is_decoded_again(noise: Path, tmp_path: Path) -> None:
    cache, path = PixelCache(tmp_path / "cache"), noise / "images" / "n4.png"
    before = cache.fill(wanted(noise))
    Image.fromarray(255 - pixels_of(noise, "n4.png")).save(path)
    os.utime(path, ns=(1, 1))
    after = cache.fill(wanted(noise))
    assert [one == other for one, other in zip(before, after, strict=True)].count(False) == 1
    np.testing.assert_array_equal(windows(after)[4], pixels_of(noise, "n4.png"))


def test_large_images_are_decoded_by_bands_of_rows(noise: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixel_cache, "_CHUNK_BYTES", 3 * 80 * 16)
    heights: list[int] = []
    original = Wanted.read

    def counted(self: Wanted, window: PixelWindow | None = None) -> NDArray[np.uint8]:
        assert window is not None
        heights.append(window.height)
        return original(self, window)

    monkeypatch.setattr(Wanted, "read", counted)
    (file,) = PixelCache(tmp_path / "cache").fill(wanted(noise)[:1])
    assert heights == [16, 16, 16, 16, 6]
    np.testing.assert_array_equal(np.load(file), pixels_of(noise, "n0.png"))


@pytest.mark.parametrize("damage", [b"", b"no array", None])
def test_a_file_that_is_not_whole_is_decoded_again(noise: Path, tmp_path: Path, damage: bytes | None) -> None:
    cache = PixelCache(tmp_path / "cache")
    file = cache.fill(wanted(noise))[2]
    file.write_bytes(file.read_bytes()[:-1000] if damage is None else damage)
    np.testing.assert_array_equal(windows(cache.fill(wanted(noise)))[2], pixels_of(noise, "n2.png"))


def test_nothing_half_written_is_left(noise: Path, tmp_path: Path) -> None:
    broken = noise / "images" / "n5.png"
    broken.write_bytes(broken.read_bytes()[:9000])
    with pytest.raises(RasterError, match=r"n5\.png is cut short or damaged"):
        PixelCache(tmp_path / "cache").fill(wanted(noise))
    assert sum(1 for _ in (tmp_path / "cache").iterdir()) == 5  # those before it, whole
    for file in (tmp_path / "cache").iterdir():
        assert np.load(file).shape == (70, 80, 3)


def test_too_little_room_is_told_before_anything_is_decoded(noise: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"10 images of this run take 0\.2 MB decoded, of 0\.1 MB allowed"):
        PixelCache(tmp_path / "cache", most_bytes=100_000).fill(wanted(noise))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100_000))
    with pytest.raises(UsageError, match="name a folder on a larger disk with --cache"):
        PixelCache(tmp_path / "cache").fill(wanted(noise))
    assert not list((tmp_path / "cache").iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"file/cache cannot be written \(Not a directory\)"):
        PixelCache(tmp_path / "file" / "cache").fill(wanted(noise))


def same(one: Pool, other: Pool) -> None:
    """Two pools draw the same samples."""
    generators = np.random.default_rng(3), np.random.default_rng(3)
    for _ in range(40):
        (image, item), (again, twin) = one.draw(generators[0]), other.draw(generators[1])
        np.testing.assert_array_equal(image, again)
        np.testing.assert_array_equal(item.mask, twin.mask)
        assert (item.image, item.class_name, item.box, item.bands) == (twin.image, twin.class_name, twin.box, twin.bands)


@pytest.mark.parametrize("patch", [None, 32])
def test_a_pool_on_the_cache_draws_what_a_pool_in_memory_draws(noise: Path, tmp_path: Path, patch: int | None) -> None:
    sources = [Source(noise, patch=patch), Source(noise, 2.0, frozenset({"n3"}))]
    plain = load_pools(sources, min_area=20)
    cached = load_pools(sources, min_area=20, cache=PixelCache(tmp_path / "cache"))
    for one, other in zip(plain, cached, strict=True):
        assert len(one.objects) == len(other.objects) > 0
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
        same(one, other)


def test_ignored_pixels_come_back_from_the_file(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", images=4)
    for label in (folder / "labels").iterdir():
        values = np.array(Image.open(label))
        values[10:12, 12:15] = 9
        Image.fromarray(values).save(label)
    training, _ = load_pools([Source(folder)], min_area=20, cache=PixelCache(tmp_path / "cache"))
    roofs = [item for item in training.objects if item.class_name == "roof"]
    assert roofs and all((item.mask == -1).sum() == 6 for item in roofs)


def _drawn_elsewhere(pool: Pool, seed: int) -> list[tuple[int, int]]:
    rng = np.random.default_rng(seed)
    return [(int(image.sum()), int(item.mask.sum())) for image, item in (pool.draw(rng) for _ in range(20))]


def test_a_pool_goes_to_loader_processes_without_its_pixels(noise: Path, tmp_path: Path) -> None:
    pool, _ = load_pools([Source(noise)], min_area=20, cache=PixelCache(tmp_path / "cache"))
    packed = pickle.dumps(pool)
    assert len(packed) < 10_000 < sum(image.nbytes for image in pool.images)
    here = _drawn_elsewhere(pool, 7)
    with multiprocessing.get_context("fork").Pool(1) as processes:
        assert processes.apply(_drawn_elsewhere, (pool, 7)) == here
    pixel_cache._mapped.cache_clear()  # as in a process that has never seen the files
    assert _drawn_elsewhere(pickle.loads(packed), 7) == here


def test_draws_are_those_of_choice_with_the_same_probabilities(noise: Path) -> None:
    pool, _ = load_pools([Source(noise)], min_area=20)
    one, other = np.random.default_rng(9), np.random.default_rng(9)
    for _ in range(200):
        expected = pool.objects[int(other.choice(len(pool.objects), p=pool.probabilities))]
        assert pool.draw(one)[1] is expected
    assert one.bit_generator.state == other.bit_generator.state


def test_a_cached_image_that_vanished_is_named(noise: Path, tmp_path: Path) -> None:
    pool, _ = load_pools([Source(noise)], min_area=20, cache=PixelCache(tmp_path / "cache"))
    for file in (tmp_path / "cache").glob("*.npy"):
        file.unlink()
    pixel_cache._mapped.cache_clear()
    with pytest.raises(UsageError, match="start again, and it is decoded again"):
        pool.draw(np.random.default_rng(0))


def test_a_sample_of_a_large_tile_reads_its_window_only(tmp_path: Path) -> None:
    """By the pages of the mapping that became resident: at most those that the window's rows lie on, of whatever size the system maps.

    Linux may map a file by up to 2 MiB at a touch and does so on some days and not on others, so the bound is the rows' bytes rounded out
    to that: 4 MiB of 108 MB. Reading the picture whole would be 103 MiB.
    """
    file, side, page = tmp_path / "tile.npy", 6000, 2 << 20
    np.save(file, np.zeros((side, side, 3), np.uint8))
    view = CachedImages([CachedWindow(file, (0, 0, side, side))])[0]
    before = _resident(file)
    assert int(view[1000:1064, 500:564].sum()) == 0
    assert not view.flags.owndata and not view.flags.writeable
    header = file.stat().st_size - side * side * 3
    first, last = header + 1000 * side * 3, header + 1064 * side * 3
    assert _resident(file) - before <= (-(-last // page) - first // page) * page < side * side * 3 / 20


def _resident(file: Path) -> int:
    """Bytes of the file that this process has mapped in, from /proc/self/smaps."""
    path = Path("/proc/self/smaps")
    if not path.exists():
        pytest.skip("this system does not tell which pages of a mapping are resident")
    total, inside = 0, False
    for line in path.read_text().splitlines():
        if "-" in line.split(" ", 1)[0] and ":" not in line.split(" ", 1)[0]:
            inside = line.endswith(str(file))
        elif inside and line.startswith("Rss:"):
            total += 1024 * int(line.split()[1])
    return total
