"""`rsiseg up`: Label Studio and the backend together on this machine, a project ready."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from pathlib import Path

import click
from tqdm import tqdm

from backend.errors import UsageError
from backend.studio.installation import Installation, default_folder

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command
@click.argument("tile", type=_FILE, required=False)
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Label Studio's port; 0 takes a free one.")
@click.option(
    "--backend-port", type=click.IntRange(0, 65535), default=9090, show_default=True, help="The backend's port; 0 takes a free one."
)
@click.option("--model", help="Registry name or .safetensors file of the model. [default: the registry's default]")
@click.option("--label-config", type=_FILE, help="Labelling interface (XML) of a new project. [default: label_config/aerial.xml]")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the database, the chips, the login and the logs. [default: rsiseg in the user's data folder]",
)
@click.option("--learn", is_flag=True, help="Learn from what is accepted, beside the backend: see `rsiseg worker`.")
@click.option(
    "--annotations", type=_FILE, metavar="FILE", help="Only write the annotations of the running project to FILE, for `rsiseg export`."
)
def command(
    tile: Path | None,
    port: int,
    backend_port: int,
    model: str | None,
    label_config: Path | None,
    data_dir: Path | None,
    learn: bool,
    annotations: Path | None,
) -> None:
    """Start Label Studio and the backend with a project of TILE's chips, until Ctrl-C.

    TILE is a GeoTIFF or another raster that GDAL opens; without it, a real tile beside the checkout or a drawn scene. A later start with
    the same TILE continues the same project.
    """
    installation = Installation(data_dir or default_folder())
    if annotations is not None:
        _write_annotations(installation, annotations)
        return
    # The SDK and rasterio take a second to import; `--help` and `--annotations` need neither.
    from backend.studio.launch import Plan, launched

    config = label_config or _default_label_config()
    if not config.is_file():
        raise UsageError(f"there is no labelling interface {config}; expected an XML file such as those in label_config; check the path")
    chips = _import(tile, installation)
    plan = Plan(installation, chips, config, port=port, backend_port=backend_port, model=model, learn=learn)
    try:
        with launched(plan, _tell, _Waiting()) as studio:
            click.echo(welcome(studio.url, studio.project, studio.login.email, studio.login.password, export_command(installation, config)))
            while (dead := studio.dead()) is None:
                time.sleep(0.5)
            raise UsageError(dead.last_words("ended by itself"))
    except KeyboardInterrupt:
        _tell("stopped; the same command continues the same project")


def welcome(url: str, project: int, email: str, password: str, export: str) -> str:
    """What stands in the terminal when all is ready: the address, the login, three sentences of what to do, the way out.

    The class comes before M on purpose: right after the switch was clicked the keyboard still belongs to it, and an M would be lost.
    """
    return f"""
{click.style(f"{url}/projects/{project}/data", bold=True)}
login {email}, password {password}

1. Open a chip, switch on Auto-Annotation in the bar below it and, behind the sliders there, "Keep label selected after creating a region".
2. Click a class and press M: a click on a roof draws the roof, Alt-click takes a piece away, a further click adds one.
3. Accept the mask with the green check mark in that bar before the next object, and Submit at the end (what is not accepted would be lost).

GeoJSON of what was submitted, in another terminal:
{export}

Ctrl-C stops both servers.
"""


def export_command(installation: Installation, label_config: Path) -> str:
    """The command line that fetches the annotations and writes GeoJSON, ready to paste."""
    rsiseg = _this_program()
    annotations = _short(installation.folder / "annotations.json")
    geojson = _short(installation.folder / "annotations.geojson")
    fetch = [*rsiseg, "up", "--data-dir", _short(installation.folder), "--annotations", annotations]
    export = [*rsiseg, "export", annotations, "--format", "geojson", "--label-config", _short(label_config), "--out", geojson]
    return f"{shlex.join(fetch)} && \\\n  {shlex.join(export)}"


def _this_program() -> list[str]:
    script = Path(sys.executable).parent / "rsiseg"
    on_path = shutil.which("rsiseg")
    if on_path is not None and script.is_file() and Path(on_path).samefile(script):
        return ["rsiseg"]
    return [_short(script)] if script.is_file() else [sys.executable, "-m", "backend.cli"]


def _short(path: Path) -> str:
    """Relative to where the command is typed, when the path is below it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _default_label_config() -> Path:
    return Path(__file__).resolve().parents[2] / "label_config" / "aerial.xml"


def _import(tile: Path | None, installation: Installation):
    from backend.studio.tile import choose_tile, import_tile

    raster = choose_tile(tile, installation)
    with tqdm(unit=" chips", desc=f"chips of {raster.name}", leave=False, delay=0.3) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return import_tile(raster, installation, progress)


def _write_annotations(installation: Installation, out: Path) -> None:
    from backend.studio.annotations import fetch_annotations

    count = fetch_annotations(installation, out)
    _tell(f"{count} annotated chips written to {out}")


def _tell(text: str) -> None:
    click.echo(f"rsiseg: {text}", err=True)


class _Waiting:
    """Seconds counted in place on a terminal; elsewhere a line every 15 s."""

    def __init__(self) -> None:
        self._said = 0.0

    def __call__(self, what: str, seconds: float) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r{what} is starting: {seconds:.0f} s (the first start takes half a minute) \r", nl=False, err=True)
        elif seconds - self._said >= 15:
            self._said = seconds
            _tell(f"{what} is starting: {seconds:.0f} s")
