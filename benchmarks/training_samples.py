"""Samples per second that training can draw, with and without the cache, beside what a GPU would ask for.

    python benchmarks/training_samples.py --data SET [--data SET ...] [--recipe aerial] [--model default] [--processes 0,1,2] [--json FILE]

SET is anything `rsiseg train` reads. A sample is what the recipe's method draws: an object with a scene round it, cut, scaled, turned,
coloured. It is drawn from images that are `decoded at every draw`, `held in memory`, or mapped from the `cache` (filled before the clock
starts; what that took is stated). CPU ms: of one process, so other programs on the machine do not count; per core is 1000 of these.
samples/s: by the clock, N loader processes handing their samples to this one; 0 is this process alone.

Between two forward passes the training process itself has work to do (next clicks, crops, labels): its time is measured with a network that
costs nothing. What the network costs is measured where there is a CUDA device (`--device cuda`) and else estimated: torch's count of
floating-point operations of a forward and a backward pass, on an H100 (989 TFLOP/s in dense bfloat16) used to `--share`.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from backend.inference.click_maps import points_tensor
from backend.segmenters import catalogue, registry
from backend.training.method import Method
from backend.training.methods import method_of
from backend.training.objects import Pool, load_pools
from backend.training.pixel_cache import PixelCache
from backend.training.recipes import recipe
from backend.training.sources import Source, labelled_patches

H100_TFLOPS = 989.0  # dense bfloat16, SXM; NVIDIA's data sheet
BATCH = 16
WARM_UP = 20


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


class Samples(IterableDataset[Any]):
    """Endless samples of a pool; each loader process has its own seed."""

    def __init__(self, pool: Pool, method: Method[Any]) -> None:
        self._pool, self._method = pool, method

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        cv2.setNumThreads(1)
        rng = np.random.default_rng(0 if worker is None else worker.id + 1)
        while True:
            sample = self._method.draw(self._pool, rng)
            if sample is not None:
                yield sample


@dataclass(frozen=True)
class Row:
    """One line of the table. cpu_ms: of one sample, only where one process does everything."""

    images: str
    processes: int
    samples_per_s: float
    cpu_ms: float | None


def measured(images: str, pool: Pool, method: Method[Any], processes: int, seconds: float) -> Row:
    """Draws for so many seconds after a warm-up."""
    loader = DataLoader(Samples(pool, method), batch_size=None, num_workers=processes, prefetch_factor=8 if processes else None)
    samples = iter(loader)
    for _ in range(max(WARM_UP, 4 * processes)):
        next(samples)
    count, cpu, start = 0, time.process_time(), time.perf_counter()
    while time.perf_counter() - start < seconds:
        next(samples)
        count += 1
    cpu, wall = time.process_time() - cpu, time.perf_counter() - start
    return Row(images, processes, count / wall, None if processes else 1000 * cpu / count)


class Nothing(nn.Module):
    """A network that costs nothing: its logits are the previous probability."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor, points: Tensor, **_: Any) -> Tensor:
        """As a click network."""
        return self.weight * (8 * x[:, -1:] - 4)


def host_ms(pool: Pool, method: Method[Any], batches: int = 12) -> float | None:
    """CPU milliseconds a sample between two forward passes, in the training process; None for methods that need more of a network."""
    draws, rng, net = iter(Samples(pool, method)), np.random.default_rng(1), Nothing()
    samples = [next(draws) for _ in range(BATCH)]
    spent = 0.0
    try:
        for _ in range(batches):
            start = time.process_time()
            method.loss(net, samples, rng, "cpu")
            kept = method.going_on(samples, rng)
            spent += time.process_time() - start
            samples = [*kept, *(next(draws) for _ in range(BATCH - len(kept)))]
    except (AttributeError, TypeError, ValueError, RuntimeError):
        return None
    return 1000 * spent / (batches * BATCH)


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


def table(rows: Sequence[Row], cache: dict[str, float], need: dict[str, Any], host: float | None) -> str:
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
    if host is not None:
        lines.append(f"The training process itself spends {host:.2f} ms a look: on one core it feeds at most {1000 / host:.0f} looks/s.")
    return "\n".join(lines)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--recipe", default="aerial")
    parser.add_argument("--model", default="default")
    parser.add_argument("--processes", default=f"0,1,{os.cpu_count()}", help="loader processes, separated by commas; 0 is always measured")
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
        host = host_ms(every["cache"], method)
    need = needs(arguments, network_side(method, arguments.model))
    print(table(rows, cache, need, host))
    if arguments.json:
        document = {"rows": [asdict(row) for row in rows], "cache": cache, "need": need, "host_ms": host, "cores": os.cpu_count()}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
