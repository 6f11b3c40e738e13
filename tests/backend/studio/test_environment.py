import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from backend.errors import UsageError
from backend.studio import environment


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would have been run; the last one makes the `label-studio` command as uv does."""
    commands: list[list[str]] = []

    def run(command: Sequence[str], **options: object) -> None:
        commands.append(list(command))
        if "sync" in command:
            script = Path(command[command.index("--python") + 1]).with_name("label-studio")
            script.parent.mkdir(parents=True, exist_ok=True)
            script.touch()

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(environment, "find_uv", lambda folder, tell: "uv")
    return commands


def test_environment_is_made_once(tmp_path: Path, ran: list[list[str]]) -> None:
    told: list[str] = []
    command = environment.ensure(tmp_path / "env", told.append)
    assert command == tmp_path / "env" / "bin" / "label-studio"
    assert [line[1:3] for line in ran] == [["venv", "--quiet"], ["pip", "sync"]]
    assert ran[1][-1] == str(environment.LOCK)
    assert "installing Label Studio 1.23.2" in told[0]
    assert environment.ensure(tmp_path / "env", told.append) == command
    assert len(ran) == 2


def test_changed_lock_brings_it_up_to_date(tmp_path: Path, ran: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    environment.ensure(tmp_path / "env", lambda text: None)
    other = tmp_path / "other.lock"
    other.write_text("label-studio==2\n")
    monkeypatch.setattr(environment, "LOCK", other)
    environment.ensure(tmp_path / "env", lambda text: None)
    assert ran[-1][-1] == str(other)


def test_failed_installation_is_an_error_and_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(command: Sequence[str], **options: object) -> None:
        raise subprocess.CalledProcessError(2, command)

    monkeypatch.setattr(subprocess, "run", fails)
    monkeypatch.setattr(environment, "find_uv", lambda folder, tell: "uv")
    for _ in range(2):
        with pytest.raises(UsageError, match=r"`uv venv --quiet \.\.\.` failed .*0\.8 GB of disk"):
            environment.ensure(tmp_path / "env", lambda text: None)


def test_lock_names_the_version_that_was_measured_and_no_index() -> None:
    text = environment.LOCK.read_text()
    assert re.search(rf"^label-studio=={re.escape(environment.VERSION)} ", text, re.MULTILINE)
    assert "://" not in text
