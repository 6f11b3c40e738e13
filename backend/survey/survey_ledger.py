"""A survey's results on disk as they come, so that a killed run goes on where it stopped: a line a result, a line an upload."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from backend.errors import UsageError
from backend.survey.survey_work import SurveyResult
from converters.whole_file import write_whole


class SurveyLedger:
    """One file. conditions: what every result depends on; results under others are not used but begun anew (weights were changed, say)."""

    def __init__(self, path: Path, conditions: Mapping[str, Any]) -> None:
        self.path = path
        self._conditions = json.loads(json.dumps(conditions))
        self._open: TextIO | None = None
        self.results: dict[str, SurveyResult] = {}
        self.uploaded: set[str] = set()

    def start(self) -> None:
        """Read what is there, and be ready for more. UsageError where the file cannot be written."""
        for row in self._rows():
            if "uploaded" in row:
                self.uploaded.update(row["uploaded"])
            elif row["key"] is not None:
                self.results[row["key"]] = _result(row)
        lines = [{"conditions": self._conditions}, *map(_row, self.results.values()), {"uploaded": sorted(self.uploaded)}]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Written anew rather than appended to: a killed run may have left half a line at the end.
            write_whole(self.path, "".join(map(_line, lines)))
            self._open = self.path.open("a", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written ({error}); expected a folder with room; give another --ledger") from None

    def add(self, result: SurveyResult) -> None:
        """Keep a result now."""
        self.results[result.key] = result
        self._write(_row(result))

    def note_uploaded(self, keys: Sequence[str]) -> None:
        """Label Studio has the predictions of these tasks."""
        self.uploaded.update(keys)
        self._write({"uploaded": list(keys)})

    def close(self) -> None:
        """The file stays."""
        if self._open is not None:
            self._open.close()

    def _write(self, row: Mapping[str, Any]) -> None:
        if self._open is None:
            raise RuntimeError("SurveyLedger.start comes first")
        self._open.write(_line(row))
        self._open.flush()

    def _rows(self) -> Iterator[dict[str, Any]]:
        """Whole lines of a file of the same conditions; of others none."""
        try:
            lines = self.path.read_text(encoding="utf-8").split("\n")[:-1]
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{self.path} cannot be read ({error}); expected a survey's ledger; give another --ledger") from None
        try:
            head, *rows = map(json.loads, lines)
            if head["conditions"] == self._conditions:
                yield from rows
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{self.path} is no survey's ledger ({error!r}); delete it, or give another --ledger") from None


def _row(result: SurveyResult) -> dict[str, Any]:
    return {
        "key": result.key,
        "prediction": result.prediction,
        "seconds": round(result.seconds, 3),
        "objects": dict(result.objects),
        "scores": result.scores,
        "reason": result.reason,
    }


def _result(row: Mapping[str, Any]) -> SurveyResult:
    return SurveyResult(row["key"], row["prediction"], row["seconds"], row["objects"], row["scores"], row["reason"])


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, separators=(",", ":")) + "\n"
