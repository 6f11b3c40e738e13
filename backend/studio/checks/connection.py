"""From Label Studio to the backend: allowed at all, registered in the project, reached, interactive, told of annotations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.studio.checks.asking import Reply
from backend.studio.checks.finding import Verdict, fail, ok, warn
from backend.studio.checks.label_studio import Project, SignedIn
from backend.studio.checks.notes import Notes
from backend.studio.checks.server import Listening
from converters.errors import SourceError
from converters.origins import parse_origin, shown

# No project has this number, so a request to register with it stores nothing, however the address is judged: the judgement is all of it.
_NO_PROJECT = "asked by rsiseg doctor; not to be registered"
_NO_ACTION = "asked by rsiseg doctor"
_REFUSED, _INVALID, _FORBIDDEN = "reserved network address", 400, 403
_SWITCH = (
    "restart Label Studio with USE_DEFAULT_BANNED_SUBNETS=false, on a trusted network only: Label Studio may then contact any address of it"
)


@dataclass(frozen=True, slots=True)
class Backend:
    """The backend's row in Label Studio.

    url: as Label Studio calls it. extra_params: of the project, as they were typed. state: "CO" for connected. error: Label Studio's words.
    """

    id: int
    url: str
    interactive: bool
    guarded: bool
    state: str
    error: str
    extra_params: Any


@dataclass(frozen=True, slots=True)
class Reached:
    """Label Studio gets answers from the backend."""

    backend: Backend


@dataclass(frozen=True, slots=True)
class Clickable:
    """Label Studio passes clicks on to the backend."""


def registered(notes: Notes) -> Verdict:
    """The project has a row for this backend, and none beside it that would be asked instead."""
    api, project, url = notes.need(SignedIn).api, notes.need(Project), notes.question.backend_url
    reply = api.get("/api/ml", (("project", project.id),))
    rows = reply.json()
    if not reply.ok or not isinstance(rows, list):
        return fail(f"Label Studio does not list the project's backends ({reply.said()})", "see its log")
    backends = [_read(row) for row in rows if isinstance(row, Mapping) and isinstance(row.get("id"), int)]
    if not backends:
        return fail(
            f"project {project.id} has no backend",
            f"in Label Studio, connect {url} under Settings, Model, with interactive preannotations on",
        )
    here = [backend for backend in backends if _same(backend.url, url)] or [one for one in backends if one.interactive] or backends
    backend = here[0]
    notes.learn(backend)
    called = shown(backend.url)
    found = f"as {called}" + ("" if _same(backend.url, url) else f", which is {url} from here if both are one")
    others = [shown(one.url) for one in backends if one is not backend]
    # An opened task and a batch ask the first, a click the first interactive one.
    if others and (backends[0] is not backend or next((one for one in backends if one.interactive), backend) is not backend):
        return warn(f"{found}; {', '.join(others)} is asked before it", "disconnect the backends that are not used under Settings, Model")
    return ok(found + (f"; {len(others)} more beside it" if others else ""))


def _read(row: Mapping[str, Any]) -> Backend:
    return Backend(
        id=row["id"],
        url=str(row.get("url") or "").rstrip("/"),
        interactive=row.get("is_interactive") is True,
        guarded=row.get("auth_method") == "BASIC_AUTH",
        state=str(row.get("state") or ""),
        error=str(row.get("error_message") or ""),
        extra_params=row.get("extra_params"),
    )


def _same(one: str, other: str) -> bool:
    """Whether two addresses name one server; addresses that cannot be read are none."""
    try:
        return parse_origin(one).same_server(parse_origin(other))
    except SourceError:
        return False


def allowed(notes: Notes) -> Verdict:
    """Whether Label Studio may contact the backend's address: it bans reserved networks unless a switch says otherwise (CONTRACT.md 1.1).

    Asked with a registration, and a webhook, that cannot be stored: the address is judged before, or beside, what is wrong with them.
    """
    api, backend = notes.need(SignedIn).api, notes.known(Backend)
    url = backend.url if backend else notes.question.backend_url
    asked = api.post("/api/ml", {"url": url, "project": _NO_PROJECT})
    if _REFUSED in asked.said():
        return fail(f"Label Studio refuses {shown(url)}: {_detail(asked)}", _SWITCH)
    if asked.status not in (_INVALID, _FORBIDDEN) or _concerns_url(asked):
        return fail(
            f"Label Studio cannot use the address {shown(url)} ({asked.said()})",
            "connect one that resolves on Label Studio's machine, such as the backend's host name or container name",
        )
    if asked.status == _FORBIDDEN:
        return warn(f"Label Studio does not say ({asked.said()})", "ask with the token of a user who may change projects")
    webhook = api.post("/api/webhooks/", {"url": f"{url}/webhook", "actions": [_NO_ACTION]})
    if _REFUSED in webhook.said():
        return warn(
            f"Label Studio may call {shown(url)}, but not its webhook: {_detail(webhook)}; ML_BLOCK_LOCAL_IP=false alone does that",
            _SWITCH,
        )
    return ok(f"Label Studio may contact {shown(url)}")


def _detail(reply: Reply) -> str:
    told = reply.json()
    return str(told.get("detail")) if isinstance(told, Mapping) else reply.said()


def _concerns_url(reply: Reply) -> bool:
    told = reply.json()
    errors = told.get("validation_errors") if isinstance(told, Mapping) else None
    return "URL" in _detail(reply) or (isinstance(errors, Mapping) and "url" in errors)


def reached(notes: Notes) -> Verdict:
    """The row's state. Reading it makes Label Studio call /health and /setup."""
    api, backend = notes.need(SignedIn).api, notes.need(Backend)
    reply = api.get(f"/api/ml/{backend.id}")
    row = reply.json()
    if not reply.ok or not isinstance(row, Mapping):
        return fail(f"Label Studio does not show the backend ({reply.said()})", "see its log")
    now = _read({"id": backend.id, **row})
    state = row.get("readable_state") or now.state
    if now.state == "ER":
        return fail(f"Label Studio says {state}: {now.error[:300]}", "do what it says; the backend's log has the rest")
    if now.state == "DI":
        return fail(f"Label Studio says {state}: {shown(now.url)}/health gave it nothing good within 1 s", _unreached(notes, now))
    notes.learn(Reached(now))
    return ok(f"{state}; /health and /setup together took at most {reply.milliseconds} (limits 1 s and 3 s)")


def _unreached(notes: Notes, backend: Backend) -> str:
    listening = notes.known(Listening)
    if listening is None:
        return "start the backend"
    if listening.guarded and not backend.guarded:
        return "it asks for a password: choose Basic Authentication under Settings, Model, and give user and password"
    if listening.guarded:
        return "check user and password under Settings, Model; then see 'address allowed'"
    return "see 'address allowed'; if that is well, connect an address that leads from Label Studio's machine to the backend"


def interactive(notes: Notes) -> Verdict:
    """Without it the editor has no Auto-Annotation switch, and Label Studio refuses clicks sent through its API."""
    if notes.need(Backend).interactive:
        notes.learn(Clickable())
        return ok("on: the editor offers Auto-Annotation")
    return fail(
        "interactive preannotations are off, so the editor has no Auto-Annotation switch",
        "switch them on under Settings, Model, Edit",
    )


def webhook(notes: Notes) -> Verdict:
    """Label Studio tells the backend of annotations: made with the backend's row, and left behind when that moves."""
    api, project, backend = notes.need(SignedIn).api, notes.need(Project), notes.need(Backend)
    reply = api.get("/api/webhooks/", (("project", project.id),))
    rows = reply.json()
    if not reply.ok or not isinstance(rows, list):
        return fail(f"Label Studio does not list its webhooks ({reply.said()})", "see its log")
    wanted = f"{backend.url}/webhook"
    # One without a project is the organization's, and hears of every project.
    heard = [row for row in rows if isinstance(row, Mapping) and row.get("project") in (None, project.id)]
    found = next((row for row in heard if row.get("url") == wanted), None)
    if found is None:
        elsewhere = sorted({shown(str(row["url"])) for row in heard if str(row.get("url")).endswith("/webhook")})
        instead = f", only to {', '.join(elsewhere)}" if elsewhere else ""
        return warn(
            f"nothing tells {shown(wanted)} of annotations{instead}, so nothing is learned from them",
            f"add {shown(wanted)} under Settings, Webhooks, with the payload, for all actions",
        )
    if found.get("is_active") is not True or found.get("send_payload") is not True:
        return warn(f"{shown(wanted)} is switched off, or told without the payload", "switch both on under Settings, Webhooks")
    if found.get("send_for_all_actions") is not True and "ANNOTATION_CREATED" not in (found.get("actions") or []):
        return warn(f"{shown(wanted)} is not told of new annotations", "let it be told of all actions under Settings, Webhooks")
    return ok(f"{shown(wanted)} is told of annotations")
