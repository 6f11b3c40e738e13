"""`rsiseg export --project`: the same layer as from the file, also after a kill in the middle of the download."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from affine import Affine
from click.testing import CliRunner
from project_server import TOKEN, ProjectServer, serving

from backend.commands.export import command
from backend.errors import UsageError
from backend.studio.project_download import PAGE
from converters.chips import Chip, PixelWindow
from converters.frames import Size
from converters.label_studio import chip_to_task_data, polygon_region


def a_task(number: int) -> dict[str, Any]:
    chip = Chip(
        image="a.png", raster=f"{number}.tif", window=PixelWindow(0, 0, 8, 8), transform=Affine(0.1, 0, 4e5, 0, -0.1, 5e6),
        crs="EPSG:32633", bands=("R", "G", "B"), scale=1.0, gsd=0.1, native_size=Size(8, 8), stretch=None, nodata=None,
    )  # fmt: skip
    region = polygon_region([[1, 1], [5, 1], [5, 6]], Size(8, 8), id="r", label="roof", from_name="b", to_name="img")
    return {"id": number, "updated_at": "x", "data": chip_to_task_data(chip), "annotations": [{"id": number, "result": [region]}]}


@pytest.fixture
def server() -> Iterator[ProjectServer]:
    with serving({number: a_task(number) for number in range(PAGE, 4 * PAGE)}) as running:
        yield running


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LABEL_STUDIO_URL", "RSISEG_LABEL_STUDIO_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)


def from_the_file(server: ProjectServer, tmp_path: Path) -> bytes:
    source, out = tmp_path / "file" / "export.json", tmp_path / "file" / "layer.geojson"
    source.parent.mkdir()
    source.write_text(json.dumps([server.tasks[number] for number in sorted(server.tasks)]), encoding="utf-8")
    CliRunner().invoke(command, [str(source), "--out", str(out)], catch_exceptions=False)
    return out.read_bytes()


def test_the_layer_is_the_files_in_the_projects_colours(server: ProjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out" / "layer.geojson"
    monkeypatch.setenv("LABEL_STUDIO_URL", server.url)
    said = CliRunner().invoke(command, ["--project", "7", "--out", str(out), "--json"], catch_exceptions=False)
    written, expected = (json.loads(content) for content in (out.read_bytes(), from_the_file(server, tmp_path)))
    assert {feature["properties"]["colour"] for feature in written["features"]} == {"#ff0000"}
    for feature in (*written["features"], *expected["features"]):
        del feature["properties"]["colour"]
    assert written == expected
    assert list(out.parent.iterdir()) == [out]  # what was downloaded is gone
    assert TOKEN not in said.output


def test_a_folder_for_the_tasks_is_kept_and_used_again(server: ProjectServer, tmp_path: Path) -> None:
    arguments = ["--project", "7", "--url", server.url, "--tasks-folder", str(tmp_path / "tasks"), "--out", str(tmp_path / "layer.geojson")]
    CliRunner().invoke(command, arguments, catch_exceptions=False)
    server.exports.clear()
    CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert server.exports == []


def test_after_a_kill_in_the_middle_of_the_download_the_last_layer_stands_and_the_rest_is_fetched(
    server: ProjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "layer.geojson"
    out.write_bytes(b"the last one")
    killed, reply = threading.Event(), ProjectServer.reply

    def slow(self: ProjectServer, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        answer = reply(self, path, query)
        if len(self.exports) == 2:
            killed.wait(120)
        return answer

    monkeypatch.setattr(ProjectServer, "reply", slow)
    command_line = [sys.executable, "-m", "backend.cli", "export", "--project", "7", "--url", server.url, "--out", str(out)]
    process = subprocess.Popen(command_line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ))
    limit = time.monotonic() + 120
    while len(server.exports) < 2 and time.monotonic() < limit:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    killed.set()
    assert process.returncode == -signal.SIGKILL and len(server.exports) == 2
    assert out.read_bytes() == b"the last one"
    done = subprocess.run(command_line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [len(numbers) for numbers in server.exports] == [PAGE] * 4  # the first page only once
    assert server.exports.count(server.exports[0]) == 1
    assert len(json.loads(out.read_bytes())["features"]) == 3 * PAGE
    assert TOKEN not in done.stdout + done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["layer.geojson"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "neither a file nor --project"), (["export.json", "--project", "7"], "a file and --project"),
        (["--project", "7"], "no address of Label Studio"), (["--project", "7", "--url", "ftp://x"], "no http or https address"),
    ],
)  # fmt: skip
def test_arguments_that_name_no_source_are_refused(arguments: list[str], said: str, tmp_path: Path) -> None:
    refused = CliRunner().invoke(command, [*arguments, "--out", str(tmp_path / "x.geojson")]).exception
    assert said in str(refused) and "expected" in str(refused)


def test_without_a_token_it_says_where_to_put_one(server: ProjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABEL_STUDIO_API_KEY")
    refused = CliRunner().invoke(command, ["--project", "7", "--url", server.url, "--out", str(tmp_path / "x")]).exception
    assert isinstance(refused, UsageError) and "LABEL_STUDIO_API_KEY" in str(refused)
