"""`rsiseg import`: rasters to display chips and Label Studio tasks."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from backend.commands.import_summary import as_json, print_summary
from backend.errors import UsageError
from converters.bands import parse_bands
from converters.errors import RasterError
from converters.importing.label_plan import LabelPlan, label_files, target_tag
from converters.importing.survey import ImportSummary, import_rasters
from converters.importing.views import parse_view
from converters.importing.workers import usable_processes
from converters.label_config import parse
from converters.label_studio_access import LabelStudioAccess
from converters.labelled_folder import read_classes
from converters.task_addresses import TaskAddresses

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True)
class _Upload:
    """What the options say about the upload. token: from the environment alone, so that it is in no list of processes."""

    url: str
    project: str
    storage_path: str | None
    token: str = field(repr=False)


@click.command(help="Rasters to display chips and Label Studio tasks.")
@click.argument("rasters", nargs=-1, required=True, metavar="RASTER...")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder for the chips and tasks.json.")
@click.option("--chip", type=click.IntRange(32, 8192), default=600, show_default=True, help="Side of a chip in pixels of the raster.")
@click.option("--overlap", type=click.IntRange(0, 4096), default=0, show_default=True, help="Pixels that neighbouring chips share.")
@click.option("--bands", help="Meaning of the bands in file order, such as RGBIR; overrides what the file says (X: of no interest).")
@click.option(
    "--view",
    "views",
    multiple=True,
    help="What the browser shows: true, cir, grey, or NAME=BANDS (veg=IRRG, swir=6,5,4). Repeat it for further pictures of each task, "
    "$image_NAME. [default: true colour, else colour infrared]",
)
@click.option("--crs", help="CRS of the rasters, such as EPSG:32633; overrides what the file says.")
@click.option("--area", type=_FILE, help="Only chips that touch the polygons of this vector file (GeoJSON, GeoPackage, any CRS).")
@click.option("--skip-empty", is_flag=True, help="Leave out chips without data, fully transparent, or of one value all over.")
@click.option(
    "--labels",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="Existing labels as pre-annotations: vector files or class rasters in any CRS, or folders of them.",
)
@click.option("--label-classes", type=_FILE, help='classes.json of class rasters: {"classes": {name: value or [r, g, b]}}.')
@click.option("--label-attribute", help="Attribute of vector files that holds the class. Default: the one that is called so.")
@click.option("--label-name", multiple=True, metavar="CLASS=LABEL", help="Label for a class of the labels that is called otherwise.")
@click.option(
    "--label-min-area", type=click.IntRange(1), default=30, show_default=True, help="Smallest object of the labels, px in a chip."
)
@click.option("--label-config", type=_FILE, help="Labelling interface (XML) for --labels and a new project. [default: aerial.xml]")
@click.option("--processes", type=click.IntRange(1, 64), help="Processes that cut chips. [default: the cores, four at most]")
@click.option("--again", is_flag=True, help="Make everything anew, also what an earlier run made from the same.")
@click.option(
    "--document-root",
    type=_FOLDER,
    envvar="LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT",
    show_envvar=True,
    help="Folder that Label Studio's local files count from. Default: the folder above --out.",
)
@click.option("--image-url-prefix", help="Address at which --out is served, instead of Label Studio's local files.")
@click.option(
    "--raster-root", type=_FOLDER, help="Name rasters relative to this folder, which the backend then needs as a root. Default: absolute."
)
@click.option("--upload", "upload_url", metavar="URL", help="Label Studio's address: the tasks go there too (LABEL_STUDIO_API_KEY: token).")
@click.option("--project", default="RSISeg", show_default=True, help="With --upload: title (created if there is none) or number.")
@click.option("--storage-path", help="With --upload: the folder of chips as Label Studio's machine names it. Default: as this one does.")
@click.option("--json", "json_output", is_flag=True, help="Print the summary as JSON.")
def command(**options: Any) -> None:
    """RASTER is a file that GDAL opens, a folder of them, or an address (http(s)://, s3://) that is read in pieces."""
    upload = _upload_of(options)
    out = options["out"].resolve()
    addresses = TaskAddresses(
        out=out,
        document_root=(options["document_root"] or out.parent).resolve(),
        url_prefix=options["image_url_prefix"],
        raster_root=None if options["raster_root"] is None else options["raster_root"].resolve(),
    )
    config = options["label_config"] or Path(__file__).resolve().parents[2] / "label_config" / "aerial.xml"
    summary = _run(options, addresses, config)
    uploaded = None
    if upload is not None and summary.tasks is not None:
        uploaded = _send(upload, summary, addresses, config)
    if options["json_output"]:
        click.echo(json.dumps({**as_json(summary), **({"upload": uploaded} if uploaded else {})}, indent=1, ensure_ascii=False))
    else:
        print_summary(summary, addresses, uploaded)
    if len(summary.failed) == 1:
        raise RasterError(summary.failed[0].reason)
    if summary.failed:
        count = len(summary.failed) + len(summary.imported)
        raise RasterError(f"{len(summary.failed)} of {count} rasters were not imported; the first: {summary.failed[0].reason}")


def _run(options: dict[str, Any], addresses: TaskAddresses, config: Path) -> ImportSummary:
    with tqdm(unit=" chips", desc="import", leave=False) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return import_rasters(
            options["rasters"],
            addresses,
            chip=options["chip"],
            overlap=options["overlap"],
            bands=None if options["bands"] is None else parse_bands(options["bands"]),
            crs=options["crs"],
            views=[parse_view(text) for text in options["views"]],
            area=options["area"],
            skip_empty=options["skip_empty"],
            labels=_labels_of(options, config) if options["labels"] else None,
            processes=options["processes"] or usable_processes(),
            again=options["again"],
            progress=progress,
        )


def _labels_of(options: dict[str, Any], config: Path) -> LabelPlan:
    tag = target_tag(parse(config.read_text(encoding="utf-8")))
    names: list[tuple[str, str]] = []
    for text in options["label_name"]:
        name, equals, label = text.partition("=")
        if not equals or label not in tag.classes:
            raise UsageError(
                f"--label-name {text}: expected CLASS=LABEL with one of the labels {', '.join(tag.classes)} of {config.name}; correct it"
            )
        names.append((name, label))
    return LabelPlan(
        files=label_files(options["labels"]),
        tag=tag,
        classes=None if options["label_classes"] is None else read_classes(options["label_classes"]),
        attribute=options["label_attribute"],
        names=tuple(names),
        min_area=options["label_min_area"],
    )


def _upload_of(options: dict[str, Any]) -> _Upload | None:
    """What to upload to, checked before hours of cutting chips."""
    if options["upload_url"] is None:
        return None
    import os

    token = os.environ.get("LABEL_STUDIO_API_KEY", "")
    access = LabelStudioAccess(options["upload_url"], token)
    if not token:
        raise UsageError(
            f"no token for Label Studio at {access.origin}; expected one in LABEL_STUDIO_API_KEY; copy it from Account & Settings there"
        )
    try:
        import label_studio_sdk  # noqa: F401
    except ModuleNotFoundError:
        raise UsageError(
            "--upload needs the package label-studio-sdk, which is not installed; expected the extra backend; "
            "pip install 'rsiseg[backend]', or import tasks.json in Label Studio by hand"
        ) from None
    return _Upload(access.url, options["project"], options["storage_path"], token)


def _send(upload: _Upload, summary: ImportSummary, addresses: TaskAddresses, config: Path) -> dict[str, Any]:
    from dataclasses import asdict

    from backend.studio.upload import UploadPlan
    from backend.studio.upload import upload as send

    assert summary.tasks is not None
    storage = None if addresses.url_prefix is not None else upload.storage_path or str(addresses.out / "chips")
    plan = UploadPlan(upload.project, config.read_text(encoding="utf-8"), summary.tasks, storage)
    with tqdm(total=summary.chips, unit=" tasks", desc="upload", leave=False) as bar:
        return asdict(send(LabelStudioAccess(upload.url, upload.token), plan, bar.update))
