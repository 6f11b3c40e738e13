"""Seconds per click of every family, and how near its arithmetic comes to what this machine's matrix products reach.

    python benchmarks/click_latency.py [--model NAME ...] [--rounds 7] [--json FILE]

The machine's rate is the better of `torch.matmul` and a channels-last 1x1 convolution of the same size (784 x 768 x 3072, a layer of a
ViT-B at 448 px), measured in the same run: rates and networks take turns, round by round, and the best of each is kept. Weights are
generated; arithmetic does not mind. GFLOP: what torch counts for the network as written, before any rewriting. s/click: a later click as
the server answers it, flip averaging (twice the work) included where the authors evaluate with it. The rest are forward passes, batch 1.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from backend.freed_memory import keep_freed_memory
from backend.inference.click_maps import points_tensor
from backend.segmenters import registry
from backend.segmenters.catalogue import entries
from backend.segmenters.generated import WeightFormula
from backend.segmenters.inference_form import inference_form
from backend.segmenters.precision import Precision, native_bf16
from converters.frames import Click

ROWS, INPUTS, OUTPUTS = 784, 768, 3072
# (family, architecture, side of the square input): what each family is published for.
MODELS = {
    "vitclick_s14": ("vitclick", "s14", 336),
    "simpleclick_xtiny": ("simpleclick", "vit_xtiny448", 448),
    "simpleclick_vit_b": ("simpleclick", "vit_base448", 448),
    "simpleclick_vit_l": ("simpleclick", "vit_large448", 448),
    "ritm_hrnet18s": ("ritm", "hrnet18s", 400),
    "ritm_hrnet32": ("ritm", "hrnet32", 400),
    "focalclick_b0_s2": ("focalclick", "segformer_b0_s2", 256),
    "focalclick_b3_s2": ("focalclick", "segformer_b3_s2", 256),
    "focalclick_hrnet32_s2": ("focalclick", "hrnet32_s2", 256),
    "sam_vit_b encoder": ("sam", "vit_b", 1024),
}
DEFAULT = [name for name in MODELS if name not in ("simpleclick_vit_l", "sam_vit_b encoder")]


@dataclass(frozen=True)
class Variant:
    """One way of computing one thing. gflop: of one call. best: seconds of its quickest call."""

    name: str
    gflop: float
    call: Callable[[], object]


def machine_probes(dtype: torch.dtype) -> list[Variant]:
    """The same product as a matrix product and as a 1x1 convolution."""
    a, b = torch.rand(ROWS, INPUTS).to(dtype), torch.rand(INPUTS, OUTPUTS).to(dtype)
    side = int(ROWS**0.5)
    x = torch.rand(1, INPUTS, side, side).to(dtype).to(memory_format=torch.channels_last)
    convolution = nn.Conv2d(INPUTS, OUTPUTS, 1, bias=False).to(dtype).to(memory_format=torch.channels_last)
    gflop = 2 * ROWS * INPUTS * OUTPUTS / 1e9
    repeats = 10  # one call is some 10 ms; longer ones are less at the mercy of the scheduler
    return [
        Variant("matmul", repeats * gflop, lambda: [a @ b for _ in range(repeats)]),
        Variant("1x1 convolution", repeats * gflop, lambda: [convolution(x) for _ in range(repeats)]),
    ]


def variants(name: str, precisions: list[Precision]) -> tuple[float, list[Variant]]:
    """(parameters in millions, the network as written and in every precision)."""
    family, architecture, side = MODELS[name]
    net = registry.build(family, architecture)
    WeightFormula().fill(net)
    net = net.eval().requires_grad_(False)
    parameters = sum(parameter.numel() for parameter in net.parameters()) / 1e6
    call = network_call(net, side)
    with FlopCounterMode(display=False) as counter:
        call()
    gflop = counter.get_total_flops() / 1e9
    rows = [Variant("as written", gflop, network_call(copy.deepcopy(net), side))]
    for precision in precisions:
        rows.append(Variant(precision, gflop, network_call(inference_form(copy.deepcopy(net), precision), side)))
    click = click_of(name, net)  # last: it rewrites `net` itself
    return parameters, rows if click is None else [*rows, Variant("click", 0.0, click)]


def network_call(net: nn.Module, side: int) -> Callable[[], Tensor]:
    """One forward pass with three clicks."""
    generator = torch.Generator().manual_seed(0)
    if hasattr(net, "image_encoder"):
        image = torch.randn(1, 3, side, side, generator=generator)
        return lambda: net.image_encoder(image)  # type: ignore[operator]
    x = torch.rand(1, 4, side, side, generator=generator)
    points = points_tensor([[(0.4 * side, 0.4 * side, True), (0.2 * side, 0.6 * side, False), (0.1 * side, 0.1 * side, True)]])
    return lambda: net(x, points)


def click_of(name: str, net: nn.Module) -> Callable[[], object] | None:
    """A second click on a 480 x 640 image as the server answers it: the entry's ZoomIn, flip averaging and precision around `net`.

    For SAM that is the decoder alone. None where no entry of the registry has this architecture.
    """
    family, architecture, _ = MODELS[name]
    entry = next((one for one in entries() if (one.family, one.architecture) == (family, architecture)), None)
    if entry is None:
        return None
    segmenter = registry.family(family).assemble(inference_form(net, entry.precision), entry, "benchmark", torch.device("cpu"))
    encoding = segmenter.encode(np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8))
    clicks = [Click(row=240.5, col=320.5, positive=True), Click(row=100.5, col=100.5, positive=False)]
    state = segmenter.step(encoding, clicks[:1], segmenter.start(encoding))
    return lambda: segmenter.step(encoding, clicks, state)


def best_seconds(rows: list[Variant], rounds: int) -> list[float]:
    """The quickest call of each, taking turns."""
    best = [float("inf")] * len(rows)
    for _ in range(rounds + 1):  # the first round warms up, and counts only if it is the quickest
        for place, row in enumerate(rows):
            started = time.perf_counter()
            row.call()
            best[place] = min(best[place], time.perf_counter() - started)
    return best


def measure(name: str, rounds: int) -> dict[str, object]:
    """Rates of one model, beside the machine's in the same minute."""
    precisions: list[Precision] = ["fp32", "mixed", "bf16"] if native_bf16() else ["fp32"]
    probes = [machine_probes(torch.float32), machine_probes(torch.bfloat16) if native_bf16() else []]
    parameters, rows = variants(name, precisions)
    seconds = best_seconds([*probes[0], *probes[1], *rows], rounds)
    rates = [row.gflop / second for row, second in zip([*probes[0], *probes[1], *rows], seconds, strict=True)]
    count = len(probes[0]), len(probes[0]) + len(probes[1])
    return {
        "model": name,
        "parameters_m": round(parameters, 1),
        "gflop": round(rows[0].gflop, 1),
        "machine_fp32": {probe.name: round(rate) for probe, rate in zip(probes[0], rates, strict=False)},
        "machine_bf16": {probe.name: round(rate) for probe, rate in zip(probes[1], rates[count[0] : count[1]], strict=False)},
        "seconds": {row.name: round(second, 4) for row, second in zip(rows, seconds[count[1] :], strict=True)},
        "gflop_per_s": {row.name: round(rate) for row, rate in zip(rows, rates[count[1] :], strict=True)},
        "share_fp32": round(rates[count[1] + 1] / max(rates[: count[0]]), 3),
        "share_bf16": round(rates[count[1] + len(precisions)] / max(rates[count[0] : count[1]]), 3) if probes[1] else None,
    }


def table(results: list[dict]) -> str:
    """Markdown."""
    lines = [
        "| model | M | GFLOP | s/click | as written s | fp32 s | GFLOP/s (of machine) | mixed s | bf16 s | GFLOP/s (of machine) |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for one in results:
        seconds, rate = one["seconds"], one["gflop_per_s"]
        low = f"{rate['bf16']} ({one['share_bf16']:.0%})" if one["share_bf16"] is not None else "-"
        cells = [
            one["model"],
            one["parameters_m"],
            one["gflop"],
            *(f"{seconds.get(key, np.nan):.3f}" for key in ("click", "as written", "fp32")),
        ]
        cells += [f"{rate['fp32']} ({one['share_fp32']:.0%})", *(f"{seconds.get(key, np.nan):.3f}" for key in ("mixed", "bf16")), low]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    fp32 = [one["machine_fp32"] for one in results]
    bf16 = [one["machine_bf16"] for one in results if one["machine_bf16"]]
    for label, rates in (("fp32", fp32), ("bf16", bf16)):
        if rates:
            lines.append("")
            lines.append(
                f"Machine, {label}, GFLOP/s over the rounds: "
                + ", ".join(f"{name} {min(r[name] for r in rates)} to {max(r[name] for r in rates)}" for name in rates[0])
            )
    return "\n".join(lines)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", choices=list(MODELS), help="repeatable [all but the two largest]")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="file for all numbers")
    arguments = parser.parse_args()
    keep_freed_memory()
    with torch.inference_mode():
        results = [measure(name, arguments.rounds) for name in tqdm(arguments.model or DEFAULT, desc="models")]
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(table(results))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
