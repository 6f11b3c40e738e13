"""Exporting a survey: 10 000 regions on 100 chips of one raster, with this project and in the naive way, one after the other in one run.

    python benchmarks/export_survey.py --regions 10000 --chips 100

The survey is drawn from a seed: overlapping chips, ragged brush masks with holes, some rings, objects over the chips' borders. Each
export is a process of its own, so that its peak memory is its own. The naive way is what scripts do: the SDK's decoder and
rasterio.features.shapes, one region at a time, reprojected point by point into GeoJSON; seams and overlaps stay as they are. It may be
given fewer regions (--naive-regions); its seconds are then scaled up, which the report says. On a machine with other work the ratio of
processor seconds is the one to believe.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from affine import Affine
from numpy.typing import NDArray

from converters.chips import Chip, PixelWindow
from converters.frames import Size
from converters.label_studio import brush_region, chip_to_task_data, polygon_region

CLASSES = ("Building", "Road", "Tree", "Car", "Water")
TARGETS = {"seconds": 60.0, "gib": 1.5}


def windows(chips: int, side: int, overlap: int) -> tuple[list[PixelWindow], Size]:
    """Windows in rows, and the size of the raster that they cover."""
    columns = int(np.ceil(chips**0.5))
    rows, step = -(-chips // columns), side - overlap
    found = [PixelWindow((index % columns) * step, (index // columns) * step, side, side) for index in range(chips)]
    return found, Size(columns * step + overlap, rows * step + overlap)


def blob(rng: np.random.Generator, side: int) -> NDArray[np.bool_]:
    """One ragged object, often with holes, of 20 to 160 px; it may hang over the edge of the picture."""
    mask = np.zeros((side, side), bool)
    reach = int(rng.integers(20, 160))
    coarse = cv2.resize(rng.standard_normal((max(reach // 10, 2),) * 2), (reach, reach), interpolation=cv2.INTER_CUBIC)
    cols, rows = np.meshgrid(*(np.linspace(-1, 1, reach),) * 2)
    fine = 2 * cv2.GaussianBlur(rng.standard_normal((reach, reach)), (0, 0), 2)
    piece = coarse + fine - 3 * (cols**2 + rows**2) > -1.6
    left, top = (int(value) for value in rng.integers(-reach // 3, side - reach // 2, 2))
    into = mask[max(top, 0) : top + reach, max(left, 0) : left + reach]
    into[:] = piece[max(-top, 0) :, max(-left, 0) :][: into.shape[0], : into.shape[1]]
    return mask if mask.any() else blob(rng, side)


def ring(rng: np.random.Generator, side: int) -> NDArray[np.float64]:
    """A star-shaped outline of 8 to 40 corners."""
    corners = int(rng.integers(8, 40))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radius = rng.uniform(15, 60) * rng.uniform(0.7, 1.0, corners)
    return np.clip(rng.uniform(0, side, 2) + np.stack((np.cos(angles), np.sin(angles)), 1) * radius[:, None], 0, side)


def survey_tasks(regions: int, chips: int, seed: int, side: int = 600, overlap: int = 60) -> Iterator[dict[str, Any]]:
    """The tasks of Label Studio's JSON export, an annotation each; every tenth region is a ring."""
    rng = np.random.default_rng(seed)
    places, native = windows(chips, side, overlap)
    transform = Affine(0.1, 0, 389_000, 0, -0.1, 5_820_000)
    for number, window in enumerate(places):
        chip = Chip(
            image=f"/data/local-files/?d=chips/{number}.png", raster="survey.tif", window=window,
            transform=transform * Affine.translation(window.col_off, window.row_off), crs="EPSG:32633", bands=("R", "G", "B"),
            scale=1.0, gsd=0.1, native_size=native, stretch=None, nodata=None,
        )  # fmt: skip
        results = []
        for index in range(number * regions // chips, (number + 1) * regions // chips):
            names: dict[str, Any] = {
                "id": f"r{index}",
                "label": CLASSES[int(rng.integers(len(CLASSES)))],
                "from_name": "shape",
                "to_name": "image",
            }
            if index % 10 == 9:
                results.append(polygon_region(ring(rng, side), window.size, **names))
            else:
                results.append(brush_region(blob(rng, side), **names))
        annotation = {"id": number, "completed_by": number % 3 + 1, "updated_at": "2026-01-01T00:00:00Z", "result": results}
        yield {"id": number, "data": chip_to_task_data(chip), "annotations": [annotation]}


def write_survey(path: Path, tasks: Iterator[dict[str, Any]]) -> None:
    """As Label Studio writes it: one list, a task at a time."""
    with path.open("w", encoding="utf-8") as file:
        for number, task in enumerate(tasks):
            file.write(("[" if number == 0 else ",") + json.dumps(task))
        file.write("]")


NAIVE = """
import json, sys, numpy as np, rasterio.features, rasterio.warp
from affine import Affine
from label_studio_sdk.converter.brush import decode_rle
tasks, out, most = json.load(open(sys.argv[1])), sys.argv[2], int(sys.argv[3])
features, done = [], 0
for task in tasks:
    data = task["data"]
    for region in task["annotations"][0]["result"]:
        done += 1
        if done > most:
            break
        value, width, height = region["value"], region["original_width"], region["original_height"]
        transform = Affine(*data["transform"])
        if "rle" in value:
            mask = decode_rle(value["rle"]).reshape(height, width, 4)[:, :, 3]
            shapes = [shape for shape, on in rasterio.features.shapes(mask, transform=transform) if on]
        else:
            shapes = [{"type": "Polygon", "coordinates": [[transform * (x * width / 100, y * height / 100) for x, y in value["points"]]]}]
        label = (value.get("brushlabels") or value.get("polygonlabels"))[0]
        for shape in shapes:
            geometry = rasterio.warp.transform_geom(data["crs"], "EPSG:4326", shape)
            features.append({"type": "Feature", "properties": {"class": label}, "geometry": geometry})
json.dump({"type": "FeatureCollection", "features": features}, open(out, "w"))
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a process: seconds on the clock and of the processor, peak resident GiB."""

    seconds: float
    cpu: float
    gib: float


def in_a_process(arguments: list[str]) -> Cost:
    """What running the command cost. Raises RuntimeError when it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments[:4])} ended with {process.returncode}")
    return Cost(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20)


def measured(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Both ways on one survey in `folder`."""
    source, suffix = folder / "export.json", {"geoparquet": "parquet"}.get(asked.format, asked.format)
    write_survey(source, survey_tasks(asked.regions, asked.chips, asked.seed))
    outs = [folder / name / f"layer.{suffix}" for name in ("first", "second")]
    command = [sys.executable, "-m", "backend.cli", "export", str(source), "--format", asked.format, *asked.options, "--out"]
    runs = [in_a_process([*command, str(out), "--report", str(out) + ".report.json"]) for out in outs]
    digests = {hashlib.sha256(out.read_bytes()).hexdigest() for out in outs}
    found = json.loads(Path(str(outs[0]) + ".report.json").read_text(encoding="utf-8"))
    few = min(asked.naive_regions or asked.regions, asked.regions)
    naive = in_a_process([sys.executable, "-c", NAIVE, str(source), str(folder / "naive.geojson"), str(few)]) if few > 0 else None
    best = min(runs, key=lambda run: run.cpu)
    row = {
        "regions": asked.regions,
        "chips": asked.chips,
        "format": asked.format,
        "export_mb": round(source.stat().st_size / 1e6, 1),
        "seconds": [round(run.seconds, 2) for run in runs],
        "cpu_seconds": [round(run.cpu, 2) for run in runs],
        "gib": round(max(run.gib for run in runs), 3),
        "repeats_byte_for_byte": len(digests) == 1,
        "features": found["features"],
        "merged": found["merged"],
        "left_out": found["regions_left_out"],
    }
    if naive is not None:
        scale = asked.regions / few
        row |= {
            "naive_regions": few,
            "naive_seconds": round(naive.seconds * scale, 1),
            "naive_cpu_seconds": round(naive.cpu * scale, 1),
            "naive_gib": round(naive.gib, 3),
            "ratio": round(naive.seconds * scale / min(run.seconds for run in runs), 2),
            "ratio_cpu": round(naive.cpu * scale / best.cpu, 2),
        }
    seconds = min(run.seconds for run in runs)
    reached = {"seconds": seconds < TARGETS["seconds"], "gib": row["gib"] < TARGETS["gib"], "repeats": len(digests) == 1}
    return row | {"targets": TARGETS, "reached": reached}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--regions", type=int, default=10_000)
    parser.add_argument("--chips", type=int, default=100)
    parser.add_argument("--format", default="geojson")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--naive-regions", type=int, help="regions that the naive way gets; 0: none, default: all")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("options", nargs="*", help="further options of `rsiseg export`, behind --")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        row = measured(asked, Path(folder))
    print(json.dumps(row, indent=1) if asked.json else "\n".join(f"{key}: {value}" for key, value in row.items()))
    return 0 if all(row["reached"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
