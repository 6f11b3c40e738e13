"""A Label Studio project, ready for clicks: made through the SDK once, found again and completed at every later start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from label_studio_sdk import LabelStudio
from label_studio_sdk.core.api_error import ApiError

from backend.errors import UsageError
from backend.studio.project_tasks import import_missing, register_storage
from converters.label_config import parse

_BACKEND = "RSISeg"  # its title in Label Studio, by which it is found again
_TITLE_LIMIT = 50  # of Label Studio


@dataclass(frozen=True, slots=True)
class ProjectPlan:
    """What a project needs.

    name: becomes the title. identity: one line that is kept as the description, by which the project is found again.
    label_config: the XML of a new project; one that exists keeps what its owner made of it.
    tasks: items of an import, each with `data`; those whose `data.image` is there already are left out.
    storage: folder with the chips, below Label Studio's folder of local files; without it their addresses give 404.
    backend_url: the ML backend's address, connected for interactive use.
    """

    name: str
    identity: str
    label_config: str
    tasks: Sequence[dict[str, Any]]
    storage: Path
    backend_url: str


def prepare_project(client: LabelStudio, plan: ProjectPlan) -> int:
    """The id of the project that is as `plan` says. Calling it again changes nothing.

    Raises UsageError when Label Studio refuses; the sentence for a refused local backend names the variable that allows it.
    """
    with explained():
        project = _find_or_create(client, plan)
        register_storage(client, project, str(plan.storage))
        import_missing(client, project, plan.tasks)
        connect_backend(client, project, plan.backend_url)
    return project


def _find_or_create(client: LabelStudio, plan: ProjectPlan) -> int:
    for known in client.projects.list():
        if known.description == plan.identity:
            return made_id(known)
    parse(plan.label_config)
    title = f"RSISeg {plan.name}"[:_TITLE_LIMIT]
    return made_id(client.projects.create(title=title, description=plan.identity, label_config=plan.label_config))


def made_id(made: Any) -> int:
    """The SDK's types allow a project without an id; Label Studio never answers one."""
    if made.id is None:
        raise UsageError(f"Label Studio answered a project without an id ({made!r}); expected one; see its log")
    return int(made.id)


def connect_backend(client: LabelStudio, project: int, url: str) -> None:
    """Connects the backend for interactive use; one connected earlier at another address is moved, with its webhook."""
    with explained():
        known = next((backend for backend in client.ml.list(project=project) if backend.title == _BACKEND), None)
        if known is None or known.id is None:
            client.ml.create(project=project, url=url, title=_BACKEND, is_interactive=True)
        elif known.url != url or not known.is_interactive:
            client.ml.update(known.id, project=project, url=url, is_interactive=True)
            _move_webhook(client, project, f"{known.url}/webhook", f"{url}/webhook")


def _move_webhook(client: LabelStudio, project: int, old: str, new: str) -> None:
    """Label Studio made the webhook with the backend, and leaves it behind when the backend moves."""
    for webhook in client.webhooks.list(project=str(project)):
        if webhook.url == old and webhook.id is not None:
            client.webhooks.update(webhook.id, url=new)


@contextmanager
def explained() -> Iterator[None]:
    """Label Studio's refusals as UsageError."""
    try:
        yield
    except ApiError as error:
        raise UsageError(refusal(error.status_code, error.body)) from None
    except httpx.HTTPError as error:
        raise UsageError(
            f"Label Studio stopped answering ({error}); expected it to run until Ctrl-C; see its log and start again"
        ) from None


def refusal(status: int | None, body: object) -> str:
    """What a refused request to Label Studio means, in one sentence."""
    said = _said(body)
    if "reserved network address" in said:
        return (
            f"Label Studio refuses the backend's address ({said}); it bans local networks unless it was started with "
            "USE_DEFAULT_BANNED_SUBNETS=false; restart it with that variable, on a trusted network only (Label Studio may then contact any "
            "address of it)"
        )
    if status == 401:
        return (
            f"Label Studio refuses the token of this installation ({said}); expected the one it was first started with; put the old "
            "credentials.json back, or begin anew with another --data-dir"
        )
    return f"Label Studio refused a request with status {status}: {said}; expected it to be accepted; see the log of Label Studio"


def _said(body: object) -> str:
    if not isinstance(body, dict):
        return str(body)[:300]
    reasons = body.get("validation_errors") or body.get("detail") or body
    if isinstance(reasons, dict):
        reasons = "; ".join(
            f"{field}: {', '.join(map(str, texts)) if isinstance(texts, list) else texts}" for field, texts in reasons.items()
        )
    return str(reasons)[:300]
