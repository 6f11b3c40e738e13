"""Images with labels, from the layouts people have, as objects: what the benchmark measures and training learns from.

`open_labelled` is the one entrance; every layout has a reader of its own beside this file:

* `labelled_folder`   a folder with `images/`, `labels/` (class rasters) and `classes.json`;
* `labelled_coco`     a COCO instances JSON, its images in `images/` beside it;
* `labelled_export`   Label Studio's JSON export, its rasters or pictures beside it or below the roots given;
* `labelled_vector`   georeferenced rasters with polygons in GeoJSON, GeoPackage or another vector file;
* `labelled_isprs`    a folder with the files of ISPRS Potsdam or Vaihingen anywhere below it.

What an object is stands in `labelled_objects`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from converters.errors import TaskError
from converters.labelled_coco import is_coco, open_coco
from converters.labelled_export import open_export
from converters.labelled_folder import label_values, open_folder, read_json
from converters.labelled_isprs import is_isprs_tree, isprs_set
from converters.labelled_objects import LabelledImage, LabelledObject, LabelledSet
from converters.labelled_vector import find_vector_set, open_vector, rasters_at

__all__ = ["LabelledImage", "LabelledObject", "LabelledSet", "open_labelled"]


def open_labelled(
    path: Path,
    *,
    bands: tuple[str, ...] | None = None,
    labels: Path | None = None,
    attribute: str | None = None,
    roots: Sequence[Path] = (),
    document_root: Path | None = None,
) -> LabelledSet:
    """The labelled set at `path`. TaskError when it is none of the layouts.

    bands: letters of the channels that `read` is to return, in order; where a set has several products, they choose one. An image that
    names its bands otherwise is refused, unless it has as many channels: then they are what its channels mean. None: all bands.
    labels: a vector file that lies elsewhere than the raster, or the folder of rasters, at `path`.
    attribute: of vector files, the one that holds classes; None looks for it.
    roots, document_root: of Label Studio exports, where files may be read from beside the export's own folder, and what
    /data/local-files/?d= counts from.
    """
    path = Path(path)
    if labels is not None:
        return open_vector(path, rasters_at(path), [labels], bands, attribute)
    if path.is_dir() and (path / "classes.json").is_file():
        return open_folder(path, bands)
    if path.is_file() and path.suffix.lower() == ".json":
        document = read_json(path)
        if is_coco(document):
            return open_coco(path, document, bands)
        if isinstance(document, list):
            return open_export(path, document, bands, roots, document_root)
        if isinstance(document, dict) and document.get("type") == "FeatureCollection":
            raise TaskError(f"{path} is GeoJSON; expected its ending to be .geojson; rename it")
        raise TaskError(f"{path} is neither a COCO instances file nor Label Studio's JSON export; expected one of these; export again")
    if is_isprs_tree(path):
        return isprs_set(path, bands=bands)
    if (found := find_vector_set(path)) is not None:
        return open_vector(path, *found, bands, attribute)
    raise TaskError(f"{path}: {_what_is_there(path)}; expected {_LAYOUTS}; give the path of one of these")


def _what_is_there(path: Path) -> str:
    """Why a path is no labelled set, in words."""
    if not path.exists():
        return "nothing is there"
    if not path.is_dir():
        return f"a file ending in {path.suffix or 'nothing'} was found, which is none of the layouts"
    if (path / "images").is_dir() and (path / "labels").is_dir():
        return f"images/ and labels/ were found, neither classes.json nor vector files{label_values(path / 'labels')}"
    documents = sorted(one.name for one in path.glob("*.json"))
    beside = f"; it holds {documents[0]}, whose own path can be given" if documents else ""
    return f"a folder without classes.json and without vector files was found{beside}"


_LAYOUTS = (
    "a folder with images/, labels/ and classes.json, a COCO instances JSON, Label Studio's JSON export, rasters with GeoJSON or "
    "GeoPackage beside them, or files of ISPRS Potsdam or Vaihingen"
)
