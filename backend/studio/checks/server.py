"""The backend as this machine reaches it: that it answers, takes the password, and says which models it has."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from backend.settings import ServerSettings
from backend.studio.checks.asking import Peer, Reply
from backend.studio.checks.finding import Verdict, fail, ok, warn
from backend.studio.checks.label_studio import Project
from backend.studio.checks.notes import Notes

# Label Studio's own limits (CONTRACT.md 2): ML_TIMEOUT_HEALTH, and ML_TIMEOUT_SETUP, which it also grants to /versions.
HEALTH_SECONDS, SETUP_SECONDS = 1.0, 3.0
_UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True)
class Listening:
    """A backend that answers. guarded: whether it asks for a password."""

    url: str
    guarded: bool


@dataclass(frozen=True, slots=True)
class Open:
    """The backend, with the password if it asks for one."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class Models:
    """versions: of the models that the backend has, its own first. unavailable: names of the others, with what gets them there.

    current: the version that was learned from a project and answers in it, by the project's number.
    """

    versions: tuple[str, ...]
    unavailable: Mapping[str, str]
    current: Mapping[str, str]


def answers(notes: Notes) -> Verdict:
    """GET /health within Label Studio's limit."""
    url = notes.question.backend_url
    reply = Peer(url).get("/health")
    if reply.status is None:
        return fail(f"nothing answers at {url} ({reply.problem})", "start `rsiseg serve`, or give its address to --backend-url")
    guarded = reply.status == _UNAUTHORIZED
    told = reply.json()
    if not guarded and (not reply.ok or not isinstance(told, Mapping) or told.get("model_class") != "RSISegModel"):
        return fail(f"something else than RSISeg answers at {url} ({reply.said()})", "give the address of `rsiseg serve` to --backend-url")
    notes.learn(Listening(url, guarded))
    found = f"{url} answers after {reply.milliseconds}"
    if reply.seconds > HEALTH_SECONDS:
        return fail(f"{found}; Label Studio waits {HEALTH_SECONDS:.0f} s", "give the machine less to do, or the backend --threads")
    return ok(found)


def password(notes: Notes) -> Verdict:
    """Basic authentication: what the backend asks for is what this environment says."""
    listening, settings = notes.need(Listening), notes.question.settings
    if not listening.guarded:
        notes.learn(Open(Peer(listening.url)))
        if settings.basic_auth_user is not None:
            return warn(
                "the backend asks for no password, though RSISEG_BASIC_AUTH_USER is set here",
                "start the backend with RSISEG_BASIC_AUTH_USER and RSISEG_BASIC_AUTH_PASSWORD",
            )
        return ok("none is asked for")
    peer = Peer(listening.url, lambda: _basic(settings))
    reply = peer.get("/health")
    if settings.basic_auth_user is None or not reply.ok:
        given = "none is set here" if settings.basic_auth_user is None else f"the one set here is refused ({reply.said()})"
        return fail(
            f"the backend asks for one, and {given}",
            "set RSISEG_BASIC_AUTH_USER and RSISEG_BASIC_AUTH_PASSWORD as for `rsiseg serve`",
        )
    notes.learn(Open(peer))
    return ok(f"accepted for {settings.basic_auth_user}")


def _basic(settings: ServerSettings) -> str | None:
    if settings.basic_auth_user is None:
        return None
    return "Basic " + base64.b64encode(f"{settings.basic_auth_user}:{settings.basic_auth_password}".encode()).decode()


def versions(notes: Notes) -> Verdict:
    """GET /versions, which Label Studio lists."""
    reply = notes.need(Open).peer.get("/versions")
    models = _models(reply)
    if models is None:
        return fail(f"/versions says nothing that can be read ({reply.said()})", "see the backend's log")
    notes.learn(models)
    project = notes.known(Project)
    learned = models.current.get(str(project.id)) if project else None
    answers = f"{models.versions[0]} answers" + (f", {learned} in this project" if learned else "")
    found = f"{answers}; {len(models.versions)} versions are there, {len(models.unavailable)} more models can be fetched"
    if models.versions[0] == "none":
        return fail(
            "the model that the backend was started with cannot be used", "see the backend's log, and start it with another --model"
        )
    if reply.seconds > SETUP_SECONDS:
        return warn(f"{found}; it took {reply.milliseconds}, and Label Studio waits {SETUP_SECONDS:.0f} s", "give the machine less to do")
    return ok(found)


def _models(reply: Reply) -> Models | None:
    told = reply.json()
    if not reply.ok or not isinstance(told, Mapping) or not isinstance(told.get("versions"), list) or not told["versions"]:
        return None
    return Models(tuple(map(str, told["versions"])), _texts(told.get("unavailable")), _texts(told.get("current")))


def _texts(said: object) -> dict[str, str]:
    return {str(name): str(text) for name, text in said.items()} if isinstance(said, Mapping) else {}
