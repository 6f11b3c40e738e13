"""Pools of the procedural scene: real enough to learn on, and nothing to download."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.training.objects import Pool, PooledObject
from converters.scene import CLASSES, make_scene


def scene_pool(seeds: Sequence[int], size: int = 320, min_area: int = 200) -> Pool:
    """A scene of each seed, its roofs, trees and cars as objects; every class is drawn as often as every other."""
    images, objects = [], []
    for place, seed in enumerate(seeds):
        scene = make_scene(size, seed)
        images.append(np.ascontiguousarray(scene.image[..., :3]))
        for number in range(1, int(scene.objects.max()) + 1):
            inside = scene.objects == number
            if np.count_nonzero(inside) < min_area:
                continue
            rows, cols = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
            box = (int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1)
            name, _ = CLASSES[int(np.bincount(scene.classes[inside]).argmax())]
            objects.append(PooledObject(place, name, box, inside[box[0] : box[2], box[1] : box[3]].astype(np.int8)))
    names = [item.class_name for item in objects]
    shares = np.array([1.0 / names.count(name) for name in names])
    return Pool(tuple(images), tuple(objects), shares / shares.sum())
