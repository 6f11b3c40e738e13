"""ISPRS trees as people really have them: what is found, which bands are read, what counts as an object, what is refused."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import rasterio
from isprs_trees import BLACK, GREEN, MAGENTA, OBJECTS, SIDE, WHITE, YELLOW, eroded, label, lossy, pack, photo, potsdam, vaihingen, write

from converters import isprs_labels, rasters
from converters.chips import PixelWindow
from converters.errors import RasterError, TaskError
from converters.frames import Size
from converters.isprs_labels import LabelSurvey, survey
from converters.labelled import LabelledImage, open_labelled
from converters.labelled_isprs import is_isprs_tree, isprs_set

LABEL = "top_potsdam_2_10_label.tif"


def areas(image: LabelledImage, window: PixelWindow | None = None) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for each in image.objects(30, window):
        found.setdefault(each.class_name, []).append(each.area)
    return {name: sorted(sizes) for name, sizes in found.items()}


def relabel(tree: Path, picture: np.ndarray, tile: str = "2_10", folder: str = "5_Labels_all") -> Path:
    return write(tree / folder / f"top_potsdam_{tile}_label.tif", picture)


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


# --- bands


def test_every_product_gives_the_bands_asked_for(tmp_path: Path) -> None:
    tree = potsdam(tmp_path, products=("RGB", "IRRG", "RGBIR"))
    means = {"R": 100, "G": 120, "B": 140, "IR": 160}
    for bands, kind in (
        (("R", "G", "B"), "ISPRS Potsdam, RGB, full labels"),
        (("IR", "R", "G"), "ISPRS Potsdam, IRRG, full labels"),
        (("R", "G", "B", "IR"), "ISPRS Potsdam, RGBIR, full labels"),
        (("B", "IR"), "ISPRS Potsdam, BIR from RGBIR files, full labels"),
        (None, "ISPRS Potsdam, RGBIR, full labels"),
    ):
        found = open_labelled(tree, bands=bands)
        assert found.kind == kind
        (image,) = found.images
        letters = bands or ("R", "G", "B", "IR")
        assert image.bands == letters
        assert np.rint(image.read().mean(axis=(0, 1)) / 20).tolist() == [means[letter] / 20 for letter in letters]


def test_the_four_band_product_serves_every_recipe(tmp_path: Path) -> None:
    tree = potsdam(tmp_path, products=("RGBIR",))
    whole = open_labelled(tree).images[0].read()
    for bands, channels in ((("R", "G", "B"), [0, 1, 2]), (("IR", "R", "G"), [3, 0, 1])):
        assert np.array_equal(open_labelled(tree, bands=bands).images[0].read(), whole[..., channels])


def test_the_product_that_covers_the_most_tiles_wins(tmp_path: Path) -> None:
    tree = potsdam(tmp_path, ("2_10", "2_11"), products=("RGBIR",))
    potsdam(tmp_path, ("2_10",), products=("RGB",))
    found = open_labelled(tree, bands=("R", "G", "B"))
    assert (len(found.images), found.kind) == (2, "ISPRS Potsdam, RGB from RGBIR files, full labels")


def test_bands_that_are_not_there_are_one_sentence(tmp_path: Path) -> None:
    tree = potsdam(tmp_path / "p", products=("RGB",))
    with pytest.raises(TaskError, match=r"no image with the bands IRRG .* product IRRG or RGBIR"):
        open_labelled(tree, bands=("IR", "R", "G"))
    (tree / "2_Ortho_RGB" / "top_potsdam_2_10_RGB.tif").rename(tree / "2_Ortho_RGB" / "top_potsdam_2_10.tif")
    assert any("files that name no product" in note for note in open_labelled(tree).notes)
    with pytest.raises(TaskError, match="Vaihingen has no bands RGB; expected bands of IRRG"):
        open_labelled(vaihingen(tmp_path / "v"), bands=("R", "G", "B"))


def test_a_window_is_read_without_the_tile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (image,) = open_labelled(potsdam(tmp_path)).images
    whole = image.read()
    asked: list[PixelWindow] = []
    read = rasters._read
    monkeypatch.setattr(rasters, "_read", lambda *a, **k: asked.append(a[3]) or read(*a, **k))
    window = PixelWindow(33, 90, 100, 40)
    assert np.array_equal(image.read(window), whole[90:130, 33:133])
    image.objects(30, window)
    assert set(asked) == {window}


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


# --- labels


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
    assert "potsdam_2_10 is 240 x 240 px, and was published as 6000 x 6000 px" in open_labelled(potsdam(tmp_path / "a")).notes
    tree = potsdam(tmp_path / "b")
    (tree / "2_Ortho_RGB" / "top_potsdam_2_10_RGB.tfw").write_text("0.1\n0\n0\n-0.1\n366976.55\n5809760.975\n")
    found = open_labelled(tree)
    assert found.images[0].gsd == pytest.approx(0.1)
    assert any("0.1 m per px" in note for note in found.notes)


def test_images_travel_to_other_processes(tmp_path: Path) -> None:
    (image,) = open_labelled(potsdam(tmp_path)).images
    again = pickle.loads(pickle.dumps(image))
    assert np.array_equal(again.read(), image.read()) and areas(again) == OBJECTS


# --- splits


def test_a_split_chooses_tiles_and_must_be_there(tmp_path: Path) -> None:
    tree = potsdam(tmp_path, ("2_14", "3_14", "4_14", "5_14", "6_14", "7_13", "2_10"))
    assert [image.name for image in isprs_set(tree, split="study-test").images] == [
        "potsdam_2_14", "potsdam_3_14", "potsdam_4_14", "potsdam_5_14", "potsdam_6_14", "potsdam_7_13",
    ]  # fmt: skip
    with pytest.raises(TaskError, match=r"study-train names potsdam_2_11, of which .* has no full labels \(31 of 32 are missing\)"):
        isprs_set(tree, split="study-train")
    (tree / "2_Ortho_RGB" / "top_potsdam_7_13_RGB.tif").unlink()
    with pytest.raises(TaskError, match="no image with the bands RGB for 1 of 6 labelled tiles, potsdam_7_13 among them"):
        isprs_set(tree, split="study-test", bands=("R", "G", "B"))
    found = open_labelled(tree)
    assert len(found.images) == 6 and any("1 of 7 labelled tiles have no RGB image" in note for note in found.notes)


# --- the real label tiles: objects of at least 30 px in 600 px patches, counted once with scipy.ndimage.label on the class numbers

COUNTS = {
    "potsdam_2_10": (235, 163, 486, 183, 132),
    "potsdam_2_11": (254, 81, 489, 392, 122),
    "potsdam_3_12": (315, 173, 663, 361, 293),
    "potsdam_4_12": (241, 131, 420, 209, 440),
    "potsdam_5_10": (284, 163, 521, 393, 192),
    "potsdam_6_12": (352, 175, 424, 197, 357),
    "potsdam_6_7": (207, 270, 385, 338, 132),
    "potsdam_7_10": (159, 72, 325, 235, 286),
}
PIXELS = {
    "potsdam_2_10": (7433797, 5447007, 15182061, 2679388, 313148),
    "potsdam_2_11": (8179469, 3639401, 13233674, 7772916, 290622),
    "potsdam_3_12": (10554635, 8766924, 7629351, 7534216, 628926),
    "potsdam_4_12": (11976195, 12069654, 7267176, 2752612, 914098),
    "potsdam_5_10": (9762272, 8142358, 8656839, 7788191, 384255),
    "potsdam_6_12": (11885030, 15828014, 4188942, 2761311, 791467),
    "potsdam_6_7": (4459505, 4857912, 19962121, 5669942, 253053),
    "potsdam_7_10": (11414176, 7369861, 5198534, 4623375, 599769),
}


@pytest.fixture(scope="module")
def label_tiles(shared: Path) -> dict[str, LabelledImage]:
    return {image.name: image for image in open_labelled(shared / "data/potsdam_label_tiles").images}


@pytest.mark.parametrize("name", COUNTS)
def test_the_real_label_tiles_decode_and_count(label_tiles: dict[str, LabelledImage], name: str) -> None:
    image = label_tiles[name]
    assert (image.size, image.gsd) == (Size(6000, 6000), 0.05)
    counts: Counter[str] = Counter()
    pixels: Counter[str] = Counter()
    for row in range(0, 6000, 600):
        for col in range(0, 6000, 600):
            for each in image.objects(1, PixelWindow(col, row, 600, 600)):
                pixels[each.class_name] += each.area
                counts[each.class_name] += each.area >= 30
    classes = tuple(isprs_labels.CLASSES.values())
    assert tuple(counts[each] for each in classes) == COUNTS[name]
    assert tuple(pixels[each] for each in classes) == PIXELS[name]


def test_all_eight_real_tiles_are_found_and_7_10_is_flagged(shared: Path, label_tiles: dict[str, LabelledImage]) -> None:
    assert sorted(label_tiles) == sorted(COUNTS)
    assert sum(map(sum, COUNTS.values())) == 11250  # 1406 a tile; the study has (47152 + 10365) / 38 = 1514 over all tiles
    assert any("potsdam_7_10" in note for note in open_labelled(shared / "data/potsdam_label_tiles").notes)


@pytest.mark.parametrize("name", ["02_10", "04_12", "06_07"])
def test_one_patch_a_real_tile_agrees_with_another_implementation(shared: Path, label_tiles: dict[str, LabelledImage], name: str) -> None:
    from scipy import ndimage

    window = PixelWindow(2400, 3000, 600, 600)
    with rasterio.open(shared / f"data/potsdam_label_tiles/Label_Potsdam_{name}.tif") as dataset:
        numbers = dataset.read(1)[3000:3600, 2400:3000]
    expected: dict[str, list[int]] = {}
    for number, class_name in enumerate(isprs_labels.CLASSES.values(), start=1):
        components, _ = ndimage.label(numbers == number, structure=np.ones((3, 3)))
        sizes = np.bincount(components.ravel())[1:]
        if kept := sorted(int(size) for size in sizes if size >= 30):
            expected[class_name] = kept
    row, column = name.split("_")
    assert areas(label_tiles[f"potsdam_{int(row)}_{int(column)}"], window) == expected
