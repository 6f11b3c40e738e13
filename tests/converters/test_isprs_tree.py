"""ISPRS trees as people really have them: what is found, told apart by content, named as packed, refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from isprs_trees import (
    GREEN,
    LABEL,
    OBJECTS,
    SIDE,
    areas,
    label,
    pack,
    photo,
    potsdam,
    relabel,
    vaihingen,
    write,
)

from converters.errors import TaskError
from converters.frames import Size
from converters.labelled import open_labelled
from converters.labelled_isprs import is_isprs_tree, isprs_set

# --- finding


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("world", [False, True])
def test_potsdam_is_found_nested_or_not_padded_or_not_with_world_files_or_without(
    tmp_path: Path, twice: bool, padded: bool, world: bool
) -> None:
    found = open_labelled(potsdam(tmp_path, ("2_10", "3_11"), twice=twice, padded=padded, world=world))
    assert [image.name for image in found.images] == ["potsdam_2_10", "potsdam_3_11"]
    for image in found.images:
        assert (image.size, image.bands, image.gsd) == (Size(SIDE, SIDE), ("R", "G", "B"), 0.05)
        assert areas(image) == OBJECTS
    assert found.kind == "ISPRS Potsdam, RGB, full labels"


def test_the_folder_above_and_the_only_folder_do_as_well(tmp_path: Path) -> None:
    potsdam(tmp_path / "data" / "Potsdam", twice=True)
    assert [image.name for image in open_labelled(tmp_path).images] == ["potsdam_2_10"]
    flat = tmp_path / "flat"
    write(flat / "top_potsdam_2_10_RGB.tif", photo(3))
    write(flat / LABEL, label())
    assert areas(open_labelled(flat).images[0]) == OBJECTS


def test_what_systems_hide_is_not_data_and_links_are_followed_once(tmp_path: Path) -> None:
    tree = potsdam(tmp_path / "tree")
    hidden = tree / "__MACOSX" / "5_Labels_all"
    hidden.mkdir(parents=True)
    (hidden / f"._{LABEL}").write_bytes(b"no raster")
    (tree / "5_Labels_all" / f"._{LABEL}").write_bytes(b"no raster")
    (tree / "again").symlink_to(tree)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "Potsdam").symlink_to(tree)
    for path in (tree, tmp_path / "linked"):
        assert len(open_labelled(path).images) == 1


def test_the_complete_labels_come_before_those_for_participants(tmp_path: Path) -> None:
    tree = potsdam(tmp_path, ("2_10", "2_11"), labels=("5_Labels_all", "5_Labels_for_participants", "5_Labels_all_noBoundary"))
    relabel(tree, np.full((SIDE, SIDE, 3), GREEN, np.uint8), folder="5_Labels_for_participants")
    found = open_labelled(tree)
    assert areas(found.images[0]) == OBJECTS
    assert any("of one tile and differ" in note for note in found.notes)
    (tree / "5_Labels_all" / LABEL).unlink()
    assert areas(open_labelled(tree).images[0]) == {"tree": [SIDE * SIDE]}


def test_chips_are_no_tiles(tmp_path: Path) -> None:
    write(tmp_path / "potsdam_2_10_0_0_512_512.tif", photo(3))
    write(tmp_path / "potsdam_2_10_0_0_512_512_label.tif", label())
    assert not is_isprs_tree(tmp_path) and not is_isprs_tree(tmp_path / "gone")
    with pytest.raises(TaskError, match="holds no image or label of ISPRS"):
        isprs_set(tmp_path)


def test_images_with_somebodys_own_polygons_are_no_isprs_tree(tmp_path: Path) -> None:
    for name, image in (("p", "top_potsdam_2_10_RGB.tif"), ("v", "top_mosaic_09cm_area1.tif")):
        write(tmp_path / name / image, photo(3))
        assert is_isprs_tree(tmp_path / name)  # and told that its labels are missing
        (tmp_path / name / "roofs.geojson").write_text("{}")
        assert not is_isprs_tree(tmp_path / name)
        write(tmp_path / name / "gts" / "top_mosaic_09cm_area1.tif", label())
        assert is_isprs_tree(tmp_path / name)


# --- Vaihingen


def test_vaihingens_images_and_labels_of_one_name_are_told_apart(tmp_path: Path) -> None:
    found = open_labelled(vaihingen(tmp_path, (1, 3, 38)))
    assert [image.name for image in found.images] == ["vaihingen_area1", "vaihingen_area3", "vaihingen_area38"]
    for image in found.images:
        assert (image.bands, image.gsd, areas(image)) == (("IR", "R", "G"), 0.09, OBJECTS)
        assert image.read().mean() == pytest.approx(120, abs=1)
    assert found.kind == "ISPRS Vaihingen, IRRG, full labels"


def test_folders_without_a_telling_name_are_told_apart_by_content(tmp_path: Path) -> None:
    for folder, picture in (("a", label()), ("b", photo(3))):
        write(tmp_path / folder / "top_mosaic_09cm_area1.tif", picture)
    assert areas(open_labelled(tmp_path).images[0]) == OBJECTS


def test_one_file_over_the_other_is_refused(tmp_path: Path) -> None:
    tree = vaihingen(tmp_path / "hinted")
    write(tree / "ISPRS_semantic_labeling_Vaihingen" / "top" / "top_mosaic_09cm_area3.tif", label())
    with pytest.raises(TaskError, match=r"area3\.tif has the colours of a label, and the folder top is for images.*overwritten"):
        open_labelled(tree)
    tree = vaihingen(tmp_path / "labels")
    write(tree / "ISPRS_semantic_labeling_Vaihingen_ground_truth_COMPLETE" / "top_mosaic_09cm_area3.tif", photo(3))
    with pytest.raises(TaskError, match=r"area3\.tif has the colours of an image, and the folder .*ground_truth_COMPLETE is for labels"):
        open_labelled(tree)
    for number, picture in enumerate((photo(3), label()), start=1):
        write(tmp_path / "flat" / f"top_mosaic_09cm_area{number}.tif", picture)
    with pytest.raises(TaskError, match=r"flat holds images \(.*area1.tif\) and labels \(.*area2.tif\).*two folders"):
        open_labelled(tmp_path / "flat")


def test_images_alone_say_where_labels_belong(tmp_path: Path) -> None:
    write(tmp_path / "top_mosaic_09cm_area1.tif", photo(3))
    with pytest.raises(TaskError, match="no labels; expected both; the labels have the same names as the images and belong in a folder"):
        open_labelled(tmp_path)


def test_unlabelled_areas_are_left_out(tmp_path: Path) -> None:
    assert [image.name for image in open_labelled(vaihingen(tmp_path, (1, 2, 3), labelled=(1, 3))).images] == [
        "vaihingen_area1",
        "vaihingen_area3",
    ]


def test_both_data_sets_below_one_folder_are_refused(tmp_path: Path) -> None:
    potsdam(tmp_path / "Potsdam")
    vaihingen(tmp_path / "Vaihingen")
    with pytest.raises(TaskError, match="both Potsdam and Vaihingen"):
        open_labelled(tmp_path)


# --- zips


def test_a_packed_product_is_named(tmp_path: Path) -> None:
    tree = potsdam(tmp_path, products=("RGB", "IRRG"))
    pack(tree / "3_Ortho_IRRG", tree / "3_Ortho_IRRG.zip")
    assert open_labelled(tree).images[0].bands == ("R", "G", "B")
    with pytest.raises(TaskError, match=r"3_Ortho_IRRG\.zip is still packed: unpack it$"):
        open_labelled(tree, bands=("IR", "R", "G"))
    pack(tree / "5_Labels_all", tree / "5_Labels_all.zip")
    with pytest.raises(TaskError, match=r"no labels; .*5_Labels_all\.zip is still packed: unpack it$"):
        open_labelled(tree)


def test_zips_inside_a_zip_are_named_both(tmp_path: Path) -> None:
    inner = potsdam(tmp_path / "Potsdam", products=("RGB",))
    pack(inner / "2_Ortho_RGB", inner / "2_Ortho_RGB.zip")
    outer = pack(inner, tmp_path / "home" / "Potsdam.zip")
    with pytest.raises(TaskError, match=r"Potsdam\.zip is still packed: unpack it, and the zips inside it"):
        open_labelled(outer.parent)
    with pytest.raises(TaskError, match=r"Potsdam\.zip is still packed; expected a folder"):
        open_labelled(outer)
    write(outer.parent / LABEL, label())
    with pytest.raises(TaskError, match=r"Potsdam\.zip is still packed: unpack it, then 2_Ortho_RGB\.zip inside it"):
        open_labelled(outer.parent, bands=("R", "G", "B"))


def test_vaihingens_packed_halves_are_told_apart(tmp_path: Path) -> None:
    for missing, said in (
        ("ISPRS_semantic_labeling_Vaihingen", "no image"),
        ("ISPRS_semantic_labeling_Vaihingen_ground_truth", "no labels"),
    ):
        tree = vaihingen(tmp_path / said)
        for folder in sorted(path for path in tree.iterdir() if path.name.startswith(missing)):
            if missing.endswith("truth") or folder.name == missing:
                pack(folder, tree / f"{folder.name}.zip")
        with pytest.raises(TaskError, match=rf"{said}.*{missing}(_\w*)?\.zip is still packed"):
            open_labelled(tree, bands=("IR", "R", "G"))
