"""An import reaches Label Studio once: project, storage, tasks with their pre-annotations, also after an interruption."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner, Result
from fake_label_studio import TOKEN, FakeLabelStudio, fake_label_studio

from backend.commands.import_rasters import command
from backend.errors import UsageError
from backend.studio import project_tasks
from backend.studio.upload import UploadPlan, upload
from converters.importing.task_file import write_tasks
from converters.label_studio_access import LabelStudioAccess

XML = (Path(__file__).parents[3] / "label_config" / "aerial.xml").read_text()


@pytest.fixture
def studio() -> Iterator[FakeLabelStudio]:
    with fake_label_studio() as running:
        yield running


def a_plan(tmp_path: Path, count: int = 5, **changes: Any) -> UploadPlan:
    def task(number: int) -> dict[str, Any]:
        predictions = [{"model_version": "labels: a.gpkg", "result": [{"id": "x", "type": "brushlabels", "value": {"rle": [1, 2]}}]}]
        data = {"image": f"/data/local-files/?d=out/{number}.png", "chip_id": f"id{number}"}
        return {"data": data, "meta": {"rsiseg": {"made": "m"}}, "predictions": predictions}

    part = tmp_path / "part"
    part.write_text("".join(json.dumps(task(number)) + "\n" for number in range(count)))
    fields: dict[str, Any] = {
        "project": "Survey",
        "label_config": XML,
        "tasks": write_tasks(tmp_path, [part]),
        "storage": "/files/out/chips",
    }
    return UploadPlan(**{**fields, **changes})


def test_project_storage_and_tasks_are_made_once(studio: FakeLabelStudio, tmp_path: Path) -> None:
    access, plan = LabelStudioAccess(studio.url, TOKEN), a_plan(tmp_path)
    first = upload(access, plan)
    assert (first.created, first.imported, first.known, first.url) == (True, 5, 0, f"{studio.url}/projects/1/data")
    assert (studio.projects[0]["title"], studio.projects[0]["label_config"]) == ("Survey", XML)
    assert [(one["path"], one["project"], one["use_blob_urls"]) for one in studio.storages] == [("/files/out/chips", 1, True)]
    stored = [{key: task[key] for key in ("data", "meta", "predictions")} for task in studio.tasks]
    assert stored == json.loads(plan.tasks.read_text())
    second = upload(access, plan)
    assert (second.created, second.imported, second.known, second.project) == (False, 0, 5, 1)
    assert (len(studio.projects), len(studio.storages), len(studio.tasks)) == (1, 1, 5)
    assert not any("sync" in path for _, path in studio.asked)


def test_tasks_go_in_batches_and_an_interrupted_upload_is_finished_without_doubles(
    studio: FakeLabelStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project_tasks, "_BATCH_TASKS", 10)
    monkeypatch.setattr(project_tasks, "_PAGE", 7)
    access, plan = LabelStudioAccess(studio.url, TOKEN), a_plan(tmp_path, 35)
    studio.fails_after = 1
    with pytest.raises(UsageError, match="status 500"):
        upload(access, plan)
    assert len(studio.tasks) == 20, "a request that was stored and failed must not be sent again by itself"
    told: list[int] = []
    done = upload(access, plan, told.append)
    assert (done.imported, done.known, sum(told)) == (15, 20, 35)
    assert sorted(task["data"]["chip_id"] for task in studio.tasks) == sorted(f"id{number}" for number in range(35))


def test_large_tasks_make_small_batches(studio: FakeLabelStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project_tasks, "_BATCH_BYTES", 700)
    upload(LabelStudioAccess(studio.url, TOKEN), a_plan(tmp_path, 6))
    assert len([path for _, path in studio.asked if path.endswith("/import")]) == 3
    assert len(studio.tasks) == 6


def test_a_task_under_another_address_is_known_by_its_id(studio: FakeLabelStudio, tmp_path: Path) -> None:
    access, plan = LabelStudioAccess(studio.url, TOKEN), a_plan(tmp_path)
    upload(access, plan)
    for task in studio.tasks:
        task["data"]["image"] = "elsewhere"
    assert upload(access, plan).imported == 0


def test_a_project_is_found_by_number_or_unique_title(studio: FakeLabelStudio, tmp_path: Path) -> None:
    access = LabelStudioAccess(studio.url, TOKEN)
    studio.projects += [{"id": 1, "title": "Survey of 2023"}, {"id": 2, "title": "Survey"}]
    assert upload(access, a_plan(tmp_path)).project == 2
    assert upload(access, a_plan(tmp_path, project="1", storage=None)).project == 1
    assert [one["project"] for one in studio.storages] == [2]
    studio.projects.append({"id": 3, "title": "Survey"})
    with pytest.raises(UsageError, match=r"2 projects are called 'Survey' \(2, 3\)"):
        upload(access, a_plan(tmp_path))
    with pytest.raises(UsageError, match="status 404"):
        upload(access, a_plan(tmp_path, project="9"))
    with pytest.raises(UsageError, match="expected 3 to 50"):
        upload(access, a_plan(tmp_path, project="x" * 51))


def test_a_wrong_token_and_a_server_that_is_not_there_get_a_sentence_without_the_token(studio: FakeLabelStudio, tmp_path: Path) -> None:
    wrong = "f" * 20
    with pytest.raises(UsageError, match="refuses the token") as refused:
        upload(LabelStudioAccess(studio.url, wrong), a_plan(tmp_path))
    assert wrong not in str(refused.value)
    with pytest.raises(UsageError, match="does not answer"):
        upload(LabelStudioAccess("http://127.0.0.1:9", TOKEN), a_plan(tmp_path))
    with pytest.raises(UsageError, match="LABEL_STUDIO_API_KEY"):
        upload(LabelStudioAccess(studio.url, ""), a_plan(tmp_path))


def test_as_it_is_typed(studio: FakeLabelStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raster = tmp_path / "a.tif"
    with rasterio.open(raster, "w", driver="GTiff", count=3, height=70, width=50, dtype="uint8", photometric="RGB") as dataset:
        dataset.write(np.random.default_rng(0).integers(0, 256, (3, 70, 50)).astype(np.uint8))
    out = tmp_path / "files" / "out"

    def run(*more: str) -> Result:
        return CliRunner().invoke(command, [str(raster), "--out", str(out), "--chip", "32", "--upload", studio.url, "--json", *more])

    monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)
    assert "LABEL_STUDIO_API_KEY" in str(run().exception)
    assert not out.exists(), "what cannot be uploaded is said before chips are cut"
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)
    summary = json.loads(run().stdout)
    assert (summary["upload"]["imported"], summary["upload"]["known"], studio.storages[0]["path"]) == (6, 0, str(out / "chips"))
    assert json.loads(run("--storage-path", "/label-studio/files/out/chips").stdout)["upload"]["known"] == 6
    assert studio.storages[1]["path"] == "/label-studio/files/out/chips"
    assert TOKEN not in run().output
