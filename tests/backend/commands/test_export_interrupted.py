"""An export that is killed leaves the last one as it was, and the next run finishes; from a file and from the server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine

from converters.chips import Chip, PixelWindow
from converters.frames import Size
from converters.label_studio import brush_region, chip_to_task_data

SIDE = 250
PROGRAM = "from backend.cli import main; main()"
NAMES = {"geojson": "layer.geojson", "gpkg": "layer.gpkg", "geoparquet": "layer.parquet"}


def tasks(count: int) -> list[dict[str, Any]]:
    """Chips of noise: an export of many of them takes seconds, a task a fraction of one."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(1, count + 1):
        chip = Chip(
            image="a.png", raster=f"{number}.tif", window=PixelWindow(0, 0, SIDE, SIDE), transform=Affine(0.1, 0, 4e5, 0, -0.1, 5e6),
            crs="EPSG:32633", bands=("R", "G", "B"), scale=1.0, gsd=0.1, native_size=Size(SIDE, SIDE), stretch=None, nodata=None,
        )  # fmt: skip
        mask = rng.random((SIDE, SIDE)) < 0.05
        region = brush_region(mask, id="r", label="roof", from_name="b", to_name="img")
        found.append({"id": number, "data": chip_to_task_data(chip), "annotations": [{"id": number, "result": [region]}]})
    return found


def start(*arguments: object, **environ: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "export", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, **environ},
    )  # fmt: skip


def finish(process: subprocess.Popen[bytes]) -> str:
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said.decode()
    return said.decode()


def kill_when(process: subprocess.Popen[bytes], begun: Any) -> None:
    """Kills the process as soon as `begun()` holds; it must still be at work then."""
    limit = time.monotonic() + 120
    while not begun():
        assert process.poll() is None, f"it was through too early: {process.communicate()}"
        assert time.monotonic() < limit
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    process.communicate()


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_export_leaves_the_last_one_and_the_next_run_finishes(name: str, tmp_path: Path) -> None:
    short, long, out = tmp_path / "short.json", tmp_path / "long.json", tmp_path / "out" / NAMES[name]
    short.write_text(json.dumps(tasks(1)), encoding="utf-8")
    long.write_text(json.dumps(tasks(8)), encoding="utf-8")
    finish(start(short, "--format", name, "--out", out))
    before = out.read_bytes()
    kill_when(start(long, "--format", name, "--out", out), lambda: len(list(out.parent.iterdir())) > 1)
    assert out.read_bytes() == before
    finish(start(long, "--format", name, "--out", out))
    after = out.read_bytes()
    assert after != before
    assert list(out.parent.iterdir()) == [out]
    whole = tmp_path / "whole" / NAMES[name]
    finish(start(long, "--format", name, "--out", whole))
    assert whole.read_bytes() == after
