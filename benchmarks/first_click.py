"""What the first click on a chip costs: cold, made ready in memory, found on disk; beside a later object's and a second click.

    python benchmarks/first_click.py [--rounds 7] [--model default --model sam_vit_b] [--json FILE]

Each click is a request to the server in this process: JSON in, brush mask out. Chips come from a procedural scene as a tiled GeoTIFF, and
no chip is used twice, so that nothing is known of it but what is said. Kinds take turns, round by round; medians over the rounds. looks:
passes of the network (of SAM's decoder) for one click. The last column is a look's time as a multiple of that of the first click on another
object of the same chip, for which nothing is to be read or encoded. `sam_vit_b` is SAM's ViT-B with generated weights: its masks mean
nothing, its arithmetic takes as long.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from click.testing import CliRunner
from tqdm import tqdm

from backend.app import create_app
from backend.commands.import_rasters import command
from backend.freed_memory import keep_freed_memory
from backend.runtime import Runtime, make_runtime
from backend.segmenters.catalogue import Catalogue, shipped
from backend.settings import ServerSettings
from converters.scene import write_scene

CHIP = 600
GENERATED = """default = "sam_vit_b"
[sam_vit_b]
family = "sam"
architecture = "vit_b"
formula = {}
input_size = [1024, 1024]
threshold = 0.5
licence = "none"
source = "generated"
"""
CONFIG = """<View><Image name="image" value="$image"/>
<KeyPointLabels name="click" toName="image" smart="true"><Label value="building"/></KeyPointLabels>
<BrushLabels name="mask" toName="image" smart="false"><Label value="building"/></BrushLabels></View>"""
KINDS = {
    "cold": "first click, cold",
    "ready": "first click, made ready",
    "disk": "first click, read from disk",
    "object": "first click on another object",
    "second": "second click on an object",
}


@dataclass
class Bench:
    """A server in this process and how often its network was asked. seconds, looks: of every click, by kind."""

    runtime: Runtime
    client: Any
    generator: np.random.Generator
    passes: int = 0
    seconds: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    looks: dict[str, list[int]] = field(default_factory=lambda: {kind: [] for kind in KINDS})

    def of_a_look(self, kind: str) -> float:
        """Median seconds of a click divided by its looks."""
        return statistics.median(seconds / max(1, looks) for seconds, looks in zip(self.seconds[kind], self.looks[kind], strict=True))

    def post(self, task: Mapping[str, Any], context: Any) -> None:
        body = {"tasks": [task], "project": "1.1", "label_config": CONFIG, "params": {"context": context}}
        assert self.client.post("/predict", json=body).status_code == 200

    def click(self, kind: str, task: Mapping[str, Any], points: list[dict[str, Any]]) -> None:
        before, started = self.passes, time.perf_counter()
        self.post(task, {"result": points})
        self.seconds[kind].append(time.perf_counter() - started)
        self.looks[kind].append(self.passes - before)

    def point(self) -> dict[str, Any]:
        x, y = self.generator.uniform(15, 85, 2)
        value = {"x": x, "y": y, "width": 0.2, "labels": ["building"], "keypointlabels": ["building"]}
        return {"type": "keypointlabels", "from_name": "click", "to_name": "image", "id": f"{x}", "is_positive": True, "value": value}

    def forget(self) -> None:
        """What this process has in memory: the next click is that of another process, or of tomorrow."""
        for cache in (self.runtime.sessions.states, self.runtime.sessions.encodings, self.runtime.imagery.windows):
            cache.clear()

    def round(self, tasks: Iterator[Mapping[str, Any]]) -> None:
        cold, ready = next(tasks), next(tasks)
        self.click("cold", cold, [self.point()])
        self.runtime.sessions.store.flush()  # type: ignore[attr-defined] - a DiskCache here
        self.forget()
        self.click("disk", cold, [self.point()])
        self.post(ready, None)
        assert self.runtime.warmer.wait(600)
        first = self.point()
        self.click("ready", ready, [first])
        self.click("object", ready, [other := self.point()])
        self.click("second", ready, [other, {**self.point(), "is_positive": False}])
        self.forget()


def bench(model: str, folder: Path, seed: int) -> Bench:
    """A server of one model, loaded."""
    weights = folder / "weights"
    weights.mkdir(exist_ok=True)
    (weights / "registry.toml").write_text(GENERATED)
    catalogue = Catalogue(weights) if model == "sam_vit_b" else shipped()
    settings = ServerSettings(data_dir=folder / f"data-{model}", roots=(folder,), document_root=folder, model=model)
    runtime = make_runtime(settings, catalogue=catalogue)
    made = Bench(runtime, create_app(runtime=runtime).test_client(), np.random.default_rng(seed))
    net = runtime.models.get(runtime.checked_model(None)).segmenter.net  # type: ignore[attr-defined]

    def passed(*_: object) -> None:
        made.passes += 1

    getattr(net, "mask_decoder", net).register_forward_hook(passed)
    return made


def chips(folder: Path, count: int, seed: int) -> list[dict[str, Any]]:
    """Tasks of at least `count` chips."""
    side = CHIP * int(np.ceil(np.sqrt(count)))
    raster = write_scene(folder / "scene", size=side, seed=seed).image
    done = CliRunner().invoke(command, [str(raster), "--out", str(folder / "chips"), "--document-root", str(folder), "--chip", str(CHIP)])
    assert done.exit_code == 0, done.output
    tasks = json.loads((folder / "chips" / "tasks.json").read_text())
    return [{**task, "id": number} for number, task in enumerate(tasks, start=1)]


def table(results: Mapping[str, Bench]) -> str:
    """Markdown."""
    lines = ["| model | click | looks | ms | ms a look | of a later look |", "|---|---|--:|--:|--:|--:|"]
    for model, one in results.items():
        base = one.of_a_look("object")
        for kind, title in KINDS.items():
            middle, look = statistics.median(one.seconds[kind]), one.of_a_look(kind)
            numbers = f"{statistics.mean(one.looks[kind]):.1f} | {1000 * middle:.0f} | {1000 * look:.0f} | {look / base:.2f}"
            lines.append(f"| {model} | {title} | {numbers} |")
    return "\n".join(lines)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", choices=["default", "sam_vit_b"], help="repeatable [both]")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file for all numbers")
    arguments = parser.parse_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory(prefix="rsiseg-first-click-") as name:
        folder = Path(name)
        (folder / "scene").mkdir()
        tasks = chips(folder, 2 * arguments.rounds + 1, arguments.seed)
        results: dict[str, Bench] = {}
        for model in arguments.model or ["default", "sam_vit_b"]:
            made = results[model] = bench(model, folder, arguments.seed)
            left = iter(tasks)
            made.post(next(left), {"result": [made.point()]})  # whatever a process does once
            for _ in tqdm(range(arguments.rounds), desc=model):
                made.round(left)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {arguments.rounds} rounds")
    print(table(results))
    if arguments.json is not None:
        told = {model: {"seconds": one.seconds, "looks": one.looks} for model, one in results.items()}
        arguments.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
