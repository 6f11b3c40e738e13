"""Procedural scenes as a labelled set: trees and low vegetation apart, which no set of real imagery here tells apart."""

from __future__ import annotations

import json
from pathlib import Path

from converters.scene import CLASSES, write_scene
from converters.scene_canvas import CLUTTER
from converters.whole_file import write_whole

SIDE = 600


def scene_set(folder: Path, count: int) -> Path:
    """A folder with images/, labels/ and classes.json of `count` scenes, seeds 0, 1, ...; those that are there already stay."""
    images, labels = folder / "images", folder / "labels"
    for each in (images, labels):
        each.mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        if (labels / f"scene_{seed}.tif").exists():
            continue
        paths = write_scene(folder / "made", SIDE, seed)
        paths.image.replace(images / paths.image.name)
        paths.classes.replace(labels / paths.image.name)  # last: its presence says that both are there
    classes = {name: list(colour) for number, (name, colour) in CLASSES.items() if number != CLUTTER}
    write_whole(folder / "classes.json", json.dumps({"classes": classes, "ignore": [], "background": [list(CLASSES[CLUTTER][1])]}))
    return folder
