"""Images decoded once, as files that every process maps into memory: a sample then costs the pages it touches.

A cached file is a NumPy array (.npy) of the channels that the model reads, uint8 HxWxC in native px, named after what it was made from:
path, size and time of the raster, its window, its channels. It is written to a temporary name and renamed, so a reader finds it whole or
not at all, and what changes is decoded again under another name. The folder may be deleted at any time between two runs.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, overload

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from backend.errors import UsageError
from converters.chips import PixelWindow
from converters.labelled_export import ExportLabelled
from converters.labelled_objects import LabelledImage
from converters.whole_file import replacing

_VERSION = 1
_CHUNK_BYTES = 32 << 20
_MAPPED_PER_PROCESS = 128  # each keeps a file descriptor, of which a process often has 1024
_SPARE_BYTES = 1 << 30  # of the disk, left for checkpoints


@dataclass(frozen=True, slots=True)
class Wanted:
    """Pixels to be cached: an image, and which of its channels (0-based, in this order; None: all). count: how many these are."""

    image: LabelledImage
    channels: tuple[int, ...] | None
    count: int

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels alone."""
        return self.image.size.width * self.image.size.height * self.count

    def read(self, window: PixelWindow | None = None) -> NDArray[np.uint8]:
        """The window (None: all), decoded: uint8 HxWxcount."""
        pixels = self.image.read(window)
        return np.ascontiguousarray(pixels if self.channels is None else pixels[:, :, list(self.channels)])

    @property
    def key(self) -> str:
        """Changes whenever the pixels may."""
        raster = self.image.files[0]  # every reader names the picture first, its labels behind it
        status = raster.stat()
        chip = self.image.chip if isinstance(self.image, ExportLabelled) else None
        place = None if chip is None else repr((chip.window, chip.stretch, chip.nodata))
        made_from = [str(raster.resolve()), status.st_size, status.st_mtime_ns, self.image.bands, self.channels, self.count, place]
        return hashlib.sha256(json.dumps([_VERSION, *made_from]).encode()).hexdigest()


class PixelCache:
    """A folder of decoded images.

    most_bytes: the largest size that the images of one run may have in it; None: what the disk has room for.
    """

    def __init__(self, folder: Path, *, most_bytes: int | None = None) -> None:
        self.folder = folder
        self._most_bytes = most_bytes

    def fill(self, wanted: Sequence[Wanted]) -> tuple[Path, ...]:
        """The file of each, in order; those that are not there yet are decoded.

        UsageError, before anything is decoded, where they would take more room than there is; RasterError for damaged images.
        """
        files = tuple(self.folder / f"{one.key[:32]}.npy" for one in wanted)
        missing = {file: one for file, one in zip(files, wanted, strict=True) if not _is_whole(file, one)}
        with _writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._check_room(dict(zip(files, wanted, strict=True)), missing)
            for file, one in tqdm(missing.items(), desc="decoding images", leave=False, disable=None):
                with replacing(file) as aside, aside.open("wb") as stream:
                    _write(stream, one)
        return files

    def _check_room(self, every: dict[Path, Wanted], missing: dict[Path, Wanted]) -> None:
        total = sum(one.nbytes for one in every.values())
        if self._most_bytes is not None and total > self._most_bytes:
            raise UsageError(
                f"the {len(every)} images of this run take {_size(total)} decoded, of {_size(self._most_bytes)} allowed for {self.folder}; "
                "allow more, or train on fewer images"
            )
        new, free = sum(one.nbytes for one in missing.values()), shutil.disk_usage(self.folder).free
        if new + _SPARE_BYTES > free:
            raise UsageError(
                f"{len(missing)} images take {_size(new)} decoded and {self.folder} has {_size(free)} left, of which {_size(_SPARE_BYTES)} "
                "are kept for checkpoints; name a folder on a larger disk with --cache"
            )


@dataclass(frozen=True, slots=True)
class CachedWindow:
    """A rectangle of a cached file: half open, (row0, col0, row1, col1) px."""

    file: Path
    box: tuple[int, int, int, int]


class CachedImages(Sequence[NDArray[np.uint8]]):
    """Windows of cached files as read-only arrays, uint8 HxWxC, that are views of mapped memory: cutting a part reads that part.

    Pickled, it is a list of names, so loader processes get it for nothing and share the pages.
    """

    def __init__(self, windows: Sequence[CachedWindow]) -> None:
        self._windows = tuple(windows)

    def __len__(self) -> int:
        return len(self._windows)

    @overload
    def __getitem__(self, index: int) -> NDArray[np.uint8]: ...
    @overload
    def __getitem__(self, index: slice) -> CachedImages: ...
    def __getitem__(self, index: int | slice) -> NDArray[np.uint8] | CachedImages:
        if isinstance(index, slice):
            return CachedImages(self._windows[index])
        row0, col0, row1, col1 = self._windows[index].box
        return _mapped(self._windows[index].file)[row0:row1, col0:col1]


@lru_cache(maxsize=_MAPPED_PER_PROCESS)
def _mapped(file: Path) -> NDArray[np.uint8]:
    try:
        # As a plain array: a memmap hands its class on to everything that is computed from it.
        return np.asarray(np.lib.format.open_memmap(file, mode="r"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the cached image {file} cannot be read ({error}); it was deleted or damaged in use; start again, and it is decoded again"
        ) from error


def _is_whole(file: Path, wanted: Wanted) -> bool:
    """Whether a cached file is there with the size it must have; a machine that lost power may have left less under the name."""
    try:
        pixels = np.lib.format.open_memmap(file, mode="r")
    except (OSError, ValueError):
        return False
    size = wanted.image.size
    return bool(pixels.shape == (size.height, size.width, wanted.count) and pixels.dtype == np.uint8)


def _write(stream: BinaryIO, one: Wanted) -> None:
    """By bands of rows, so that no raster is ever held whole. Plain writes: a full disk is an error then, and not a signal."""
    width, height = one.image.size.width, one.image.size.height
    header = {"descr": "|u1", "fortran_order": False, "shape": (height, width, one.count)}
    np.lib.format.write_array_header_1_0(stream, header)
    rows = max(1, _CHUNK_BYTES // (width * one.count))
    for row in range(0, height, rows):
        stream.write(one.read(PixelWindow(0, row, width, min(rows, height - row))).tobytes())


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"the cache {folder} cannot be written ({error.strerror or error}); name a folder with room for it with --cache"
        ) from error


def _size(nbytes: int) -> str:
    return f"{nbytes / 1e9:.1f} GB" if nbytes >= 1e9 else f"{nbytes / 1e6:.1f} MB"
