"""The command line as a whole: what it lists, what it imports, how it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from backend.cli import Commands, cli

CHECKOUT = Path(__file__).resolve().parents[2]


def rsiseg(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "backend.cli", *words], capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("name", Commands.table)
def test_every_command_has_help_a_summary_and_a_line_in_the_readme(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None and command.help
    assert Commands.table[name][1].endswith(".")
    assert f"rsiseg {name}" in (CHECKOUT / "README.md").read_text(encoding="utf-8")


def test_an_error_is_one_sentence_without_a_traceback_and_exit_code_1(tmp_path: Path) -> None:
    wrong = tmp_path / "notes.txt"
    wrong.write_text("no raster")
    done = rsiseg("import", str(wrong), "--out", str(tmp_path / "out"))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "notes.txt" in done.stderr


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("[")
    words = ("export", str(tmp_path / "broken.json"), "--out", str(tmp_path / "out.geojson"))
    assert "Traceback" in rsiseg("--debug", *words).stderr
    assert "Traceback" not in rsiseg(*words).stderr


def test_an_unknown_command_is_a_usage_error() -> None:
    assert rsiseg("digitise").returncode == 2


def test_help_imports_neither_torch_nor_rasterio() -> None:
    code = "import sys; from click.testing import CliRunner; from backend.cli import cli; r = CliRunner().invoke(cli, ['--help']); "
    code += "assert r.exit_code == 0, r.output; assert not {'torch', 'rasterio', 'flask'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
