"""`rsiseg doctor` against the real Label Studio: well on a project as `rsiseg up` makes it, and then broken in one way after the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner
from own_project import AERIAL, OwnProject, own_project
from PIL import Image
from running import CHECKOUT, RunningStudio

from backend.commands.doctor import command
from backend.studio.environment import default_environment, ensure
from backend.studio.installation import Installation
from backend.studio.label_studio_server import address, label_studio_environ
from backend.studio.processes import ChildProcess, free_port
from converters.scene import ScenePaths

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Patient:
    """A project of its own, connected to the backend of `studio`."""

    own: OwnProject
    scene: ScenePaths
    model: str

    @property
    def studio(self) -> RunningStudio:
        return self.own.studio

    @property
    def project(self) -> int:
        return self.own.id

    def arguments(self, **changes: Any) -> list[str]:
        named: dict[str, Any] = {
            "label-studio-url": self.studio.running["url"],
            "backend-url": self.studio.running["backend_url"],
            "project": self.project,
            "root": self.scene.image.parent,
            "document-root": self.studio.folder / "files",
            **changes,
        }
        return [part for name, value in named.items() for part in (f"--{name}", str(value))]

    def environ(self, **changes: str) -> dict[str, str]:
        return {"LABEL_STUDIO_API_KEY": self.studio.login["token"], "RSISEG_MODEL": self.model, "RSISEG_DEVICE": "cpu", **changes}

    def checks(self, environ: dict[str, str] | None = None, **changes: Any) -> dict[str, dict[str, str]]:
        result = CliRunner(env=environ or self.environ()).invoke(command, [*self.arguments(**changes), "--json"])
        said = json.loads(result.stdout)
        assert result.exit_code == (0 if said["ok"] else 1)
        assert self.studio.login["token"] not in result.output
        return {one["check"]: one for one in said["checks"]}


@pytest.fixture(scope="module")
def patient(studio: RunningStudio, scene: ScenePaths, model: str) -> Patient:
    return Patient(own_project(studio, "patient"), scene, model)


def ailing(checks: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: one["status"] for name, one in checks.items() if one["status"] in ("warn", "fail")}


def test_the_demo_project_is_well_as_the_command_says(patient: Patient) -> None:
    tasks = patient.own.ask("GET", "/api/tasks?project=1&fields=all")
    environ = {**os.environ, **patient.environ()}
    done = subprocess.run(
        [sys.executable, "-m", "backend.cli", "doctor", *patient.arguments(project=1)],
        capture_output=True, text=True, env=environ, cwd=CHECKOUT, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    *lines, total = done.stdout.splitlines()
    assert all(line.startswith("ok      ") for line in lines) and total == f"{len(lines)} ok"
    assert patient.studio.login["token"] not in done.stdout + done.stderr
    assert "through Label Studio" in lines[-1] and "directly" in lines[-1]
    # Nothing was stored: no annotation, draft or prediction, no second backend or webhook.
    assert patient.own.ask("GET", "/api/tasks?project=1&fields=all") == tasks
    assert len(patient.own.ask("GET", "/api/ml?project=1")) == len(patient.own.ask("GET", "/api/webhooks/?project=1")) == 1


def test_a_wrong_token(patient: Patient) -> None:
    checks = patient.checks(patient.environ(LABEL_STUDIO_API_KEY="f" * 40))
    assert ailing(checks) == {"token": "fail"}
    assert "status 401: Invalid token." in checks["token"]["found"]
    assert checks["project"]["found"] == "stands on 'token'"


def test_legacy_tokens_switched_off_and_a_personal_one_instead(patient: Patient) -> None:
    patient.own.ask("POST", "/api/jwt/settings", {"legacy_api_tokens_enabled": True, "api_tokens_enabled": True})
    personal = patient.own.ask("POST", "/api/token/", {})["token"]
    assert ailing(patient.checks(patient.environ(LABEL_STUDIO_API_KEY=personal))) == {}
    patient.own.ask("POST", "/api/jwt/settings", {"legacy_api_tokens_enabled": False, "api_tokens_enabled": True})
    try:
        checks = patient.checks()
        assert ailing(checks) == {"token": "fail"}
        assert checks["token"]["found"].startswith("legacy tokens are switched off")
        assert checks["token"]["todo"].startswith("put a personal access token into LABEL_STUDIO_API_KEY")
    finally:
        access = patient.own.ask("POST", "/api/token/refresh/", {"refresh": personal}, header="")["access"]
        patient.own.ask("POST", "/api/jwt/settings", {"legacy_api_tokens_enabled": True, "api_tokens_enabled": True}, f"Bearer {access}")
    assert ailing(patient.checks()) == {}


def test_interactive_off(patient: Patient) -> None:
    row = patient.own.backend
    patient.own.ask("PATCH", f"/api/ml/{row['id']}", {"is_interactive": False, "url": row["url"], "project": patient.project})
    try:
        assert ailing(patient.checks()) == {"interactive": "fail"}
    finally:
        patient.own.ask("PATCH", f"/api/ml/{row['id']}", {"is_interactive": True, "url": row["url"], "project": patient.project})


def test_an_interface_without_a_smart_tag(patient: Patient) -> None:
    patient.own.ask(
        "PATCH", f"/api/projects/{patient.project}", {"label_config": AERIAL.replace('smart="true" smartOnly="true"', 'smart="false"')}
    )
    try:
        checks = patient.checks()
        assert ailing(checks) == {"smart tag": "fail"}
        assert "KeyPointLabels 'click' is smart=\"false\"" in checks["smart tag"]["found"]
    finally:
        patient.own.ask("PATCH", f"/api/projects/{patient.project}", {"label_config": AERIAL})


def test_a_root_that_is_missing_and_one_that_is_another(patient: Patient, tmp_path: Path) -> None:
    assert ailing(patient.checks(root=tmp_path / "gone")) == {"folders": "fail", "rasters": "fail"}
    checks = patient.checks(root=tmp_path)
    assert ailing(checks) == {"rasters": "fail"}
    assert "lies outside the folders this server may read" in checks["rasters"]["found"]


def test_a_picture_of_another_size(patient: Patient) -> None:
    task = patient.own.ask("GET", f"/api/tasks?project={patient.project}&fields=task_only")["tasks"][0]
    chip = patient.studio.folder / "files" / task["data"]["image"].partition("?d=")[2]
    before = chip.read_bytes()
    try:
        Image.new("RGB", (128, 96)).save(chip)
        checks = patient.checks()
        assert ailing(checks) == {"image sizes": "fail", "test prediction": "fail"}
        assert f"task {task['id']} shows 128 x 96 px" in checks["image sizes"]["found"]
    finally:
        chip.write_bytes(before)
    assert ailing(patient.checks()) == {}


def test_a_picture_that_is_gone(patient: Patient) -> None:
    task = patient.own.ask("GET", f"/api/tasks?project={patient.project}&fields=task_only")["tasks"][1]
    name = task["data"]["image"].partition("?d=")[2]
    chip = patient.studio.folder / "files" / name
    aside = chip.rename(chip.with_suffix(".aside"))
    try:
        checks = patient.checks()
        assert ailing(checks) == {"pictures": "fail"}
        assert f"task {task['id']}: Label Studio gives no picture for {name} (status 404)" in checks["pictures"]["found"]
    finally:
        aside.rename(chip)


def test_no_storage_and_no_webhook(patient: Patient) -> None:
    (storage,) = patient.own.ask("GET", f"/api/storages/localfiles?project={patient.project}")
    (hook,) = patient.own.ask("GET", f"/api/webhooks/?project={patient.project}")
    patient.own.ask("DELETE", f"/api/storages/localfiles/{storage['id']}")
    patient.own.ask("DELETE", f"/api/webhooks/{hook['id']}/")
    try:
        checks = patient.checks()
        assert ailing(checks) == {"webhook": "warn", "storage": "warn"}
        assert "another project serves them" in checks["storage"]["found"]  # that of project 1, with the same chips
    finally:
        kept = ("path", "title", "use_blob_urls", "regex_filter", "project")
        patient.own.ask("POST", "/api/storages/localfiles", {name: storage[name] for name in kept})
        asked = ("project", "url", "send_payload", "send_for_all_actions", "is_active")
        patient.own.ask("POST", "/api/webhooks/", {name: hook[name] for name in asked})


def test_a_backend_that_died(patient: Patient) -> None:
    row, port = patient.own.backend, free_port()
    serve = [sys.executable, "-m", "backend.cli", "serve", "--port", str(port), "--model", patient.model, "--no-warm"]
    serve += ["--data-dir", str(patient.studio.folder / "second"), "--document-root", str(patient.studio.folder / "files")]
    second = ChildProcess("a second backend", serve, environ=dict(os.environ), log=patient.studio.folder / "logs" / "second.out")
    try:
        second.wait_until_answers(f"{address(port)}/health", seconds=120, waiting=lambda _: None)
        patient.own.ask("PATCH", f"/api/ml/{row['id']}", {"url": address(port), "project": patient.project})
        second.stop()
        checks = patient.checks(**{"backend-url": address(port)})
        assert ailing(checks) == {"backend": "fail", "reached": "fail", "webhook": "warn"}  # the webhook stayed behind
        assert "Disconnected" in checks["reached"]["found"] and checks["reached"]["todo"] == "start the backend"
    finally:
        second.stop()
        (patient.studio.folder / "logs" / "second.out").unlink()
        patient.own.ask("PATCH", f"/api/ml/{row['id']}", {"url": row["url"], "project": patient.project})
    assert ailing(patient.checks()) == {}


@contextmanager
def banning(folder: Path) -> Iterator[tuple[str, str]]:
    """Address and token of another Label Studio, which was started without the switch."""
    installation, port = Installation(folder), free_port()
    environ = label_studio_environ(installation, port)
    del environ["USE_DEFAULT_BANNED_SUBNETS"]
    label_studio = [str(ensure(default_environment(folder), print)), "start", "--no-browser", "--port", str(port)]
    log = installation.logs / "label-studio.log"
    server = ChildProcess("Label Studio", [*label_studio, "--internal-host", "127.0.0.1"], environ=environ, log=log)
    try:
        server.wait_until_answers(f"{address(port)}/health", seconds=300, waiting=lambda _: None)
        yield address(port), installation.credentials().token
    finally:
        server.stop()


def test_a_label_studio_that_bans_reserved_networks_is_found_before_anything_is_registered(patient: Patient, tmp_path: Path) -> None:
    with banning(tmp_path / "banning") as (url, token):
        headers = {"Authorization": f"Token {token}"}
        project = requests.post(f"{url}/api/projects", json={"title": "banned", "label_config": AERIAL}, headers=headers, timeout=60).json()
        changes = {"label-studio-url": url, "project": project["id"]}
        checks = patient.checks(patient.environ(LABEL_STUDIO_API_KEY=token), **changes)
        assert ailing(checks) == {"registered": "fail", "address allowed": "fail", "tasks": "warn"}
        assert "(block: 127.0.0.0/8)" in checks["address allowed"]["found"]
        assert "USE_DEFAULT_BANNED_SUBNETS=false" in checks["address allowed"]["todo"]
        assert requests.get(f"{url}/api/ml?project={project['id']}", headers=headers, timeout=60).json() == []
        assert requests.get(f"{url}/api/webhooks/", headers=headers, timeout=60).json() == []
