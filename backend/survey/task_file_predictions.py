"""An import's task file with predictions in it: what is uploaded with the tasks, where there is no project yet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from backend.survey.survey_work import SurveyTask
from converters.importing.task_file import as_line, read_lines
from converters.label_studio import task_id, with_prediction
from converters.whole_file import replacing


def tasks_in(file: Path) -> list[SurveyTask]:
    """The tasks of a file of `rsiseg import`, by the id of their chip. TaskError for a file that is none."""
    return [SurveyTask(key, task) for key, task in _keyed(file)]


def write_with_predictions(file: Path, out: Path, predictions: Mapping[str, Mapping[str, Any]], version: str) -> None:
    """A copy of `file` whose tasks have the predictions of their keys, in place of earlier ones of this version."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as aside, aside.open("w", encoding="utf-8") as written:
        before = "[\n"
        for key, task in _keyed(file):
            written.write(before + as_line(with_prediction(task, predictions.get(key), version)))
            before = ",\n"
        written.write("\n]\n")


def _keyed(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(read_lines(file)):
        task = json.loads(line)
        yield task_id(task) or f"line {number + 2}", task
