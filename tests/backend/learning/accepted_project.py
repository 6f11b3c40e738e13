"""A small project as Label Studio exports it: procedural scenes with their roofs and trees accepted, prompts left lying about."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from backend.training.validation_split import is_held_out
from converters.label_studio import brush_region
from converters.scene import make_scene

SIDE, EVERY = 384, 3  # px of a scene, of which every third becomes a pixel: more roofs on fewer pixels
MOST = 3  # regions of an image


def names(training: int, held_out: int) -> list[str]:
    """File names of images of which so many are held out, by their names."""
    every = (f"survey {number}.png" for number in itertools.count())
    found: dict[bool, list[str]] = {False: [], True: []}
    while len(found[False]) < training or len(found[True]) < held_out:
        name = next(every)
        found[is_held_out(name)].append(name)
    return [*found[False][:training], *found[True][:held_out]]


def tasks_of(folder: Path, files: list[str], first: int = 1) -> dict[int, dict[str, Any]]:
    """Tasks by number, with the updated_at that a list of tasks has; their pictures are written to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    tasks: dict[int, dict[str, Any]] = {}
    for number, name in enumerate(files, start=first):
        scene = make_scene(SIDE, number)
        objects = scene.objects[::EVERY, ::EVERY]
        Image.fromarray(np.ascontiguousarray(scene.image[::EVERY, ::EVERY, :3])).save(folder / name)
        results: list[dict[str, Any]] = [
            brush_region(objects == item, id=f"r{item}", label="roof", from_name="brush", to_name="img")
            for item in np.unique(objects)
            if item and np.count_nonzero(objects == item) >= 60
        ][:MOST]
        results.append({"id": "k", "type": "keypointlabels", "value": {"x": 1, "y": 1, "keypointlabels": ["roof"]}})
        annotations = [
            {"id": number, "result": results, "updated_at": "2026-01-01T00:00:00Z"},
            {"id": number + 1000, "result": results, "was_cancelled": True, "updated_at": "2026-02-01T00:00:00Z"},
        ]
        tasks[number] = {"id": number, "data": {"image": name}, "annotations": annotations, "updated_at": "2026-01-01T00:00:00Z"}
        tasks[number] |= {"predictions": [{"result": results}], "drafts": [{"result": results}]}
    return tasks


def brushes(tasks: dict[int, dict[str, Any]]) -> int:
    """How many regions were accepted."""
    return sum(item["type"] == "brushlabels" for task in tasks.values() for item in task["annotations"][0]["result"])
