"""Label Studio itself: that it answers, takes the token, and has the project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backend.studio.checks.asking import Peer
from backend.studio.checks.finding import Verdict, fail, ok, warn
from backend.studio.checks.notes import Notes
from backend.studio.environment import VERSION
from converters.label_studio_access import Credentials, LabelStudioAccess

_MANY = 10  # projects that are named where one has to be chosen
_UNAUTHORIZED, _NOT_FOUND = 401, 404


@dataclass(frozen=True, slots=True)
class Answering:
    """A Label Studio that answers at this address."""

    access: LabelStudioAccess


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Label Studio with a token that it takes."""

    api: Peer
    access: LabelStudioAccess


@dataclass(frozen=True, slots=True)
class Project:
    """id: Label Studio's. name: what it calls the project to the backend, "<id>.<seconds of its creation>". label_config: XML."""

    id: int
    name: str
    title: str
    label_config: str


def answers(notes: Notes) -> Verdict:
    """GET /health and /api/version, for which no token is needed."""
    settings = notes.question.settings
    if settings.label_studio_url is None:
        return fail("no address of Label Studio is known", "give --label-studio-url or LABEL_STUDIO_URL, such as http://localhost:8080")
    access = LabelStudioAccess(settings.label_studio_url, settings.api_key or "")
    peer = Peer(access.base)
    health = peer.get("/health")
    if health.status is None:
        return fail(f"nothing answers at {access.origin} ({health.problem})", "start Label Studio, or correct the address")
    told = peer.get("/api/version").json()
    release = told.get("release") if isinstance(told, Mapping) else None
    if not health.ok or not isinstance(release, str):
        return fail(
            f"something else than Label Studio answers at {access.base} ({health.said()})",
            "give the address under which the browser opens Label Studio, with its path if it has one",
        )
    notes.learn(Answering(access))
    found = f"{release} answers at {access.base} after {health.milliseconds}"
    return ok(found) if release == VERSION else warn(found, f"this backend was measured against {VERSION}; see docs/label_studio.md")


def token(notes: Notes) -> Verdict:
    """The token opens the API; a personal access token is exchanged for a short-lived one first."""
    access = notes.need(Answering).access
    if not access.token:
        return fail("there is no token", "copy one from Account & Settings in Label Studio into LABEL_STUDIO_API_KEY")
    credentials = Credentials(access)
    api = Peer(access.base, credentials.header)
    reply = api.get("/api/current-user/whoami")
    if reply.status == _UNAUTHORIZED:
        return _refused(reply.said())
    user = reply.json()
    if not reply.ok or not isinstance(user, Mapping):
        return fail(f"Label Studio does not say whose token it is ({reply.said()})", "see its log")
    notes.learn(SignedIn(api, access))
    kind = "personal access token, exchanged for a short-lived one" if credentials.renewable else "legacy token"
    return ok(f"{kind}, of {user.get('email') or user.get('id')}")


def _refused(said: str) -> Verdict:
    if "no longer" in said:
        return fail(
            f"legacy tokens are switched off in Label Studio ({said})",
            "put a personal access token into LABEL_STUDIO_API_KEY, or switch legacy tokens on under Organization, Access Token Settings",
        )
    return fail(f"Label Studio refuses it ({said})", "copy a token from Account & Settings into LABEL_STUDIO_API_KEY")


def project(notes: Notes) -> Verdict:
    """The project that was named, or the only one."""
    api, number = notes.need(SignedIn).api, notes.question.project
    if number is not None:
        reply = api.get(f"/api/projects/{number}")
        if reply.status == _NOT_FOUND:
            return fail(f"there is no project {number}, or this user may not see it", "give --project the number in the project's address")
        found = reply.json()
    else:
        reply = api.get("/api/projects", (("page_size", _MANY),))
        listed = reply.json()
        results = listed.get("results") if isinstance(listed, Mapping) else None
        if reply.ok and isinstance(results, list) and len(results) != 1:
            return _to_be_chosen(results, listed.get("count"))
        found = results[0] if isinstance(results, list) and results else None
    read = _read(found) if reply.ok else None
    if read is None:
        return fail(f"Label Studio does not show the project ({reply.said()})", "see its log")
    notes.learn(read)
    return ok(f"{read.id}, {read.title!r}")


def _to_be_chosen(projects: list[Any], count: object) -> Verdict:
    if not projects:
        return fail("there is no project", "create one, such as by `rsiseg import ... --upload`")
    names = ", ".join(f"{one.get('id')} {one.get('title')!r}" for one in projects if isinstance(one, Mapping))
    return fail(f"there are {count} projects: {names}", "give the number of one to --project")


def _read(found: object) -> Project | None:
    if not isinstance(found, Mapping) or not isinstance(found.get("id"), int):
        return None
    try:
        seconds = int(datetime.fromisoformat(str(found.get("created_at"))).timestamp())
    except ValueError:
        seconds = 0
    number = found["id"]
    return Project(number, f"{number}.{seconds}", str(found.get("title") or ""), str(found.get("label_config") or ""))
