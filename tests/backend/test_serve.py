"""`rsiseg serve` as a program: real processes, a real (tiny, random) network, and what is said when it cannot start."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner
from harness import config, point

from backend.commands.serve import command
from backend.errors import ModelError, UsageError

SMALL = (240, 160)
ROOT = Path(__file__).resolve().parents[2]


def serve(*options: str, **environment: str) -> subprocess.Popen[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RSISEG_", "LABEL_STUDIO_", "PROMETHEUS_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "backend.cli", "serve", *options],
        cwd=ROOT,
        env={**inherited, "OMP_NUM_THREADS": "1", "LC_ALL": "C", **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


@dataclass
class Running:
    """A server of two workers. log: what it wrote so far."""

    url: str
    log: Path
    process: subprocess.Popen[str]

    def click(self, *points: dict[str, Any]) -> dict[str, Any]:
        body = {
            "tasks": [{"id": 4, "data": {"image": "imgs/small.png"}}],
            "project": "1.1",
            "label_config": config(),
            "params": {"context": {"result": list(points)}},
        }
        response = requests.post(f"{self.url}/predict", json=body, timeout=60)
        assert response.status_code == 200
        return response.json()["results"][0]

    def workers_that_answered(self) -> set[str]:
        return set(re.findall(r"\[(\d+)\] INFO backend\.model: task 4: ", self.log.read_text()))


@pytest.fixture(scope="module")
def running(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two workers that started with an empty cache each; the address is taken from what the program says."""
    folder = tmp_path_factory.mktemp("serve")
    (folder / "files").mkdir()
    (folder / "files" / "imgs").symlink_to(pictures)
    options = ["--port", "0", "--workers", "2", "--threads", "4", "--model", "ritm_tiny", "--device", "cpu"]
    options += ["--root", str(folder / "files"), "--root", str(pictures), "--data-dir", str(folder / "data")]
    process = serve(*options, TMPDIR=str(folder))
    assert process.stderr is not None
    log = folder / "log"
    with ThreadPoolExecutor(1) as reader, log.open("w", buffering=1) as file:
        stderr = process.stderr
        first = stderr.readline()
        reader.submit(lambda: [file.write(line) for line in stderr])
        address = re.search(r"http://\S+", first)
        try:
            assert address, first
            _wait_until_up(address.group(), process)
            yield Running(address.group(), log, process)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
    assert process.returncode == 0
    assert not list(folder.glob("rsiseg-metrics-*")), "the counters' folder is left behind"


def _wait_until_up(url: str, process: subprocess.Popen[str]) -> None:
    for _ in range(600):
        assert process.poll() is None, "the server ended"
        try:
            if requests.get(f"{url}/health", timeout=5).json()["status"] == "UP":
                return
        except requests.RequestException:
            pass
        time.sleep(0.1)
    pytest.fail("the server did not come up within a minute")


def test_two_worker_processes_give_the_same_bits(running: Running) -> None:
    """Requests come to either worker as it happens; each replays what it has not seen."""
    points = [point(50, 50, size=SMALL), point(60, 40, size=SMALL), point(45, 55, positive=False, size=SMALL)]
    answers: dict[int, set[tuple[Any, ...]]] = {1: set(), 2: set(), 3: set()}

    def ask(count: int) -> None:
        entry = running.click(*points[:count])
        (region,) = entry["result"]
        answers[count].add((entry["score"], entry["model_version"], *region["value"]["rle"]))

    with ThreadPoolExecutor(8) as annotators:
        for _ in range(20):
            list(annotators.map(ask, [1, 2, 3, 3, 2, 1, 3, 3]))
            if len(running.workers_that_answered()) == 2:
                break
    assert len(running.workers_that_answered()) == 2
    assert [len(answers[count]) for count in (1, 2, 3)] == [1, 1, 1]


def test_project_settings_reach_every_worker(running: Running) -> None:
    def setup(params: dict[str, str] | None) -> str:
        return requests.post(f"{running.url}/setup", json={"project": "1.1", "extra_params": params}, timeout=30).json()["model_version"]

    assert setup({"model_output": "polygon"}).startswith("ritm_tiny@")
    try:
        with ThreadPoolExecutor(8) as annotators:
            entries = list(annotators.map(lambda _: running.click(point(50, 50, size=SMALL)), range(16)))
        assert {entry["result"][0]["type"] for entry in entries} == {"polygonlabels"}
    finally:
        setup(None)


def test_metrics_show_the_sum_over_the_workers(running: Running) -> None:
    def clicks() -> float:
        text = requests.get(f"{running.url}/metrics", timeout=30).text
        return sum(float(value) for value in re.findall(r"^rsiseg_click_seconds_count\S* (\S+)$", text, re.MULTILINE))

    before = clicks()
    with ThreadPoolExecutor(8) as annotators:
        list(annotators.map(lambda _: running.click(point(50, 50, size=SMALL)), range(16)))
    assert [clicks() for _ in range(6)] == [before + 16] * 6


def test_the_reason_of_a_refused_setup_reaches_label_studio(running: Running) -> None:
    response = requests.post(f"{running.url}/setup", json={"project": "1.1", "extra_params": {"model": "resnet"}}, timeout=30)
    with pytest.raises(requests.HTTPError, match="there is no model 'resnet'; known are default"):
        response.raise_for_status()


def test_health_setup_and_versions_never_import_torch(tmp_path: Path) -> None:
    program = """
import sys
from backend.app import create_app
client = create_app().test_client()
setup = {"project": "1.1", "extra_params": {"model": "simpleclick_tiny"}}
for call in (client.get("/health"), client.post("/setup", json=setup), client.get("/versions"), client.get("/metrics")):
    assert call.status_code == 200, call.text
assert client.post("/predict", json={"tasks": [{"id": 1, "data": {}}], "params": {"context": None}}).json["results"] == []
sys.exit("torch was imported" if "torch" in sys.modules else 0)
"""
    environment = {"RSISEG_MODEL": "simpleclick_tiny", "RSISEG_DATA_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_wsgi_entry_for_other_servers_reads_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from backend.app import application

    monkeypatch.setenv("RSISEG_MODEL", "ritm_tiny")
    monkeypatch.setenv("RSISEG_DATA_DIR", str(tmp_path))
    assert application().test_client().post("/setup", json={"project": "1.1"}).json["model_version"].startswith("ritm_tiny@")


def test_a_port_already_taken_is_said_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = serve("--model", "simpleclick_tiny", "--port", str(port))
        _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert error == (
        f"rsiseg: port {port} of 127.0.0.1 is already taken; stop the program that listens there, or choose another with --port\n"
    )


@pytest.mark.parametrize(
    ("options", "environment", "error", "words"),
    [
        (["--model", "resnet"], {}, ModelError, "cannot serve: there is no model 'resnet'; known are default, "),
        (["--model", "gone.safetensors"], {}, ModelError, "there is no weight file gone.safetensors"),
        (["--host", "no.such.host.invalid"], {}, UsageError, "no.such.host.invalid"),
        (["--root", "nowhere"], {}, UsageError, "nowhere is not a folder"),
        ([], {"RSISEG_PORT": "http"}, UsageError, "RSISEG_PORT is 'http'"),
        ([], {"RSISEG_BASIC_AUTH_USER": "ann"}, UsageError, "both or neither"),
    ],
)
def test_what_cannot_start_is_said_in_one_sentence(options: list[str], environment: dict[str, str], error: type, words: str) -> None:
    given = options if "--model" in options else [*options, "--model", "simpleclick_tiny"]
    result = CliRunner().invoke(command, [*given, "--port", "0"], env=environment)
    assert isinstance(result.exception, error)
    assert words in str(result.exception) and "\n" not in str(result.exception)
