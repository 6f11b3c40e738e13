"""Results on disk as they are measured, so that an interrupted run goes on where it stopped.

Beside OUT.json: `OUT.partial.jsonl` while a run is under way (a line of settings, then a line for each group of objects that were
computed together), and after it `OUT.objects.parquet` (see objects_table.py) and `OUT.timings.jsonl`, a line an object in the same order.
Times are kept apart from the rest, which two runs of the same thing repeat byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from backend.errors import UsageError
from backend.evaluation.noc import ObjectResult
from backend.evaluation.objects_table import read_conditions, read_objects, write_objects
from backend.evaluation.plan import ObjectKey
from converters.whole_file import write_whole


def object_key(result: ObjectResult) -> ObjectKey:
    """The key of a result."""
    return (result.model, result.version, result.image, result.window, result.index, result.class_name, result.area)


class Ledger:
    """The files of one run.

    out: the benchmark's JSON. conditions: the settings on which each object's result depends; results measured under others are
    never mixed in (UsageError).
    """

    def __init__(self, out: Path, conditions: Mapping[str, Any]) -> None:
        self.out = out
        self.partial = out.with_suffix(".partial.jsonl")
        self.objects = out.with_suffix(".objects.parquet")
        self.timings = out.with_suffix(".timings.jsonl")
        self.conditions: dict[str, Any] = json.loads(json.dumps(conditions))
        self._open: TextIO | None = None

    def start(self, *, resume: bool) -> dict[ObjectKey, ObjectResult]:
        """Results to go on from (none unless `resume`), and the partial file ready for more.

        UsageError when an unfinished run would be lost, or was measured under other conditions.
        """
        if not resume and self.partial.exists():
            raise UsageError(f"{self.partial} holds an unfinished run; add --resume to go on with it, or delete that file to start again")
        groups = [*self._finished(), *self._unfinished()] if resume else []
        self.out.parent.mkdir(parents=True, exist_ok=True)
        # Written anew rather than appended to: a killed run may have left half a line at the end.
        write_whole(self.partial, "".join([_line({"conditions": self.conditions}), *map(_group_line, groups)]))
        self._open = self.partial.open("a", encoding="utf-8")
        return {object_key(result): result for group in groups for result in group}

    def add(self, group: Sequence[ObjectResult]) -> None:
        """Keep the results of objects that were computed together, now: all of them or, if killed, none."""
        if self._open is None:
            raise RuntimeError("Ledger.start comes before Ledger.add")
        self._open.write(_group_line(group))
        self._open.flush()

    def finish(self, results: Iterable[ObjectResult], document: Mapping[str, Any]) -> None:
        """Write OUT and the two files beside it, `results` in the given order, and remove the partial file."""
        ordered = list(results)
        write_objects(self.objects, ordered, self.conditions)
        write_whole(self.timings, "".join(_line(result.seconds) for result in ordered))
        write_whole(self.out, json.dumps(document, indent=1) + "\n")
        self.close()
        self.partial.unlink()

    def close(self) -> None:
        """Let go of the partial file, which stays for `--resume`."""
        if self._open is not None:
            self._open.close()

    def _unfinished(self) -> Iterator[list[ObjectResult]]:
        """Groups after the line of conditions; a last line without its end is a group that was never finished."""
        if not self.partial.exists():
            return
        lines = self.partial.read_text(encoding="utf-8").split("\n")[:-1]
        if not lines:
            return
        try:
            head, *rows = map(json.loads, lines)
            conditions = head["conditions"]
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{self.partial} is no unfinished run of this version of bench ({error!r}); delete it to start again"
            ) from error
        self._check(self.partial, conditions)
        for row in rows:
            yield [_result(each) for each in row["group"]]

    def _finished(self) -> Iterator[list[ObjectResult]]:
        if not self.objects.exists():
            return
        self._check(self.objects, read_conditions(self.objects))
        results = read_objects(self.objects)
        lines = self.timings.read_text(encoding="utf-8").splitlines() if self.timings.exists() else []
        seconds = [json.loads(line) for line in lines] if len(lines) == len(results) else [{} for _ in results]
        for result, spent in zip(results, seconds, strict=True):
            result.seconds.update(spent)
            yield [result]

    def _check(self, path: Path, found: Mapping[str, Any]) -> None:
        for name, value in self.conditions.items():
            if found.get(name) != value:
                raise UsageError(
                    f"{path} was measured with {name} = {found.get(name)}, this run has {value}; give the same settings, or another --json"
                )


def _row(result: ObjectResult) -> dict[str, Any]:
    return {
        "model": result.model,
        "version": result.version,
        "image": result.image,
        "window": result.window,
        "index": result.index,
        "class": result.class_name,
        "area": result.area,
        "clicks": [[int(positive), row, col] for positive, row, col in result.clicks],
        "ious": result.ious,
        "met": result.met,
        "gsd": result.gsd,
        "seconds": result.seconds,
    }


def _result(row: Mapping[str, Any]) -> ObjectResult:
    left, top, width, height = row["window"]
    return ObjectResult(
        model=row["model"],
        version=row["version"],
        image=row["image"],
        window=(left, top, width, height),
        index=row["index"],
        class_name=row["class"],
        area=row["area"],
        clicks=tuple((bool(positive), at_row, at_col) for positive, at_row, at_col in row["clicks"]),
        ious=tuple(row["ious"]),
        met=tuple(row["met"]),
        gsd=row["gsd"],
        seconds=row["seconds"],
    )


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, separators=(",", ":")) + "\n"


def _group_line(group: Sequence[ObjectResult]) -> str:
    return _line({"group": [_row(result) for result in group]})
