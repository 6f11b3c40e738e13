"""The manifest of a result: which files, by hash, held which objects, under which settings; enough to tell whether two runs saw the same.

`manifest` is deterministic: the same files, counts and settings give the same JSON on every machine, wherever the set lies.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from converters.errors import TaskError
from converters.labelled_objects import LabelledSet

VERSION = 1


def manifest(labelled: LabelledSet, counts: Mapping[str, Mapping[str, int]], settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a result was computed from, as plain JSON.

    counts: of each image that was used, by name, how many objects of each class; images without a key are left out, those with an empty
    value were looked at and hold none. settings: what the objects depend on: patch, min_area, bands, split.

    The result: `version`; `kind` and `path` (its last part) of the set; `settings`; `objects`, by class and in `total`; `images`, each with
    name, size [width, height], bands, gsd, objects by class, and its files; `files`, with bytes and sha256, by path relative to the set;
    `notes`; `digest`, the SHA-256 of files, images, objects and settings: equal digests mean equal inputs.
    Raises TaskError for a name that the set lacks and for a file that cannot be read, RasterError for a damaged header.
    """
    by_name = {image.name: image for image in labelled.images}
    if unknown := sorted(set(counts) - set(by_name)):
        raise TaskError(f"{labelled.path} has no image {unknown[0]}; expected counts of its own images; count again")
    home = labelled.path if labelled.path.is_dir() else labelled.path.parent
    used = [by_name[name] for name in sorted(counts)]
    paths = {file: _relative(file, home) for image in used for file in image.files}
    total: Counter[str] = Counter()
    for classes in counts.values():
        total.update(classes)
    told = {
        "settings": json.loads(json.dumps(dict(sorted(settings.items())), default=list)),
        "objects": {"total": total.total(), "by_class": dict(sorted(total.items()))},
        "images": [
            {
                "name": image.name,
                "size": [image.size.width, image.size.height],
                "bands": None if image.bands is None else list(image.bands),
                "gsd": image.gsd,
                "objects": dict(sorted(counts[image.name].items())),
                "files": [paths[file] for file in image.files],
            }
            for image in used
        ],
        "files": _files(paths),
    }
    digest = hashlib.sha256(json.dumps(told, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
    head = {"version": VERSION, "kind": labelled.kind, "path": labelled.path.resolve().name}
    return {**head, **told, "notes": list(labelled.notes), "digest": digest}


def _relative(file: Path, home: Path) -> str:
    """The path from the set to a file, with forward slashes: it stays the same when both move together."""
    return Path(os.path.relpath(file.absolute(), home.absolute())).as_posix()


def _files(paths: Mapping[Path, str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for path, name in tqdm(sorted(paths.items(), key=lambda pair: pair[1]), desc="hashing", leave=False, disable=None):
        found[name] = _hashed(path)
    return found


def _hashed(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return {"bytes": file.tell(), "sha256": digest}
    except OSError as error:
        raise TaskError(f"{path} cannot be read ({error.strerror}); expected the file that the objects came from; restore it") from error
