"""Manifests: the same for the same files wherever they lie, another one for any change that matters."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from converters.errors import TaskError
from converters.labelled import LabelledSet, open_labelled
from converters.labelled_manifest import manifest


def a_set(folder: Path) -> LabelledSet:
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    label = np.zeros((20, 30), np.uint8)
    label[2:8, 3:9] = 1
    label[10:15, 12:20] = 2
    for name in ("b", "a"):
        Image.fromarray(np.full((20, 30, 3), len(name), np.uint8)).save(folder / "images" / f"{name}.png")
        Image.fromarray(label).save(folder / "labels" / f"{name}.png")
    (folder / "classes.json").write_text('{"classes": {"roof": 1, "car": 2}}')
    return open_labelled(folder)


SETTINGS = {"min_area": 30, "patch": 300, "bands": ("R", "G", "B")}


def of(labelled: LabelledSet, **changes: Any) -> dict[str, Any]:
    counts = {image.name: {"roof": 1, "car": 1} for image in labelled.images}
    return manifest(labelled, counts, SETTINGS | changes)


def test_a_manifest_says_what_was_counted_and_from_which_bytes(tmp_path: Path) -> None:
    told = of(a_set(tmp_path / "set"))
    assert told["objects"] == {"total": 4, "by_class": {"car": 2, "roof": 2}}
    assert [image["name"] for image in told["images"]] == ["a.png", "b.png"]
    assert told["images"][0] == {
        "name": "a.png", "size": [30, 20], "bands": ["R", "G", "B"], "gsd": None, "objects": {"car": 1, "roof": 1},
        "files": ["images/a.png", "labels/a.png"],
    }  # fmt: skip
    assert list(told["files"]) == ["images/a.png", "images/b.png", "labels/a.png", "labels/b.png"]
    content = (tmp_path / "set" / "images" / "a.png").read_bytes()
    assert told["files"]["images/a.png"] == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert told["kind"] == "images and label rasters" and told["settings"]["bands"] == ["R", "G", "B"]


def test_the_same_files_give_the_same_text_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = json.dumps(of(a_set(tmp_path / "one" / "set")))
    shutil.copytree(tmp_path / "one" / "set", tmp_path / "two" / "set")
    assert json.dumps(of(open_labelled(tmp_path / "two" / "set"))) == first
    monkeypatch.chdir(tmp_path / "two")
    assert json.dumps(of(open_labelled(Path("set")))) == first
    assert str(tmp_path) not in first


def test_every_change_that_matters_changes_the_digest(tmp_path: Path) -> None:
    labelled = a_set(tmp_path)
    digest = of(labelled)["digest"]
    assert of(labelled, min_area=31)["digest"] != digest
    assert manifest(labelled, {"a.png": {"roof": 1}}, SETTINGS)["digest"] != digest
    label = tmp_path / "labels" / "a.png"
    label.write_bytes(label.read_bytes() + b"\0")
    assert of(labelled)["digest"] != digest


def test_images_that_were_not_used_are_not_hashed_and_unknown_ones_refused(tmp_path: Path) -> None:
    labelled = a_set(tmp_path)
    (tmp_path / "images" / "b.png").unlink()
    assert list(manifest(labelled, {"a.png": {}}, {})["files"]) == ["images/a.png", "labels/a.png"]
    with pytest.raises(TaskError, match=r"has no image c\.png"):
        manifest(labelled, {"c.png": {}}, {})
