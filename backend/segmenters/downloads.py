"""Checkpoints fetched from their authors: over https alone, whole or not at all, and the same file each time."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from backend.errors import ModelError

_CHUNK = 1 << 20
_TIMEOUT = (10, 120)  # seconds to connect, and between two pieces
Progress = Callable[[int, int | None], None]
"""Called with the bytes so far and those announced, None where the server does not say."""


def https_session() -> requests.Session:
    """A session that cannot speak anything but https, redirects included."""
    session = requests.Session()
    session.adapters.pop("http://")
    return session


@dataclass(frozen=True, slots=True)
class Fetched:
    """A downloaded file. sha256: of its bytes, hexadecimal."""

    path: Path
    sha256: str


@contextmanager
def fetched(
    address: str, folder: Path, name: str, *, session: requests.Session, progress: Progress = lambda done, total: None
) -> Iterator[Fetched]:
    """The file at `address`, called `name`, in a temporary folder inside `folder`, for as long as the context lasts.

    Raises ModelError where it cannot be fetched, or comes short of the announced length.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".pull-") as temporary:
        path = Path(temporary) / name
        yield Fetched(path, _fetch(address, path, session, progress))


def _fetch(address: str, path: Path, session: requests.Session, progress: Progress) -> str:
    digest, done = hashlib.sha256(), 0
    try:
        # Identity: a compressed transfer would have another length than announced.
        with (
            session.get(address, stream=True, timeout=_TIMEOUT, headers={"Accept-Encoding": "identity"}) as answer,
            path.open("wb") as file,
        ):
            if answer.status_code != requests.codes.ok:
                raise ModelError(f"{address} answered HTTP {answer.status_code}; expected the checkpoint; try later, or fetch it by hand")
            announced = answer.headers.get("Content-Length", "")
            total = int(announced) if announced.isdecimal() else None
            for chunk in answer.iter_content(_CHUNK):
                done += len(chunk)
                digest.update(chunk)
                file.write(chunk)
                progress(done, total)
    except requests.exceptions.InvalidSchema as error:
        raise ModelError(
            f"{address} leads to an address that is not https; weights are fetched over https only; fetch it by hand"
        ) from error
    except requests.RequestException as error:
        raise ModelError(
            f"{address} could not be fetched ({type(error).__name__} after {done} bytes); check the network, try again"
        ) from error
    if total is not None and done != total:
        raise ModelError(f"{address} broke off after {done} of {total} bytes; try again")
    return digest.hexdigest()


class Pins:
    """The sha256 of files whose authors state none, as they were at the first download here. A JSON object in `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, name: str) -> str | None:
        """The pin of that model; None before its first download. Raises ModelError for a file that is not one of ours."""
        pin = self._read().get(name)
        return None if pin is None else pin["sha256"]

    def set(self, name: str, *, address: str, sha256: str) -> None:
        """Remember the first download."""
        pins = {**self._read(), name: {"address": address, "sha256": sha256}}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
        part.write_text(json.dumps(pins, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        part.replace(self._path)

    def _read(self) -> dict[str, dict[str, str]]:
        try:
            pins = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError:
            pins = None
        if not isinstance(pins, dict) or not all(isinstance(pin, dict) and _is_sha256(pin.get("sha256")) for pin in pins.values()):
            raise ModelError(
                f"{self._path} is damaged; expected the sha256 of earlier downloads; delete it to accept the next download as it is"
            )
        return pins


def _is_sha256(text: object) -> bool:
    return isinstance(text, str) and re.fullmatch(r"[0-9a-f]{64}", text) is not None
