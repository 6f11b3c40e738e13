"""The versions of a project's weights: each a folder that is there whole or not at all, and a file that says which one answers.

`<data folder>/versions/<project>/0003/` holds `weights.safetensors` and `card.json`; `current` beside it holds the number, and is replaced
in one step, so every process sees the old version or the new one. A project without `current` is answered by the model as it was
shipped, which is number 0 here. Nothing in this file imports torch: the web process reads it with every click.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backend.errors import ModelError, UsageError
from backend.segmenters.catalogue import FILE_SUFFIX, Catalogue
from backend.segmenters.catalogue_entry import Entry, version_of
from backend.segmenters.weight_headers import file_sha256
from converters.whole_file import replacing, write_whole

WEIGHTS = "weights.safetensors"
CARD = "card.json"
SHIPPED = 0
"""Number of the weights that a project starts with."""
_CURRENT = "current"
_NUMBERED = re.compile(r"\d{4,}")

Stamp = tuple[int, int, int]
"""Changes whenever another version was made current: inode, size and time of the file that says so."""


@dataclass(frozen=True, slots=True)
class Version:
    """Weights that a project's annotations made.

    number: from 1. model: the name of the model that they take the place of. folder: of weights and card. parent: the number that training
    started from, SHIPPED for the model itself. about: the rest of the card.
    """

    project: int
    number: int
    model: str
    folder: Path
    parent: int
    about: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def weights(self) -> Path:
        """The weight file."""
        return self.folder / WEIGHTS

    @property
    def name(self) -> str:
        """What stands in `model_version`, in front of the hash: such as `vitclick_s14.project7.v3`."""
        model = Path(self.model).stem if self.model.endswith(FILE_SUFFIX) else self.model
        return f"{model}.project{self.project}.v{self.number}"

    def entry(self, catalogue: Catalogue) -> Entry:
        """How these weights are used: as the model that they replace, in the bands that the file names. Raises ModelError."""
        base, held = catalogue.entry(self.model), catalogue.entry(str(self.weights))
        if (base.family, base.architecture) != (held.family, held.architecture):
            raise ModelError(
                f"{self.weights} holds a {held.family} {held.architecture}, {self.model} is a {base.family} {base.architecture}; "
                "expected weights of that model; roll back with `rsiseg versions rollback`"
            )
        return replace(
            base, name=self.name, file=self.weights, sha256=self.about.get("sha256"), recipes=held.recipes, source=str(self.weights)
        )


class Versions:
    """The versions of all projects in one data folder, which the workers and the server share."""

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir / "versions"

    def stamp(self, project: int) -> Stamp | None:
        """What changes when another version becomes current: one look at the disk, some microseconds. None before the first one."""
        try:
            status = os.stat(self.folder / str(project) / _CURRENT)  # noqa: PTH116 - with every click; a Path's own costs twice that
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    def current(self, project: int) -> Version | None:
        """The version that answers, None for the model as it was shipped. Raises ModelError for files that cannot be read."""
        path = self._of(project) / _CURRENT
        try:
            text = path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise ModelError(f"{path} cannot be read ({error}); name the version again with `rsiseg versions promote`") from error
        if not text.isdecimal():
            raise ModelError(f"{path} holds {text[:40]!r}, expected a number; name the version again with `rsiseg versions promote`")
        return None if int(text) == SHIPPED else self.get(project, int(text))

    def get(self, project: int, number: int) -> Version:
        """A version by its number, from 1. Raises ModelError where there is none, or its card cannot be read."""
        folder = self._of(project) / f"{number:04d}"
        try:
            card = json.loads((folder / CARD).read_text(encoding="utf-8"))
            model, parent = card["model"], card["parent"]
            if not isinstance(model, str) or not isinstance(parent, int):
                raise ValueError("model and parent are no text and number")
        except FileNotFoundError:
            raise ModelError(f"project {project} has no version {number}; `rsiseg versions list --project {project}` names them") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{folder / CARD} cannot be read ({error}); expected the card of a version; choose another with `rsiseg versions promote`"
            ) from error
        if not (folder / WEIGHTS).is_file():
            raise ModelError(f"{folder / WEIGHTS} is not there; expected the weights of version {number}; choose another version")
        return Version(project, number, model, folder, parent, card)

    def of(self, project: int) -> list[Version]:
        """All versions of a project that can be read, by number."""
        return [version for number in self._numbers(project) if (version := self._readable(project, number)) is not None]

    def projects(self) -> list[int]:
        """Projects that have versions."""
        if not self.folder.is_dir():
            return []
        return sorted(int(one.name) for one in self.folder.iterdir() if one.name.isdecimal() and self._numbers(int(one.name)))

    def add(self, project: int, weights: Path, *, model: str, parent: int, about: Mapping[str, Any]) -> Version:
        """A new version, a copy of `weights`, under the next number; it does not answer yet. Raises ModelError where that cannot be."""
        home = self._of(project)
        number = max(self._numbers(project), default=0) + 1
        card = {
            **about,
            "project": project,
            "version": number,
            "model": model,
            "parent": parent,
            "sha256": file_sha256(weights),
            "made": _now(),
        }
        folder = home / f"{number:04d}"
        try:
            home.mkdir(parents=True, exist_ok=True)
            with replacing(folder) as aside:
                try:
                    aside.mkdir()
                    shutil.copyfile(weights, aside / WEIGHTS)
                    write_whole(aside / CARD, json.dumps(card, indent=1) + "\n")
                except BaseException:
                    shutil.rmtree(aside, ignore_errors=True)
                    raise
        except OSError as error:
            raise ModelError(f"version {number} of project {project} cannot be kept in {home} ({error}); make room there") from error
        return self.get(project, number)

    def promote(self, project: int, number: int) -> None:
        """Make a version the one that answers, in one step; SHIPPED for the model itself. Raises ModelError for one that is not there."""
        if number != SHIPPED:
            self.get(project, number)
        home = self._of(project)
        try:
            home.mkdir(parents=True, exist_ok=True)
            write_whole(home / _CURRENT, f"{number}\n")
        except OSError as error:
            raise ModelError(f"{home / _CURRENT} cannot be written ({error}); expected a folder that may be written to") from error

    def roll_back(self, project: int, to: int | None = None) -> int:
        """Make the parent of the current version, or version `to`, the one that answers; returns its number.

        Raises UsageError where the shipped model answers already, ModelError for a version that is not there.
        """
        if to is None:
            current = self.current(project)
            if current is None:
                raise UsageError(f"project {project} is answered by the shipped model; expected a version to roll back from")
            to = current.parent
        self.promote(project, to)
        return to

    def _readable(self, project: int, number: int) -> Version | None:
        try:
            return self.get(project, number)
        except ModelError:
            return None

    def _numbers(self, project: int) -> list[int]:
        home = self._of(project)
        return sorted(int(one) for one in _names(home) if _NUMBERED.fullmatch(one))

    def _of(self, project: int) -> Path:
        return self.folder / str(int(project))


@dataclass(frozen=True, slots=True)
class Listed:
    """A version in a list. name: its `model_version`. current: whether it answers."""

    project: int
    number: int
    name: str
    current: bool


def listed(versions: Versions, catalogue: Catalogue) -> list[Listed]:
    """All versions of all projects that can be used, by project and number."""
    found: list[Listed] = []
    for project in versions.projects():
        try:
            answers = versions.current(project)
        except ModelError:
            answers = None
        for version in versions.of(project):
            with suppress(ModelError):
                found.append(Listed(project, version.number, version_of(version.entry(catalogue)), version == answers))
    return found


def project_number(project: str) -> int | None:
    """The project's number in what Label Studio calls it, "<id>.<seconds>" in /predict and /setup; None for anything else."""
    number = project.partition(".")[0]
    return int(number) if number.isdecimal() and number.isascii() and len(number) < 12 else None


def _names(folder: Path) -> Iterator[str]:
    try:
        yield from sorted(os.listdir(folder))  # noqa: PTH208 - the names alone
    except FileNotFoundError:
        return


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
