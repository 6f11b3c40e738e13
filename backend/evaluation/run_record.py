"""What the JSON of a benchmark run says beside its numbers: settings, software, weights, data, and what the robot itself cost."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from backend.errors import ModelError
from backend.evaluation.data_source import Source
from backend.evaluation.models import BASELINES, plain_name
from backend.evaluation.noc import ObjectResult
from backend.evaluation.plan import Protocol, Subject
from backend.segmenters import catalogue
from backend.segmenters.catalogue_entry import weights_sha256
from converters.bands import format_bands

_PACKAGES = ("rsiseg", "torch", "numpy", "opencv-python-headless", "rasterio", "pyarrow")


def conditions(protocol: Protocol) -> dict[str, Any]:
    """What every object's result depends on, beside model and bands: runs that differ here are never mixed."""
    return {
        **_source(protocol.source),
        "patch": protocol.patch,
        "min_area": protocol.min_area,
        "max_clicks": protocol.max_clicks,
        "stop_at": protocol.stop_at,
        "device": protocol.device,
        "precision": protocol.precision,
        "batch": protocol.batch,
    }


def _source(source: Source) -> dict[str, Any]:
    """Where the data is. The split chooses objects and changes none, so it is not here."""
    return {
        "data": str(source.data),
        "labels": None if source.labels is None else str(source.labels),
        "attribute": source.attribute,
        "roots": [str(root) for root in source.roots],
    }


def bands_of(subjects: Iterable[Subject]) -> str | list[str] | None:
    """The choice of bands of a run: one, several, or what the files say."""
    chosen = list(dict.fromkeys(format_bands(subject.bands) for subject in subjects if subject.bands))
    return chosen if len(chosen) > 1 else next(iter(chosen), None)


def model_record(subject: Subject, its_version: str) -> dict[str, Any]:
    """Which weights stand behind a name. weights: file name and sha256; None for a baseline."""
    record: dict[str, Any] = {"version": its_version, "bands": format_bands(subject.bands) if subject.bands else None, "weights": None}
    name = plain_name(subject.model)
    if name not in BASELINES:
        try:
            entry = catalogue.entry(name)
        except ModelError:  # put in its place by a test or an extension
            return record
        record["weights"] = {"file": entry.file.name if entry.file else None, "sha256": weights_sha256(entry)}
    return record


def software(threads: int) -> dict[str, str | int]:
    """Versions and machine that results may depend on. threads: of a worker's arithmetic."""
    system = f"{platform.system()} {platform.machine()}"
    found: dict[str, str | int] = {"python": platform.python_version(), "system": system, "cpus": os.cpu_count() or 1}
    found["threads"] = threads
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run took. wall: seconds of this run. stages: seconds of all processes and of earlier runs, by stage, over all objects.

    summary: seconds spent on turning results into numbers.
    """

    wall: float
    stages: Mapping[str, float]
    summary: float

    @classmethod
    def of(cls, results: Iterable[ObjectResult], *, wall: float, summary: float) -> Cost:
        """From the seconds of every result."""
        stages = {"read": 0.0, "encode": 0.0, "step": 0.0, "robot": 0.0}
        for result in results:
            for stage, seconds in result.seconds.items():
                stages[stage] = stages.get(stage, 0.0) + seconds
        return cls(wall, stages, summary)

    @property
    def robot_and_metrics(self) -> float:
        """Share, 0..1, of all working time that the robot's clicks and the measuring took, not the models and the reading of images."""
        total = sum(self.stages.values()) + self.summary
        return (self.stages["robot"] + self.summary) / total if total else 0.0

    def as_json(self) -> dict[str, Any]:
        """For the JSON of the run."""
        return {
            "wall_seconds": self.wall,
            "seconds": dict(self.stages),
            "summary_seconds": self.summary,
            "robot_and_metrics_share": self.robot_and_metrics,
        }

    def __str__(self) -> str:
        """One line for people."""
        total = sum(self.stages.values()) + self.summary
        split = ", ".join(f"{stage} {seconds / total:.1%}" for stage, seconds in self.stages.items()) if total else "nothing measured"
        return (
            f"Robot and metrics took {self.robot_and_metrics:.1%} of {total:.1f} s of work ({split}, summary {self.summary:.2f} s); "
            f"this run: {self.wall:.1f} s by the clock."
        )
