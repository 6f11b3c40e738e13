"""Which server an address belongs to: scheme, host and port together, as browsers compare them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from converters.errors import SourceError

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """scheme: "http" or "https". host: lower case, without brackets. port: the scheme's own where the address names none."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if _PORTS[self.scheme] == self.port else f":{self.port}")

    @property
    def loopback(self) -> bool:
        """Whether the host is this machine itself, by name or by address."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def same_server(self, other: Origin) -> bool:
        """Equal, or both this machine under two names (127.0.0.1 and localhost) with one scheme and port."""
        return self == other or (self.scheme == other.scheme and self.port == other.port and self.loopback and other.loopback)


def parse_origin(address: str) -> Origin:
    """The origin of an http(s) address. Raises SourceError for other schemes, a missing host, a broken port, or a password in it."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise SourceError("the address cannot be read; expected something like http://host:port/path") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise SourceError(f"{shown(address)} is no http or https address; expected something like http://host:port/path")
    if parts.username is not None or parts.password is not None:
        raise SourceError(f"an address of {parts.hostname} carries a user name or password; expected an address without; take it out")
    return Origin(parts.scheme, parts.hostname, port or _PORTS[parts.scheme])


def shown(address: str) -> str:
    """An address fit for a message or a log: without user, query and fragment, which may hold secrets, and not endless."""
    bare = address.split("?", 1)[0].split("#", 1)[0]
    scheme, mark, rest = bare.partition("://")
    if mark:
        authority, slash, path = rest.partition("/")
        bare = f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"
    return bare if len(bare) <= 200 else bare[:200] + "..."
