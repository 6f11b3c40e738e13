"""Results of `rsiseg bench` read back: the models that were measured on the same objects stand together."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.errors import UsageError
from backend.evaluation.noc import ObjectResult
from backend.evaluation.objects_table import read_objects

OBJECTS_SUFFIX = ".objects.parquet"
"""Results by object of OUT.json stand beside it in OUT.objects.parquet."""

_SAME = ("data", "labels", "attribute", "patch", "min_area", "max_clicks", "stop_at", "split", "limit", "seed")
"""Settings that decide which objects were measured, and what their last IoUs mean; beside them the bands and the number of objects."""

_BANDS = re.compile(r" \[[A-Z0-9]+\]$")
_REFINEMENT = re.compile(r"\+(a?cfr|fbrs)[^+/\\]*$")

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

    label: unique in its data set, short enough for a table. name: as --model named it. numbers: `statistics.summarise`.
    objects: results by object; empty where the Parquet file is not there.
    """

    label: str
    name: str
    version: str
    numbers: Mapping[str, Any]
    objects: Sequence[ObjectResult] = field(repr=False, default=())

    @property
    def plain(self) -> str:
        """The name without its refinement."""
        return _REFINEMENT.sub("", self.name)

    @property
    def refinement(self) -> str:
        """What the name ends in: nothing, `+cfr4`, `+acfr4@clicks=all`, `+fbrsb`."""
        return self.name[len(self.plain) :]


@dataclass(frozen=True, slots=True)
class DataSet:
    """Models over the same objects of one labelled set in one choice of bands.

    bands: letters in order, such as `RGBIR`; None where every model chose among what the files have. settings: those of the first file.
    """

    title: str
    bands: str | None
    settings: Mapping[str, Any]
    models: tuple[Model, ...]
    files: tuple[Path, ...]

    @property
    def objects(self) -> int:
        """How many objects each model was measured on."""
        return max(model.numbers["objects"] for model in self.models)


def load_results(paths: Sequence[Path]) -> tuple[DataSet, ...]:
    """The data sets of these result files, in the order in which they first appear.

    UsageError for a file that is no result of bench, and for the same model in the same version measured twice on the same objects.
    """
    groups: dict[str, list[_Record]] = {}
    for path in paths:
        document = _document(path)
        objects = _objects(path)
        for subject, numbers in document["models"].items():
            record = _Record(path, document["settings"], subject, numbers, objects)
            groups.setdefault(record.key, []).append(record)
    titles = _titles([group[0] for group in groups.values()])
    return tuple(_data_set(title, group) for title, group in zip(titles, groups.values(), strict=True))


@dataclass(frozen=True, slots=True)
class _Record:
    """One model of one file. subject: its key there, which ends in bands where the run had several."""

    path: Path
    settings: Mapping[str, Any]
    subject: str
    numbers: Mapping[str, Any]
    objects: Sequence[ObjectResult]

    @property
    def bands(self) -> str | None:
        return self.numbers.get("bands") or (bands if isinstance(bands := self.settings.get("bands"), str) else None)

    @property
    def key(self) -> str:
        """Equal for models that were measured on the same objects and bands."""
        return json.dumps([*(self.settings.get(name) for name in _SAME), self.bands, self.numbers["objects"]])


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


def _data_set(title: str, group: Sequence[_Record]) -> DataSet:
    versions: dict[str, set[str]] = {}
    for record in group:
        versions.setdefault(record.subject, set()).add(record.numbers["version"])
    models: dict[tuple[str, str], Model] = {}
    for record in group:
        name, version = _BANDS.sub("", record.subject), record.numbers["version"]
        if (name, version) in models:
            raise UsageError(
                f"{record.path} has {name} over the same objects as an earlier file, in the same version; leave one of the two out"
            )
        label = short_name(name) + (f" ({record.path.stem})" if len(versions[record.subject]) > 1 else "")
        own = tuple(result for result in record.objects if (result.model, result.version) == (record.subject, version))
        models[name, version] = Model(label, name, version, record.numbers, own)
    first = group[0]
    return DataSet(title, first.bands, first.settings, tuple(models.values()), tuple(dict.fromkeys(record.path for record in group)))


def _objects(path: Path) -> list[ObjectResult]:
    beside = path.with_suffix(OBJECTS_SUFFIX)
    return read_objects(beside) if beside.exists() else []


def short_name(name: str) -> str:
    """A model's name without the folders of a weight file: `runs/a.safetensors+cfr4` -> `a+cfr4`."""
    plain = _REFINEMENT.sub("", name)
    return (Path(plain).stem if plain.endswith(".safetensors") else plain) + name[len(plain) :]


def _titles(records: Sequence[_Record]) -> list[str]:
    """Data folder and bands, with as much of the other settings as it takes to tell the sets apart."""
    parts = [[_folder(one.settings), *([one.bands] if one.bands else [])] for one in records]
    for name in ("split", "patch", "limit", "seed", "min_area", "stop_at"):
        if len({", ".join(part) for part in parts}) == len(parts):
            break
        if len({str(one.settings.get(name)) for one in records}) > 1:
            for part, one in zip(parts, records, strict=True):
                part.append(f"{name} {one.settings.get(name)}")
    titles = [", ".join(part) for part in parts]
    return [title if titles.count(title) == 1 else f"{title} ({number})" for number, title in enumerate(titles, start=1)]


def _folder(settings: Mapping[str, Any]) -> str:
    path = Path(settings["data"])
    return path.name if path.suffix == "" else f"{path.parent.name}/{path.name}"
