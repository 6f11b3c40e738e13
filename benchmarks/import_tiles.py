"""`rsiseg import` of a whole tile beside a naive loop over the same chips, in one run, and the memory that each takes.

    python benchmarks/import_tiles.py [--size 6000] [--large 20000] [--repeat 3] [--processes N] [--folder DIR] [--json FILE]

The tile is generated: RGB and infrared, 8 bits, in the layout of most survey tiles (`--layout strips`, deflated or not) or tiled. The naive
loop is what `gdal_translate -srcwin ... -of PNG` in a shell loop does, without starting a program for each chip: GDAL opens the raster,
reads the window of each chip, and writes it as PNG; once with GDAL's PNG driver at its own settings, once with Pillow at its own and at the
level that the import uses. Each way runs in a process of its own, alternating, `--repeat` times; the ratio is between medians of the wall
clock, start of the process included. Peak memory: the process and its children together, by the proportional share of pages (PSS), asked
for every 50 ms. `--large` is imported once to show that memory does not grow with the raster.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from PIL import Image
from rasterio.windows import Window

CHIP = 600
WAYS = ("import", "gdal", "pillow", "pillow3")
_ASKED = 0.05  # seconds between two looks at the memory


def draw(path: Path, size: int, layout: str, compress: str) -> None:
    """Fields with the noise of a camera: a chip compresses to about 60 % of its bytes, as chips of real 5 cm tiles do."""
    rng = np.random.default_rng(1)
    profile: dict[str, Any] = {
        "driver": "GTiff", "width": size, "height": size, "count": 4, "dtype": "uint8", "photometric": "RGB", "crs": "EPSG:32633",
        "transform": Affine(0.05, 0, 366976.5, 0, -0.05, 5809761.0), "BIGTIFF": "IF_SAFER",
    }  # fmt: skip
    profile |= {"tiled": True, "blockxsize": 512, "blockysize": 512} if layout == "tiles" else {"tiled": False}
    if compress != "none":
        profile["compress"] = compress
    side = 500
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.set_band_description(4, "nir")
        for top in range(0, size, side):
            height = min(side, size - top)
            strip = np.empty((4, height, size), np.uint8)
            for left in range(0, size, side):
                width = min(side, size - left)
                ground = np.kron(rng.integers(60, 190, (4, 10, 10)), np.ones((side // 10, side // 10)))[:, :height, :width]
                strip[:, :, left : left + width] = np.clip(ground + rng.normal(0, 4, ground.shape), 1, 255)
            dataset.write(strip, window=Window(0, top, size, height))  # pyright: ignore[reportCallIssue]


def naive(raster: Path, out: Path, way: str) -> None:
    """The loop, in this process."""
    out.mkdir(parents=True)
    with rasterio.open(raster) as dataset:
        for top in range(0, dataset.height, CHIP):
            for left in range(0, dataset.width, CHIP):
                window = Window(left, top, min(CHIP, dataset.width - left), min(CHIP, dataset.height - top))  # pyright: ignore
                values = dataset.read([1, 2, 3], window=window)
                file = out / f"{top}_{left}.png"
                if way == "gdal":
                    count, height, width = values.shape
                    with rasterio.open(file, "w", driver="PNG", count=count, height=height, width=width, dtype="uint8") as png:
                        png.write(values)
                else:
                    options = {"compress_level": 3} if way == "pillow3" else {}
                    Image.fromarray(np.ascontiguousarray(np.moveaxis(values, 0, -1))).save(file, "PNG", **options)


def command(way: str, raster: Path, out: Path, processes: int | None) -> list[str]:
    """How a way is started."""
    if way != "import":
        return [sys.executable, __file__, "--naive", way, str(raster), str(out)]
    more = [] if processes is None else ["--processes", str(processes)]
    return [sys.executable, "-m", "backend.cli", "import", str(raster), "--out", str(out), "--chip", str(CHIP), "--json", *more]


def measured(way: str, raster: Path, out: Path, processes: int | None) -> tuple[float, float]:
    """(seconds, peak MiB) of one run in a process of its own."""
    shutil.rmtree(out, ignore_errors=True)
    root = Path(__file__).resolve().parents[1]
    environ = {**os.environ, "PYTHONPATH": str(root), "PYTHONWARNINGS": "ignore"}
    begin = time.perf_counter()
    with subprocess.Popen(
        command(way, raster, out, processes), cwd=root, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as run:
        peak = 0.0
        while run.poll() is None:
            peak = max(peak, memory(run.pid))
            time.sleep(_ASKED)
        seconds = time.perf_counter() - begin
        if run.returncode:
            raise SystemExit(f"{way} failed: {run.stderr.read().decode()[-2000:] if run.stderr else ''}")
    return seconds, peak


def memory(process: int) -> float:
    """MiB of a process and all below it; pages that several share are counted once between them."""
    total = 0.0
    waiting = [process]
    while waiting:
        each = waiting.pop()
        try:
            waiting += [int(child) for child in Path(f"/proc/{each}/task/{each}/children").read_text().split()]
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
        except OSError:
            continue  # it has ended
    return total


def same_pictures(one: Path, other: Path) -> bool:
    """Whether both ways made the same pixels, chip by chip."""
    ours, theirs = (
        sorted((one / "chips").rglob("*.png")),
        sorted(other.glob("*.png"), key=lambda path: tuple(map(int, path.stem.split("_")))),
    )
    return len(ours) == len(theirs) and all(
        np.array_equal(np.asarray(Image.open(a)), np.asarray(Image.open(b))) for a, b in zip(ours, theirs, strict=True)
    )


def size_of(folder: Path) -> float:
    """MiB of the PNG files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*.png")) / 2**20


def compare(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The table of the tile."""
    raster = folder / f"tile_{options.size}_{options.layout}_{options.compress}.tif"
    if not raster.is_file():
        draw(raster, options.size, options.layout, options.compress)
    runs: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for _ in range(options.repeat):
        for way in WAYS:
            runs[way].append(measured(way, raster, folder / "out" / way, options.processes))
    if not same_pictures(folder / "out" / "import", folder / "out" / "pillow"):
        raise SystemExit("the import and the naive loop made different pictures")
    ours = statistics.median(seconds for seconds, _ in runs["import"])
    table = {}
    for way, found in runs.items():
        seconds = statistics.median(taken for taken, _ in found)
        table[way] = {
            "seconds": round(seconds, 2),
            "all_seconds": [round(taken, 2) for taken, _ in found],
            "ratio_to_import": round(seconds / ours, 2),
            "peak_mib": round(max(peak for _, peak in found)),
            "png_mib": round(size_of(folder / "out" / way), 1),
        }
    return table


def main() -> None:
    """Prints the table; see the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=6000)
    parser.add_argument("--large", type=int, default=20000, help="0 leaves it out")
    parser.add_argument("--layout", choices=("strips", "tiles"), default="strips")
    parser.add_argument("--compress", choices=("none", "deflate", "lzw"), default="none")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--processes", type=int)
    parser.add_argument("--folder", type=Path, help="keeps the tiles; default: a temporary folder")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--naive", nargs=3, metavar=("WAY", "RASTER", "OUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.naive:
        naive(Path(options.naive[1]), Path(options.naive[2]), options.naive[0])
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        result: dict[str, Any] = {"size": options.size, "layout": options.layout, "compress": options.compress}
        result |= {"cores": len(os.sched_getaffinity(0)), "ways": compare(options, folder)}
        for way, row in result["ways"].items():
            print(
                f"{way:8} {row['seconds']:7.2f} s = {row['ratio_to_import']:.2f} x import, {row['peak_mib']} MiB, PNG {row['png_mib']} MiB"
            )
        if options.large:
            raster = folder / f"tile_{options.large}_{options.layout}_{options.compress}.tif"
            if not raster.is_file():
                draw(raster, options.large, options.layout, options.compress)
            seconds, peak = measured("import", raster, folder / "out" / "large", options.processes)
            result["large"] = {"size": options.large, "seconds": round(seconds, 2), "peak_mib": round(peak)}
            print(f"import of {options.large} x {options.large} x 4: {seconds:.1f} s, {peak:.0f} MiB")
        shutil.rmtree(folder / "out", ignore_errors=True)
        if options.json:
            options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
