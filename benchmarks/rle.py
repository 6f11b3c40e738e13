"""Brush RLE of a large mask: this project's codec and the SDK's, one after the other in one run.

    python benchmarks/rle.py --size 6000 --rounds 3

"ragged" is a landscape of smooth shapes with noisy edges, "smooth" the same without noise, "noise" single pixels. Ours is the median of
the rounds, the SDK's a single run, since it takes minutes; the streams and the masks of both must agree. --limit leaves the SDK out for
streams of more bytes: its decoder makes a text of every bit, some 40 bytes of memory each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from label_studio_sdk.converter import brush
from numpy.typing import NDArray

from converters import rle
from converters.frames import Size

TARGETS = {"decode": 30.0, "encode": 3.0}  # of issue 6, for the ragged mask


def masks(side: int, seed: int) -> dict[str, NDArray[np.bool_]]:
    """The three masks, side x side."""
    rng = np.random.default_rng(seed)
    hills = cv2.resize(rng.standard_normal((max(side // 40, 2),) * 2), (side, side), interpolation=cv2.INTER_CUBIC)
    hills /= hills.std()
    rough = rng.standard_normal((side, side), np.float32)
    return {"smooth": hills > 0.5, "ragged": hills + 0.3 * rough > 0.5, "noise": rough > 0.5}


def timed(work: Callable[[], Any], rounds: int) -> tuple[Any, float]:
    """What the last round gave, and the median of seconds."""
    seconds: list[float] = []
    result = None
    for _ in range(rounds):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return result, statistics.median(seconds)


def measure(mask: NDArray[np.bool_], rounds: int, limit: int) -> dict[str, Any]:
    """Seconds of both codecs, and how many times ours is faster. Raises AssertionError when they disagree."""
    size = Size(mask.shape[1], mask.shape[0])
    code, encode = timed(lambda: rle.encode(mask), rounds)
    back, decode = timed(lambda: rle.decode(code, size), rounds)
    assert np.array_equal(back, mask), "decoding gives another mask"
    row = {
        "runs": int(np.count_nonzero(np.diff(mask.ravel()))) + 1,
        "bytes": len(code),
        "encode_s": round(encode, 4),
        "decode_s": round(decode, 4),
    }
    if len(code) > limit:
        return row
    picture = mask.astype(np.uint8) * 255
    theirs, sdk_encode = timed(lambda: brush.mask2rle(picture), 1)
    assert theirs == code, "the SDK writes another stream"
    values, sdk_decode = timed(lambda: brush.decode_rle(code), 1)
    assert np.array_equal(values.reshape(*mask.shape, 4)[:, :, 3] > 0, mask), "the SDK reads another mask"
    return row | {
        "sdk_encode_s": round(sdk_encode, 3),
        "sdk_decode_s": round(sdk_decode, 3),
        "encode_ratio": round(sdk_encode / encode, 1),
        "decode_ratio": round(sdk_decode / decode, 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=6000, help="px a side")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, default=10_000_000, help="bytes of a stream above which the SDK is left out")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows = {name: measure(mask, asked.rounds, asked.limit) for name, mask in masks(asked.size, asked.seed).items()}
    reached = {what: rows["ragged"].get(f"{what}_ratio", 0.0) >= target for what, target in TARGETS.items()}
    if asked.json:
        print(json.dumps({"size": asked.size, "masks": rows, "targets": TARGETS, "reached": reached}, indent=1))
    else:
        for name, row in rows.items():
            print(f"{name:>7}: " + "  ".join(f"{key} {value}" for key, value in row.items()))
        for what, target in TARGETS.items():
            print(f"ragged, {what}: {rows['ragged'].get(f'{what}_ratio')} times the SDK's speed; target {target:g}")
    return 0 if all(reached.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
