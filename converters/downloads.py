"""Downloads kept in a folder of bounded size, each an image for sure, each complete or absent."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urljoin

import requests

from converters.errors import SourceError
from converters.label_studio_access import Unfollowed
from converters.origins import Origin, parse_origin, shown

# First bytes -> file name extension. Formats that can name other files (VRT and its like) are not among them, so a download can
# never make GDAL read something else.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"II*\x00", ".tif"),
    (b"MM\x00*", ".tif"),
    (b"II+\x00", ".tif"),
    (b"MM\x00+", ".tif"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", ".jp2"),
    (b"\xff\x4f\xff\x51", ".jp2"),
)
_REDIRECTS = 5
_CHUNK = 1 << 20
_PART = ".part-"
_LOCKS = 32


def image_extension(head: bytes) -> str | None:
    """The extension for a file that begins with `head` (16 bytes are enough); None for what is no image."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ".webp"
    return next((extension for magic, extension in _MAGIC if head.startswith(magic)), None)


class Downloads:
    """A folder of downloads.

    folder: made when needed. capacity: bytes; the files used longest ago go first, and no file above it is taken.
    allowed: whether an origin may be read from; asked again for every redirect.
    recheck: seconds after which a kept file is fetched again; one that has not changed keeps its modification time.
    """

    def __init__(self, folder: Path, *, capacity: int, allowed: Callable[[Origin], bool], recheck: float = 3600.0) -> None:
        self._folder = folder
        self._capacity = capacity
        self._allowed = allowed
        self._recheck = recheck
        self._checked: dict[str, float] = {}
        self._locks = [threading.Lock() for _ in range(_LOCKS)]

    def path(self, address: str, *, authorization: Callable[[], str | None], refused: Callable[[str | None], bool]) -> Path:
        """The local copy of `address`, downloaded if need be.

        authorization: the Authorization header for this very address; it is not sent on after a redirect.
        refused: told the header after a 401; true to try once more.
        Raises SourceError, which names the step that failed.
        """
        key = hashlib.sha256(address.encode()).hexdigest()
        with self._locks[int(key[:8], 16) % _LOCKS]:
            kept = self._kept(key)
            if kept is not None and time.monotonic() - self._checked.get(key, float("-inf")) < self._recheck:
                self._touch(kept)
                return kept
            try:
                return self._download(key, address, kept, authorization, refused)
            except OSError as error:
                raise SourceError(
                    f"{shown(address)} could not be kept in the download folder {self._folder} ({error.strerror}); "
                    "make it writable, or name another"
                ) from None

    def _kept(self, key: str) -> Path | None:
        return next(iter(sorted(self._folder.glob(f"{key}.*"))), None)

    def _touch(self, path: Path) -> None:
        """Marks as used now: by access time, so that the modification time goes on telling whether the content changed."""
        with contextlib.suppress(OSError):
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))

    def _download(
        self,
        key: str,
        address: str,
        kept: Path | None,
        authorization: Callable[[], str | None],
        refused: Callable[[str | None], bool],
    ) -> Path:
        header = authorization()
        with contextlib.ExitStack() as stack:
            answer = stack.enter_context(self._get(address, header))
            if answer.status_code == requests.codes.unauthorized and refused(header):
                answer = stack.enter_context(self._get(address, authorization()))
            _check(answer, address)
            part = self._part(answer, address)
        try:
            with part.open("rb") as file:
                head = file.read(16)
            extension = image_extension(head)
            if extension is None:
                raise SourceError(_no_image(address, head))
            final = self._folder / f"{key}{extension}"
            if kept == final and _same(part, final):
                self._touch(final)
            else:
                part.replace(final)
                if kept is not None and kept != final:
                    kept.unlink(missing_ok=True)
        finally:
            part.unlink(missing_ok=True)
        self._checked[key] = time.monotonic()
        self._evict(final)
        return final

    @contextlib.contextmanager
    def _get(self, address: str, header: str | None) -> Iterator[requests.Response]:
        """The answer to a GET, redirects followed by hand: every hop must be allowed, and only the first carries the header."""
        for _ in range(_REDIRECTS + 1):
            origin = parse_origin(address)
            if not self._allowed(origin):
                raise SourceError(
                    f"{shown(address)} was refused: {origin} is not allowed; add it to the allowed origins to read from there"
                )
            answer = _request(address, origin, header)
            with answer:
                if not answer.is_redirect:
                    yield answer
                    return
                target = urljoin(address, answer.headers["Location"])
            if "/user/login" in target:
                raise SourceError(f"{origin} asks for a login: the token is missing or was not accepted; give the backend a valid token")
            address, header = target, None
        raise SourceError(f"{shown(address)} redirects more than {_REDIRECTS} times; expected an image; check the address")

    def _part(self, answer: requests.Response, address: str) -> Path:
        """The body in a temporary file of the folder."""
        self._folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=_PART, dir=self._folder)
        part, size = Path(name), 0
        try:
            with os.fdopen(handle, "wb") as file:
                for chunk in answer.iter_content(_CHUNK):
                    size += len(chunk)
                    if size > self._capacity:
                        raise SourceError(
                            f"{shown(address)} is larger than the download folder may grow ({self._capacity} bytes); "
                            "raise that limit, or mount the folder of the rasters and name it as a root"
                        )
                    file.write(chunk)
        except requests.RequestException as error:
            part.unlink(missing_ok=True)
            raise SourceError(
                f"the download of {shown(address)} broke off after {size} bytes ({type(error).__name__}); try again"
            ) from None
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return part

    def _evict(self, newest: Path) -> None:
        """Deletes what was used longest ago until the folder fits; leftovers of killed processes go after an hour."""
        files: list[tuple[int, int, Path]] = []
        for path in self._folder.iterdir():
            with contextlib.suppress(OSError):
                status = path.stat()
                if not path.name.startswith(_PART):
                    files.append((status.st_atime_ns, status.st_size, path))
                elif time.time() - status.st_mtime > 3600:
                    path.unlink()
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._capacity:
                return
            if path != newest:
                path.unlink(missing_ok=True)
                total -= size


def _request(address: str, origin: Origin, header: str | None) -> requests.Response:
    try:
        return requests.get(address, auth=Unfollowed(header), stream=True, allow_redirects=False, timeout=(5, 60))
    except requests.Timeout:
        raise SourceError(f"{origin} did not answer in time; check that it runs and is reachable from here") from None
    except requests.RequestException as error:
        raise SourceError(f"{origin} cannot be reached ({type(error).__name__}); check the address and that it runs") from None


def _check(answer: requests.Response, address: str) -> None:
    """Raises SourceError for an answer that is no success."""
    code = answer.status_code
    if code == requests.codes.ok:
        return
    if code in (requests.codes.unauthorized, requests.codes.forbidden):
        raise SourceError(
            f"{shown(address)} was refused (HTTP {code}): the token is missing or not accepted; give the backend a valid token"
        )
    if code == requests.codes.not_found:
        raise SourceError(
            f"{shown(address)} is not there (HTTP 404); if it is a local file, Label Studio needs a local storage that covers its folder"
        )
    raise SourceError(f"{shown(address)} could not be fetched: the server answered HTTP {code}; see the server's log")


def _no_image(address: str, head: bytes) -> str:
    found = "a web page" if head.lstrip()[:1] == b"<" else "an empty file" if not head else "something else"
    return f"{shown(address)} is no image: {found} came back; expected PNG, JPEG, TIFF, WebP, GIF, BMP or JPEG 2000; check the address"


def _same(one: Path, other: Path) -> bool:
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as left, other.open("rb") as right:
        return hashlib.file_digest(left, "sha256").digest() == hashlib.file_digest(right, "sha256").digest()
