"""What a survey came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from backend.survey.survey_work import SurveyResult

_SHOWN_REASONS = 5


def report(results: Iterable[SurveyResult], *, version: str, known: int, uploaded: int | None) -> dict[str, Any]:
    """Numbers of a survey as JSON. known: tasks that had a prediction of this version. uploaded: predictions, None where none are."""
    results = list(results)
    objects: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for each in results:
        objects.update(each.objects)
        if each.reason:
            reasons[each.reason] += 1
    total = sum(objects.values())
    return {
        "model_version": version,
        "tasks": len(results) + known,
        "with_proposals": sum(each.prediction is not None for each in results),
        "without_proposals": sum(each.prediction is None and not each.reason for each in results),
        "had_a_prediction_of_this_version": known,
        "uploaded": uploaded,
        "objects": dict(sorted(objects.items())),
        "mean_score": round(sum(each.scores for each in results) / total, 4) if total else None,
        "seconds_per_chip": round(sum(each.seconds for each in results) / len(results), 2) if results else None,
        "skipped": dict(reasons.most_common()),
    }


def text(said: dict[str, Any]) -> str:
    """The report for people."""
    lines = [
        f"{said['tasks']} tasks: {said['with_proposals']} with proposals, {said['without_proposals']} without, "
        f"{said['had_a_prediction_of_this_version']} had theirs already, {sum(said['skipped'].values())} skipped"
    ]
    if said["objects"]:
        lines.append("objects: " + ", ".join(f"{count} {name}" for name, count in said["objects"].items()))
        lines.append(f"mean score {said['mean_score']:.2f}")
    if said["seconds_per_chip"] is not None:
        lines.append(f"{said['seconds_per_chip']:.1f} s a chip in each worker")
    if said["uploaded"] is not None:
        lines.append(f"{said['uploaded']} predictions uploaded as {said['model_version']}")
    for reason, count in list(said["skipped"].items())[:_SHOWN_REASONS]:
        lines.append(f"skipped {count}: {reason}")
    return "\n".join(lines)
