"""What a worker of a survey does: tasks in, predictions out, with the parts of a server in its process."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from backend.runtime import Runtime, make_runtime
from backend.settings import ServerSettings, settings_from
from converters.errors import RSISegError
from converters.label_config import parse


@dataclass(frozen=True, slots=True)
class SurveyTask:
    """key: of the task in the ledger, its number in Label Studio or its chip's id. task: as Label Studio sends it: `id`, `data`."""

    key: str
    task: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SurveyVisit:
    """Tasks that one worker takes together; each is a group of its own."""

    groups: tuple[SurveyTask, ...]

    @property
    def what(self) -> str:
        """For messages."""
        return f"task {self.groups[0].key}" if self.groups else "no task"


@dataclass(frozen=True, slots=True)
class SurveyResult:
    """What came out for one task.

    prediction: the entry as /predict would answer it, None without proposals. objects: number by class. scores: sum of their scores.
    reason: why there is no prediction; empty where nothing was found.
    """

    key: str
    prediction: dict[str, Any] | None
    seconds: float
    objects: Mapping[str, int] = field(default_factory=dict)
    scores: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SurveyWork:
    """Everything a survey's predictions depend on. settings: without the token, which each process takes from its own environment.

    project: as Label Studio calls it. params: its settings, as `ProjectStore` keeps them.
    """

    settings: ServerSettings
    project: str
    label_config: str
    params: Mapping[str, str]
    device: str = "cpu"

    def worker(self) -> Surveyor:
        """Whoever carries visits out in this process."""
        return Surveyor(self)

    def runtime(self) -> Runtime:
        """The parts of a server. The device is this work's, which a cluster's worker may have replaced."""
        return make_runtime(replace(self.settings, device=self.device, api_key=settings_from(os.environ).api_key))


class Surveyor:
    """One process of a survey."""

    def __init__(self, work: SurveyWork) -> None:
        self._work = work
        self._runtime = work.runtime()
        self._config = parse(work.label_config)

    def carry_out(self, visit: SurveyVisit) -> Iterator[SurveyResult]:
        """The result of each task, as it comes. What is wrong with one task is its reason, and the next one's turn."""
        for one in visit.groups:
            started = time.perf_counter()
            try:
                assert self._runtime.proposer is not None  # make_runtime gives one
                prediction = self._runtime.proposer.entry(one.task, self._work.project, self._config, self._work.params)
            except RSISegError as error:
                yield SurveyResult(one.key, None, time.perf_counter() - started, reason=str(error))
                continue
            seconds = time.perf_counter() - started
            if prediction is None:
                yield SurveyResult(one.key, None, seconds)
                continue
            regions = prediction["result"]
            objects = Counter(label_of(region) for region in regions)
            yield SurveyResult(one.key, prediction, seconds, dict(objects), sum(float(region["score"]) for region in regions))


def label_of(region: Mapping[str, Any]) -> str:
    """The class of a region that was proposed."""
    return str(region["value"][region["type"]][0])
