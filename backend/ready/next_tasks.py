"""Which tasks come after one: asked of Label Studio's API, since /predict names the opened task only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import requests

from converters.errors import SourceError
from converters.label_studio_access import Credentials, LabelStudioAccess, Unfollowed

_TIMEOUT = (2, 5)  # seconds; nobody waits for the answer, and nothing is lost without it


class NextTasks:
    """The next tasks of a project that nobody has finished, by id, which is the order of Label Studio's own label stream."""

    def __init__(self, access: LabelStudioAccess) -> None:
        self._access = access
        self._credentials = Credentials(access)

    def after(self, project: int, task: int, count: int) -> list[Mapping[str, Any]]:
        """Up to `count` tasks with an id above `task`, as /predict would send them: at least `id` and `data`.

        Raises SourceError when Label Studio does not answer, or not as expected.
        """
        items = [
            {"filter": "filter:tasks:id", "operator": "greater", "type": "Number", "value": task},
            {"filter": "filter:tasks:completed_at", "operator": "empty", "type": "Datetime", "value": True},
        ]
        query = {"filters": {"conjunction": "and", "items": items}, "ordering": ["tasks:id"]}
        params = {"project": project, "page_size": count, "resolve_uri": "false", "query": json.dumps(query)}
        header = self._credentials.header()
        answer = self._get(params, header)
        if answer.status_code == requests.codes.unauthorized and self._credentials.renewable:
            self._credentials.forget(header)
            answer = self._get(params, self._credentials.header())
        return self._tasks(answer)[:count]

    def _get(self, params: Mapping[str, Any], header: str | None) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = not self._access.origin.loopback  # proxies are for other machines
            try:
                return session.get(
                    f"{self._access.base}/api/tasks", params=dict(params), auth=Unfollowed(header), allow_redirects=False, timeout=_TIMEOUT
                )
            except requests.RequestException as error:
                raise SourceError(
                    f"Label Studio at {self._access.origin} does not say which tasks come next ({type(error).__name__}); expected an "
                    "answer of its API; check its address and that it runs"
                ) from None

    def _tasks(self, answer: requests.Response) -> list[Mapping[str, Any]]:
        try:
            listed = answer.json()["tasks"] if answer.status_code == requests.codes.ok else None
        except (requests.RequestException, KeyError, TypeError):
            listed = None
        if not isinstance(listed, list):
            raise SourceError(
                f"Label Studio at {self._access.origin} does not say which tasks come next (status {answer.status_code}); expected a list; "
                "check that LABEL_STUDIO_API_KEY is the token of a user who may see the project"
            )
        return [task for task in listed if isinstance(task, Mapping) and isinstance(task.get("id"), int)]
