"""The task file of an import: Label Studio's JSON list with one task a line, so that a survey's can be written and read line by line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from converters.errors import TaskError
from converters.importing.staging import cannot_write
from converters.label_studio import import_meta

TASKS = "tasks.json"


def as_line(task: dict[str, Any]) -> str:
    """A task as it stands in the file."""
    return json.dumps(task, ensure_ascii=False, allow_nan=False)


def write_tasks(out: Path, parts: Iterable[Path]) -> Path:
    """Writes the task file of `out` from files of task lines, all of it or nothing. RasterError when that is impossible."""
    file, aside = out / TASKS, out / f".{TASKS}.part"
    try:
        with aside.open("w", encoding="utf-8") as written:
            before = "[\n"
            for part in parts:
                with part.open(encoding="utf-8") as lines:
                    for line in lines:
                        written.write(before + line.rstrip("\n"))
                        before = ",\n"
            written.write("\n]\n")
        aside.replace(file)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise cannot_write(file, error) from None
    return file


def read_lines(file: Path) -> Iterator[str]:
    """The tasks of a file that `write_tasks` wrote, each as its line of JSON. TaskError for a file that is none."""
    try:
        with file.open(encoding="utf-8") as lines:
            if next(lines, "").rstrip() != "[":
                raise TaskError(f"{file} is not a task file of `rsiseg import`, one task a line; expected one; import the rasters again")
            for line in lines:
                task = line.rstrip().removesuffix(",")
                if task == "]":
                    return
                yield task
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"{file} cannot be read ({error}); expected the task file of `rsiseg import`; import the rasters again") from None


class EarlierTasks:
    """Where the tasks of each raster stand in the task file of an earlier import into the same folder, by what they were made from."""

    def __init__(self, out: Path) -> None:
        self._file = out / TASKS
        self._places: dict[str, tuple[int, int]] = {}
        place = len("[\n")
        try:
            for line in read_lines(self._file) if self._file.is_file() else ():
                made = str(import_meta(json.loads(line)).get("made"))
                size = len(line.encode()) + len(",\n")
                first, _ = self._places.get(made, (place, place))
                place += size
                self._places[made] = (first, place)
        except (TaskError, ValueError, AttributeError):
            self._places = {}  # another program's file, or an older layout: everything is made again

    def lines(self, made: str) -> list[str] | None:
        """The task lines that were made from this, None without any."""
        if made not in self._places:
            return None
        first, end = self._places[made]
        with self._file.open("rb") as file:
            file.seek(first)
            return [line.removesuffix(",") for line in file.read(end - first).decode().splitlines() if line != "]"]
