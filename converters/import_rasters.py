"""Rasters become display chips and Label Studio tasks.

The chips of a raster appear together when all are written, the task file last and at once; the same rasters and options give the same
names and bytes. A raster that cannot be imported leaves nothing behind and does not hinder the others.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from affine import Affine
from PIL import Image

from converters import bands as band_letters
from converters import isprs
from converters.chips import Chip, PixelWindow
from converters.errors import RasterError, RSISegError
from converters.frames import Size
from converters.label_studio import chip_to_task_data
from converters.raster_profile import RasterProfile, settle
from converters.rasters import read_window
from converters.task_addresses import TaskAddresses

TASKS = "tasks.json"
# What a folder is searched for; a file named on its own may be anything that GDAL opens.
EXTENSIONS = frozenset({".tif", ".tiff", ".vrt", ".jp2", ".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".img"})


@dataclass(frozen=True, slots=True)
class Imported:
    """One raster that was imported: what its tasks record, and how many there are."""

    raster: Path
    profile: RasterProfile
    chips: int


@dataclass(frozen=True, slots=True)
class Failed:
    """One raster that was not imported, and the sentence why."""

    raster: str
    reason: str


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """The outcome of an import; `tasks` is None when nothing could be imported and no file was written."""

    tasks: Path | None
    imported: tuple[Imported, ...]
    failed: tuple[Failed, ...]
    skipped: tuple[Path, ...]

    @property
    def chips(self) -> int:
        """Tasks in the file."""
        return sum(entry.chips for entry in self.imported)


def import_rasters(
    sources: Sequence[str],
    addresses: TaskAddresses,
    *,
    chip: int = 600,
    bands: tuple[str, ...] | None = None,
    crs: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ImportSummary:
    """Writes chips and the task file into `addresses.out` and tells what became of every source.

    sources: raster files and folders of them. chip: side of a chip in native px; the last of a row or column may be smaller.
    bands, crs: override what the files say. progress: told (chips done, chips in all) after each chip.
    Raises RasterError for a folder without rasters and for an output folder that cannot be written; a raster that fails is reported.
    """
    paths, skipped = find_rasters(sources)
    profiles: list[tuple[Path, RasterProfile]] = []
    failed: list[Failed] = []
    for path in paths:
        try:
            profiles.append((path, settle(path, bands=bands, crs=crs)))
        except RSISegError as error:
            failed.append(Failed(str(path), str(error)))
    total = sum(len(list(windows(profile.info.size, chip))) for _, profile in profiles)
    done, tasks, imported = 0, [], []
    for path, profile in profiles:
        try:
            chips = list(_chips(path, profile, addresses, chip))
            _write_chips(chips, path, profile, addresses, lambda written, before=done: progress(before + written, total))
        except RSISegError as error:
            failed.append(Failed(str(path), str(error)))
        else:
            tasks.extend(_task(entry, profile) for entry, _ in chips)
            imported.append(Imported(path, profile, len(chips)))
        done += len(list(windows(profile.info.size, chip)))
        progress(done, total)
    file = _write_tasks(tasks, addresses.out) if tasks else None
    return ImportSummary(file, tuple(imported), tuple(failed), tuple(skipped))


def find_rasters(sources: Sequence[str]) -> tuple[list[Path], list[Path]]:
    """(rasters, skipped): every file once, folders searched through in sorted order; ISPRS labels and heights in folders are skipped.

    Raises RasterError for an address on the web and for a folder without rasters.
    """
    found: dict[Path, Path] = {}
    skipped: list[Path] = []
    for source in sources:
        if "://" in source:
            raise RasterError(f"{source} is an address; expected a raster on this machine; download it and give its path")
        path = Path(source)
        if not path.is_dir():
            found.setdefault(path.resolve(), path)
            continue
        inside = sorted(entry for entry in path.rglob("*") if entry.suffix.lower() in EXTENSIONS and entry.is_file())
        if not inside:
            raise RasterError(f"the folder {path} holds no raster; expected files such as {', '.join(sorted(EXTENSIONS))}")
        for entry in inside:
            name = isprs.parse_name(entry)
            if name is not None and name.role != "image":
                skipped.append(entry)
            else:
                found.setdefault(entry.resolve(), entry)
    return list(found.values()), skipped


def windows(size: Size, chip: int) -> Iterator[PixelWindow]:
    """The grid of chips over a raster, row by row from the upper left; what is left at the right and lower edge is kept as it is."""
    for row in range(0, size.height, chip):
        for col in range(0, size.width, chip):
            yield PixelWindow(col, row, min(chip, size.width - col), min(chip, size.height - row))


def _chips(path: Path, profile: RasterProfile, addresses: TaskAddresses, side: int) -> Iterator[tuple[Chip, Path]]:
    """Every chip of a raster with its file relative to the output folder."""
    info = profile.info
    raster = addresses.raster(path)
    whole = Chip(
        image="",
        raster=raster,
        window=PixelWindow(0, 0, info.size.width, info.size.height),
        transform=info.transform,
        crs=profile.crs,
        bands=profile.bands,
        scale=1.0,
        gsd=profile.gsd,
        native_size=info.size,
        stretch=profile.stretch,
        nodata=info.nodata,
    )
    for window in windows(info.size, side):
        file = addresses.chip(raster, window)
        place = None if info.transform is None else info.transform @ Affine.translation(window.col_off, window.row_off)
        yield replace(whole, image=addresses.image(file), window=window, transform=place), file


def _write_chips(
    chips: Sequence[tuple[Chip, Path]], path: Path, profile: RasterProfile, addresses: TaskAddresses, written: Callable[[int], None]
) -> None:
    """The pictures of one raster: first all of them in a folder aside, then each moved to its place."""
    shown, alpha = band_letters.display(profile.bands), band_letters.alpha(profile.bands)
    folder = chips[0][1].parent
    aside = addresses.out / f".importing-{folder.name}"
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        for count, (chip, file) in enumerate(chips, start=1):
            picture = read_window(path, chip.window, bands=shown, stretch=chip.stretch, nodata=chip.nodata, alpha=alpha)
            Image.fromarray(picture).save(aside / file.name, "PNG", compress_level=3)
            written(count)
        (addresses.out / folder).mkdir(parents=True, exist_ok=True)
        for _, file in chips:
            (aside / file.name).replace(addresses.out / file)
    except OSError as error:
        raise RasterError(f"{addresses.out} cannot be written ({error.strerror}); make room or choose another --out") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _task(chip: Chip, profile: RasterProfile) -> dict[str, Any]:
    """A task; `meta` keeps whether band letters and CRS are the file's word or an assumption, so that an export can tell."""
    sources = {"bands_source": profile.bands_source, "crs_source": profile.crs_source}
    return {"data": chip_to_task_data(chip), "meta": {"rsiseg": sources}}


def _write_tasks(tasks: Sequence[dict[str, Any]], out: Path) -> Path:
    file, aside = out / TASKS, out / f".{TASKS}.part"
    try:
        aside.write_text(json.dumps(tasks, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
        aside.replace(file)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise RasterError(f"{file} cannot be written ({error.strerror}); make room or choose another --out") from None
    return file
