"""Where a chip is clicked on when nobody does."""

from __future__ import annotations

import numpy as np
from disks import DISKS, SIDE, picture

from backend.pre_annotation.seeds import gaps, grid, middles_of_classes, quiet_middles, uncovered
from converters.frames import Size


def test_a_grid_lies_inside_and_is_evenly_spaced_coarse_first() -> None:
    seeds = grid(Size(300, 200), 50)
    assert len(seeds) == len(set(seeds)) == 4 * 6
    assert all(0 <= row < 200 and 0 <= col < 300 for row, col in seeds)
    assert {row for row, _ in seeds[:6]} == {25, 125}  # every second row first
    assert grid(Size(10, 10), 64) == [(5, 5)]


def test_the_middle_of_every_patch_of_a_class_largest_first() -> None:
    classes = np.full((10, 10), -1)
    classes[0:4, 0:4] = 0
    classes[6:8, 6:9] = 1
    classes[9, 0] = 1  # a single cell is noise
    seeds = middles_of_classes(classes, Size(100, 100))
    assert len(seeds) == 2
    assert classes[seeds[0][0] // 10, seeds[0][1] // 10] == 0
    assert classes[seeds[1][0] // 10, seeds[1][1] // 10] == 1


def test_quiet_middles_hit_every_disk_without_a_model() -> None:
    seeds = quiet_middles(picture(), 24, 200)
    for row, col, radius in DISKS:
        assert any((row - at[0]) ** 2 + (col - at[1]) ** 2 < radius**2 for at in seeds)
    assert all(0 <= row < SIDE and 0 <= col < SIDE for row, col in seeds)


def test_gaps_are_asked_for_largest_first_and_none_twice() -> None:
    covered = np.ones((60, 60), bool)
    covered[5:35, 5:35] = False
    covered[45:55, 45:55] = False
    waiting = gaps(covered, 4)
    row, col = next(waiting)
    assert 15 <= row <= 25 and 15 <= col <= 25
    covered[5:35, 5:35] = True
    row, col = next(waiting)
    assert 45 <= row < 55 and 45 <= col < 55
    assert list(waiting) == []


def test_what_is_covered_meanwhile_is_passed_over() -> None:
    covered = np.zeros((10, 10), bool)
    waiting = uncovered([(1, 1), (5, 5), (8, 8)], covered)
    assert next(waiting) == (1, 1)
    covered[5, 5] = True
    assert list(waiting) == [(8, 8)]
