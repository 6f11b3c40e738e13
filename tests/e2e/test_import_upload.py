"""`rsiseg import --upload` into the real Label Studio: pictures are served, pre-annotations are stored, nothing arrives twice."""

from __future__ import annotations

import json

import numpy as np
import pytest
import requests
from click.testing import CliRunner
from running import RunningStudio

from backend.commands.import_rasters import command
from converters import rle
from converters.frames import Size
from converters.scene import ScenePaths

pytestmark = pytest.mark.e2e


def test_an_import_reaches_label_studio_once_with_its_labels(
    studio: RunningStudio, scene: ScenePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", studio.login["token"])
    files, out = studio.folder / "files", studio.folder / "files" / "uploaded"
    arguments = [str(scene.image), "--out", str(out), "--document-root", str(files), "--chip", "500", "--view", "true", "--view", "cir"]
    arguments += ["--labels", str(scene.classes), "--label-classes", str(scene.legend), "--label-min-area", "100"]
    arguments += ["--upload", studio.running["url"], "--project", "Uploaded", "--json"]
    first, second = (json.loads(CliRunner().invoke(command, arguments, catch_exceptions=False).stdout)["upload"] for _ in range(2))
    assert (first["created"], first["imported"], first["known"]) == (True, 4, 0)
    assert (second["created"], second["imported"], second["known"], second["project"]) == (False, 0, 4, first["project"])

    tasks = studio.get(f"/api/tasks?project={first['project']}&page_size=100&fields=all")["tasks"]
    written = {task["data"]["chip_id"]: task for task in json.loads((out / "tasks.json").read_text())}
    assert len(tasks) == 4
    for task in tasks:
        expected = written[task["data"]["chip_id"]]
        assert (task["data"], task["meta"]) == (expected["data"], expected["meta"])
        assert task["predictions"][0]["result"] == expected["predictions"][0]["result"]
        for item in task["predictions"][0]["result"]:
            assert np.count_nonzero(rle.decode(item["value"]["rle"], Size(500, 500))) >= 100
        for address in (task["data"]["image"], task["data"]["image_cir"]):
            login = {"Authorization": f"Token {studio.login['token']}"}
            assert requests.get(studio.running["url"] + address, headers=login, timeout=60).content.startswith(b"\x89PNG")
