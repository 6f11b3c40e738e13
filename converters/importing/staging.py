"""What an import has finished so far, on disk, so that a killed one goes on where it stopped and never touches what was there before.

In `.importing` of the output folder lie: a folder of finished chips for each raster under way, beside it `NAME.key`, what they are made
of; and `NAME.tasks` for each raster whose chips are all there. All of it goes when the task file is written.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from converters.errors import RasterError
from converters.whole_file import write_whole

FOLDER = ".importing"
EMPTY = ".empty"
"""Ending of the mark that a chip was read and shows nothing."""
LABELS = ".json"
"""Ending of a chip's pre-annotations."""


@contextmanager
def staging(out: Path) -> Iterator[Path]:
    """The staging folder of an output folder, for this process alone. RasterError when it cannot be made or another import is at work."""
    folder = out / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise cannot_write(out, error) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RasterError(
                f"another import is writing into {out}; expected one at a time; wait for it or choose another --out"
            ) from None
        yield folder
        # What failed or was interrupted stays for the next run; what holds nothing goes.
        if not any(entry.name != "lock" for entry in folder.iterdir()):
            shutil.rmtree(folder, ignore_errors=True)


class RasterStage:
    """The staged chips and tasks of one raster.

    name: of the raster's folder of chips. key: what its chips and tasks are made from; another key discards what lies there.
    """

    def __init__(self, folder: Path, name: str, key: str) -> None:
        self.chips = folder / name
        self._key_file = folder / f"{name}.key"
        self.tasks = folder / f"{name}.tasks"
        self._key = key

    def resume(self) -> bool:
        """Keeps what an interrupted run made from the same, discards anything else; whether all chips and tasks are there."""
        if not self._key_file.is_file() or self._key_file.read_text(encoding="utf-8") != self._key:
            self.discard()
            try:
                self.chips.mkdir(parents=True)
                write_whole(self._key_file, self._key.encode())
            except OSError as error:
                raise cannot_write(self.chips, error) from None
        return self.tasks.is_file()

    def is_done(self, name: str) -> bool:
        """Whether the chip whose first picture is `name` was finished: written, or found empty."""
        return (self.chips / name).is_file() or (self.chips / f"{name}{EMPTY}").is_file()

    def complete(self, lines: Iterable[str]) -> None:
        """All chips are made: writes the tasks, one a line, unless an earlier run has."""
        if self.tasks.is_file():
            return
        try:
            aside = self.tasks.with_name(f"{self.tasks.name}.part")
            with aside.open("w", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
            aside.replace(self.tasks)
        except OSError as error:
            raise cannot_write(self.tasks, error) from None

    def publish(self, home: Path) -> None:
        """Moves the pictures to `home`. Repeating it after an interruption moves the rest."""
        try:
            home.mkdir(parents=True, exist_ok=True)
            if self.chips.is_dir():
                for picture in sorted(self.chips.glob("*.png")):
                    picture.replace(home / picture.name)
                shutil.rmtree(self.chips)
        except OSError as error:
            raise cannot_write(home, error) from None

    def discard(self) -> None:
        """Removes everything staged for this raster."""
        shutil.rmtree(self.chips, ignore_errors=True)
        for file in (self._key_file, self.tasks):
            file.unlink(missing_ok=True)


def read_labels(path: Path) -> dict[str, object]:
    """The pre-annotations that were staged for a chip; empty without any."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def cannot_write(path: Path, error: OSError) -> RasterError:
    """The sentence for a disk that is full or a folder that is not ours."""
    return RasterError(f"{path} cannot be written ({error.strerror}); make room or choose another --out")
