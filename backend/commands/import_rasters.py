"""`rsiseg import`: rasters to display chips and Label Studio tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from converters.bands import format_bands, parse_bands
from converters.errors import RasterError
from converters.importing.survey import Imported, ImportSummary, import_rasters
from converters.task_addresses import TaskAddresses


@click.command(help="Rasters to display chips and Label Studio tasks.")
@click.argument("rasters", nargs=-1, required=True, metavar="RASTER...")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder for the chips and tasks.json.")
@click.option("--chip", type=click.IntRange(32, 8192), default=600, show_default=True, help="Side of a chip in pixels of the raster.")
@click.option("--bands", help="Meaning of the bands in file order, such as RGBIR; overrides what the file says (X: of no interest).")
@click.option("--crs", help="CRS of the rasters, such as EPSG:32633; overrides what the file says.")
@click.option(
    "--document-root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT",
    show_envvar=True,
    help="Folder that Label Studio's local files count from. Default: the folder above --out.",
)
@click.option("--image-url-prefix", help="Address at which --out is served, instead of Label Studio's local files.")
@click.option(
    "--raster-root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Name rasters relative to this folder, which the backend then needs as a root. Default: absolute paths.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(
    rasters: tuple[str, ...],
    out: Path,
    chip: int,
    bands: str | None,
    crs: str | None,
    document_root: Path | None,
    image_url_prefix: str | None,
    raster_root: Path | None,
    as_json: bool,
) -> None:
    """RASTER is a file that GDAL opens, or a folder of them. Chips at the right and lower edge may be smaller."""
    out = out.resolve()
    addresses = TaskAddresses(
        out=out,
        document_root=(document_root or out.parent).resolve(),
        url_prefix=image_url_prefix,
        raster_root=None if raster_root is None else raster_root.resolve(),
    )
    with tqdm(unit=" chips", desc="import", leave=False) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        letters = None if bands is None else parse_bands(bands)
        summary = import_rasters(rasters, addresses, chip=chip, bands=letters, crs=crs, progress=progress)
    if as_json:
        click.echo(json.dumps(_as_json(summary), indent=1, ensure_ascii=False))
    else:
        _print(summary, addresses)
    if len(summary.failed) == 1:
        raise RasterError(summary.failed[0].reason)
    if summary.failed:
        count = len(summary.failed) + len(summary.imported)
        raise RasterError(f"{len(summary.failed)} of {count} rasters were not imported; the first: {summary.failed[0].reason}")


def _as_json(summary: ImportSummary) -> dict[str, Any]:
    return {
        "tasks": None if summary.tasks is None else str(summary.tasks),
        "chips": summary.chips,
        "rasters": [_raster_as_json(entry) for entry in summary.imported],
        "failed": [{"raster": entry.raster, "reason": entry.reason} for entry in summary.failed],
        "skipped": [str(path) for path in summary.skipped],
    }


def _raster_as_json(entry: Imported) -> dict[str, Any]:
    profile = entry.profile
    return {
        "raster": str(entry.raster),
        "size": [profile.info.size.width, profile.info.size.height],
        "dtype": profile.info.dtype,
        "bands": format_bands(profile.bands),
        "bands_source": profile.bands_source,
        "crs": profile.crs,
        "crs_source": profile.crs_source,
        "gsd": profile.gsd,
        "stretch": profile.stretch,
        "chips": entry.chips,
        "warnings": list(profile.warnings),
    }


def _print(summary: ImportSummary, addresses: TaskAddresses) -> None:
    for entry in summary.imported:
        profile = entry.profile
        crs = (profile.crs or "no CRS") if len(profile.crs or "") <= 20 else "custom CRS"
        where = f"{crs} ({profile.crs_source})" if profile.crs else crs
        bands = f"{format_bands(profile.bands)} ({profile.bands_source})"
        chips = "1 chip" if entry.chips == 1 else f"{entry.chips} chips"
        click.echo(f"{entry.raster}: {chips}, {profile.info.size}, {profile.info.dtype}, {bands}, {where}")
        for warning in profile.warnings:
            click.echo(f"  note: {warning}")
    for failed in summary.failed:
        click.echo(f"{failed.raster}: not imported: {failed.reason}")
    for path in summary.skipped:
        click.echo(f"{path}: skipped, an ISPRS label or height by its name")
    if summary.tasks is not None:
        click.echo(f"{summary.chips} tasks in {summary.tasks}")
        if addresses.url_prefix is None:
            click.echo(f"In Label Studio: add the local storage {addresses.out / 'chips'}, without syncing it, then import that file.")
