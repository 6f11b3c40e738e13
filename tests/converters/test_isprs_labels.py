"""ISPRS label files and their known defects: what they decode to, what is reported, what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import rasterio
from isprs_trees import (
    BLACK,
    LABEL,
    MAGENTA,
    OBJECTS,
    SIDE,
    WHITE,
    YELLOW,
    areas,
    eroded,
    label,
    lossy,
    potsdam,
    relabel,
    write,
)

from converters import isprs_labels
from converters.chips import PixelWindow
from converters.errors import RasterError, TaskError
from converters.isprs_labels import LabelSurvey, survey
from converters.labelled import open_labelled
from converters.labelled_isprs import isprs_set


def test_only_labels_can_be_counted_but_not_read(tmp_path: Path) -> None:
    found = open_labelled(potsdam(tmp_path, products=(), world=True))
    (image,) = found.images
    assert (areas(image), image.bands, image.gsd, len(image.files)) == (OBJECTS, None, 0.05, 1)
    assert any("no images, only labels" in note for note in found.notes)
    with pytest.raises(RasterError, match="no image beside it"):
        image.read()


def test_full_labels_are_the_default_and_eroded_ones_an_option(tmp_path: Path) -> None:
    tree = potsdam(tmp_path, labels=("5_Labels_all", "5_Labels_all_noBoundary"))
    full, thin = isprs_set(tree), isprs_set(tree, eroded=True)
    assert all(each.ignore is None for each in full.images[0].objects(30))
    assert areas(thin.images[0])["building"] == [2000 - 6 * 50]
    road = next(each for each in thin.images[0].objects(30) if each.class_name == "impervious surfaces")
    assert np.array_equal(road.mask == -1, (eroded(label()) == BLACK).all(axis=-1))
    assert thin.kind.endswith("labels with ignored boundaries") and not any("black" in note for note in thin.notes)


def test_kinds_of_labels_are_never_mixed(tmp_path: Path) -> None:
    potsdam(tmp_path, ("2_10",), labels=("5_Labels_for_participants",))
    tree = potsdam(tmp_path, ("2_10", "2_13"), labels=("5_Labels_all_noBoundary",))
    found = open_labelled(tree)
    assert [image.name for image in found.images] == ["potsdam_2_10"]
    assert "1 of 2 tiles have only labels with ignored boundaries and are left out, 2_13 among them" in found.notes
    (tree / "5_Labels_for_participants" / LABEL).unlink()
    found = open_labelled(tree)
    assert len(found.images) == 2 and any("are used instead" in note for note in found.notes)


def test_clutter_is_background_and_black_is_ignored(tmp_path: Path) -> None:
    picture = label()
    picture[:5] = BLACK
    tree = potsdam(tmp_path)
    relabel(tree, picture)
    found = open_labelled(tree)
    tree_object = next(each for each in found.images[0].objects(30) if each.class_name == "tree")
    assert (tree_object.mask[:5] == -1).all() and (tree_object.mask[200:230, 20:60] == 0).all()
    assert any(f"{5 * SIDE} label px are black" in note for note in found.notes)


def test_objects_are_those_of_the_window(tmp_path: Path) -> None:
    (image,) = open_labelled(potsdam(tmp_path)).images
    found = areas(image, PixelWindow(40, 100, 90, 20))
    # The window holds road, all of one car but nothing left of column 40, and the first ten columns of the second.
    assert found == {"impervious surfaces": [90 * 20 - 8 * 20 - 8 * 10], "car": [80, 160]}
    with pytest.raises(TaskError, match="expected a window inside it"):
        image.objects(30, PixelWindow(200, 0, 100, 100))


def test_the_lossy_tile_decodes_whole_and_says_so(tmp_path: Path) -> None:
    tree = potsdam(tmp_path, ("4_12",), labels=("5_Labels_all", "5_Labels_all_noBoundary"))
    file = relabel(tree, lossy(label()), "4_12")
    found = open_labelled(tree)
    assert areas(found.images[0]) == OBJECTS
    assert survey(file) == LabelSurvey(SIDE * SIDE, SIDE * SIDE, 0, 0)
    assert any("potsdam_4_12: 57600 of 57600 label px (100.00%) were off palette" in note and "lossy" in note for note in found.notes)
    write(tree / "5_Labels_all_noBoundary" / "top_potsdam_4_12_label_noBoundary.tif", lossy(eroded(label())))
    thin = isprs_set(tree, eroded=True).images[0]
    assert areas(thin)["building"] == [2000 - 6 * 50]  # and not everything ignored


def test_the_off_palette_cars_of_6_7_are_cars(tmp_path: Path) -> None:
    tree, picture = potsdam(tmp_path, ("6_7",)), label()
    cars = (picture == YELLOW).all(axis=-1)
    cars[:, 100:] = False
    picture[cars] = (252, 255, 0)
    relabel(tree, picture, "6_7")
    found = open_labelled(tree)
    assert areas(found.images[0]) == OBJECTS
    assert any("potsdam_6_7: 160 of 57600 label px (0.28%)" in note and "(252, 255, 0)" in note for note in found.notes)


def test_7_10_is_flagged_for_its_content(tmp_path: Path) -> None:
    found = open_labelled(potsdam(tmp_path, ("7_10", "7_11")))
    assert [note for note in found.notes if "annotation" in note] == [f"potsdam_7_10: {isprs_labels.WRONG['potsdam', '7_10']}"]


def test_a_file_that_should_be_sound_and_is_not_is_refused(tmp_path: Path) -> None:
    tree = potsdam(tmp_path, ("2_10", "2_11"))
    file = relabel(tree, lossy(label()))
    with pytest.raises(TaskError, match=rf"{file}: 57600 of 57600 px \(100.00%\) are in none of the benchmark's colours.*at most 0.1%"):
        open_labelled(tree)
    picture = label()
    picture[0, :57] = (250, 4, 3)  # 57 of 57600 px are below the share, 58 above it
    relabel(tree, picture)
    assert any("57 of 57600" in note for note in open_labelled(tree).notes)
    picture[0, 57] = (250, 4, 3)
    relabel(tree, picture)
    with pytest.raises(TaskError, match="58 of 57600"):
        open_labelled(tree)
    only = tmp_path / "only.txt"
    only.write_text("2_11\n")
    assert len(isprs_set(tree, split=only).images) == 1  # a split without the file is not held up by it


def test_magenta_is_an_error_and_never_a_class(tmp_path: Path) -> None:
    tree, picture = potsdam(tmp_path), label()
    picture[0, 0] = MAGENTA
    relabel(tree, picture)
    with pytest.raises(TaskError, match="1 px are magenta"):
        open_labelled(tree)
    tree = potsdam(tmp_path / "listed", ("4_12",))
    relabel(tree, picture, "4_12")
    found = open_labelled(tree)
    assert any("1 label px came out magenta" in note for note in found.notes)
    assert found.images[0].objects(30)[0].mask[0, 0] == -1


def test_labels_with_alpha_or_a_palette_are_read_and_bare_numbers_refused(tmp_path: Path) -> None:
    tree = potsdam(tmp_path)
    relabel(tree, np.concatenate([label(), np.full((SIDE, SIDE, 1), 255, np.uint8)], axis=-1))
    assert areas(open_labelled(tree).images[0]) == OBJECTS
    numbers = (label() == WHITE).all(axis=-1).astype(np.uint8)
    path = relabel(tree, numbers[..., None])
    with pytest.raises(TaskError, match="has 1 band of uint8; expected the benchmark's colours"):
        open_labelled(tree)
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {0: (0, 255, 255, 255), 1: (255, 255, 255, 255)})
    with rasterio.open(path) as dataset:
        assert dataset.colorinterp[0].name == "palette"
    assert set(areas(open_labelled(tree).images[0])) == {"impervious surfaces", "low vegetation"}


def test_a_label_of_another_size_is_refused(tmp_path: Path) -> None:
    tree = potsdam(tmp_path)
    relabel(tree, label(230))
    with pytest.raises(TaskError, match=r"is 230 x 230 px, its image top_potsdam_2_10_RGB\.tif 240 x 240 px; expected the same size"):
        open_labelled(tree)


def test_a_label_cut_short_is_one_sentence(tmp_path: Path) -> None:
    tree = potsdam(tmp_path)
    file = tree / "5_Labels_all" / LABEL
    file.write_bytes(file.read_bytes()[:600])
    with pytest.raises(RasterError, match="cut short or damaged"):
        open_labelled(tree)


def test_other_sizes_and_scales_than_published_are_noted(tmp_path: Path) -> None:
    assert "1 of 1 tiles are not 6000 x 6000 px as published; potsdam_2_10 is 240 x 240 px" in open_labelled(potsdam(tmp_path / "a")).notes
    tree = potsdam(tmp_path / "b")
    (tree / "2_Ortho_RGB" / "top_potsdam_2_10_RGB.tfw").write_text("0.1\n0\n0\n-0.1\n366976.55\n5809760.975\n")
    found = open_labelled(tree)
    assert found.images[0].gsd == pytest.approx(0.1)
    assert any("potsdam_2_10 has 0.1 m" in note for note in found.notes)


def test_images_travel_to_other_processes(tmp_path: Path) -> None:
    (image,) = open_labelled(potsdam(tmp_path)).images
    again = pickle.loads(pickle.dumps(image))
    assert np.array_equal(again.read(), image.read()) and areas(again) == OBJECTS
