"""`rsiseg versions`, `rsiseg worker` and the worker beside a server, as they are typed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from version_files import MODEL, write_tiny

from backend.commands import versions as versions_module
from backend.commands import worker as worker_module
from backend.errors import ModelError, UsageError
from backend.learning.beside import worker_beside, worker_environ
from backend.learning.versions import SHIPPED, Versions
from backend.settings import ServerSettings


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    made = Versions(tmp_path / "data")
    weights = write_tiny(tmp_path / "w.safetensors", 1)
    judged = {"difference": -1.25, "interval": [-1.8, -0.6], "objects": 37}
    made.add(7, weights, model=MODEL, parent=SHIPPED, about={"held out": judged})
    made.add(7, weights, model=MODEL, parent=1, about={})
    made.promote(7, 2)
    return made


def run(versions: Versions, *words: str) -> str:
    result = CliRunner().invoke(versions_module.command, [*words, "--data-dir", str(versions.folder.parent)])
    if result.exception is not None:
        raise result.exception
    return result.output


def test_versions_are_listed_with_what_judged_them(versions: Versions) -> None:
    first, second = run(versions, "list").splitlines()
    assert first.startswith("  project 7  v1   from shipped") and "-1.25 clicks (-1.80 to -0.60) on 37 held-out objects" in first
    assert second.startswith("* project 7  v2   from v1")
    rows = json.loads(run(versions, "list", "--project", "7", "--json"))
    assert [(row["version"], row["current"], row["parent"]) for row in rows] == [(1, False, 0), (2, True, 1)]
    assert "the shipped models answer" in run(versions, "list", "--project", "8")


def test_one_command_goes_back(versions: Versions) -> None:
    assert run(versions, "rollback") == "project 7 is answered by version 1 from the next click on\n"
    assert run(versions, "rollback") == "project 7 is answered by the shipped weights from the next click on\n"
    assert versions.current(7) is None
    assert json.loads(run(versions, "promote", "2", "--json")) == {"project": 7, "current": 2}
    assert json.loads(run(versions, "rollback", "--to", "0", "--json")) == {"project": 7, "current": 0}
    with pytest.raises(ModelError, match="has no version 9"):
        run(versions, "promote", "9")


def test_the_project_must_be_named_where_there_are_several(versions: Versions) -> None:
    versions.add(8, versions.get(7, 1).weights, model=MODEL, parent=SHIPPED, about={})
    with pytest.raises(UsageError, match="are 7, 8; add --project"):
        run(versions, "rollback")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--replay", "scenes=none"], "is no weight"),
        (["--replay", "scenes=-1"], "is no weight"),
        (["--replay", "/nowhere"], "nothing is at /nowhere"),
        (["--recipe", "magic"], "unknown recipe 'magic'"),
    ],
)
def test_wrong_words_are_refused_before_anything_waits(words: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "nice", lambda steps: 0)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        result = CliRunner().invoke(worker_module.command, ["--once", *words])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert isinstance(result.exception, UsageError) and said in str(result.exception)


def test_replayed_sets_have_shares(tmp_path: Path) -> None:
    found = worker_module._replay(("scenes=0.25", f"{tmp_path}=2", str(tmp_path), "none"))
    assert [(one.path, one.weight) for one in found] == [("scenes", 0.25), (str(tmp_path), 2.0), (str(tmp_path), 1.0)]


def test_the_worker_ends_at_a_polite_kill_and_when_nothing_waits(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "backend.cli", "worker", "--data-dir", str(tmp_path)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("RSISEG_", "REDIS_"))}
    done = subprocess.run([*command, "--once"], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "waits for annotations" in done.stderr
    process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None and "waits for annotations" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    assert "the same command goes on" in process.communicate()[1] and process.returncode == 130


def test_the_worker_beside_a_server_is_started_again_and_ends_with_it(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    code = f"import time; open({str(begun)!r}, 'a').write('x'); time.sleep(600 if len(open({str(begun)!r}).read()) > 1 else 0)"
    settings = ServerSettings(data_dir=tmp_path)
    with worker_beside(settings, command=[sys.executable, "-c", code], pause=0.01):
        while not begun.exists() or begun.read_text() != "xx":
            time.sleep(0.05)
        assert any(thread.name == "rsiseg-worker" for thread in threading.enumerate())
    assert not any(thread.name == "rsiseg-worker" for thread in threading.enumerate())
    processes = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(str(begun).encode() in words for words in processes)


def test_the_worker_beside_a_server_shares_its_settings(tmp_path: Path) -> None:
    settings = ServerSettings(data_dir=tmp_path, roots=(tmp_path, tmp_path), label_studio_url="http://ls:8080", api_key="secret", model="m")
    environ = worker_environ(settings)
    assert environ["RSISEG_DATA_DIR"] == str(tmp_path) and environ["RSISEG_ROOT"] == f"{tmp_path}{os.pathsep}{tmp_path}"
    assert (environ["RSISEG_LABEL_STUDIO_URL"], environ["LABEL_STUDIO_API_KEY"], environ["RSISEG_MODEL"]) == (
        "http://ls:8080",
        "secret",
        "m",
    )
