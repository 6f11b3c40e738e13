"""Results on disk, object by object, so that an interrupted run goes on where it stopped.

Beside OUT.json: `OUT.partial.jsonl` while a run is under way (a line of settings, then a line an object), and after it
`OUT.objects.jsonl` and `OUT.timings.jsonl`. Times are kept apart from the rest, which two runs of the same thing repeat byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from backend.errors import UsageError
from backend.evaluation.noc import ObjectResult

ObjectKey = tuple[str, str, str, tuple[int, int, int, int], int, str, int]
"""(model, version, image, window, index, class name, area): what a kept result must agree in to be used again."""


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
        self.objects = out.with_suffix(".objects.jsonl")
        self.timings = out.with_suffix(".timings.jsonl")
        self.conditions = json.loads(json.dumps(conditions))
        self._open: TextIO | None = None

    def start(self, *, resume: bool) -> dict[ObjectKey, ObjectResult]:
        """Results to go on from (none unless `resume`), and the partial file ready for more.

        UsageError when an unfinished run would be lost, or was measured under other conditions.
        """
        if not resume and self.partial.exists():
            raise UsageError(f"{self.partial} holds an unfinished run; add --resume to go on with it, or delete that file to start again")
        kept = {object_key(result): result for result in (*self._finished(), *self._unfinished())} if resume else {}
        self.out.parent.mkdir(parents=True, exist_ok=True)
        # Written anew rather than appended to: a killed run may have left half a line at the end.
        _write(self.partial, [{"conditions": self.conditions}, *(_row(result) | {"seconds": result.seconds} for result in kept.values())])
        self._open = self.partial.open("a", encoding="utf-8")
        return kept

    def add(self, result: ObjectResult) -> None:
        """Keep one more result, now."""
        if self._open is None:
            raise RuntimeError("Ledger.start comes before Ledger.add")
        self._open.write(_line(_row(result) | {"seconds": result.seconds}))
        self._open.flush()

    def finish(self, results: Iterable[ObjectResult], document: Mapping[str, Any]) -> None:
        """Write OUT and the two files beside it, `results` in the given order, and remove the partial file."""
        ordered = list(results)
        _write(self.objects, [{"conditions": self.conditions}, *(_row(result) for result in ordered)])
        _write(self.timings, [result.seconds for result in ordered])
        _replace(self.out, json.dumps(document, indent=1) + "\n")
        self.close()
        self.partial.unlink()

    def close(self) -> None:
        """Let go of the partial file, which stays for `--resume`."""
        if self._open is not None:
            self._open.close()

    def _unfinished(self) -> Iterator[ObjectResult]:
        for row in self._rows(self.partial):
            yield _result(row, row["seconds"])

    def _finished(self) -> Iterator[ObjectResult]:
        rows = self._rows(self.objects)
        if self.timings.exists():
            seconds = [json.loads(line) for line in self.timings.read_text(encoding="utf-8").splitlines()]
            for row, spent in zip(rows, seconds, strict=False):
                yield _result(row, spent)

    def _rows(self, path: Path) -> Iterator[dict[str, Any]]:
        """Rows after the line of conditions; a last line without its end is a row that was never finished."""
        if not path.exists():
            return
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
        if not lines:
            return
        self._check(path, json.loads(lines[0])["conditions"])
        yield from map(json.loads, lines[1:])

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
    }


def _result(row: Mapping[str, Any], seconds: dict[str, float]) -> ObjectResult:
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
        met=tuple(row.get("met", ())),  # a run begun before it was counted
        seconds=seconds,
    )


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, separators=(",", ":")) + "\n"


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    _replace(path, "".join(map(_line, rows)))


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
