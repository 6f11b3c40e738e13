"""Samples per second that training can draw, with and without the cache, beside what a GPU would ask for.

    python benchmarks/training_samples.py --data SET [--data SET ...] [--recipe aerial] [--model default] [--processes 0,1,2]
        [--threads 1,2] [--json FILE]

SET is anything `rsiseg train` reads. A sample is what the recipe's method draws: an object with a scene round it, cut, scaled, turned,
coloured. It is drawn from images that are `decoded at every draw`, `held in memory`, or mapped from the `cache` (filled before the clock
starts; what that took is stated). CPU ms: of one process, so other programs on the machine do not count; per core is 1000 of these.
samples/s: by the clock, N loader processes handing their samples to this one; 0 is this process alone.

Between two forward passes the training process itself has work to do: looks, answers, next clicks. It is measured on N threads, without a
network and without the loss, which a GPU would calculate. looks/s: by the clock, so right only where as many cores are idle. CPU ms: of a
look, all threads together; of these, the calling thread's are work that no other thread takes over, so 1000 of them are the most looks/s,
however many cores.

What the network costs is measured where there is a CUDA device (`--device cuda`) and else estimated: torch's count of
floating-point operations of a forward and a backward pass, on an H100 (989 TFLOP/s in dense bfloat16) used to `--share`.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from backend.inference.click_maps import points_tensor
from backend.segmenters import catalogue, registry
from backend.training.episode_training import EpisodeTraining
from backend.training.loader import Draws, Samples
from backend.training.method import Method
from backend.training.methods import method_of
from backend.training.objects import Pool, load_pools
from backend.training.pixel_cache import PixelCache
from backend.training.recipes import recipe
from backend.training.sources import Source, labelled_patches

H100_TFLOPS = 989.0  # dense bfloat16, SXM; NVIDIA's data sheet
BATCH = 16
WARM_UP = 20  # samples; a loader process is ahead by some


class DecodedEachTime(Sequence[NDArray[np.uint8]]):
    """A pool's images, decoded whenever one is asked for, as a loader without a cache does."""

    def __init__(self, sources: Sequence[Source], min_area: int) -> None:
        found = ((source, source.open()) for source in sources)
        self._patches = [(image, patch.window) for source, one in found for image, patch in labelled_patches(source, one, min_area)]

    def __len__(self) -> int:
        return len(self._patches)

    def __getitem__(self, index: Any) -> Any:
        image, window = self._patches[index]
        return image.read(window)[:, :, :3]


@dataclass(frozen=True)
class Row:
    """One line of the table. cpu_ms: of one sample, only where one process does everything."""

    images: str
    processes: int
    samples_per_s: float
    cpu_ms: float | None


def measured(images: str, pool: Pool, method: Method[Any], processes: int, seconds: float) -> Row:
    """Draws for so many seconds after a warm-up."""
    samples = Samples(Draws(method, pool, seed=0, rank=0), workers=processes)
    samples.take(max(WARM_UP, 8 * processes))
    count, cpu, start = 0, time.process_time(), time.perf_counter()
    while time.perf_counter() - start < seconds:
        samples.take(1)
        count += 1
    cpu, wall = time.process_time() - cpu, time.perf_counter() - start
    return Row(images, processes, count / wall, None if processes else 1000 * cpu / count)


@dataclass(frozen=True)
class HostRow:
    """The training process between forward passes. cpu_ms: of a look, all threads. own_ms: of these, the calling thread's."""

    threads: int
    looks_per_s: float
    cpu_ms: float
    own_ms: float


def host(pool: Pool, method: EpisodeTraining, threads: int, seconds: float) -> HostRow:
    """Steps for so many seconds of this work, after one that does not count; nor do the made-up answers and the new samples."""
    method, rng = EpisodeTraining(method.settings, threads), np.random.default_rng(1)
    samples = Samples(Draws(method, pool, seed=0, rank=0))
    batch, steps, spent = samples.take(BATCH), 0, np.zeros(3)
    while spent[0] < seconds:
        start = clocks()
        x, labels, clicks = method.looks(batch, rng)
        points_tensor(clicks)
        taken = clocks() - start
        noise = rng.random(labels[:, 0].shape, np.float32)
        answers = np.clip(0.5 * x[:, -1] + 0.6 * labels[:, 0] * noise, 0.0, 1.0).astype(np.float32)
        start = clocks()
        method.answered(batch, answers)
        kept = method.going_on(batch, rng)
        taken += clocks() - start
        if steps:
            spent += taken
        steps += 1
        batch = [*kept, *samples.take(BATCH - len(kept))]
    looks = (steps - 1) * BATCH
    wall, cpu, own = spent
    return HostRow(threads, looks / wall, 1000 * cpu / looks, 1000 * own / looks)


def clocks() -> NDArray[np.float64]:
    """Seconds by the clock, of this process and of this thread."""
    return np.array([time.perf_counter(), time.process_time(), time.thread_time()])


def network_inputs(side: int, bands: int, batch: int, device: str) -> tuple[Tensor, Tensor]:
    """x and points of a batch."""
    x = torch.rand(batch, bands + 1, side, side, device=device)
    return x, points_tensor([[(side / 2, side / 2, True), (side / 4, side / 4, False)]] * batch).to(device)


def gflop(model: str, side: int) -> float:
    """Billions of floating-point operations of a forward and a backward pass over one sample, as torch counts them."""
    entry = catalogue.entry(model)
    net = registry.build(entry.family, entry.architecture, entry.bands).train()
    with FlopCounterMode(display=False) as counter:
        net(*network_inputs(side, entry.bands, 2, "cpu")).float().mean().backward()
    return counter.get_total_flops() / 2 / 1e9


def gpu_rate(model: str, side: int, batch: int, steps: int = 30) -> float:
    """Samples per second of forward and backward passes in bfloat16 autocast, measured."""
    entry = catalogue.entry(model)
    net = registry.build(entry.family, entry.architecture, entry.bands).cuda().to(memory_format=torch.channels_last).train()
    inputs = network_inputs(side, entry.bands, batch, "cuda")
    start = 0.0
    for step in range(steps + 5):
        if step == 5:  # the first choose their algorithms
            torch.cuda.synchronize()
            start = time.perf_counter()
        with torch.autocast("cuda", torch.bfloat16):
            net(*inputs).float().mean().backward()
    torch.cuda.synchronize()
    return steps * batch / (time.perf_counter() - start)


def pools(sources: Sequence[Source], min_area: int, cache: Path) -> tuple[dict[str, Pool], dict[str, float]]:
    """The training pool in three forms, and what making the cache took."""
    start = time.perf_counter()
    cached, _ = load_pools(sources, min_area=min_area, cache=PixelCache(cache))
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    load_pools(sources, min_area=min_area, cache=PixelCache(cache))
    again = time.perf_counter() - start
    held = replace(cached, images=[np.array(image) for image in cached.images])
    nbytes = _bytes_of(cached)
    decoded = replace(cached, images=DecodedEachTime(sources, min_area))
    every = {"decoded at every draw": decoded, "held in memory": held, "cache": cached}
    return every, {"bytes": nbytes, "first_s": seconds, "again_s": again, "objects": len(cached.objects), "images": len(cached.images)}


def _bytes_of(pool: Pool) -> int:
    """What the pool's images and masks take on disk, patches of one image counted by themselves."""
    return sum(image.nbytes for image in pool.images) + sum(item.mask.nbytes for item in pool.objects)


def network_side(method: Any, model: str) -> int:
    """Side of the square with as many pixels as the recipe's network input."""
    settings = getattr(method, "settings", None)
    scene = getattr(settings, "scene", settings)
    if hasattr(scene, "crop"):
        height, width = scene.crop  # type: ignore[union-attr]
        return round((height * width) ** 0.5 / 32) * 32
    fixed = catalogue.entry(model).input_size
    return getattr(settings, "input_size", None) or (fixed[0] if fixed else 224)


def needs(arguments: argparse.Namespace, side: int) -> dict[str, Any]:
    """What the network asks for, samples per second, and how that is known."""
    counted = gflop(arguments.model, side)
    if arguments.device == "cuda":
        rate, known = gpu_rate(arguments.model, side, arguments.gpu_batch), f"measured on {torch.cuda.get_device_name()}"
    else:
        rate = H100_TFLOPS * 1000 * arguments.share / counted
        known = f"estimated: {counted:.0f} GFLOP a sample at {arguments.share:.0%} of an H100's {H100_TFLOPS:.0f} TFLOP/s"
    return {"gflop": counted, "samples_per_s": rate, "known": known}


def limits(row: HostRow) -> str:
    """What a row means beside a GPU, and how far its clock can be believed."""
    shared = row.cpu_ms - row.own_ms
    most = 1000 / (row.own_ms + shared / row.threads)
    return (
        f"{row.own_ms:.2f} ms of the calling thread and {shared:.2f} ms shared by {row.threads} threads: at most {most:.0f} looks/s on as "
        f"many idle cores, if threads never wait for each other. This machine has {os.cpu_count()} cores, and programs wanted "
        f"{os.getloadavg()[0]:.1f} of them, this one included: where that is more, looks/s by the clock say little."
    )


def table(rows: Sequence[Row], cache: dict[str, float], need: dict[str, Any], hosts: Sequence[HostRow]) -> str:
    """The numbers as Markdown."""
    lines = ["| images | processes | samples/s | CPU ms a sample | samples/s a core |", "|---|--:|--:|--:|--:|"]
    for row in rows:
        own = f"{row.cpu_ms:.2f} | {1000 / row.cpu_ms:.0f}" if row.cpu_ms else " | "
        lines.append(f"| {row.images} | {row.processes} | {row.samples_per_s:.0f} | {own} |")
    core = next(1000 / row.cpu_ms for row in rows if row.images == "cache" and row.cpu_ms)
    lines += [
        "",
        f"{cache['objects']:.0f} objects in {cache['images']:.0f} images; cache {cache['bytes'] / 1e6:.0f} MB, made with the pool in "
        f"{cache['first_s']:.1f} s; the pool on a cache that is there: {cache['again_s']:.1f} s.",
        f"The network asks for {need['samples_per_s']:.0f} samples/s ({need['known']}): {need['samples_per_s'] / core:.1f} cores that "
        "draw, if each sample is looked at once.",
    ]
    if hosts:
        lines += ["", "| threads of the training process | looks/s | CPU ms a look | of these the calling thread's |", "|--:|--:|--:|--:|"]
        lines += [f"| {row.threads} | {row.looks_per_s:.0f} | {row.cpu_ms:.2f} | {row.own_ms:.2f} |" for row in hosts]
        lines += ["", limits(hosts[-1])]
    return "\n".join(lines)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--recipe", default="aerial")
    parser.add_argument("--model", default="default")
    parser.add_argument("--processes", default=f"0,1,{os.cpu_count()}", help="loader processes, separated by commas; 0 is always measured")
    parser.add_argument("--threads", default=f"1,2,{os.cpu_count()}", help="of the training process, separated by commas")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each line of the table")
    parser.add_argument("--cache", type=Path, help="folder for the cache [a temporary one]")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="cuda measures what the network asks for")
    parser.add_argument("--gpu-batch", type=int, default=64)
    parser.add_argument("--share", type=float, default=0.35, help="of an H100's arithmetic, where nothing is measured")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> None:
    """Measures and prints."""
    arguments = parsed()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    chosen = recipe(arguments.recipe)
    method = method_of(chosen, catalogue.entry(arguments.model))
    sources = [Source(path) for path in arguments.data]
    processes = sorted({0, *map(int, arguments.processes.split(","))})
    with tempfile.TemporaryDirectory() as temporary:
        every, cache = pools(sources, chosen.min_area, arguments.cache or Path(temporary))
        jobs = [(images, count) for images in every for count in processes]
        rows = [
            measured(images, every[images], method, count, arguments.seconds) for images, count in tqdm(jobs, desc="measuring", leave=False)
        ]
        hosts: list[HostRow] = []
        if isinstance(method, EpisodeTraining):  # the others have no threads
            threads = sorted({*map(int, arguments.threads.split(","))})
            hosts = [host(every["cache"], method, count, arguments.seconds) for count in threads]
    need = needs(arguments, network_side(method, arguments.model))
    print(table(rows, cache, need, hosts))
    if arguments.json:
        document = {
            "rows": [asdict(row) for row in rows],
            "cache": cache,
            "need": need,
            "hosts": [asdict(row) for row in hosts],
            "cores": os.cpu_count(),
        }
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
