"""Results of `rsiseg bench` read back: the models that were measured on the same objects stand together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.errors import UsageError
from backend.evaluation.noc import ObjectResult
from backend.evaluation.objects_table import read_objects

OBJECTS_SUFFIX = ".objects.parquet"
"""Results by object of OUT.json stand beside it in OUT.objects.parquet."""

_SAME = ("data", "kind", "bands", "patch", "min_area", "max_clicks", "split", "limit", "seed", "objects")
"""Settings that decide which objects were measured, and on which pixels."""

_NEEDED = (
    "version",
    "objects",
    "noc",
    "over20",
    "miou",
    "iou_histogram",
    "interval",
    "by_class",
    "by_size",
    "by_class_and_size",
    "seconds",
)


@dataclass(frozen=True, slots=True)
class Model:
    """One model in one result file.

    label: unique in its data set, short enough for a table. name: as bench was asked. numbers: `statistics.summarise`.
    objects: results by object; empty where the Parquet file is not there.
    """

    label: str
    name: str
    version: str
    numbers: Mapping[str, Any]
    objects: Sequence[ObjectResult] = field(repr=False, default=())


@dataclass(frozen=True, slots=True)
class DataSet:
    """Models over the same objects of one labelled set in one choice of bands. settings: those of the first file."""

    title: str
    settings: Mapping[str, Any]
    models: tuple[Model, ...]
    files: tuple[Path, ...]

    @property
    def bands(self) -> str | None:
        """Band letters in order, such as `RGBIR`; None where the channels were taken as they are."""
        return self.settings.get("bands")

    @property
    def objects(self) -> int:
        """How many objects each model was measured on."""
        return max(model.numbers["objects"] for model in self.models)


def load_results(paths: Sequence[Path]) -> tuple[DataSet, ...]:
    """The data sets of these result files, in the order in which they first appear.

    UsageError for a file that is no result of bench, and for the same model in the same version measured twice on the same objects.
    """
    groups: dict[str, list[tuple[Path, dict[str, Any]]]] = {}
    for path in paths:
        document = _document(path)
        key = json.dumps([document["settings"].get(name) for name in _SAME])
        groups.setdefault(key, []).append((path, document))
    titles = _titles([group[0][1]["settings"] for group in groups.values()])
    return tuple(_data_set(title, group) for title, group in zip(titles, groups.values(), strict=True))


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        lacking = [key for numbers in document["models"].values() for key in _NEEDED if key not in numbers]
        complete = bool(document["models"]) and "data" in document["settings"] and not lacking
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is no result of rsiseg bench ({error!r}); expected the file that its --json named; give that") from error
    if not complete:
        what = f"lacks {lacking[0]}" if lacking else "has no model or no settings"
        raise UsageError(f"{path} {what}, as an earlier version of bench wrote it; run bench again with the same --json and --resume")
    return document


def _data_set(title: str, group: Sequence[tuple[Path, Mapping[str, Any]]]) -> DataSet:
    counts: dict[str, set[str]] = {}
    for _, document in group:
        for name, numbers in document["models"].items():
            counts.setdefault(name, set()).add(numbers["version"])
    models: dict[tuple[str, str], Model] = {}
    for path, document in group:
        objects = _objects(path)
        for name, numbers in document["models"].items():
            version = numbers["version"]
            if (name, version) in models:
                raise UsageError(
                    f"{path} has {name} over the same objects as an earlier file, in the same version; leave one of the two out"
                )
            label = short_name(name) + (f" ({path.stem})" if len(counts[name]) > 1 else "")
            own = tuple(result for result in objects if (result.model, result.version) == (name, version))
            models[name, version] = Model(label, name, version, numbers, own)
    return DataSet(title, group[0][1]["settings"], tuple(models.values()), tuple(path for path, _ in group))


def _objects(path: Path) -> list[ObjectResult]:
    beside = path.with_suffix(OBJECTS_SUFFIX)
    return read_objects(beside) if beside.exists() else []


def short_name(name: str) -> str:
    """A model's name without the folders of a weight file: `runs/a.safetensors+cfr4` -> `a+cfr4`."""
    path, plus, suffix = name.partition("+")
    return (Path(path).stem if path.endswith(".safetensors") else path) + plus + suffix


def _titles(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Data folder and bands, with as much of the other settings as it takes to tell the sets apart."""
    parts = [[_folder(one), *([one["bands"]] if one.get("bands") else [])] for one in settings]
    for name in ("kind", "patch", "split", "limit", "seed", "min_area"):
        if len({", ".join(part) for part in parts}) == len(parts):
            break
        if len({str(one.get(name)) for one in settings}) > 1:
            for part, one in zip(parts, settings, strict=True):
                part.append(f"{name} {one.get(name)}")
    titles = [", ".join(part) for part in parts]
    return [title if titles.count(title) == 1 else f"{title} ({number})" for number, title in enumerate(titles, start=1)]


def _folder(settings: Mapping[str, Any]) -> str:
    path = Path(settings["data"])
    return path.name if path.suffix == "" else f"{path.parent.name}/{path.name}"
