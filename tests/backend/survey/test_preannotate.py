"""`rsiseg preannotate` on the task file of an import: resumable, with one worker or several, and what its report says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from surveys import task_file

from backend.commands.preannotate import command
from backend.errors import UsageError
from backend.survey.survey_ledger import SurveyLedger
from backend.survey.survey_work import SurveyResult
from converters.errors import TaskError


def options(tasks: Path, *more: str) -> list[str]:
    data = tasks.parent / "data"
    given = [str(tasks), "--label-config", str(tasks.parent / "labels.xml"), "--model", "vitclick_tiny", "--data-dir", str(data)]
    return [*given, "--min-score", "0", "--json", "-", *more]


def run(tasks: Path, *more: str) -> dict[str, Any]:
    result = CliRunner().invoke(command, options(tasks, *more), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout.strip().splitlines()[-1])


def regions(out: Path) -> list[list[tuple[Any, ...]]]:
    """Of every task, what was proposed, without the ids, which are new each time."""
    found = []
    for task in json.loads(out.read_text()):
        items = [item for each in task.get("predictions", ()) for item in each["result"]]
        found.append([(item["value"]["brushlabels"], item["value"]["rle"], item["score"]) for item in items])
    return found


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    tasks = task_file(tmp_path_factory.mktemp("one"))
    return tasks, run(tasks)


def test_a_copy_of_the_tasks_brings_predictions_and_the_report_counts_them(done: tuple[Path, dict[str, Any]]) -> None:
    tasks, said = done
    found = regions(tasks.with_suffix(".predicted.json"))
    assert said["tasks"] == 5 == len(found)
    assert said["with_proposals"] == sum(map(bool, found)) >= 1
    assert sum(said["objects"].values()) == sum(map(len, found))
    assert said["uploaded"] is None and sum(said["skipped"].values()) == 1
    assert "chip4.png" in next(iter(said["skipped"]))
    entry = next(task for task in json.loads(tasks.with_suffix(".predicted.json").read_text()) if task.get("predictions"))
    assert entry["predictions"][0]["model_version"] == said["model_version"]
    assert "predictions" not in tasks.read_text()


def test_two_workers_find_the_same(done: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    tasks, said = done
    again = run(tasks, "--workers", "2", "--out", str(tmp_path / "two.json"))
    assert regions(tmp_path / "two.json") == regions(tasks.with_suffix(".predicted.json"))
    assert again["model_version"] == said["model_version"] and again["objects"] == said["objects"]


def test_a_killed_run_goes_on_and_ends_as_an_undisturbed_one(done: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    tasks, said = done
    out, ledger = tmp_path / "killed.json", tmp_path / "killed.jsonl"
    more = ["--out", str(out), "--ledger", str(ledger)]
    process = subprocess.Popen([sys.executable, "-m", "backend.cli", "preannotate", *options(tasks, *more)], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not (ledger.exists() and ledger.read_text().count('"key"') >= 1):
        assert time.monotonic() < deadline and process.poll() in (None, 0)
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = ledger.read_text().count('"key"')
    again = run(tasks, *more)
    assert kept >= 1 and again["objects"] == said["objects"]
    assert regions(out) == regions(tasks.with_suffix(".predicted.json"))


def test_what_was_skipped_is_tried_again_and_nothing_else(done: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    tasks = task_file(tmp_path / "again")
    run(tasks)
    ledger = tasks.with_suffix(".predicted.partial.jsonl")
    before = [json.loads(line) for line in ledger.read_text().splitlines() if '"key"' in line]
    (tmp_path / "again" / "chip0.png").replace(tmp_path / "again" / "chip4.png")
    said = run(tasks)
    assert said["skipped"] == {}
    rows = {row["key"]: row for row in before}
    assert said["with_proposals"] + said["without_proposals"] == 5
    assert rows["chip-4"]["reason"] and not rows["chip-0"]["reason"]


def test_wrong_command_lines_are_one_sentence(done: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks, _ = done
    monkeypatch.delenv("LABEL_STUDIO_URL", raising=False)
    runner = CliRunner()
    for given, said in (
        ([], "neither"),
        ([str(tasks), "--project", "1"], "both"),
        ([str(tasks), "--out", str(tasks)], "itself"),
        (["--project", "1", "--data-dir", str(tmp_path)], "no address"),
    ):
        with pytest.raises(UsageError, match=said):
            runner.invoke(command, given, catch_exceptions=False)
    (tmp_path / "tasks.json").write_text("{}")
    with pytest.raises(TaskError, match="not a task file"):
        runner.invoke(command, options(tmp_path / "tasks.json", "--label-config", str(tasks.parent / "labels.xml")), catch_exceptions=False)


def test_a_ledger_of_other_weights_is_begun_anew_and_a_torn_line_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    first = SurveyLedger(path, {"version": "a"})
    first.start()
    first.add(SurveyResult("1", None, 0.5))
    first.add(SurveyResult("2", {"result": []}, 0.5, {"tree": 2}, 1.5))
    first.note_uploaded(["2"])
    first.close()
    with path.open("a") as torn:
        torn.write('{"key": "3", "predic')
    same = SurveyLedger(path, {"version": "a"})
    same.start()
    assert set(same.results) == {"1", "2"} and same.uploaded == {"2"}
    assert same.results["2"] == SurveyResult("2", {"result": []}, 0.5, {"tree": 2}, 1.5)
    same.close()
    other = SurveyLedger(path, {"version": "b"})
    other.start()
    assert other.results == {}
    other.close()
    path.write_text("no json\n")
    with pytest.raises(UsageError, match="no survey's ledger"):
        SurveyLedger(path, {}).start()


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_keeps_what_is_done(done: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    tasks, _ = done
    ledger = tmp_path / "stopped.jsonl"
    more = ["--out", str(tmp_path / "stopped.json"), "--ledger", str(ledger)]
    process = subprocess.Popen(
        [sys.executable, "-m", "backend.cli", "preannotate", *options(tasks, *more)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 300
    while not (ledger.exists() and ledger.read_text().count('"key"') >= 1):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=120)[1].decode()
    assert process.returncode in (0, 130), error
    assert ledger.read_text().count('"key"') >= 1 and "Traceback" not in error
