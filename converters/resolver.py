"""From the address of an image or raster, as a task states it, to a file this process may read. Nothing else may be read.

Tried in this order:
  paths and file:// addresses                       under one of the roots, after symbolic links and ".." are resolved
  /data/local-files/?d=... of Label Studio          under its document root here, else downloaded
  /data/upload/... and other files of Label Studio  downloaded with the token
  s3://, gs://, azure-blob://                       through Label Studio, which knows the bucket
  other http(s) addresses                           only from origins that were allowed by name, without the token
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

from converters.downloads import Downloads
from converters.errors import SourceError
from converters.label_studio_access import Credentials, LabelStudioAccess
from converters.origins import Origin, parse_origin, shown

__all__ = ["LabelStudioAccess", "Resolver"]

_LOCAL_FILES = "/data/local-files"
# What Label Studio serves files under; the token opens nothing else on it.
_SERVED = re.compile(r"/data/(local-files/?$|upload/|avatars/)|/storage-data/|/(tasks|projects)/\d+/(presign|resolve)/?$")
_BUCKETS = ("s3", "gs", "azure-blob")
_DEFAULT_CAPACITY = 10 << 30


class Resolver:
    """Names local files for addresses; downloads what it must. Safe for threads.

    roots: folders whose files may be read; a relative path is looked for under each.
    label_studio: where to download from and the token; None: nothing is downloaded from there.
    document_root: the folder here that /data/local-files/?d= counts from; its files may be read.
    cache: folder for downloads (default: rsiseg/downloads in the user's cache folder). cache_bytes: its limit.
    allowed_origins: further servers to read from, such as "https://tiles.example.org".
    Raises SourceError for a root that is no folder and for an origin or address that cannot be read.
    """

    def __init__(
        self,
        roots: Sequence[str | Path],
        label_studio: LabelStudioAccess | None = None,
        *,
        document_root: str | Path | None = None,
        cache: str | Path | None = None,
        cache_bytes: int = _DEFAULT_CAPACITY,
        allowed_origins: Sequence[str] = (),
        recheck: float = 3600.0,
    ) -> None:
        self._roots = [_folder(root, "root") for root in roots]
        self._document_root = None if document_root is None else _folder(document_root, "document root")
        self._readable = [*self._roots, *([self._document_root] if self._document_root else [])]
        self._label_studio = label_studio
        self._home = None if label_studio is None else label_studio.origin
        self._credentials = None if label_studio is None else Credentials(label_studio)
        self._allowed_origins = {parse_origin(address) for address in allowed_origins}
        folder = Path(cache) if cache is not None else _user_cache() / "rsiseg" / "downloads"
        self._downloads = Downloads(folder, capacity=cache_bytes, allowed=self._is_allowed, recheck=recheck)

    def local_path(self, uri: str, *, task_id: int | None = None) -> Path:
        """The file behind `uri`: absolute, existing, links resolved.

        task_id: needed for addresses of a bucket, which Label Studio signs per task.
        Raises SourceError for what is not allowed, not there, or could not be fetched; the message names the step.
        """
        if not uri or not uri.isprintable():
            raise SourceError("the address is empty or holds control characters; expected a path or an address")
        scheme = uri.split(":", 1)[0].lower() if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", uri) else ""
        if scheme == "file":
            return self._local(_file_path(uri))
        if scheme in _BUCKETS:
            return self._bucket(uri, task_id)
        if scheme in ("http", "https"):
            return self._web(uri)
        if scheme:
            raise SourceError(
                f"{shown(uri)} has the unknown scheme {scheme}; expected a path, file://, http(s):// or {', '.join(_BUCKETS)}"
            )
        if (served := self._served(uri)) is not None:
            return self._from_label_studio(served)
        return self._local(uri)

    def served(self, uri: str) -> str | None:
        """Path and query, below Label Studio's address, of a picture that it serves; None for an address of anything else.

        Raises SourceError for a path that climbs and for an address that cannot be read.
        """
        if not uri.lower().startswith(("http://", "https://")):
            return self._served(uri)
        address = urlsplit(uri)
        if self._home is None or not parse_origin(uri).same_server(self._home):
            return None
        return self._served(address.path + (f"?{address.query}" if address.query else ""))

    # --- files here

    def _local(self, text: str) -> Path:
        """A path under one of the roots. The check comes before any look at the disk's content, so a refusal tells nothing about it."""
        if not self._readable:
            raise SourceError(f"{text} is a local path, and no folder is open to this server; name one as a root")
        given = Path(text)
        candidates = [given] if given.is_absolute() else [root / given for root in self._readable]
        inside = [path for path in (candidate.resolve() for candidate in candidates) if self._is_readable(path)]
        if not inside:
            roots = ", ".join(str(root) for root in self._readable)
            raise SourceError(f"{text} lies outside the folders this server may read ({roots}); move it there, or add its folder as a root")
        for path in inside:
            if path.is_file():
                return path
        raise SourceError(f"{text} is not there; expected a file under {self._readable[0]}; was it moved or deleted since the import?")

    def _is_readable(self, path: Path) -> bool:
        return any(path.is_relative_to(root) for root in self._readable)

    # --- Label Studio

    def _served(self, uri: str) -> str | None:
        """Path and query of an address without a host that Label Studio serves, below its prefix; None for any other path."""
        path, _, query = uri.partition("?")
        prefix = urlsplit(self._label_studio.base).path if self._label_studio else ""
        if prefix and path.startswith(f"{prefix}/"):
            path = path[len(prefix) :]
        if not _SERVED.match(path):
            return None
        if ".." in unquote(path).replace("\\", "/").split("/"):
            raise SourceError(f'{shown(uri)} was refused: it climbs with ".."; expected a plain path of Label Studio')
        return f"{path}?{query}" if query else path

    def _from_label_studio(self, served: str) -> Path:
        path, _, query = served.partition("?")
        if path.rstrip("/") == _LOCAL_FILES and (here := self._document(query)) is not None:
            return here
        if self._label_studio is None or self._credentials is None:
            raise SourceError(
                f"{path} is served by Label Studio, whose address this server does not know; "
                "give it Label Studio's URL and a token, or the document root of its local files"
            )
        credentials = self._credentials

        def refused(header: str | None) -> bool:
            credentials.forget(header)
            return credentials.renewable

        return self._downloads.path(f"{self._label_studio.base}{served}", authorization=credentials.header, refused=refused)

    def _document(self, query: str) -> Path | None:
        """The file of /data/local-files/?d=... on this disk; None where it is to be downloaded instead."""
        names = parse_qs(query).get("d", [])
        if len(names) != 1:
            raise SourceError(f"{_LOCAL_FILES}/ needs one file name; expected {_LOCAL_FILES}/?d=folder/name.png")
        if self._document_root is None:
            return None
        path = (self._document_root / names[0].lstrip("/")).resolve()
        if not self._is_readable(path):
            raise SourceError(f"{names[0]} leads out of the document root; expected a file below {self._document_root}")
        if path.is_file():
            return path
        if self._label_studio is None:
            raise SourceError(f"{names[0]} is not below the document root {self._document_root}; was it moved or deleted since the import?")
        return None

    def _bucket(self, uri: str, task_id: int | None) -> Path:
        if self._label_studio is None or task_id is None:
            raise SourceError(
                f"{shown(uri)} is in a bucket that only Label Studio can open; expected a task of a Label Studio whose address and token "
                "this server knows"
            )
        encoded = base64.urlsafe_b64encode(uri.encode()).decode()
        return self._from_label_studio(f"/tasks/{task_id}/presign/?fileuri={quote(encoded)}")

    # --- the web

    def _web(self, uri: str) -> Path:
        origin = parse_origin(uri)
        address = urlsplit(uri)
        rest = address.path + (f"?{address.query}" if address.query else "")
        if self._home is not None and origin.same_server(self._home):
            served = self.served(uri)
            if served is None:
                raise SourceError(
                    f"{shown(uri)} was refused: Label Studio serves no images there; expected /data/local-files/ or /data/upload/"
                )
            return self._from_label_studio(served)
        if origin not in self._allowed_origins:
            home = f" Label Studio ({self._home}) and" if self._home else ""
            raise SourceError(
                f"{shown(uri)} was refused: this server reads from{home} allowed origins only; allow {origin} if you trust it"
            )
        return self._downloads.path(f"{origin}{rest}", authorization=lambda: None, refused=lambda _: False)

    def _is_allowed(self, origin: Origin) -> bool:
        return origin in self._allowed_origins or (self._home is not None and origin.same_server(self._home))


def _user_cache() -> Path:
    """Where programs of this user keep what can be fetched again: $XDG_CACHE_HOME, or .cache in the home folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()


def _folder(path: str | Path, what: str) -> Path:
    folder = Path(path).expanduser().resolve()
    if not folder.is_dir():
        raise SourceError(f"the {what} {path} is no folder; expected an existing folder of images or rasters")
    return folder


def _file_path(uri: str) -> str:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise SourceError(f"{shown(uri)} names another machine or a relative path; expected file:///absolute/path")
    path = unquote(parts.path)
    if not path.isprintable():
        raise SourceError("the address holds control characters; expected a plain path")
    return path
