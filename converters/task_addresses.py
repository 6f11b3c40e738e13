"""How a task names its chip for the browser and its raster for the backend."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from converters.chips import PixelWindow
from converters.errors import SourceError
from converters.remote_raster import RasterLocation, RemoteRaster


@dataclass(frozen=True, slots=True)
class TaskAddresses:
    """The addresses of one import.

    out: folder of the import. document_root: the folder that Label Studio's local files count from; `out` lies in it.
    url_prefix: instead of that, the address at which `out` is served.
    raster_root: rasters are named relative to it (the backend then needs it as a root); None: by absolute path.
    Raises SourceError when `out` is not below the document root.
    """

    out: Path
    document_root: Path
    url_prefix: str | None = None
    raster_root: Path | None = None

    def __post_init__(self) -> None:
        if self.url_prefix is None and not self.out.is_relative_to(self.document_root):
            raise SourceError(
                f"the output folder {self.out} is not below Label Studio's document root {self.document_root}, so Label Studio cannot "
                "serve its chips; choose --out below it, another --document-root, or --image-url-prefix"
            )

    def raster(self, path: RasterLocation) -> str:
        """The `raster` of a task: an absolute path, one relative to the raster root with forward slashes, or the address of a remote one.

        Raises SourceError for a raster outside the raster root.
        """
        if isinstance(path, RemoteRaster):
            return path.address
        resolved = path.resolve()
        if self.raster_root is None:
            return resolved.as_posix()
        if not resolved.is_relative_to(self.raster_root):
            raise SourceError(f"{path} is not below the raster root {self.raster_root}; move it there or leave --raster-root away")
        return resolved.relative_to(self.raster_root).as_posix()

    def folder(self, raster: str) -> Path:
        """The folder of a raster's chips, relative to `out`: unlike for every raster, and the same in every run."""
        stem = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(raster).stem)[:80]
        digest = hashlib.sha256(raster.encode()).hexdigest()[:8]
        return Path("chips") / f"{stem}-{digest}"

    def chip(self, raster: str, window: PixelWindow, view: str = "") -> Path:
        """The chip's file, relative to `out`: unlike for every raster, window, chip size and further view, and the same in every run."""
        return self.folder(raster) / chip_name(window, view)

    def image(self, chip: Path) -> str:
        """The `image` of a task for a chip's file relative to `out`."""
        if self.url_prefix is not None:
            return f"{self.url_prefix.rstrip('/')}/{quote(chip.as_posix())}"
        return f"/data/local-files/?d={quote((self.out / chip).relative_to(self.document_root).as_posix())}"


def chip_name(window: PixelWindow, view: str = "") -> str:
    """The file name of a chip's picture. view: name of a further view of the same chip; empty for the first."""
    suffix = f"_{view}" if view else ""
    return f"r{window.row_off:06d}_c{window.col_off:06d}_{window.width}x{window.height}{suffix}.png"
