"""Files of whole rasters: one for each, whatever their names; overviews show what is where."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from annotated_rasters import UTM, a_chip, a_task, brush, write_raster, written
from PIL import Image

from converters import isprs_labels
from converters.chips import PixelWindow
from converters.errors import ExportError
from converters.exporting.overview import _scale
from converters.exporting.shaping import Shaping
from converters.frames import Size
from converters.labelled import open_labelled

SIZE = Size(200, 100)
LEFT, RIGHT = PixelWindow(0, 0, 100, 100), PixelWindow(100, 0, 100, 100)


def half(right: bool) -> np.ndarray:
    """Half of an object over the border of the two chips, with a hole in its left half."""
    mask = np.zeros((100, 100), bool)
    if right:
        mask[20:80, :50] = True
    else:
        mask[20:80, 40:] = True
        mask[40:60, 60:80] = False
    return mask


def tasks_of(home: Path, raster: str, first: int = 1, label: str = "building") -> list[dict]:
    write_raster(home / raster, SIZE)
    chips = (a_chip(raster, LEFT, SIZE), a_chip(raster, RIGHT, SIZE))
    return [a_task(first + n, chip, brush(half(bool(n)), label)) for n, chip in enumerate(chips)]


def test_each_raster_gets_a_class_raster_of_its_own_grid(tmp_path: Path) -> None:
    tasks = [*tasks_of(tmp_path, "a.tif"), *tasks_of(tmp_path, "b/a.tif", 3, "tree"), *tasks_of(tmp_path, "c.tif", 5)]
    account = written("class-raster", tmp_path / "out", tasks, tmp_path)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(names) == 4 and names[0].startswith("a-") and names[1:] == ["a_classes.tif", "c_classes.tif", "classes.json"]
    assert json.loads((tmp_path / "out" / "classes.json").read_text())["classes"] == {"building": 0, "tree": 1}
    for name, code in (("a_classes.tif", 0), (names[0], 1), ("c_classes.tif", 0)):
        with rasterio.open(tmp_path / "out" / name) as raster:
            expected = np.where(np.hstack((half(False), half(True))), code, 255)
            assert np.array_equal(raster.read(1), expected)
            assert raster.transform == UTM
    assert account.report()["merged"] == 3


@pytest.mark.parametrize(("priority", "winner"), [((), 1), (("building",), 0)])
def test_class_rasters_follow_the_rule_for_overlaps(priority: tuple[str, ...], winner: int, tmp_path: Path) -> None:
    write_raster(tmp_path / "a.tif", SIZE)
    task = a_task(1, a_chip("a.tif", LEFT, SIZE), brush(half(False), "building", "x"), brush(np.ones((100, 100), bool), "tree", "y"))
    shaping = Shaping(overlaps="priority", priority=priority) if priority else Shaping()
    written("class-raster", tmp_path / "out", [task], tmp_path, shaping=shaping)
    with rasterio.open(tmp_path / "out" / "a_classes.tif") as raster:
        assert raster.read(1)[30, 50] == winner
        assert raster.read(1)[50, 70] == 1, "the hole of the building is the tree's"
        assert raster.read(1)[50, 150] == 255


def test_class_rasters_keep_their_pixels_where_vectors_are_simplified(tmp_path: Path) -> None:
    shaping = Shaping(overlaps="later", simplify_m=2.0, right_angles=frozenset({"building"}))
    account = written("class-raster", tmp_path / "out", tasks_of(tmp_path, "a.tif"), tmp_path, shaping=shaping)
    with rasterio.open(tmp_path / "out" / "a_classes.tif") as raster:
        assert np.array_equal(raster.read(1) == 0, np.hstack((half(False), half(True))))
    assert account.report()["facts"]["largest_deviation_px"] == 0


def test_a_raster_without_a_georeference_gets_a_class_raster_without_one(tmp_path: Path) -> None:
    write_raster(tmp_path / "a.tif", SIZE, None, None)
    written("class-raster", tmp_path / "out", [a_task(1, a_chip("a.tif", LEFT, SIZE, None, None), brush(half(False)))], tmp_path)
    with rasterio.open(tmp_path / "out" / "a_classes.tif") as raster:
        assert raster.crs is None and raster.transform.is_identity
        assert np.array_equal(raster.read(1)[:, :100] == 0, half(False))


def test_isprs_files_of_a_potsdam_tile_are_read_by_the_reader_of_the_benchmark(tmp_path: Path) -> None:
    home = tmp_path / "Potsdam"
    tasks = tasks_of(home, "2_Ortho_RGB/top_potsdam_2_10_RGB.tif")
    written("isprs", home / "5_Labels_all", tasks, home)
    (label,) = (home / "5_Labels_all").iterdir()
    assert label.name == "top_potsdam_2_10_label.tif"
    found = isprs_labels.decode(label, PixelWindow(0, 0, 200, 100))
    assert np.array_equal(found == 0b001, np.hstack((half(False), half(True))))
    (image,) = open_labelled(home).images
    (one,) = image.objects(1)
    assert (one.class_name, one.area) == ("building", half(False).sum() + half(True).sum())


def test_isprs_colours_of_unknown_classes_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no class 'pool'"):
        written("isprs", tmp_path / "out", tasks_of(tmp_path, "a.tif", label="pool"), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif"]


# --- overview


def test_an_overview_tints_objects_and_leaves_their_holes(tmp_path: Path) -> None:
    tasks = tasks_of(tmp_path, "a.tif")
    with rasterio.open(tmp_path / "a.tif", "r+") as raster:
        raster.write(np.full((3, 100, 200), 100, np.uint8))
    account = written("overview", tmp_path / "out", tasks, tmp_path)
    picture = np.asarray(Image.open(tmp_path / "out" / "a_overview.png"))
    zoom = 6  # 200 px are shown at 1200
    assert picture.shape[0] >= 100 * zoom and picture.shape[1] > 200 * zoom, "a legend stands beside it"
    assert picture[30 * zoom, 50 * zoom].tolist() == [60, 60, 162], "40 % of blue over grey"
    assert picture[50 * zoom, 70 * zoom].tolist() == [100, 100, 100], "the hole shows the ground"
    assert picture[50 * zoom, 100 * zoom].tolist() == [60, 60, 162], "no line where the chips meet: it is one object"
    outline = picture[50 * zoom, 39 * zoom : 41 * zoom]
    assert outline[:, 2].max() > 170 and outline.max(axis=1).min() < 60, "blue with a dark rim"
    assert account.report()["facts"]["rasters_without_imagery"] == []


def test_an_overview_without_imagery_says_so_and_draws_on_grey(tmp_path: Path) -> None:
    tasks = tasks_of(tmp_path, "a.tif")
    (tmp_path / "a.tif").unlink()
    account = written("overview", tmp_path / "out", tasks, tmp_path)
    (why,) = account.report()["facts"]["rasters_without_imagery"]
    assert "a.tif" in why
    assert np.asarray(Image.open(tmp_path / "out" / "a_overview.png"))[5, 5].tolist() == [190, 190, 190]


@pytest.mark.parametrize(("metres", "expected"), [(0.05, "10 m"), (0.9, "200 m"), (7.0, "2 km"), (0.001, "0.2 m")])
def test_the_scale_is_a_round_length_that_is_as_long_as_it_says(metres: float, expected: str) -> None:
    length, words = _scale(metres, 1.0)
    number, unit = words.split()
    assert words == expected
    assert length * metres == pytest.approx(float(number) * (1000 if unit == "km" else 1))
    assert 100 < length <= 300
