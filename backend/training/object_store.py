"""The objects of a pool in a file that every process maps: masks are the larger half of what a loader process would copy."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from backend.errors import UsageError
from backend.training.augment import RGB


@dataclass(frozen=True, slots=True)
class PooledObject:
    """An object to click on.

    image: index into the pool's images. class_name: for balance and reports; training asks for no class. box: (row0, col0, row1, col1) px
    of that image, half open. mask: int8 of its box, 1 object, 0 other, -1 ignored. bands: letters of the image's channels.
    """

    image: int
    class_name: str
    box: tuple[int, int, int, int]
    mask: NDArray[np.int8]
    bands: tuple[str, ...] = RGB


class StoredObjects(Sequence[PooledObject]):
    """Objects whose masks lie one behind the other in a file; an object's mask is a read-only view of it.

    numbers: int64 [N, 7], of each object: image, row of `kinds`, row0, col0, row1, col1, offset of its mask. kinds: class and bands.
    """

    def __init__(self, masks: Path, numbers: NDArray[np.int64], kinds: Sequence[tuple[str, tuple[str, ...]]]) -> None:
        self._masks = masks
        self._numbers = numbers
        self._kinds = tuple(kinds)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> PooledObject: ...
    @overload
    def __getitem__(self, index: slice) -> StoredObjects: ...
    def __getitem__(self, index: int | slice) -> PooledObject | StoredObjects:
        if isinstance(index, slice):
            return StoredObjects(self._masks, self._numbers[index], self._kinds)
        image, kind, row0, col0, row1, col1, offset = self._numbers[index].tolist()
        height, width = row1 - row0, col1 - col0
        mask = _mapped(self._masks)[offset : offset + height * width].reshape(height, width)
        class_name, bands = self._kinds[kind]
        return PooledObject(image, class_name, (row0, col0, row1, col1), mask, bands)

    def chosen(self, numbers: Iterable[int]) -> StoredObjects:
        """Some of the objects, on the same file."""
        return StoredObjects(self._masks, self._numbers[np.fromiter(numbers, np.int64)], self._kinds)


def stored(objects: Iterable[PooledObject], folder: Path) -> StoredObjects:
    """The objects with their masks in a file of `folder`, one at a time, never all in memory; the same masks are the same file."""
    numbers: list[tuple[int, ...]] = []
    kinds: dict[tuple[str, tuple[str, ...]], int] = {}
    digest, offset = hashlib.sha256(), 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".objects.", suffix=".part", delete=False) as stream:
            temporary = Path(stream.name)
            try:
                for item in objects:
                    kind = kinds.setdefault((item.class_name, item.bands), len(kinds))
                    numbers.append((item.image, kind, *item.box, offset))
                    pixels = np.ascontiguousarray(item.mask).tobytes()
                    digest.update(pixels)
                    offset += stream.write(pixels)
                stream.close()
                file = folder / f"objects_{digest.hexdigest()[:24]}.masks"
                temporary.replace(file)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise UsageError(
            f"the cache {folder} cannot be written ({error.strerror or error}); name a folder with room for it with --cache"
        ) from error
    return StoredObjects(file, np.array(numbers, np.int64).reshape(-1, 7), tuple(kinds))


@lru_cache(maxsize=4)
def _mapped(file: Path) -> NDArray[np.int8]:
    if file.is_file() and not file.stat().st_size:
        return np.empty(0, np.int8)
    try:
        return np.asarray(np.memmap(file, np.int8, mode="r"))
    except (OSError, ValueError) as error:
        raise UsageError(f"the objects' masks {file} cannot be read ({error}); start again, and they are written again") from error
