"""Versions are whole or not there, one of them answers, and going back is one step."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from version_files import MODEL, write_tiny

from backend.errors import ModelError, UsageError
from backend.learning.versions import SHIPPED, Versions, project_number
from backend.segmenters import catalogue


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("weights") / "tiny.safetensors", seed=1)


def test_versions_are_numbered_promoted_and_rolled_back_to_their_parents(weights: Path, tmp_path: Path) -> None:
    versions = Versions(tmp_path)
    assert versions.current(7) is None and versions.stamp(7) is None and versions.projects() == []
    one = versions.add(7, weights, model=MODEL, parent=SHIPPED, about={"seconds": 3})
    assert (one.number, one.parent, one.about["seconds"]) == (1, SHIPPED, 3)
    assert versions.current(7) is None, "a new version does not answer by itself"
    versions.promote(7, 1)
    two = versions.add(7, weights, model=MODEL, parent=1, about={})
    versions.promote(7, two.number)
    assert versions.current(7) == two and versions.of(7) == [one, two] and versions.projects() == [7]
    assert two.weights.read_bytes() == weights.read_bytes()
    assert versions.roll_back(7) == 1 and versions.current(7) == one
    assert versions.roll_back(7) == SHIPPED and versions.current(7) is None
    with pytest.raises(UsageError, match="answered by the shipped model"):
        versions.roll_back(7)
    assert versions.roll_back(7, to=2) == 2
    assert versions.current(8) is None, "another project's own"


def test_the_stamp_changes_with_every_promotion(weights: Path, tmp_path: Path) -> None:
    versions = Versions(tmp_path)
    versions.add(7, weights, model=MODEL, parent=SHIPPED, about={})
    seen = set()
    for number in (1, SHIPPED, 1, SHIPPED):
        versions.promote(7, number)
        seen.add(versions.stamp(7))
    assert len(seen) == 4 and None not in seen


def test_a_version_is_used_as_its_model_is_under_a_name_that_tells(weights: Path, tmp_path: Path) -> None:
    made = Versions(tmp_path).add(7, weights, model=MODEL, parent=SHIPPED, about={})
    base, entry = catalogue.entry(MODEL), made.entry(catalogue.shipped())
    assert entry.name == f"{MODEL}.project7.v1" and entry.file == made.weights
    assert (entry.zoom_in, entry.threshold, entry.input_size, entry.recipes) == (
        base.zoom_in,
        base.threshold,
        base.input_size,
        base.recipes,
    )


def test_weights_of_another_network_are_refused(weights: Path, tmp_path: Path) -> None:
    made = Versions(tmp_path).add(7, weights, model="ritm_hrnet18s", parent=SHIPPED, about={})
    with pytest.raises(ModelError, match="expected weights of that model"):
        made.entry(catalogue.shipped())


@pytest.mark.parametrize(
    ("broken", "said"),
    [("current", "holds 'x', expected a number"), ("0001/card.json", "cannot be read"), ("0001/weights.safetensors", "is not there")],
)
def test_damaged_files_are_named(weights: Path, tmp_path: Path, broken: str, said: str) -> None:
    versions = Versions(tmp_path)
    versions.add(7, weights, model=MODEL, parent=SHIPPED, about={})
    versions.promote(7, 1)
    path = versions.folder / "7" / broken
    if broken.endswith("safetensors"):
        path.unlink()
    else:
        path.write_text("x")
    with pytest.raises(ModelError, match=said):
        versions.current(7)


def test_what_a_killed_process_left_is_no_version(weights: Path, tmp_path: Path) -> None:
    versions = Versions(tmp_path)
    versions.add(7, weights, model=MODEL, parent=SHIPPED, about={})
    (versions.folder / "7" / ".0002.99-1.part").mkdir()
    assert [one.number for one in versions.of(7)] == [1]
    assert versions.add(7, weights, model=MODEL, parent=1, about={}).number == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_named(weights: Path, tmp_path: Path) -> None:
    versions = Versions(tmp_path)
    tmp_path.chmod(0o500)
    with pytest.raises(ModelError, match="make room there"):
        versions.add(7, weights, model=MODEL, parent=SHIPPED, about={})


def test_no_such_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no version 3"):
        Versions(tmp_path).promote(7, 3)


@pytest.mark.parametrize(("name", "number"), [("7.1795326590", 7), ("12", 12), ("", None), ("x.3", None), ("../7", None), ("9" * 30, None)])
def test_a_projects_number_is_in_what_label_studio_calls_it(name: str, number: int | None) -> None:
    assert project_number(name) == number
