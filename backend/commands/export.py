"""`rsiseg export`: a Label Studio export to georeferenced features and training sets."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import click

from backend.commands.export_source import open_source
from backend.commands.shaping_options import shaping_options
from backend.errors import UsageError
from converters.errors import ExportError, TaskError
from converters.exporting.account import Account
from converters.exporting.chip_set import VAL_SHARE
from converters.exporting.chosen import WHICH, Choice
from converters.exporting.formats import FORMATS, Format, Request
from converters.exporting.run import run
from converters.exporting.set_pictures import SOURCES
from converters.exporting.shaping import Shaping
from converters.label_config import parse
from converters.whole_file import write_whole

IMAGES_HELP = "Pictures of training sets: rendered from the rasters, or the import's own chips."
VAL_HELP = "Share of the rasters whose chips go into val; by the hash of the raster's name."
TASKS_HELP = "With --project: keep its tasks here; a later export fetches what changed. [default: beside --out, until it is written]"
FORMAT_HELP = "; ".join(f"{one.name}: {one.help}" for one in FORMATS.values()) + "."


@click.command(short_help="A Label Studio export to georeferenced features.")
@click.argument("label_studio_json", required=False, type=click.Path(path_type=Path))
@click.option("--project", type=click.IntRange(min=1), help="Instead of a file: the number of a project (LABEL_STUDIO_API_KEY: token).")
@click.option("--url", help="With --project: Label Studio's address. [default: LABEL_STUDIO_URL]")
@click.option("--tasks-folder", type=click.Path(path_type=Path), help=TASKS_HELP)
@click.option("--format", "format_", default="geojson", show_default=True, help=FORMAT_HELP)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="What to write; replaced only when all of it is there.")
@click.option("--label-config", "config", type=click.Path(path_type=Path), help="The project's labelling interface (XML), for the colours.")
@click.option("--annotations", type=click.Choice(WHICH), default="latest", show_default=True, help="Which annotations of each task.")
@click.option("--annotator", "annotators", multiple=True, help="Only this person's annotations (e-mail or number); may be repeated.")
@click.option("--min-area", type=click.FloatRange(min=0), default=0.0, help="Leave out objects below this area, in m2.")
@shaping_options
@click.option("--pixels", is_flag=True, help="Write px of the raster, for rasters without a georeference; the file says so.")
@click.option("--images", type=click.Choice(SOURCES), default=SOURCES[0], show_default=True, help=IMAGES_HELP)
@click.option("--val-share", type=click.FloatRange(0, 1), default=VAL_SHARE, show_default=True, help=VAL_HELP)
@click.option("--root", "roots", multiple=True, type=click.Path(path_type=Path), help="A folder of rasters or chips; may be repeated.")
@click.option("--document-root", type=click.Path(path_type=Path), help="The folder that Label Studio's local files count from.")
@click.option("--report", "report_file", type=click.Path(path_type=Path), help="Write what became of every region, as JSON.")
@click.option("--json", "as_json", is_flag=True, help="Print that report on standard output.")
def command(
    label_studio_json: Path | None,
    project: int | None,
    url: str | None,
    tasks_folder: Path | None,
    format_: str,
    out: Path,
    config: Path | None,
    annotations: str,
    annotators: tuple[str, ...],
    min_area: float,
    shaping: Shaping,
    pixels: bool,
    images: str,
    val_share: float,
    roots: tuple[Path, ...],
    document_root: Path | None,
    report_file: Path | None,
    as_json: bool,
) -> None:
    """Turn LABEL_STUDIO_JSON, a project's export in the format JSON, or a project on the server into polygons or a training set.

    Brush regions keep their exact pixels, holes included; polygon regions keep their own outline. Whatever is left out is named.
    """
    format = _format(format_)
    _check_paths(label_studio_json, out, report_file)
    colours = {} if config is None else parse(_read_text(config, "a labelling interface (XML)")).colours()
    source = open_source(label_studio_json, project, url, tasks_folder, out)
    request = Request(
        tasks=source.tasks,
        out=out,
        choice=Choice(annotations, frozenset(annotators), min_area),
        shaping=shaping,
        colours=colours or source.colours,
        pixels=pixels,
        options={
            "images": images,
            "val_share": val_share,
            "home": source.home,
            "roots": roots,
            "document_root": document_root,
        },
    )
    run(format, request)
    source.finished()
    _tell(request, format, report_file, as_json=as_json)


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise UsageError(
            f"{name!r} is no export format; expected {', '.join(FORMATS)}; other programs convert from GeoJSON (ogr2ogr, QGIS)"
        )
    return FORMATS[name]


def _check_paths(source: Path | None, out: Path, report_file: Path | None) -> None:
    paths = [path.resolve() for path in (source, out, report_file) if path is not None]
    if len(set(paths)) < len(paths):
        raise UsageError(f"the export, --out and --report name the same file twice ({paths[0]}); expected different ones; change one")


def _read_text(path: Path, expected: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); expected {expected}; check the path") from error
    except UnicodeDecodeError as error:
        raise TaskError(f"{path} is no UTF-8 text; expected {expected}; if it is a ZIP archive, unpack it first") from error


def _tell(request: Request, format: Format, report_file: Path | None, *, as_json: bool) -> None:
    """The report as a file and on standard output, and the summary on standard error."""
    coordinates = "pixels" if request.pixels and format.coordinates else format.coordinates
    said = {"out": str(request.out), "format": format.name, "coordinates": coordinates, **request.account.report()}
    text = json.dumps(said, ensure_ascii=False, indent=1) + "\n"
    if report_file is not None:
        _write(report_file, text)
    if as_json:
        click.echo(text, nl=False)
    where = "px of the raster, not a place on earth" if coordinates == "pixels" else coordinates
    _summarise(request.account, request.out, report_file, where)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        raise ExportError(
            f"{path} cannot be written ({error.strerror}); expected a file in a folder that you may write; change --report"
        ) from error


def _summarise(account: Account, out: Path, report_file: Path | None, where: str | None) -> None:
    """To standard error: what was written, and each reason for leaving something out with how often and one example."""
    click.echo(f"{account.features} features of {account.tasks} tasks in {out}{f' ({where})' if where else ''}", err=True)
    left_out = account.remarks_left_out()
    for title, remarks in (("left out", left_out), ("note", account.remarks_noted())):
        counts = Counter(remark.reason for remark in remarks)
        firsts = {remark.reason: remark for remark in reversed(remarks)}
        for reason, count in counts.most_common():
            first = firsts[reason]
            names = [f"{kind} {number}" for kind in ("task", "annotation", "region") if (number := getattr(first, kind)) is not None]
            click.echo(f"  {title}: {count} x {reason} (first: {', '.join(names)})", err=True)
    if left_out and report_file is None:
        click.echo("  --report FILE names every one", err=True)
