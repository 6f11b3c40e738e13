"""A benchmark that is really killed (SIGKILL, the whole process), at several moments, and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from backend.commands.bench import command

MODELS = ["--model", "ritm_tiny", "--model", "vitclick_tiny+cfr1", "--precision", "fp32", "--batch", "3"]


pytestmark = pytest.mark.usefixtures("one_thread")  # as in the processes that are killed


def start(data: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "backend.cli", "bench", "--data", str(data), *MODELS, "--json", str(out), *more],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(data: Path, out: Path, *more: str) -> None:
    answer = CliRunner().invoke(command, ["--data", str(data), *MODELS, "--json", str(out), *more], catch_exceptions=False)
    assert answer.exit_code == 0


def groups(partial: Path) -> list[str]:
    """Whole lines after that of the conditions."""
    lines = partial.read_text().splitlines(keepends=True)[1:] if partial.exists() else []
    return [line for line in lines if line.endswith("\n")]


def kill_when(process: subprocess.Popen[str], partial: Path, enough: int) -> None:
    """End the process without warning as soon as so many groups are on disk."""
    while process.poll() is None and not (partial.exists() and len(groups(partial)) >= enough):
        time.sleep(0.001)
    assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGKILL)
    process.wait()


def numbers(out: Path) -> dict:
    """Everything about clicks, nothing about time."""
    models = json.loads(out.read_text())["models"]
    return {name: {key: value for key, value in one.items() if not key.startswith("seconds")} for name, one in models.items()}


def assert_same(out: Path, whole: Path) -> None:
    assert out.with_suffix(".objects.parquet").read_bytes() == whole.with_suffix(".objects.parquet").read_bytes()
    assert numbers(out) == numbers(whole)
    assert sorted(path.name for path in out.parent.glob("*out*")) == ["out.json", "out.objects.parquet", "out.timings.jsonl"]


def test_a_killed_run_goes_on_to_the_same_bytes_and_repeats_nothing(data: Path, tmp_path: Path) -> None:
    """Killed before its first result, killed again with two processes at work, then finished."""
    whole, out, partial = tmp_path / "whole.json", tmp_path / "out.json", tmp_path / "out.partial.jsonl"
    finish(data, whole)
    kill_when(start(data, out), partial, 0)
    process = start(data, out, "--resume", "--workers", "2")
    kill_when(process, partial, 2)
    seen = groups(partial)
    assert 2 <= len(seen) < 8
    finish(data, out, "--resume")
    assert_same(out, whole)
    timings = [json.loads(line) for line in out.with_suffix(".timings.jsonl").read_text().splitlines()]
    kept = [each["seconds"] for line in seen for each in json.loads(line)["group"]]
    assert all(seconds in timings for seconds in kept), "an object that was on disk was measured again"
    deadline = time.monotonic() + 20
    while left := session(process.pid):
        assert time.monotonic() < deadline, f"workers outlive the killed run: {left}"
        time.sleep(0.1)


def session(leader: int) -> list[int]:
    """Processes of the session that a run was started in, zombies left out."""
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, belongs = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(belongs) == leader and state != "Z":
            found.append(int(folder.name))
    return found


class Died(BaseException):
    """The process ends here."""


def test_wherever_the_partial_file_ends_the_rest_is_measured_to_the_same_bytes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a kill leaves is a beginning of the partial file; and, at the very end, any of the files that finishing has written."""
    whole, out, partial = tmp_path / "whole.json", tmp_path / "out.json", tmp_path / "out.partial.jsonl"
    finish(data, whole)
    with monkeypatch.context() as patched:
        unlink = Path.unlink

        def die(self: Path, missing_ok: bool = False) -> None:
            if self == partial:
                raise Died
            unlink(self, missing_ok)

        patched.setattr(Path, "unlink", die)
        with pytest.raises(Died):
            finish(data, out)
    assert partial.exists() and out.exists()
    complete = partial.read_bytes()
    finish(data, out, "--resume")  # with every file there
    assert_same(out, whole)
    for name in ("out.json", "out.timings.jsonl", "out.objects.parquet"):
        (tmp_path / name).unlink()
        partial.write_bytes(complete)
        finish(data, out, "--resume")
        assert_same(out, whole)
    for length in (0, 1, complete.index(b"\n") + 1, len(complete) // 2, len(complete) - 1):
        for left in tmp_path.glob("out*"):
            left.unlink()
        partial.write_bytes(complete[:length])
        finish(data, out, "--resume")
        assert_same(out, whole)
