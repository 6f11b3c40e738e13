"""Tasks as an annotator opens them: their pictures through Label Studio, their rasters on this machine, and whether both agree."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from PIL import Image, UnidentifiedImageError

from backend.imagery import Imagery, TaskImage
from backend.studio.checks.asking import Reply
from backend.studio.checks.finding import Verdict, fail, failure, listed, ok, skipped, warn
from backend.studio.checks.interface import ClickPlace, Interface
from backend.studio.checks.label_studio import Project, SignedIn
from backend.studio.checks.notes import Notes
from converters.errors import RSISegError
from converters.frames import Size
from converters.label_studio import has_chip
from converters.origins import shown
from converters.resolver import Resolver

_NOT_FOUND = 404
_LOCAL_FILES = "/data/local-files"


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are found and read: as the backend does with the same settings. resolver: the one behind imagery."""

    imagery: Imagery
    resolver: Resolver


@dataclass(frozen=True, slots=True)
class Sampled:
    """The first tasks of the project, with `id` and `data`. fields: of their data, the pictures that Image tags show, the
    one that is clicked on first."""

    tasks: tuple[Mapping[str, Any], ...]
    fields: tuple[str, ...]

    def pictures(self) -> list[tuple[int, str]]:
        """Task and address of each picture."""
        found = [(task["id"], task["data"].get(field)) for task in self.tasks for field in self.fields]
        return [(number, address) for number, address in found if isinstance(address, str) and address]


@dataclass(frozen=True, slots=True)
class Shown:
    """Size of each picture that Label Studio served, by task and address."""

    sizes: Mapping[tuple[int, str], Size]


@dataclass(frozen=True, slots=True)
class Found:
    """The raster behind each sampled task whose file can be read, by the task's number."""

    images: Mapping[int, TaskImage]


def tasks(notes: Notes) -> Verdict:
    """The project has tasks, and they have pictures."""
    api, project = notes.need(SignedIn).api, notes.need(Project)
    config, clicked = notes.need(Interface).config, notes.known(ClickPlace)
    params = (("project", project.id), ("page_size", notes.question.tasks), ("fields", "task_only"), ("include", "id,data"))
    reply = api.get("/api/tasks", (*params, ("resolve_uri", "false")))
    told = reply.json()
    rows = told.get("tasks") if isinstance(told, Mapping) else None
    if not reply.ok or not isinstance(rows, list):
        return fail(f"Label Studio does not list the tasks ({reply.said()})", "see its log")
    usable = tuple(
        row for row in rows if isinstance(row, Mapping) and isinstance(row.get("id"), int) and isinstance(row.get("data"), Mapping)
    )
    if not usable:
        return warn("the project has no task", "import some: `rsiseg import RASTER... --out DIR --upload URL --project NUMBER`")
    images = sorted((tag for tag in config.objects if tag.type == "Image"), key=lambda tag: clicked is None or tag.name != clicked.image)
    fields = tuple(tag.attributes["value"].removeprefix("$") for tag in images)
    sampled = Sampled(usable, fields)
    bare = [str(task["id"]) for task in usable if not any(isinstance(task["data"].get(field), str) for field in fields)]
    if bare:
        return fail(
            f"task {listed(bare)} has no picture under {' or '.join(fields)}",
            "import tasks whose data have what the Image tags show",
        )
    notes.learn(sampled)
    return ok(f"{told.get('total')} tasks; the first {len(usable)} are looked at")


def storage(notes: Notes) -> Verdict:
    """Pictures below /data/local-files/ need a local storage round them, below Label Studio's document root.

    One of another project that this user may see serves as well, until it goes; then it is a warning.
    """
    api, project, sampled = notes.need(SignedIn).api, notes.need(Project), notes.need(Sampled)
    resolver = notes.need(Reading).resolver
    documents = [name for _, address in sampled.pictures() if (name := _document(resolver, address)) is not None]
    if not documents:
        return skipped("no picture is a local file of Label Studio")
    reply = api.get("/api/storages/localfiles", (("project", project.id),))
    rows = reply.json()
    if not reply.ok or not isinstance(rows, list):
        return fail(f"Label Studio does not list the project's storages ({reply.said()})", "see its log")
    paths = [str(row["path"]) for row in rows if isinstance(row, Mapping) and row.get("path")]
    verdict = _covered(paths, documents, notes.question.settings.document_root)
    if verdict.status == "fail" and notes.known(Shown) is not None:
        return warn(f"{verdict.found}; the storage of another project serves them meanwhile", verdict.todo)
    return verdict


def _covered(paths: list[str], documents: list[str], root: Path | None) -> Verdict:
    """Whether the storages hold the documents, as far as that can be seen from here."""
    if not paths:
        return fail(
            "the pictures are local files, and the project has no local storage for them",
            "add one under Settings, Cloud Storage, for the folder of the pictures; do not sync it",
        )
    if root is None:
        return ok(f"{listed(paths)} on Label Studio's machine")
    outside = [path for path in paths if not Path(path).is_relative_to(root.resolve()) and not Path(path).is_relative_to(root)]
    if outside:
        return warn(
            f"the storage {listed(outside)} is not below the document root {root} here",
            "name the same folder as LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT, unless Label Studio sees it under another path",
        )
    uncovered = [name for name in documents if not any((root / name).resolve().is_relative_to(Path(path).resolve()) for path in paths)]
    if uncovered:
        return fail(f"no storage covers {listed(uncovered)}", "add a local storage for its folder under Settings, Cloud Storage")
    return ok(f"{listed(paths)}, below the document root")


def _document(resolver: Resolver, address: str) -> str | None:
    """The path below Label Studio's document root that an address names; None for other addresses."""
    path, _, query = (resolver.served(address) or "").partition("?")
    return parse_qs(query).get("d", [""])[0].lstrip("/") or None if path.rstrip("/") == _LOCAL_FILES else None


def served(notes: Notes) -> Verdict:
    """Label Studio gives the pictures out. Nothing is asked of other servers that task data name."""
    api, sampled, resolver = notes.need(SignedIn).api, notes.need(Sampled), notes.need(Reading).resolver
    sizes: dict[tuple[int, str], Size] = {}
    elsewhere: list[str] = []
    for number, address in sampled.pictures():
        path = resolver.served(address)
        if path is None:
            elsewhere.append(shown(address))
            continue
        reply = api.get(path)
        size = _size(reply.body) if reply.ok else None
        if size is None:
            return _not_served(number, _document(resolver, address), address, reply)
        sizes[number, address] = size
    if sizes:
        notes.learn(Shown(sizes))
    beside = f"; {len(elsewhere)} come from elsewhere, such as {elsewhere[0]}" if elsewhere else ""
    return ok(f"{len(sizes)} pictures{beside}") if sizes else skipped(f"the pictures come from elsewhere, such as {elsewhere[0]}")


def _not_served(number: int, document: str | None, address: str, reply: Reply) -> Verdict:
    found = f"task {number}: Label Studio gives no picture for {document or shown(address)}"
    if reply.ok:
        return fail(f"{found}, but a file that browsers cannot show", "give tasks PNG or JPEG pictures; `rsiseg import` makes them")
    if reply.status == _NOT_FOUND and document is not None:
        return fail(
            f"{found} (status 404)",
            "see 'storage'; then whether the file is below LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT on Label Studio's machine, "
            "and LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true there",
        )
    return fail(f"{found} ({reply.said()})", "see Label Studio's log")


def _size(content: bytes) -> Size | None:
    try:
        with Image.open(io.BytesIO(content)) as picture:
            return Size(*picture.size)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError):
        return None


def rasters(notes: Notes) -> Verdict:
    """The raster of each task, or the picture where it has none, is a file that this machine may read and that is as it was imported."""
    sampled, imagery = notes.need(Sampled), notes.need(Reading).imagery
    images: dict[int, TaskImage] = {}
    refused: list[tuple[int, RSISegError]] = []
    for task in sampled.tasks:
        try:
            images[task["id"]] = imagery.of_task(task, sampled.fields[0])
        except RSISegError as error:
            refused.append((task["id"], error))
    if images:
        notes.learn(Found(images))
    if refused:
        number, error = refused[0]
        verdict = failure(error)
        more = f" (and {len(refused) - 1} more of {len(sampled.tasks)} tasks)" if len(refused) > 1 else ""
        return fail(f"task {number}: {verdict.found}{more}", verdict.todo)
    files = {image.path for image in images.values()}
    return ok(f"{len(images)} tasks of {len(files)} file{'s' if len(files) != 1 else ''}, such as {next(iter(images.values())).path.name}")


def sizes(notes: Notes) -> Verdict:
    """The picture in the browser is as large as the task says: a mask of another size would be drawn garbled."""
    sampled, found, pictures = notes.need(Sampled), notes.need(Found), notes.need(Shown)
    wrong = []
    for task in sampled.tasks:
        image = found.images.get(task["id"])
        # Every view of a chip is as large as its window; further pictures of other tasks are not what was clicked on.
        for field in sampled.fields if has_chip(task["data"]) else sampled.fields[:1]:
            size = pictures.sizes.get((task["id"], str(task["data"].get(field))))
            if image is not None and size is not None and size != image.display:
                wrong.append(f"task {task['id']} shows {size} where {image.display} were recorded")
    if wrong:
        return fail(listed(wrong), "import the rasters again with `rsiseg import`; do not replace or resize its pictures")
    return ok("pictures are as large as their tasks say")
