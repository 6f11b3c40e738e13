"""`rsiseg up` as a user starts it, in a process of its own, and what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import requests

CHECKOUT = Path(__file__).resolve().parents[2]
# Without the shipped weights: random ones, whose masks are arbitrary, but no less to be carried to the map bit for bit.
STAND_IN = "vitclick_tiny"


class RunningStudio:
    """Label Studio 1.23.2 and the backend with the chips of one raster. Ports are free ones; the data folder is new."""

    def __init__(self, raster: Path, folder: Path, model: str) -> None:
        self.folder = folder
        self.output = folder.with_suffix(".out")
        command = [sys.executable, "-m", "backend.cli", "up", str(raster), "--data-dir", str(folder)]
        command += ["--port", "0", "--backend-port", "0", "--model", model]
        with self.output.open("wb") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=CHECKOUT, start_new_session=True)

    def wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while "Ctrl-C stops both servers" not in self.printed():
            assert self._process.poll() is None, f"rsiseg up ended with {self._process.returncode}:\n{self.printed()}"
            assert time.monotonic() < deadline, f"rsiseg up is not ready after {seconds} s:\n{self.printed()}"
            time.sleep(0.5)

    def printed(self) -> str:
        return self.output.read_text(encoding="utf-8")

    @property
    def running(self) -> dict[str, Any]:
        return json.loads((self.folder / "running.json").read_text())

    @property
    def login(self) -> dict[str, str]:
        return json.loads((self.folder / "credentials.json").read_text())

    def get(self, path: str) -> Any:
        answer = requests.get(self.running["url"] + path, headers={"Authorization": f"Token {self.login['token']}"}, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def ask_backend(self, data: dict[str, Any], context: dict[str, Any], label_config: str) -> list[dict[str, Any]]:
        """The regions for a click list, asked directly."""
        task = {"id": 1, "data": data, "annotations": [], "drafts": [], "predictions": []}
        params = {"login": None, "password": None, "context": context}
        body = {"tasks": [task], "project": "1.1", "label_config": label_config, "params": params}
        answer = requests.post(self.running["backend_url"] + "/predict", json=body, timeout=120)
        answer.raise_for_status()
        return answer.json()["results"][0]["result"]

    def export_with_the_printed_command(self) -> dict[str, Any]:
        """Pastes what `rsiseg up` printed into a shell; returns the GeoJSON that it wrote."""
        printed = self.printed()
        begin = printed.index("in another terminal:\n") + len("in another terminal:\n")
        command = printed[begin : printed.index("\n\n", begin)]
        done = subprocess.run(["bash", "-c", command], cwd=CHECKOUT, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return json.loads((self.folder / "annotations.geojson").read_text())

    def interrupt(self) -> int:
        """Ctrl-C; returns the exit status."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        return self._process.wait(60)

    def kill(self) -> None:
        """Whatever a failed test left."""
        for process in self.processes():
            os.kill(process, signal.SIGKILL)

    def processes(self) -> list[int]:
        """Ids of all processes that were started with the data folder on their command line or in their environment."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if str(self.folder).encode() in told and int(entry.name) != os.getpid():
                found.append(int(entry.name))
        return found
