"""QGIS opens what was exported, with its styles, and draws it over the raster where it belongs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "qgis_picture.py"


def test_qgis_draws_the_geopackage_over_its_raster(tmp_path: Path) -> None:
    out = tmp_path / "layers.png"
    arguments = [sys.executable, str(SCRIPT), "--out", str(out), "--size", "600", "--pixels", "300"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=SCRIPT.parents[1])
    if done.returncode == 2:
        pytest.skip(f"QGIS is not installed: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert "building" in done.stdout and "EPSG:32633" in done.stdout
    with Image.open(out) as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
    outline = np.abs(pixels - (255, 51, 85)).max(axis=1) < 40  # the colour of buildings
    grass = np.ptp(pixels, axis=1) < 80  # the raster below
    assert outline.sum() > 50 and grass.mean() > 0.3
