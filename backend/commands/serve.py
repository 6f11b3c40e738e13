"""`rsiseg serve`: the ML backend for an existing Label Studio."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from backend.errors import ModelError
from backend.freed_memory import keep_freed_memory
from backend.gunicorn_server import Server, listen, shared_metrics, warm
from backend.learning.beside import worker_beside
from backend.segmenters.catalogue import shipped
from backend.settings import ServerSettings, settings_from

_FOLDER = click.Path(path_type=Path)


@click.command(
    epilog="Every option with a value is also an environment variable: RSISEG_HOST, RSISEG_ROOT and so on; an option wins. "
    "LABEL_STUDIO_API_KEY and RSISEG_BASIC_AUTH_USER, RSISEG_BASIC_AUTH_PASSWORD are variables only."
)
@click.option("--host", help="Address to listen on. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one. [default: 9090]")
@click.option("--workers", type=click.IntRange(1), help="Processes; one for each GPU. [default: 1]")
@click.option("--threads", type=click.IntRange(1), help="Threads of each process. [default: 8]")
@click.option("--model", help="Model for projects and tags that name none: a registry name or a .safetensors file. [default: default]")
@click.option("--cfr", help="Refine clicks where no project or tag says how: off, 4, or auto:4. [default: off]")
@click.option("--cfr-clicks", help="How many of an object's first clicks are refined, or all. [default: 1]")
@click.option("--fbrs", help="Meet the clicks by f-BRS where no project or tag says how: off, b, or c; not with --cfr. [default: off]")
@click.option("--correct", help="Whether a click on a region that is there already corrects it: on or off. [default: on]")
@click.option("--propose", help="Objects before anyone clicked: off, batch, or on (on opening a task too). [default: batch]")
@click.option("--propose-score", type=click.FloatRange(0, 1), help="The least score of a proposal. [default: 0.25]")
@click.option("--device", help="auto, cpu, cuda or cuda:N. [default: auto]")
@click.option("--precision", help="auto, fp32, mixed or bf16: what networks compute in. [default: auto]")
@click.option("--data-dir", type=_FOLDER, help="Folder for what survives a restart. [default: rsiseg-data]")
@click.option("--root", "roots", type=_FOLDER, multiple=True, help="Folder that rasters may be read from; may be repeated.")
@click.option("--document-root", type=_FOLDER, help="Label Studio's folder of local files, where it is readable here.")
@click.option("--label-studio-url", help="Label Studio's address, to fetch uploads from. [default: LABEL_STUDIO_URL]")
@click.option("--allow-origin", "allowed_origins", multiple=True, help="A further server to read pictures from; may be repeated.")
@click.option("--cache-mb", type=click.IntRange(1), help="Memory for maps, encodings and pixels of each process. [default: 1024]")
@click.option("--disk-cache-mb", type=click.IntRange(0), help="Disk for encodings, shared by the processes; 0: none. [default: 2048]")
@click.option("--warm-tasks", type=click.IntRange(0), help="Tasks made ready before they are opened; 0: only the opened. [default: 2]")
@click.option("--warm/--no-warm", default=True, show_default=True, help="Load the model right after the start, in the background.")
@click.option("--learn", is_flag=True, envvar="RSISEG_LEARN", help="Start `rsiseg worker` beside the server, with its settings.")
def command(warm: bool, learn: bool, **options: Any) -> None:
    """The ML backend for an existing Label Studio.

    Answers clicks until it is stopped. In Label Studio, connect it under Settings, Model, with interactive preannotations on.
    """
    settings = replace(settings_from(), **{name: value for name, value in options.items() if value not in (None, ())})
    _check_model(settings)
    keep_freed_memory()
    listening = listen(settings.host, settings.port)
    settings = replace(settings, port=listening.getsockname()[1])
    _tell(settings)
    with shared_metrics(settings):
        server = Server(settings, listening, _app_maker(settings, warm_up=warm))
        with worker_beside(settings) if learn else nullcontext():
            server.run()


def _check_model(settings: ServerSettings) -> None:
    """Raises ModelError before anything is started."""
    try:
        shipped().checked(settings.model, path_allowed=True)
    except ModelError as error:
        raise ModelError(f"cannot serve: {error} (--model)") from None


def _tell(settings: ServerSettings) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    click.echo(f"rsiseg: serving {settings.model} on http://{host}:{settings.port} (stop with Ctrl-C)", err=True)
    if not settings.roots and settings.document_root is None:
        click.echo("rsiseg: no --root and no --document-root: only pictures that Label Studio serves can be read", err=True)


def _app_maker(settings: ServerSettings, *, warm_up: bool) -> Callable[[], Any]:
    def make() -> Any:
        # In the worker: nothing that a request needs is made before the fork.
        from backend.app import create_app
        from backend.runtime import make_runtime

        logging.basicConfig(level=logging.INFO, format="%(asctime)s [%(process)d] %(levelname)s %(name)s: %(message)s")
        runtime = make_runtime(settings)
        if warm_up:
            warm(lambda: runtime.models.get(runtime.checked_model(None)))
        return create_app(runtime=runtime)

    return make
