"""GET requests to Label Studio's API: the token goes to its origin alone, short failures are waited out, refusals become sentences."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import requests

from backend.errors import UsageError
from converters.label_studio_access import Credentials, LabelStudioAccess, Unfollowed

# Seconds before each further try after a failure that may pass: a server that restarts, a proxy in between.
PAUSES = (1.0, 3.0, 10.0)
_TIMEOUT = (10, 300)  # seconds to connect, and between two pieces of an answer: an export is serialised before its first byte

Result = TypeVar("Result")
Params = Sequence[tuple[str, str | int]]


class MissingError(UsageError):
    """There is nothing at the path."""


class PassingError(Exception):
    """A failure that may be gone at the next try."""


@dataclass(frozen=True, slots=True)
class Api:
    """A Label Studio as its API shows it. pause: waits some seconds. Raises UsageError without a token, SourceError for no address."""

    access: LabelStudioAccess
    pause: Callable[[float], object] = time.sleep
    _credentials: Credentials = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.access.token:
            raise UsageError(
                f"no token for Label Studio at {self.access.origin}; expected one in LABEL_STUDIO_API_KEY; "
                "copy it from Account & Settings there"
            )
        object.__setattr__(self, "_credentials", Credentials(self.access))

    def json(self, path: str, params: Params = ()) -> Any:
        """The answer to GET `path`, below the address, read as JSON. Raises UsageError for a refusal."""

        def read() -> Any:
            with self._answer(path, params) as answer:
                try:
                    return answer.json()
                except requests.RequestException as error:
                    raise PassingError(f"{path} answered something else than JSON ({type(error).__name__})") from None

        return self.patiently(read)

    def patiently(self, work: Callable[[], Result]) -> Result:
        """What `work` gives, tried again after failures that may pass. Raises UsageError when it does not get through."""
        for pause in PAUSES:
            try:
                return work()
            except PassingError:
                self.pause(pause)
        try:
            return work()
        except PassingError as error:
            raise UsageError(
                f"Label Studio at {self.access.origin} does not answer ({error}); expected it to run; check its address and log, and run "
                "the same command again: it goes on where this one stopped"
            ) from None

    def save(self, path: str, params: Params, write: Callable[[bytes], object]) -> None:
        """One try to give the body of the answer to `write`, piece by piece. Raises PassingError, or UsageError for a refusal."""
        with self._answer(path, params) as answer:
            try:
                for piece in answer.iter_content(1 << 20):
                    write(piece)
            except requests.RequestException as error:
                raise PassingError(f"its answer broke off ({type(error).__name__})") from None

    @contextlib.contextmanager
    def _answer(self, path: str, params: Params) -> Iterator[requests.Response]:
        header = self._credentials.header()
        with self._get(path, params, header) as answer:
            if answer.status_code != requests.codes.unauthorized or not self._credentials.renewable:
                self._refuse(answer, path)
                yield answer
                return
        self._credentials.forget(header)
        with self._get(path, params, self._credentials.header()) as answer:
            self._refuse(answer, path)
            yield answer

    @contextlib.contextmanager
    def _get(self, path: str, params: Params, header: str | None) -> Iterator[requests.Response]:
        with requests.Session() as session:
            # Proxies are for other machines.
            session.trust_env = not self.access.origin.loopback
            try:
                answer = session.get(
                    f"{self.access.base}{path}",
                    params=list(params),
                    auth=Unfollowed(header),
                    allow_redirects=False,
                    stream=True,
                    timeout=_TIMEOUT,
                )
            except requests.RequestException as error:
                raise PassingError(type(error).__name__) from None
            with answer:
                yield answer

    def _refuse(self, answer: requests.Response, path: str) -> None:
        status, where = answer.status_code, self.access.origin
        if status == requests.codes.ok:
            return
        if status >= 500 or status == requests.codes.too_many_requests:
            raise PassingError(f"status {status}")
        if status in (requests.codes.unauthorized, requests.codes.forbidden):
            raise UsageError(
                f"Label Studio at {where} refuses the token or what it may see (status {status}); expected one of a user who may see the "
                "project; copy it from Account & Settings there into LABEL_STUDIO_API_KEY"
            )
        if status == requests.codes.not_found:
            raise MissingError(
                f"Label Studio at {where} has no {path}; expected the number of a project, as in its address; check --project"
            )
        if answer.is_redirect:
            raise UsageError(
                f"Label Studio at {where} sends {path} on to another address, where no token is sent; expected its own address, with https "
                "and the path that it has; change the address"
            )
        raise UsageError(f"Label Studio at {where} refused {path} with status {status}; expected it to be accepted; see its log")
