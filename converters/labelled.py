"""Images with labels, from the layouts people have, as objects: what the benchmark measures and training learns from.

`open_labelled` is the one entrance; every layout has a reader of its own beside this file:

* `labelled_folder`   a folder with `images/`, `labels/` (class rasters) and `classes.json`;
* `labelled_coco`     a COCO instances JSON, its images in `images/` beside it;
* `labelled_isprs`    a folder with the files of ISPRS Potsdam or Vaihingen anywhere below it.

What an object is stands in `labelled_objects`.
"""

from __future__ import annotations

from pathlib import Path

from converters.errors import TaskError
from converters.labelled_coco import open_coco
from converters.labelled_folder import open_folder
from converters.labelled_isprs import is_isprs_tree, isprs_set
from converters.labelled_objects import LabelledImage, LabelledObject, LabelledSet

__all__ = ["LabelledImage", "LabelledObject", "LabelledSet", "open_labelled"]


def open_labelled(path: Path, *, bands: tuple[str, ...] | None = None) -> LabelledSet:
    """The labelled set at `path`. TaskError when it is none of the layouts.

    bands: letters of the channels that `read` is to return, in order; where a set has several products, they choose one. An image that
    names its bands otherwise is refused, unless it has as many channels: then they are what its channels mean. None: all bands.
    """
    if path.is_dir() and (path / "classes.json").is_file():
        return open_folder(path, bands)
    if path.is_file() and path.suffix == ".json":
        return open_coco(path, bands)
    if is_isprs_tree(path):
        return isprs_set(path, bands=bands)
    raise TaskError(
        f"{path}: found neither a folder with images/, labels/ and classes.json nor a COCO instances JSON nor files of ISPRS Potsdam or "
        "Vaihingen; give the path of one of these"
    )
