"""How to prove to Label Studio who we are: a legacy token as it is, a personal access token exchanged for a short-lived one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import requests
from requests.auth import AuthBase

from converters.errors import SourceError
from converters.origins import Origin, parse_origin

# Label Studio's access tokens live 300 s; one is used for less, so that it does not expire under way.
ACCESS_SECONDS = 240.0


@dataclass(frozen=True, slots=True)
class LabelStudioAccess:
    """Where Label Studio is and the token to use there.

    url: its address as this process reaches it, with its path prefix if it has one.
    token: legacy token or personal access token; empty for none. Never shown.
    """

    url: str
    token: str = field(default="", repr=False)

    @property
    def origin(self) -> Origin:
        """The one origin the token may be sent to. Raises SourceError for an address that is no http(s) address."""
        return parse_origin(self.url)

    @property
    def base(self) -> str:
        """The address without a trailing slash."""
        return self.url.rstrip("/")


class Unfollowed(AuthBase):
    """Sets the Authorization header, or none, and keeps requests from taking another one out of the user's .netrc."""

    def __init__(self, authorization: str | None) -> None:
        self._authorization = authorization

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Called by requests while it prepares the request."""
        if self._authorization is not None:
            r.headers["Authorization"] = self._authorization
        return r


class Credentials:
    """The Authorization header for Label Studio, safe for threads. A personal access token is exchanged when needed."""

    def __init__(self, access: LabelStudioAccess, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._access = access
        self._clock = clock
        self._lock = threading.Lock()
        self._short_lived = ""
        self._expires = 0.0

    @property
    def renewable(self) -> bool:
        """Whether a refused header may be a matter of age: true for personal access tokens."""
        return is_personal_token(self._access.token)

    def header(self) -> str | None:
        """The value of the Authorization header; None without a token. Raises SourceError when the exchange fails."""
        if not self._access.token:
            return None
        if not self.renewable:
            return f"Token {self._access.token}"
        with self._lock:
            if not self._short_lived or self._clock() >= self._expires:
                asked = self._clock()
                self._short_lived = self._exchange()
                self._expires = asked + ACCESS_SECONDS
            return f"Bearer {self._short_lived}"

    def forget(self, header: str | None) -> None:
        """Drops the short-lived token behind `header`, which Label Studio refused, unless another thread has renewed it already."""
        with self._lock:
            if header == f"Bearer {self._short_lived}":
                self._short_lived = ""

    def _exchange(self) -> str:
        where = self._access.origin
        try:
            answer = requests.post(
                f"{self._access.base}/api/token/refresh/",
                json={"refresh": self._access.token},
                auth=Unfollowed(None),
                allow_redirects=False,
                timeout=(5, 20),
            )
        except requests.RequestException as error:
            raise SourceError(
                f"the personal access token could not be exchanged: Label Studio at {where} does not answer ({type(error).__name__}); "
                "check its address and that it runs"
            ) from None
        try:
            short_lived = answer.json().get("access") if answer.status_code == requests.codes.ok else None
        except (ValueError, AttributeError):
            short_lived = None
        if not isinstance(short_lived, str) or not short_lived:
            raise SourceError(
                f"the personal access token was not accepted: Label Studio at {where} answered HTTP {answer.status_code} "
                "to the exchange; make a new token under Account & Settings and give it to the backend"
            )
        return short_lived


def is_personal_token(token: str) -> bool:
    """Whether a token is a JWT, as personal access tokens are; legacy tokens are plain hexadecimal."""
    return token.startswith("eyJ") and token.count(".") == 2
