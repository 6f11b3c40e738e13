"""What identifies the input of an import, so that what was made from the same is found again."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from converters.chips import PixelWindow
from converters.errors import RasterError
from converters.remote_raster import RasterLocation, RemoteRaster


def file_state(path: RasterLocation) -> str:
    """What changes when a file is written again. Raises RasterError for a file that is gone, SourceError for a server that refuses."""
    if isinstance(path, RemoteRaster):
        return path.state()
    try:
        status = path.stat()
    except OSError:
        raise RasterError(f"{path} is not there or may not be read; expected the file; check the path") from None
    return f"{status.st_size}|{status.st_mtime_ns}"


def digest(parts: Any, length: int = 16) -> str:
    """Hexadecimal digits that stand for plain JSON values: the same for equal values, on every machine."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def chip_id(raster: str, window: PixelWindow) -> str:
    """The id of a chip: the same whenever this raster (as its tasks name it) is cut at this window."""
    return digest([raster, window.col_off, window.row_off, window.width, window.height])
