"""The report states by how much simplified outlines are off, in metres on the ground."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from annotated_rasters import a_chip, a_task, brush, write_raster, written
from shapely import box
from shapely.affinity import translate

from converters.chips import PixelWindow
from converters.exporting.deviation import largest_deviation_m
from converters.exporting.ground import GroundAxes
from converters.exporting.shaping import Shaping
from converters.frames import Size

AXES = GroundAxes(0.5, 0.0, 0.0, -0.25)


def test_the_largest_of_all_objects_counts_in_both_directions_and_along_both_axes() -> None:
    square = box(0, 0, 10, 10)
    assert largest_deviation_m([[square]], [[square]], AXES) == 0
    assert largest_deviation_m([[square], [square]], [[translate(square, 4)], [translate(square, 0, 4)]], AXES) == 2.0
    spike = square.union(box(10, 4, 30, 6))
    assert largest_deviation_m([[spike]], [[square]], AXES) == pytest.approx(10.0)
    assert largest_deviation_m([[square]], [[spike]], AXES) == pytest.approx(10.0)
    assert largest_deviation_m([[square]], [[square.difference(box(4, 4, 6, 6))]], AXES) == pytest.approx(1.0), "a new hole counts"


@pytest.mark.parametrize("tolerance", [0.2, 1.0])
def test_a_simplified_layer_says_how_far_it_is_off(tolerance: float, tmp_path: Path) -> None:
    size = Size(60, 60)
    rows, cols = np.mgrid[:60, :60]
    tasks = []
    for number, radius in enumerate((12, 25), start=1):
        name = f"{number}.tif"
        write_raster(tmp_path / name, size)
        chip = a_chip(name, PixelWindow(0, 0, 60, 60), size)
        tasks.append(a_task(number, chip, brush(np.hypot(rows - 30, cols - 30) < radius)))
    shaping = Shaping(overlaps="later", simplify_m=tolerance)
    off = written("geojson", tmp_path / "out.geojson", tasks, tmp_path, shaping=shaping).report()["facts"]["largest_deviation_m"]
    assert 0 < off < 1.5 * tolerance
    exact = written("geojson", tmp_path / "exact.geojson", tasks, tmp_path).report()["facts"]
    assert exact.get("largest_deviation_m", 0) == 0
