"""Where an export's tasks come from: a JSON export in a file, or a project on the server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from backend.errors import UsageError
from backend.settings import settings_from
from converters.label_config import parse
from converters.label_studio_access import LabelStudioAccess
from converters.label_studio_export import AnnotatedTask
from converters.task_stream import ExportFile


@dataclass(frozen=True, slots=True)
class Source:
    """tasks: a fresh pass over them at each call, with a progress bar on standard error. home: the folder that relative files count from.

    colours: class -> "#rrggbb", of the project's labelling interface, empty for a file. passing: a folder that is of no use when the export
    is finished; None: nothing.
    """

    tasks: Callable[[], Iterable[AnnotatedTask]]
    home: Path
    colours: Mapping[str, str] = field(default_factory=dict)
    passing: Path | None = None

    def finished(self) -> None:
        """Removes what was only needed under way."""
        if self.passing is not None:
            shutil.rmtree(self.passing, ignore_errors=True)


def open_source(file: Path | None, project: int | None, url: str | None, folder: Path | None, out: Path) -> Source:
    """The tasks of a file, or of a project at `url` (else LABEL_STUDIO_URL), downloaded into `folder`, or beside `out` until it is there.

    The token comes from LABEL_STUDIO_API_KEY alone, so that it is in no list of processes.
    Raises UsageError for anything but one of the two, and when the server refuses.
    """
    if (file is None) == (project is None):
        found = "neither a file nor --project" if file is None else "a file and --project"
        raise UsageError(f"{found} was given; expected Label Studio's JSON export, or --project with the number of a project; give one")
    if file is not None:
        if not file.is_file():
            raise UsageError(f"{file} cannot be read (no such file); expected Label Studio's JSON export; check the path")
        return Source(_Passes(ExportFile(file)), file.parent)
    assert project is not None
    return _project(project, url, folder, out)


def _project(project: int, url: str | None, folder: Path | None, out: Path) -> Source:
    from backend.studio.api import Api
    from backend.studio.project_download import download, label_config

    settings = settings_from(os.environ)
    address = url or settings.label_studio_url
    if address is None:
        raise UsageError("no address of Label Studio; expected --url or LABEL_STUDIO_URL, such as http://localhost:8080; give one")
    api = Api(LabelStudioAccess(address, settings.api_key or ""))
    config = label_config(api, project)
    kept = folder or out.with_name(f".{out.name}.project-{project}")
    with tqdm(desc="download", unit="task", disable=None, leave=False) as bar:

        def told(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        tasks = download(api, project, kept, told)
    return Source(_Passes(tasks), out.parent, parse(config).colours() if config else {}, None if folder else kept)


@dataclass(frozen=True, slots=True)
class _Passes:
    """Passes over the tasks, each with a progress bar."""

    tasks: Callable[[], Iterator[AnnotatedTask]]

    def __call__(self) -> Iterable[AnnotatedTask]:
        return tqdm(self.tasks(), desc="export", unit="task", disable=None, leave=False)
