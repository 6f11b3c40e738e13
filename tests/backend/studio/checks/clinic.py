"""A backend in a thread with fake networks, a Label Studio that is connected to it, and the doctor's command."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from a_studio import TOKEN, Studio, listening
from click.testing import CliRunner, Result
from fakes import FakeSegmenter
from harness import Server
from werkzeug.serving import make_server

from backend.commands.doctor import command
from backend.model_pool import ModelPool
from backend.studio.checks import models

CONFIG = """<View>
  <Image name="img" value="$image"/>
  <KeyPointLabels name="kp" toName="img" smart="true"><Label value="Road"/><Label value="Building"/></KeyPointLabels>
  <BrushLabels name="brush" toName="img" smart="false"><Label value="Road"/><Label value="Building"/></BrushLabels>
</View>"""


@dataclass
class Clinic:
    """Both servers, and what the doctor says of them. environ: its environment; options: its options, by name."""

    studio: Studio
    server: Server
    backend_url: str
    environ: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def run(self, *arguments: str) -> Result:
        given = [part for name, value in self.options.items() if value is not None for part in (f"--{name}", str(value))]
        return CliRunner(env=self.environ).invoke(command, [*given, *arguments])

    def checks(self) -> dict[str, dict[str, str]]:
        """The checks by name. The exit code is 1 if and only if one of them failed."""
        result = self.run("--json")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        said = json.loads(result.stdout)
        failed = [one for one in said["checks"] if one["status"] == "fail"]
        assert result.exit_code == bool(failed) and said["ok"] == (not failed)
        assert all(one["found"] and (one["todo"] or one["status"] in ("ok", "skipped")) for one in said["checks"])
        return {one["check"]: one for one in said["checks"]}

    def ailing(self) -> dict[str, str]:
        """Status of every check that is neither ok nor skipped."""
        return {name: one["status"] for name, one in self.checks().items() if one["status"] in ("warn", "fail")}


def a_clinic(serve: Callable[..., Server], files: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Iterator[Clinic]:
    """A healthy pair, with the pictures of `files` for tasks; settings: of the backend, which Label Studio knows."""
    for name in ("LABEL_STUDIO_URL", "RSISEG_LABEL_STUDIO_URL", "RSISEG_ROOT", "RSISEG_DOCUMENT_ROOT", "RSISEG_BASIC_AUTH_USER"):
        monkeypatch.delenv(name, raising=False)
    server = serve(**settings)
    catalogue = server.runtime.catalogue
    monkeypatch.setattr(models, "shipped", lambda precision: catalogue)
    monkeypatch.setattr(models, "ModelPool", partial(ModelPool, load=lambda one, _: _loaded(one.name, catalogue.version(one.name))))
    http = make_server("127.0.0.1", 0, server.client.application, threaded=True)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    pictures = ("sq600", "wide800x450", "small")
    tasks = [{"id": 4 + n, "data": {"image": f"/data/local-files/?d=imgs/{name}.png"}} for n, name in enumerate(pictures)]
    studio = Studio(CONFIG, files, tasks, storages=[{"id": 1, "path": str(files / "imgs")}])
    url = f"http://127.0.0.1:{http.server_port}"
    studio.connect(url, **({"auth_method": "BASIC_AUTH", "login": ["ls", "pass-word-1"]} if settings else {}))
    try:
        with listening(studio):
            clinic = Clinic(studio, server, url)
            clinic.environ = {"LABEL_STUDIO_API_KEY": TOKEN, "RSISEG_DEVICE": "cpu"}
            clinic.options = {"label-studio-url": studio.url, "backend-url": url, "root": files, "document-root": files}
            yield clinic
    finally:
        http.shutdown()


def _loaded(name: str, version: str) -> FakeSegmenter:
    return FakeSegmenter(name, version=version)
