"""How long Label Studio waits for a webhook: `rsiseg serve` in a process of its own, bodies as Label Studio sends them, masks of all sizes.

    python benchmarks/webhook.py [--times 200] [--json]

A body holds an annotation with 20 brush regions of noise, whose RLE makes it as large as its row says, and the project with its token. The
time is from the request's first byte to the answer's last on the loopback address, one request after the other on one connection each, as
Label Studio sends them. Beside it: what `json.loads` alone takes for the same body, which the server does not do. At the end the queue must
hold one check for all of them.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from backend.learning.queues import queue_file
from backend.learning.sqlite_queue import SqliteQueue
from backend.studio.processes import free_port

PROJECT = 7
REGIONS = 20
MEGABYTES = (0.01, 0.1, 1.0, 5.0, 20.0)


def body(megabytes: float) -> bytes:
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 256, int(megabytes * 1e6 / REGIONS / 4.6)).tolist()
    size = {"original_width": 1024, "original_height": 1024, "image_rotation": 0}
    results = [
        {**size, "id": f"r{n}", "type": "brushlabels", "value": {"format": "rle", "rle": numbers, "brushlabels": ["roof"]}}
        for n in range(REGIONS)
    ]
    annotation = {"id": 3, "result": results, "was_cancelled": False}
    project = {"id": PROJECT, "title": "survey", "token": "0123456789abcdef", "label_config": "<View/>" * 200}
    return json.dumps({"action": "ANNOTATION_CREATED", "annotation": annotation, "project": project, "task": {"id": 4}}).encode()


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--times", type=int, default=200)
    words.add_argument("--json", action="store_true")
    asked = words.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        command = [sys.executable, "-m", "backend.cli", "serve", "--port", str(port), "--data-dir", folder, "--no-warm"]
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("RSISEG_", "REDIS_"))}
        server = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait(port)
            for megabytes in MEGABYTES:
                sent = body(megabytes)
                seconds = np.array([_posted(port, sent) for _ in range(asked.times + 5)][5:]) * 1000
                started = time.perf_counter()
                json.loads(sent)
                parsed = (time.perf_counter() - started) * 1000
                p50, p99 = np.percentile(seconds, [50, 99])
                rows.append({"MB": len(sent) / 1e6, "p50 ms": p50, "p99 ms": p99, "max ms": seconds.max(), "json.loads ms": parsed})
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()
        (check,) = SqliteQueue(queue_file(Path(folder))).waiting()
    assert check.project == PROJECT and check.events == len(MEGABYTES) * (asked.times + 5), check
    if asked.json:
        print(json.dumps(rows))
        return
    print("| body | p50 | p99 | slowest | `json.loads` of it |\n|--:|--:|--:|--:|--:|")
    for row in rows:
        times = " | ".join(f"{row[name]:.1f} ms" for name in ("p50 ms", "p99 ms", "max ms", "json.loads ms"))
        print(f"| {row['MB']:.2f} MB | {times} |")


def _posted(port: int, sent: bytes) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    started = time.perf_counter()
    connection.request("POST", "/webhook", sent, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    seconds = time.perf_counter() - started
    assert answer.status == 200
    connection.close()
    return seconds


def _wait(port: int) -> None:
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health")
            connection.getresponse().read()
            return
        except OSError:
            time.sleep(0.2)


if __name__ == "__main__":
    main()
