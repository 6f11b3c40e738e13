"""What a click costs beside the network: server time of a click minus its forward passes, measured together in one run.

    python benchmarks/click_overhead.py --model default [--size 600] [--objects 20] [--clicks 5] [--drafts 20] [--json]

A robot annotates objects of a procedural scene over HTTP: the real app on a loopback socket, the real raster, the real answer. Server time
is from the request's first byte to the answer's last, as the client sees it, JSON, raster window, mask and RLE included. The forward
passes of the same click are timed by hooks on the network itself. `--drafts` adds that many accepted masks to every request, as Label
Studio does. Rows: new clicks (first clicks read the window and encode it, later ones do not) and undone clicks, which cost no forward pass.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import platform
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from werkzeug.serving import WSGIRequestHandler, make_server

from backend.app import create_app
from backend.inference.next_click import next_click
from backend.runtime import make_runtime
from backend.settings import ServerSettings
from converters import rle
from converters.chips import Chip, PixelWindow
from converters.frames import NativePoint, Size, native_to_percent
from converters.label_studio import brush_region, chip_to_task_data
from converters.scene import make_scene, write_scene

CONFIG = """<View><Image name="img" value="$image"/>
<KeyPointLabels name="kp" toName="img" smart="true"><Label value="Building"/></KeyPointLabels>
<BrushLabels name="brush" toName="img" smart="false"><Label value="Building"/></BrushLabels></View>"""


@dataclass(frozen=True)
class Sample:
    """One click, seconds. nth: 1 for the first click on an object. passes: forward passes, 0 for an undone click."""

    nth: int
    server: float
    forward: float
    passes: int

    @property
    def overhead(self) -> float:
        return self.server - self.forward


class ForwardClock:
    """Adds up the time spent in a network's forward passes."""

    def __init__(self, net: Any) -> None:
        self.seconds, self.passes = 0.0, 0
        self._started = 0.0
        self._cuda = next(net.parameters()).is_cuda
        net.register_forward_pre_hook(lambda *_: self._start())
        net.register_forward_hook(lambda *_: self._stop())

    def reset(self) -> None:
        self.seconds, self.passes = 0.0, 0

    def _start(self) -> None:
        self._wait()
        self._started = time.perf_counter()

    def _stop(self) -> None:
        self._wait()
        self.seconds += time.perf_counter() - self._started
        self.passes += 1

    def _wait(self) -> None:
        if self._cuda:
            torch.cuda.synchronize()


class Client:
    """Label Studio's part: one connection a request, as Label Studio does."""

    def __init__(self, port: int, task: dict[str, Any], size: Size) -> None:
        self._port, self._task, self._size = port, task, size

    def ask(self, points: list[tuple[bool, float, float]]) -> tuple[NDArray[np.bool_], float]:
        """The mask after (positive, row, col) edge-based native px, and the seconds it took."""
        body = json.dumps(
            {
                "tasks": [self._task],
                "project": "1.1",
                "label_config": CONFIG,
                "params": {"login": None, "password": None, "context": {"result": [self._point(*point) for point in points]}},
            }
        )
        started = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=300)
        connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        answer = connection.getresponse().read()
        seconds = time.perf_counter() - started
        connection.close()
        result = json.loads(answer)["results"][0]["result"]
        empty = np.zeros((self._size.height, self._size.width), bool)
        return (rle.decode(result[0]["value"]["rle"], self._size) if result else empty), seconds

    def _point(self, positive: bool, row: float, col: float) -> dict[str, Any]:
        at = native_to_percent(NativePoint(col=col, row=row), self._size)
        return {
            "original_width": self._size.width, "original_height": self._size.height, "image_rotation": 0, "is_positive": positive,
            "value": {"x": at.x, "y": at.y, "width": 0.2, "keypointlabels": ["Building"]},
            "id": "p", "from_name": "kp", "to_name": "img", "type": "keypointlabels",
        }  # fmt: skip


@contextmanager
def served(app: Any) -> Iterator[int]:
    """The app on a loopback socket in this process, so that hooks see its network; the port."""

    class Quiet(WSGIRequestHandler):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()


def annotate(client: Client, clock: ForwardClock, truth: NDArray[np.bool_], clicks: int) -> Iterator[Sample]:
    """One object: the robot's clicks, then all of them undone one by one."""
    mask, points = np.zeros_like(truth), []
    not_clicked = np.ones_like(truth)
    for nth in range(1, clicks + 1):
        positive, row, col = next_click(truth, mask, not_clicked)
        not_clicked[row, col] = False
        points.append((positive, row + 0.5, col + 0.5))
        clock.reset()
        mask, seconds = client.ask(points)
        yield Sample(nth, seconds, clock.seconds, clock.passes)
    for count in range(clicks - 1, 0, -1):
        clock.reset()
        _, seconds = client.ask(points[:count])
        yield Sample(count, seconds, clock.seconds, clock.passes)


def row(name: str, samples: list[Sample]) -> dict[str, Any]:
    """Milliseconds, p50 and p95."""
    quantiles: dict[str, Any] = {
        "clicks": name,
        "n": len(samples),
        "passes_a_click": round(float(np.mean([one.passes for one in samples])), 2),
    }
    for what in ("server", "forward", "overhead"):
        p50, p95 = np.percentile([getattr(one, what) * 1e3 for one in samples], [50, 95])
        quantiles[what] = {"p50_ms": round(float(p50), 1), "p95_ms": round(float(p95), 1)}
    return quantiles


def drafts(objects: NDArray[np.uint16], numbers: list[int]) -> list[dict[str, Any]]:
    """Accepted masks as Label Studio sends them back with each click."""
    return [
        brush_region(objects == number, id=f"r{number}", label="Building", from_name="brush", to_name="img", score=0.9, meta={})
        for number in numbers
    ]


@click.command()
@click.option("--model", default="default", show_default=True)
@click.option("--device", default="auto", show_default=True)
@click.option("--size", default=600, show_default=True, help="Side of the chip in px; the raster is twice as wide.")
@click.option("--objects", default=20, show_default=True)
@click.option("--clicks", default=5, show_default=True)
@click.option("--drafts", "drafted", default=20, show_default=True, help="Accepted masks that travel with every click.")
@click.option("--json", "as_json", is_flag=True)
def main(model: str, device: str, size: int, objects: int, clicks: int, drafted: int, as_json: bool) -> None:
    """Print server time, forward passes and the difference, p50 and p95."""
    logging.disable(logging.INFO)
    offset = size // 2
    truth = make_scene(2 * size, 1).objects[offset : offset + size, offset : offset + size]
    numbers, areas = np.unique(truth[truth > 0], return_counts=True)
    chosen = [int(number) for number, _ in sorted(zip(numbers, areas, strict=True), key=lambda pair: -pair[1]) if number][:objects]
    with tempfile.TemporaryDirectory() as folder:
        raster = write_scene(folder, 2 * size, 1).image
        window = PixelWindow(offset, offset, size, size)
        chip = Chip("chip.png", str(raster), window, None, None, ("R", "G", "B", "IR"), 1.0, 0.05, Size(2 * size, 2 * size), None, None)
        regions = drafts(truth, [int(number) for number in numbers[:drafted]])
        task = {"id": 1, "data": chip_to_task_data(chip), "drafts": [{"id": 1, "result": regions}], "annotations": [], "predictions": []}
        settings = ServerSettings(model=model, device=device, roots=(Path(folder),), data_dir=Path(folder) / "data", disk_cache_mb=0)
        runtime = make_runtime(settings)
        segmenter: Any = runtime.models.get(runtime.checked_model(None)).segmenter
        clock = ForwardClock(segmenter.net)
        with served(create_app(runtime=runtime)) as port:
            client = Client(port, task, Size(size, size))
            client.ask([(True, size / 2, size / 2)])  # the first pass of a process is slower; nobody's click
            samples = []
            for number in chosen:
                runtime.sessions.encodings.clear()
                runtime.imagery.windows.clear()
                samples.append(list(annotate(client, clock, truth == number, clicks)))
    report = summary(segmenter.version, size, drafted, task, samples, clicks)
    click.echo(json.dumps(report, indent=1) if as_json else table(report))


def summary(version: str, size: int, drafted: int, task: Any, samples: list[list[Sample]], clicks: int) -> dict[str, Any]:
    """All numbers of a run."""
    first = [one[0] for one in samples]
    later = [sample for one in samples for sample in one[1:clicks]]
    undone = [sample for one in samples for sample in one[clicks:]]
    return {
        "model": version,
        "chip_px": size,
        "accepted_masks_in_each_request": drafted,
        "request_kb": round(len(json.dumps(task)) / 1024),
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}",
        "rows": [row("first on a chip", first), row("later", later), row("undone", undone)],
    }


def table(report: dict[str, Any]) -> str:
    """The report for reading; milliseconds as p50 / p95."""
    lines = [
        f"{report['model']}, chip of {report['chip_px']} px, requests of {report['request_kb']} KB, {report['machine']}",
        f"{'milliseconds, p50 / p95':26}{'n':>5}{'passes':>8}{'server':>20}{'forward':>20}{'server - forward':>20}",
    ]
    for one in report["rows"]:
        cells = "".join(f"{one[what]['p50_ms']:>11.1f} /{one[what]['p95_ms']:>7.1f}" for what in ("server", "forward", "overhead"))
        lines.append(f"{one['clicks']:26}{one['n']:>5}{one['passes_a_click']:>8.2f}{cells}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
