"""A raster on a web server or in a bucket, read in pieces by GDAL: only where a user typed its address, never where a task names it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import requests

from converters.errors import SourceError
from converters.origins import parse_origin, shown


@dataclass(frozen=True, slots=True)
class RemoteRaster:
    """address: http(s)://... or s3://bucket/key, without a login, query or fragment; `remote_raster` makes it from what was typed."""

    address: str

    def __str__(self) -> str:
        return shown(self.address)

    @property
    def name(self) -> str:
        """The last part of the address, as a file name."""
        return PurePosixPath(unquote(urlsplit(self.address).path)).name

    @property
    def stem(self) -> str:
        """`name` without its ending."""
        return PurePosixPath(self.name).stem

    @property
    def gdal(self) -> str:
        """GDAL's name for reading it by ranges. Credentials of a bucket come from the environment (AWS_ACCESS_KEY_ID, AWS_PROFILE, ...)."""
        if self.address.startswith("s3://"):
            return f"/vsis3/{self.address.removeprefix('s3://')}"
        return f"/vsicurl/{self.address}"

    def state(self) -> str:
        """What changes when the file does, as the server says; empty where it says nothing (a bucket is not asked).

        Raises SourceError when the server does not answer or refuses.
        """
        if self.address.startswith("s3://"):
            return ""
        try:
            answer = requests.head(self.address, allow_redirects=True, timeout=(10, 30))
        except requests.RequestException as error:
            raise SourceError(f"{self} does not answer ({type(error).__name__}); expected a web server; check the address") from None
        if answer.status_code >= 400 and answer.status_code != 405:
            raise SourceError(f"{self} was refused with HTTP {answer.status_code}; expected a raster that may be read; check the address")
        return "|".join(answer.headers.get(name, "") for name in ("ETag", "Last-Modified", "Content-Length"))


RasterLocation = Path | RemoteRaster
"""A raster on this machine, or one that a user named by its address."""


def remote_raster(text: str) -> RemoteRaster:
    """The raster behind an address that a user typed.

    Raises SourceError for other schemes and for an address with a login or a query: tasks repeat it to everyone who opens them.
    """
    scheme = text.partition("://")[0].lower()
    if scheme not in ("http", "https", "s3"):
        raise SourceError(
            f"{shown(text)} is an address with the scheme {scheme}; expected a path, http(s):// or s3://; download the raster"
        )
    if not text.isprintable() or "?" in text or "#" in text:
        raise SourceError(
            f"{shown(text)} carries a query, which may be a key, and every task would show it; expected a plain address; "
            "for a private bucket use s3:// with credentials in the environment, or download the raster"
        )
    if scheme == "s3":
        bucket, _, key = text[len("s3://") :].partition("/")
        if not bucket or not key or "@" in bucket:
            raise SourceError(f"{shown(text)} names no object of a bucket; expected s3://bucket/key; check the address")
    else:
        parse_origin(text)
    return RemoteRaster(scheme + text[len(scheme) :])
