"""A project comes from the server whole, page by page, and only what is not there yet; the token goes nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from project_server import BREAKS_OFF, CONFIG, TOKEN, ProjectServer, serving

from backend.errors import UsageError
from backend.studio.api import PAUSES, Api
from backend.studio.project_download import PAGE, download, label_config
from converters.label_studio_access import LabelStudioAccess
from converters.label_studio_export import read_export


def a_task(number: int, changed: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    results = [{"id": "r", "type": "choices", "value": {}}]
    return {"id": number, "data": {"image": "a.png"}, "annotations": [{"id": number, "result": results}], "updated_at": changed}


@pytest.fixture
def server() -> Iterator[ProjectServer]:
    with serving({number: a_task(number) for number in range(10, 10 + 3 * PAGE)}) as running:
        yield running


def api(server: ProjectServer, token: str = TOKEN) -> Api:
    return Api(LabelStudioAccess(server.url, token), pause=lambda seconds: None)


def test_the_tasks_are_those_of_the_whole_export(server: ProjectServer, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    tasks = download(api(server), 7, tmp_path / "new", lambda done, total: told.append((done, total)))
    assert tuple(tasks()) == tuple(tasks()) == read_export([server.tasks[number] for number in sorted(server.tasks)])
    assert told[-1] == (3 * PAGE, 3 * PAGE)
    assert label_config(api(server), 7) == CONFIG


def test_a_server_with_short_pages_lists_all_tasks_too(server: ProjectServer, tmp_path: Path) -> None:
    server.page_size = 5
    assert len(list(download(api(server), 7, tmp_path)())) == 3 * PAGE


def test_a_project_without_tasks_is_empty(server: ProjectServer, tmp_path: Path) -> None:
    server.tasks.clear()
    assert list(download(api(server), 7, tmp_path)()) == []
    assert server.exports == []  # no numbers would mean: all tasks


def test_after_an_interruption_only_the_rest_is_fetched(server: ProjectServer, tmp_path: Path) -> None:
    def interrupted(done: int, total: int) -> None:
        if done > PAGE:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(api(server), 7, tmp_path, interrupted)
    before = len(server.exports)
    tasks = download(api(server), 7, tmp_path)
    fetched = [number for numbers in server.exports for number in numbers]
    assert 0 < before < len(server.exports)
    assert sorted(fetched) == sorted(server.tasks)  # each once
    assert [task.id for task in tasks()] == sorted(server.tasks)


def test_a_task_that_changed_is_fetched_again_with_its_page_alone(server: ProjectServer, tmp_path: Path) -> None:
    download(api(server), 7, tmp_path)
    server.exports.clear()
    server.tasks[40] = a_task(40, "2026-01-02T00:00:00Z") | {"annotations": []}
    tasks = list(download(api(server), 7, tmp_path)())
    assert len(server.exports) == 1 and 40 in server.exports[0]
    assert [len(task.annotations) for task in tasks if task.id == 40] == [0]
    assert len(list(tmp_path.iterdir())) == len({number // PAGE for number in server.tasks})


def test_a_deleted_task_is_gone_and_nothing_of_it_stays(server: ProjectServer, tmp_path: Path) -> None:
    download(api(server), 7, tmp_path)
    del server.tasks[11]
    tasks = download(api(server), 7, tmp_path)
    assert [task.id for task in tasks()] == sorted(server.tasks)
    assert sorted(tmp_path.iterdir()) == sorted(tasks.files)


@pytest.mark.parametrize("failure", [500, 502, 429, BREAKS_OFF])
def test_a_failure_that_passes_is_waited_out(server: ProjectServer, tmp_path: Path, failure: int) -> None:
    server.failures = [failure, failure]
    assert len(list(download(api(server), 7, tmp_path)())) == 3 * PAGE


def test_a_server_that_goes_on_failing_is_named_and_what_came_is_kept(server: ProjectServer, tmp_path: Path) -> None:
    def fail(done: int, total: int) -> None:
        server.failures = [503] * (len(PAUSES) + 1)

    with pytest.raises(UsageError, match=r"does not answer \(status 503\); expected .* run the same command again"):
        download(api(server), 7, tmp_path, fail)
    server.exports.clear()
    assert len(list(download(api(server), 7, tmp_path)())) == 3 * PAGE
    assert sorted(number for numbers in server.exports for number in numbers) == [n for n in sorted(server.tasks) if n >= PAGE]


@pytest.mark.parametrize(("token", "said"), [("wrong" * 8, "refuses the token"), ("", "no token")])
def test_a_wrong_token_is_refused_and_never_shown(server: ProjectServer, tmp_path: Path, token: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        download(api(server, token), 7, tmp_path)
    assert not token or token not in repr(refused.value)
    assert TOKEN not in repr(api(server))


def test_an_unknown_project_is_named(server: ProjectServer, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="check --project"):
        label_config(api(server), 8)


def test_an_answer_that_is_no_list_of_tasks_is_refused(server: ProjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProjectServer, "reply", lambda *_: (200, ["hello"]))
    with pytest.raises(UsageError, match="something else than a list of tasks"):
        download(api(server), 7, tmp_path)


def test_the_token_does_not_follow_a_redirect(server: ProjectServer, tmp_path: Path) -> None:
    with serving(server.tasks) as other:
        server.redirect = other.url
        with pytest.raises(UsageError, match="on to another address"):
            download(api(server), 7, tmp_path)
        assert other.requests == 0


def test_a_folder_that_cannot_be_made_is_named(server: ProjectServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be kept"):
        download(api(server), 7, tmp_path / "file" / "tasks")


def test_files_hold_the_export_and_no_token(server: ProjectServer, tmp_path: Path) -> None:
    tasks = download(api(server), 7, tmp_path)
    assert [task["id"] for file in tasks.files for task in json.loads(file.read_text())] == sorted(server.tasks)
    assert all(TOKEN not in file.read_text() for file in tmp_path.iterdir())
