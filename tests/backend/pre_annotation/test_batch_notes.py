"""Tasks of a batch that come again one by one."""

from __future__ import annotations

from pathlib import Path

from backend.pre_annotation.batch_notes import LASTS, BatchNotes


def test_another_process_knows_the_tasks_for_as_long_as_a_batch_lasts(tmp_path: Path) -> None:
    now = [1000.0]
    BatchNotes(tmp_path, lambda: now[0]).put("3.17", [1, 2, None])
    other = BatchNotes(tmp_path, lambda: now[0])
    assert other.expected("3.17", 2)
    assert not other.expected("3.17", 9) and not other.expected("4.17", 2)
    now[0] += LASTS
    assert not other.expected("3.17", 2)


def test_a_damaged_note_or_a_folder_that_cannot_be_made_stops_nothing(tmp_path: Path) -> None:
    notes = BatchNotes(tmp_path)
    notes.put("../../3", [1])
    assert [path.parent for path in tmp_path.rglob("batch-*")] == [tmp_path / "proposals"]
    next(tmp_path.rglob("batch-*")).write_text("[")
    assert not notes.expected("../../3", 1)
    (tmp_path / "file").write_text("")
    BatchNotes(tmp_path / "file").put("3", [1])
