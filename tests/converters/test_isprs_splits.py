"""Splits as files: the counts of the study and of the benchmark, and what a file may say."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import pytest

from converters.errors import TaskError
from converters.isprs_sets import STUDY_SETS, TILES
from converters.isprs_splits import SPLITS, read_split, split_file

# Width and height of the 33 areas, px, as the literature gives them; that they sum to the study's 2155 patches speaks for them.
VAIHINGEN_SIZES = {
    1: (1919, 2569), 2: (2428, 2767), 3: (2006, 3007), 4: (1887, 2557), 5: (1887, 2557), 6: (1887, 2557), 7: (1887, 2557), 8: (1887, 2557),
    10: (1887, 2557), 11: (1893, 2566), 12: (1922, 2575), 13: (2818, 2558), 14: (1919, 2565), 15: (1919, 2565), 16: (1919, 2565),
    17: (2336, 1281), 20: (1866, 2315), 21: (1903, 2546), 22: (1903, 2546), 23: (1903, 2546), 24: (1903, 2546), 26: (2995, 1783),
    27: (1917, 3313), 28: (1917, 2567), 29: (1917, 2563), 30: (1934, 2563), 31: (1980, 2555), 32: (1980, 2555), 33: (1581, 2555),
    34: (1388, 2555), 35: (2805, 1884), 37: (1996, 1995), 38: (3816, 2550),
}  # fmt: skip


def patches(dataset: str, tiles: tuple[str, ...], side: int) -> int:
    """Patches of `side` px, partial ones kept."""
    sizes = {
        "potsdam": dict.fromkeys(TILES["potsdam"], (6000, 6000)),
        "vaihingen": {f"area{n}": size for n, size in VAIHINGEN_SIZES.items()},
    }
    return sum(ceil(sizes[dataset][tile][0] / side) * ceil(sizes[dataset][tile][1] / side) for tile in tiles)


def test_all_tiles_there_are() -> None:
    assert (len(TILES["potsdam"]), len(TILES["vaihingen"])) == (38, 33)
    assert not {"area9", "area18", "area19", "area25", "area36"} & set(TILES["vaihingen"])


@pytest.mark.parametrize(("dataset", "kind", "counts"), [
    ("potsdam", "study", (32, 6)), ("potsdam", "official", (24, 14)), ("vaihingen", "study", (27, 6)), ("vaihingen", "official", (16, 17)),
])  # fmt: skip
def test_a_split_parts_all_tiles(dataset: str, kind: str, counts: tuple[int, int]) -> None:
    train, test = read_split(f"{kind}-train", dataset), read_split(f"{kind}-test", dataset)
    assert (len(train), len(test)) == counts
    assert sorted(train + test) == sorted(TILES[dataset])


@pytest.mark.parametrize("name", STUDY_SETS)
def test_the_default_splits_have_the_patches_of_the_study(name: str) -> None:
    study = STUDY_SETS[name]
    train, test = (patches(study.dataset, read_split(split, study.dataset), study.patch) for split in (study.train, study.test))
    assert (train, test) == study.patches
    assert train + test == {"potsdam": 3800, "vaihingen": 2155}[study.dataset]


@pytest.mark.parametrize("dataset", TILES)
def test_the_study_is_tested_on_sound_official_test_tiles(dataset: str) -> None:
    test = set(read_split("study-test", dataset))
    assert test <= set(read_split("official-test", dataset))
    assert not test & {"4_12", "6_7", "7_10"}


@pytest.mark.parametrize("name", SPLITS)
@pytest.mark.parametrize("dataset", TILES)
def test_packaged_splits_name_images_as_the_sets_do(dataset: str, name: str) -> None:
    assert split_file(dataset, name).read_text().splitlines() == [f"{dataset}_{tile}" for tile in read_split(name, dataset)]


def test_every_spelling_of_a_tile_is_understood(tmp_path: Path) -> None:
    file = tmp_path / "split.txt"
    file.write_text(
        "\ufeff# mine\n2_10\n\n03_11  # padded\ntop_potsdam_4_13_RGBIR.tif\npotsdam_7_13\ntop_potsdam_02_10_label.tif\n", "utf-8"
    )
    assert read_split(file, "potsdam") == ("2_10", "3_11", "4_13", "7_13")
    file.write_text("1\narea3\nvaihingen_area38\ntop_mosaic_09cm_area5.tif\n")
    assert read_split(file, "vaihingen") == ("area1", "area3", "area38", "area5")


@pytest.mark.parametrize(("text", "said"), [
    ("# nothing\n", "names no tile"), ("2_10\n2_99\n", "names 2_99, which is no tile of ISPRS Potsdam"),
    ("vaihingen_area1\n", "which is no tile of ISPRS Potsdam"), ("house\n", "names house"),
])  # fmt: skip
def test_a_split_that_cannot_be_used_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "split.txt"
    file.write_text(text)
    with pytest.raises(TaskError, match=said):
        read_split(file, "potsdam")


def test_a_split_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"cannot be read.*study-train, study-test, official-train, official-test"):
        read_split(tmp_path / "gone.txt", "potsdam")
