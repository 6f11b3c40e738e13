"""A file appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from converters.whole_file import replacing, write_whole


def test_what_was_written_takes_the_name(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    with replacing(path) as aside:
        aside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as aside:
        aside.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_name_that_is_written_to_has_not_the_files_ending(tmp_path: Path) -> None:
    """Else what a kill left beside chips would be found as a chip."""
    with replacing(tmp_path / "chip.png") as aside:
        aside.write_bytes(b"")
        assert not list(tmp_path.glob("*.png"))


def test_line_ends_and_letters_stay_as_they_are(tmp_path: Path) -> None:
    write_whole(tmp_path / "text", "ä\r\n\n")
    assert (tmp_path / "text").read_bytes() == "ä\r\n\n".encode()


def test_a_folder_that_is_a_file_is_the_error_that_is_raised(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="report"):
        write_whole(tmp_path / "file" / "report", "text")
