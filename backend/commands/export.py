"""`rsiseg export`: a Label Studio export to georeferenced features."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from backend.errors import UsageError
from converters import geojson
from converters.errors import ExportError, TaskError
from converters.export import PIXEL_MEMBERS, WHICH, Export, export, report
from converters.label_config import parse
from converters.label_studio_export import read_export

FORMATS = ("geojson",)
LATER = ("gpkg", "coco", "yolo", "masks")


@click.command(short_help="A Label Studio export to georeferenced features.")
@click.argument("label_studio_json", type=click.Path(path_type=Path))
@click.option("--format", "format_", default="geojson", show_default=True, help="geojson: RFC 7946, longitude and latitude.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The file to write; replaced only when all of it is there.")
@click.option("--label-config", "config", type=click.Path(path_type=Path), help="The project's labelling interface (XML), for the colours.")
@click.option("--annotations", type=click.Choice(WHICH), default="latest", show_default=True, help="Which annotations of each task.")
@click.option("--pixels", is_flag=True, help="Write px of the raster, for rasters without a georeference; the file says so.")
@click.option("--report", "report_file", type=click.Path(path_type=Path), help="Write what was exported and what was left out, as JSON.")
@click.option("--json", "as_json", is_flag=True, help="Print that report on standard output.")
def command(
    label_studio_json: Path,
    format_: str,
    out: Path,
    config: Path | None,
    annotations: str,
    pixels: bool,
    report_file: Path | None,
    as_json: bool,
) -> None:
    """Turn LABEL_STUDIO_JSON, a project's export in the format JSON, into georeferenced polygons.

    Brush regions keep their exact pixels, holes included; polygon regions keep their own outline. Whatever is left out is named.
    """
    _check(format_, label_studio_json, out, report_file)
    tasks = read_export(_read_json(label_studio_json))
    colours = {} if config is None else parse(_read_text(config, "a labelling interface (XML)")).colours()
    done = export(tqdm(tasks, desc="export", unit="task", disable=None), annotations=annotations, colours=colours, pixels=pixels)
    _write(out, geojson.dumps(done.features, members=PIXEL_MEMBERS if pixels else None))
    said = {"out": str(out), "format": format_, **report(done, pixels=pixels)}
    if report_file is not None:
        _write(report_file, _json_text(said))
    if as_json:
        click.echo(_json_text(said), nl=False)
    _summarise(done, out, report_file, pixels=pixels)


def _check(format_: str, source: Path, out: Path, report_file: Path | None) -> None:
    if format_ not in FORMATS:
        why = "is not there yet" if format_ in LATER else "is no export format"
        raise UsageError(
            f"the format {format_!r} {why}; expected {', '.join(FORMATS)}; other programs convert from GeoJSON (ogr2ogr, QGIS)"
        )
    paths = [path.resolve() for path in (source, out, report_file) if path is not None]
    if len(set(paths)) < len(paths):
        raise UsageError(f"the export, --out and --report name the same file twice ({paths[0]}); expected different ones; change one")


def _read_json(path: Path) -> Any:
    text = _read_text(path, "Label Studio's JSON export")
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise TaskError(
            f"{path} is no JSON ({error}); expected Label Studio's JSON export; export again and choose JSON, not CSV or COCO"
        ) from error


def _read_text(path: Path, expected: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); expected {expected}; check the path") from error
    except UnicodeDecodeError as error:
        raise TaskError(f"{path} is no UTF-8 text; expected {expected}; if it is a ZIP archive, unpack it first") from error


def _json_text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _write(path: Path, text: str) -> None:
    """All of the text or nothing: under a temporary name in the same folder first."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8", newline="\n")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ExportError(
            f"{path} cannot be written ({error.strerror}); expected a file in a folder that you may write; change --out"
        ) from error


def _summarise(done: Export, out: Path, report_file: Path | None, *, pixels: bool) -> None:
    """To standard error: what was written, and each reason for leaving something out with how often and one example."""
    where = "px of the raster, not longitude and latitude" if pixels else "longitude and latitude"
    click.echo(f"{len(done.features)} features of {done.tasks} tasks in {out} ({where})", err=True)
    for title, remarks in (("left out", done.left_out), ("note", done.notes)):
        counts = Counter(remark.reason for remark in remarks)
        for reason, count in counts.most_common():
            first = next(remark for remark in remarks if remark.reason == reason)
            names = [f"{kind} {number}" for kind in ("task", "annotation", "region") if (number := getattr(first, kind)) is not None]
            click.echo(f"  {title}: {count} x {reason} (first: {', '.join(names)})", err=True)
    if done.left_out and report_file is None:
        click.echo("  --report FILE names every one", err=True)
