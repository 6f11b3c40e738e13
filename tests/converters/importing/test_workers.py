"""Processes of an import: results in order, errors as values, none left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from converters.errors import RasterError
from converters.importing.workers import Workers

CHILDREN = """
import time
from converters.importing.workers import Workers

if __name__ == "__main__":
    with Workers(2) as workers:
        for _ in workers.map(time.sleep, [0.01, 0.01, 0.01]):
            pass
        print("ready", flush=True)
        time.sleep(60)
"""


def halved(number: int) -> int:
    if number % 2:
        raise RasterError(f"{number} is odd")
    return number // 2


def killed(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_order_and_errors_are_values(processes: int) -> None:
    with Workers(processes) as workers:
        found = list(workers.map(halved, range(20)))
    assert [number for number, _ in found] == list(range(20))
    assert [str(result) for _, result in found] == [f"{number} is odd" if number % 2 else str(number // 2) for number in range(20)]


def test_a_process_that_is_killed_is_an_error_that_says_what_to_do() -> None:
    with Workers(2) as workers, pytest.raises(RasterError, match="fewer --processes: what was finished is kept"):
        list(workers.map(killed, range(10)))


def test_processes_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(CHILDREN)
    root = Path(__file__).parents[3]
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(root)}, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "ready\n"
    children = [int(child) for child in Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()]
    assert len(children) >= 2
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 20
    while any(_runs(child) for child in children):
        assert time.monotonic() < deadline, "processes of the import outlive it"
        time.sleep(0.1)


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
