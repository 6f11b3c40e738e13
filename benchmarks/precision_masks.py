"""How far masks computed in `mixed` and `bf16` agree with those in fp32: what decides `mixed = true` in weights/registry.toml.

    python benchmarks/precision_masks.py --fixtures ../shared/reference/fixtures --data ../shared/data/isprs_crops

Both precisions answer the same clicks from the same state, the one that fp32 left; the IoU of the two masks is taken after every click.
Fixtures: recorded images and clicks, generated weights. Data: objects of at least 30 px, five clicks of the robot annotator each.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from backend.evaluation.parity import Fixture, fixture_names, read_fixture
from backend.evaluation.parity_networks import ICL, network_options, with_weights
from backend.evaluation.parity_predictor import as_clicks, predictor, unsupported
from backend.evaluation.robot import annotate
from backend.inference.segmenter import Segmenter
from backend.segmenters import registry, ritm, simpleclick
from backend.segmenters.inference_form import inference_form
from converters.frames import Click
from converters.labelled import open_labelled

PRECISIONS = ("mixed", "bf16")
CLICKS = 5
MIN_AREA = 30
ENOUGH = 0.995


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """1 for two empty masks."""
    return float((a & b).sum() / max((a | b).sum(), 1)) if (a | b).any() else 1.0


def follow(segmenters: Sequence[Segmenter], image: NDArray[np.uint8], clicks: Sequence[Click]) -> Iterator[list[float]]:
    """IoU of every other segmenter's mask with the first one's, after each click."""
    first, *others = segmenters
    encodings = [one.encode(image) for one in segmenters]
    state = first.start(encodings[0])
    for count in range(1, len(clicks) + 1):
        after = first.step(encodings[0], clicks[:count], state)
        mask = after.probability > first.threshold
        yield [
            iou(one.step(encoding, clicks[:count], state).probability > one.threshold, mask)
            for one, encoding in zip(others, encodings[1:], strict=True)
        ]
        state = after


def of_fixture(fixture: Fixture) -> list[list[float]]:
    """Of the variants without flip and cascade, which change nothing about rounding."""
    family, _, rest = fixture.name.partition("_")
    if fixture.name.startswith(ICL):
        family, rest = "simpleclick", fixture.name.removeprefix(ICL)
    options = network_options(fixture, family, rest)
    if isinstance(options, str):
        raise SystemExit(f"{fixture.name}: {options}")
    net: nn.Module = (ritm.RitmNet if family == "ritm" else simpleclick.SimpleClickNet)(**options)
    net = with_weights(fixture, net, rewritten=False)
    nets = [inference_form(copy.deepcopy(net), precision) for precision in ("fp32", *PRECISIONS)]  # type: ignore[arg-type]
    rows: list[list[float]] = []
    for variant in fixture.setting("variants").values():
        plain = dict(variant) | {"with_flip": False, "predictor_params": {}}
        if unsupported(plain) is None:
            rows += follow([predictor(one, plain) for one in nets], fixture.array("image"), as_clicks(fixture.setting("clicks")))
    return rows


def of_data(data: Path, model: str) -> list[list[float]]:
    """Of every object's first clicks."""
    segmenters = [registry.load(model, precision=precision) for precision in ("fp32", *PRECISIONS)]
    rows: list[list[float]] = []
    for image in open_labelled(data).images:
        pixels = image.read()
        encoding = segmenters[0].encode(pixels)
        for item in tqdm(image.objects(MIN_AREA), desc=image.name):
            path = annotate(segmenters[0], encoding, item.mask, max_clicks=CLICKS)
            clicks = [Click(row=row + 0.5, col=col + 0.5, positive=positive) for positive, row, col in path.clicks]
            rows += follow(segmenters, pixels, clicks)
    return rows


def described(name: str, rows: list[list[float]]) -> list[dict[str, object]]:
    """One row a precision."""
    values = np.array(rows)
    return [
        {
            "set": name,
            "precision": precision,
            "masks": len(values),
            "mean": round(float(column.mean()), 4),
            "p5": round(float(np.percentile(column, 5)), 4),
            "least": round(float(column.min()), 4),
            "agrees": bool(column.mean() >= ENOUGH),
        }
        for precision, column in zip(PRECISIONS, values.T, strict=True)
    ]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fixtures", type=Path, help="folder of recorded fixtures")
    parser.add_argument("--data", type=Path, help="labelled set, as for rsiseg bench")
    parser.add_argument("--model", default="default", help="for --data")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    table: list[dict[str, object]] = []
    if arguments.fixtures is not None:
        for fixture in [read_fixture(arguments.fixtures, name) for name in fixture_names(arguments.fixtures)]:
            if fixture.name.startswith(("ritm_", "simpleclick_", ICL)) and fixture.arrays is not None:
                table += described(fixture.name, of_fixture(fixture))
    if arguments.data is not None:
        table += described(f"{arguments.model} on {arguments.data.name}", of_data(arguments.data, arguments.model))
    print(f"torch {torch.__version__}\n\n| set | precision | masks | mean IoU with fp32 | 5th percentile | least | >= {ENOUGH} |")
    print("|---|---|--:|--:|--:|--:|---|")
    for row in table:
        print(f"| {row['set']} | {row['precision']} | {row['masks']} | {row['mean']} | {row['p5']} | {row['least']} | {row['agrees']} |")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
