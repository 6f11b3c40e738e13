"""One HTTP request, timed, whose failure is an answer too: the doctor looks once and does not try again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import requests

from converters.label_studio_access import Unfollowed
from converters.origins import parse_origin

_CONNECT = 5.0  # seconds
_MOST = 64 << 20  # bytes that are read of an answer; a larger picture shows its size in the first of them
Params = Sequence[tuple[str, str | int]]


@dataclass(frozen=True, slots=True)
class Reply:
    """status: None when no answer came, and then `problem` says why. seconds: until all of it was there."""

    status: int | None
    seconds: float
    body: bytes = b""
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is a 2xx."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def milliseconds(self) -> str:
        """The time in print."""
        return f"{self.seconds * 1000:.0f} ms"

    def json(self) -> Any:
        """What the body says; None for anything but JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def said(self) -> str:
        """The reason of a refusal in a few words: status and the `detail` or `error` of its body."""
        if self.status is None:
            return self.problem
        told = self.json()
        reason = (told.get("validation_errors") or told.get("detail") or told.get("error")) if isinstance(told, dict) else None
        return f"status {self.status}" + (f": {str(reason)[:200]}" if reason else "")


@dataclass(frozen=True, slots=True)
class Peer:
    """A server. base: its address without a slash at the end. authorization: gives the header's value; None: nothing is sent.

    Redirects are not followed, so that no credentials leave for another address. Raises SourceError for an address that is none.
    """

    base: str
    authorization: Callable[[], str | None] | None = None

    def __post_init__(self) -> None:
        parse_origin(self.base)

    def get(self, path: str, params: Params = (), *, timeout: float = 60.0) -> Reply:
        """GET `path` below the address. timeout: seconds between two pieces of the answer. Raises SourceError of `authorization`."""
        return self._ask("GET", path, params, None, timeout)

    def post(self, path: str, body: Any, *, timeout: float = 60.0) -> Reply:
        """POST `body` as JSON."""
        return self._ask("POST", path, (), body, timeout)

    def _ask(self, method: str, path: str, params: Params, body: Any, timeout: float) -> Reply:
        header = self.authorization() if self.authorization is not None else None
        begin = time.perf_counter()
        with requests.Session() as session:
            session.trust_env = not parse_origin(self.base).loopback  # proxies are for other machines
            try:
                with session.request(
                    method,
                    f"{self.base}{path}",
                    params=list(params),
                    json=body,
                    auth=Unfollowed(header),
                    allow_redirects=False,
                    stream=True,
                    timeout=(_CONNECT, timeout),
                ) as answer:
                    content = bytearray()
                    for piece in answer.iter_content(1 << 16):
                        content += piece
                        if len(content) >= _MOST:
                            break
            except requests.RequestException as error:
                return Reply(None, time.perf_counter() - begin, problem=type(error).__name__)
        return Reply(answer.status_code, time.perf_counter() - begin, bytes(content))
