"""A survey from its tasks to its report: what is in the ledger is not computed again, what Label Studio has is not uploaded again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from backend.survey.project_predictions import Uploads
from backend.survey.survey_ledger import SurveyLedger
from backend.survey.survey_work import SurveyResult, SurveyTask, SurveyVisit, SurveyWork

VISIT = 4
"""Tasks that a worker takes at a time."""
UPLOAD = 20
"""Predictions of one upload."""


@dataclass(frozen=True, slots=True)
class Survey:
    """tasks: that have no prediction of this version yet. version: of the predictions. workers: processes of this machine. cluster: a Dask
    scheduler's address, or `local:N`, instead of them."""

    work: SurveyWork
    tasks: Sequence[SurveyTask]
    version: str
    ledger: Path
    workers: int = 1
    cluster: str | None = None

    def carry_out(self, uploads: Uploads | None = None) -> tuple[list[SurveyResult], int]:
        """The results of all tasks in their order, and how many predictions were uploaded now.

        What was skipped in an earlier run is tried again. Stopped at any moment, the next run goes on. Raises UsageError.
        """
        ledger = SurveyLedger(self.ledger, {"version": self.version, "label_config": self.work.label_config, "project": self.work.project})
        ledger.start()
        wanted = {one.key for one in self.tasks}
        outbox = _Outbox(ledger, uploads)
        try:
            # Only tasks without this prediction are in the list: what the ledger calls uploaded and is in it was deleted since.
            kept = {key: each for key, each in ledger.results.items() if key in wanted and not each.reason}
            for each in kept.values():
                outbox.put(each)
            todo = [one for one in self.tasks if one.key not in kept]
            found = dict(kept)
            with tqdm(total=len(self.tasks), initial=len(kept), desc="preannotate", unit="chip", dynamic_ncols=True, disable=None) as bar:
                for result in self._results(todo):
                    ledger.add(result)
                    found[result.key] = result
                    outbox.put(result)
                    bar.update()
            outbox.flush()
            return [found[one.key] for one in self.tasks], outbox.sent
        finally:
            ledger.close()

    def _results(self, todo: Sequence[SurveyTask]) -> Iterator[SurveyResult]:
        size = VISIT if len(todo) >= VISIT * self.workers else 1
        visits = [SurveyVisit(tuple(todo[start : start + size])) for start in range(0, len(todo), size)]
        if self.cluster is not None:
            from backend.evaluation.cluster import cluster_visits  # noqa: PLC0415 - an optional extra

            yield from cluster_visits(self.work, visits, self.cluster)
            return
        from backend.evaluation.runner import run_visits  # noqa: PLC0415 - imports torch

        yield from run_visits(self.work, visits, self.workers)


@dataclass(slots=True)
class _Outbox:
    """Predictions on their way to Label Studio; each is noted when it is there. A kill between the two is mended by the next run's list."""

    ledger: SurveyLedger
    uploads: Uploads | None
    sent: int = 0
    _waiting: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def put(self, result: SurveyResult) -> None:
        """One more, where it has a prediction and predictions are uploaded."""
        if self.uploads is None or result.prediction is None:
            return
        self._waiting.append((result.key, result.prediction))
        if len(self._waiting) >= UPLOAD:
            self.flush()

    def flush(self) -> None:
        """Send what waits."""
        if self.uploads is None or not self._waiting:
            return
        batch, self._waiting = self._waiting, []
        self.uploads.add([(int(key), prediction) for key, prediction in batch])
        self.ledger.note_uploaded([key for key, _ in batch])
        self.sent += len(batch)
