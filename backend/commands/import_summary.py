"""What became of an import, for people and as JSON."""

from __future__ import annotations

from typing import Any

import click

from converters.bands import format_bands
from converters.importing.survey import Imported, ImportSummary
from converters.task_addresses import TaskAddresses


def as_json(summary: ImportSummary) -> dict[str, Any]:
    """The summary as plain JSON."""
    return {
        "tasks": None if summary.tasks is None else str(summary.tasks),
        "chips": summary.chips,
        "rasters": [_raster_as_json(entry) for entry in summary.imported],
        "failed": [{"raster": entry.raster, "reason": entry.reason} for entry in summary.failed],
        "skipped": [str(path) for path in summary.skipped],
        "outside": [str(path) for path in summary.outside],
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
        "empty": entry.empty,
        "regions": entry.regions,
        "left_out": dict(entry.left_out),
        "reused": entry.reused,
        "warnings": list(profile.warnings),
    }


def print_summary(summary: ImportSummary, addresses: TaskAddresses, uploaded: dict[str, Any] | None) -> None:
    """The summary in words, with the next step."""
    for entry in summary.imported:
        _print_raster(entry)
    for path in summary.outside:
        click.echo(f"{path}: outside the area")
    for failed in summary.failed:
        click.echo(f"{failed.raster}: not imported: {failed.reason}")
    for path in summary.skipped:
        click.echo(f"{path}: skipped, an ISPRS label or height by its name")
    if summary.tasks is None:
        return
    click.echo(f"{summary.chips} tasks in {summary.tasks}")
    if uploaded is not None:
        project = "new project" if uploaded["created"] else "project"
        click.echo(f"{uploaded['imported']} tasks uploaded, {uploaded['known']} were there: {project} {uploaded['url']}")
    elif addresses.url_prefix is None:
        click.echo(f"In Label Studio: add the local storage {addresses.out / 'chips'}, without syncing it, then import that file.")


def _print_raster(entry: Imported) -> None:
    profile = entry.profile
    crs = (profile.crs or "no CRS") if len(profile.crs or "") <= 20 else "custom CRS"
    where = f"{crs} ({profile.crs_source})" if profile.crs else crs
    bands = f"{format_bands(profile.bands)} ({profile.bands_source})"
    chips = "1 chip" if entry.chips == 1 else f"{entry.chips} chips"
    made = " (made earlier)" if entry.reused else ""
    click.echo(f"{entry.raster}: {chips}{made}, {profile.info.size}, {profile.info.dtype}, {bands}, {where}")
    if entry.empty:
        click.echo(f"  note: {entry.empty} chips show nothing and are left out")
    if entry.regions is not None:
        click.echo(f"  note: {entry.regions} regions of pre-annotations")
    for reason, count in entry.left_out:
        click.echo(f"  note: {count} objects of the labels are left out: {reason}")
    for warning in profile.warnings:
        click.echo(f"  note: {warning}")
