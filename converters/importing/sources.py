"""Which rasters an import is about: files, folders of them, and addresses that the user typed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from converters import isprs
from converters.errors import RasterError
from converters.remote_raster import RasterLocation, remote_raster

# What a folder is searched for; a file named on its own may be anything that GDAL opens.
EXTENSIONS = frozenset({".tif", ".tiff", ".vrt", ".jp2", ".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".img"})


def find_rasters(sources: Sequence[str]) -> tuple[list[RasterLocation], list[Path]]:
    """(rasters, skipped): every raster once, folders searched through in sorted order; ISPRS labels and heights in folders are skipped.

    Raises RasterError for a folder without rasters, SourceError for an address that is not http(s):// or s3:// or that carries a secret.
    """
    found: dict[RasterLocation, RasterLocation] = {}
    skipped: list[Path] = []
    for source in sources:
        if "://" in source:
            remote = remote_raster(source)
            found.setdefault(remote, remote)
            continue
        path = Path(source)
        if not path.is_dir():
            found.setdefault(path.resolve(), path)
            continue
        for entry in _inside(path):
            name = isprs.parse_name(entry)
            if name is not None and name.role != "image":
                skipped.append(entry)
            else:
                found.setdefault(entry.resolve(), entry)
    return list(found.values()), skipped


def _inside(folder: Path) -> list[Path]:
    inside = sorted(entry for entry in folder.rglob("*") if entry.suffix.lower() in EXTENSIONS and entry.is_file())
    if not inside:
        raise RasterError(f"the folder {folder} holds no raster; expected files such as {', '.join(sorted(EXTENSIONS))}")
    return inside
