"""Several processes are one training: they hold the same weights, stop together, and go on together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from backend.segmenters.precision import native_bf16
from backend.training.devices import precision_of


def run(folder: Path, how: str) -> None:
    words = [sys.executable, str(Path(__file__).with_name("two_processes.py")), str(folder), how]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=400, env=environment)
    assert done.returncode == 0, done.stderr


def of(folder: Path, process: int, steps: int) -> dict[str, object]:
    return json.loads((folder / f"process_{process}_{steps}.json").read_text())


def test_two_processes_stay_one_network_stop_at_one_step_and_go_on_together(tmp_path: Path) -> None:
    for how, steps in (("stop", 2), ("whole", 5)):
        run(tmp_path, how)
        first, second = (of(tmp_path, process, steps) for process in (0, 1))
        assert first["net"] == second["net"] and (first["leads"], second["leads"]) == (True, False)
        log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
        assert [row["step"] for row in log] == list(range(steps))


def test_bf16_is_chosen_where_it_is_fast() -> None:
    assert precision_of("auto", "cuda") == "bf16-mixed"
    assert precision_of("auto", "cpu") == ("bf16-mixed" if native_bf16() else "fp32")
    assert precision_of("fp32", "cuda") == "fp32"
