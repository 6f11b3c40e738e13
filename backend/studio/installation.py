"""What one `rsiseg up` keeps between its runs: a folder with Label Studio's database, the chips, the logs and a login of its own."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from backend.errors import UsageError

_EMAIL = "annotator@rsiseg.local"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The login of the only user. Drawn at random for each installation; the secrets are left out of the `repr`."""

    email: str
    password: str = field(repr=False)
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Running:
    """Where the servers of an installation answer while `rsiseg up` runs, and which project it prepared."""

    url: str
    backend_url: str
    project: int


class Installation:
    """A data folder and the names in it. Readable for its owner only: the database in it holds sessions and annotations."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser().resolve()
        self.label_studio = self.folder / "label-studio"
        self.files = self.folder / "files"
        self.backend = self.folder / "backend"
        self.logs = self.folder / "logs"
        for path in (self.folder, self.label_studio, self.files, self.backend, self.logs):
            try:
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise UsageError(f"cannot make the data folder {path}: {error.strerror}; choose another one with --data-dir") from None

    def credentials(self) -> Credentials:
        """The login, made at the first call. Raises UsageError when it is lost but Label Studio's database, which needs it, is there."""
        path = self.folder / "credentials.json"
        if path.is_file():
            return self._read(path)
        database = self.label_studio / "label_studio.sqlite3"
        if database.exists():
            raise UsageError(
                f"{path} is gone, but the database {database} was made with the login in it; "
                f"put it back, or move {self.folder} away to begin anew"
            )
        fresh = Credentials(email=_EMAIL, password=secrets.token_urlsafe(9), token=secrets.token_hex(20))
        write_private(path, json.dumps(asdict(fresh), indent=1))
        return fresh

    def _read(self, path: Path) -> Credentials:
        try:
            return Credentials(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            raise UsageError(
                f"{path} is damaged; expected the email, password and token of this installation; "
                f"put it back, or move {self.folder} away to begin anew"
            ) from None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Two servers on one database would corrupt each other's work. Raises UsageError while another process holds the folder."""
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UsageError(
                    f"another `rsiseg up` runs with {self.folder}; stop it with Ctrl-C, or choose another folder with --data-dir"
                ) from None
            yield

    @contextmanager
    def announced(self, running: Running) -> Iterator[None]:
        """Says in the folder where Label Studio answers, as long as it does."""
        path = self.folder / "running.json"
        write_private(path, json.dumps(asdict(running)))
        try:
            yield
        finally:
            path.unlink(missing_ok=True)

    def running(self) -> Running:
        """Raises UsageError when no `rsiseg up` runs with this folder."""
        try:
            return Running(**json.loads((self.folder / "running.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            raise UsageError(
                f"no `rsiseg up` runs with {self.folder}; start it in another terminal and keep it running, "
                "or name its folder with --data-dir"
            ) from None


def default_folder() -> Path:
    """The user's data folder by the XDG convention."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "rsiseg"


def write_private(path: Path, text: str) -> None:
    """Atomically, readable for the owner only from the first byte."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)
