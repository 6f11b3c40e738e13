"""The study's figures from our numbers: mIoU after k clicks, before and after fine-tuning, clicks saved, IoU histograms. PNG files.

Colours are those of Okabe and Ito, which people with any colour vision tell apart; markers and dashes say the same once more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from backend.evaluation.bench_results import DataSet, Model
from backend.evaluation.noc import TARGETS
from backend.evaluation.report_tables import Pair
from backend.evaluation.statistics import HISTOGRAM_CLICKS, paired_difference
from converters.whole_file import replacing

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00", "#8C6D31")
_MARKERS = "osD^vPX"  # one fewer than colours, so that both together repeat late
_WHOLE_HISTOGRAMS = 8  # models in one figure of histograms


def draw_miou(path: Path, data: DataSet) -> None:
    """mIoU after k clicks of every model, with its interval as a band (the study's Figure 4). Best first; refined models are dashed."""
    figure, axes = _plot(8.0, 4.8)
    places = _places(data)
    for model in sorted(data.models, key=lambda model: -float(np.mean(model.numbers["miou"]))):
        _curve(axes, model, places[model.label], model.label, dashed=bool(model.refinement))
    _finish_miou(axes, f"{data.title}: {data.objects} objects (shaded: 95 % intervals)")
    _save(figure, path)


def draw_before_and_after(path: Path, data: DataSet, pairs: Sequence[Pair]) -> None:
    """mIoU after k clicks before (dashed) and after (solid) fine-tuning, a colour a model (the study's Figure 5)."""
    figure, axes = _plot(8.0, 4.8)
    for place, (before, after) in enumerate(pairs):
        _curve(axes, after, place, f"{after.label}, after", dashed=False)
        _curve(axes, before, place, f"{before.label}, before", dashed=True)
    _finish_miou(axes, f"{data.title}: before and after fine-tuning (shaded: 95 % intervals)")
    _save(figure, path)


def draw_improvement(path: Path, data: DataSet, pairs: Sequence[Pair]) -> None:
    """Share of clicks that fine-tuning saves, by IoU target, with its interval (the study's Figure 6)."""
    figure, axes = _plot(8.0, 4.2)
    width = 0.8 / len(pairs)
    for place, (before, after) in enumerate(pairs):
        at = np.arange(len(TARGETS)) + (place - (len(pairs) - 1) / 2) * width
        shares, ends = _saved(before, after)
        errors = None if ends is None else np.abs(np.array(ends).T - np.array(shares))
        axes.bar(
            at, shares, width * 0.92, color=_COLOURS[place % len(_COLOURS)], yerr=errors, capsize=3, ecolor="#333333", label=after.label
        )
        for place_of, share in enumerate(shares):
            low, high = (share, share) if ends is None else ends[place_of]
            above = share >= 0
            where = (at[place_of], max(high, 0.0) if above else min(low, 0.0))
            axes.annotate(
                f"{share:.0%}",
                where,
                xytext=(0, 3 if above else -3),
                textcoords="offset points",
                ha="center",
                va="bottom" if above else "top",
                fontsize=8,
                color="#333333",
            )
    axes.axhline(0, color="#333333", linewidth=0.8)
    axes.set_xticks(range(len(TARGETS)), [f"NoC{target}" for target in TARGETS])
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_ylabel("clicks saved by fine-tuning")
    axes.set_title(f"{data.title}: clicks saved (whiskers: 95 % intervals)", loc="left")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0))
    _save(figure, path)


def draw_histograms(path: Path, data: DataSet) -> None:
    """Share of objects by IoU after 2 and 5 clicks, a row a model, best first (the study's Figure 11)."""
    models = sorted(data.models, key=lambda model: model.numbers["noc"]["90"])[:_WHOLE_HISTOGRAMS]
    places = _places(data)
    figure = _figure(8.0, 1.0 + 1.3 * len(models))
    grid = figure.subplots(len(models), len(HISTOGRAM_CLICKS), sharex=True, sharey=True, squeeze=False)
    for row, model in zip(grid, models, strict=True):
        histogram = model.numbers["iou_histogram"]
        edges = np.array(histogram["edges"])
        colour = _COLOURS[places[model.label] % len(_COLOURS)]
        for axes, clicks in zip(row, HISTOGRAM_CLICKS, strict=True):
            axes.bar(edges[:-1], histogram[str(clicks)], np.diff(edges), align="edge", color=colour, edgecolor="white", linewidth=0.5)
            mean = model.numbers["miou"][clicks - 1]
            axes.axvline(mean, color="#333333", linestyle=":", linewidth=1.2)
            whose = f"{model.label}: " if axes is row[0] else ""
            axes.set_title(f"{whose}{clicks} clicks, mean {mean:.2f}", loc="left", fontsize=9)
    for axes in grid[-1]:
        axes.set_xlabel("IoU")
        axes.set_xlim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    shown = "" if len(models) == len(data.models) else f", the best {len(models)} models"
    figure.suptitle(f"{data.title}: share of {data.objects} objects by IoU{shown}", x=0.01, ha="left", fontsize=10)
    _save(figure, path)


def _places(data: DataSet) -> dict[str, int]:
    """A place in the list of colours by label: a model and its refined kinds share one."""
    plain = list(dict.fromkeys(_unrefined(model) for model in data.models))
    return {model.label: plain.index(_unrefined(model)) for model in data.models}


def _unrefined(model: Model) -> str:
    return model.label.replace(model.refinement, "", 1) if model.refinement else model.label


def _curve(axes: Axes, model: Model, place: int, label: str, *, dashed: bool) -> None:
    colour = _COLOURS[place % len(_COLOURS)]
    clicks = np.arange(1, len(model.numbers["miou"]) + 1)
    interval = model.numbers["interval"]
    if interval:
        low, high = np.array(interval["miou"]).T
        axes.fill_between(clicks, low, high, color=colour, alpha=0.12, linewidth=0)
    axes.plot(
        clicks,
        model.numbers["miou"],
        "--" if dashed else "-",
        color=colour,
        marker=_MARKERS[place % len(_MARKERS)],
        markersize=4.5,
        markerfacecolor="white" if dashed else colour,
        linewidth=1.6,
        label=label,
    )


def _finish_miou(axes: Axes, title: str) -> None:
    axes.set_xlabel("clicks")
    axes.set_ylabel("mean IoU")
    last = max(len(line.get_xdata()) for line in axes.get_lines())  # type: ignore[arg-type]
    axes.set_xticks([1, *range(5, last + 1, 5)])
    axes.set_xlim(0.5, last + 0.5)
    axes.set_ylim(top=1.0)
    axes.set_title(title, loc="left")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0))


def _saved(before: Model, after: Model) -> tuple[list[float], list[list[float]] | None]:
    """Shares saved by target, and their intervals where results by object are there."""
    paired = paired_difference(before.objects, after.objects) if before.objects and after.objects else None
    if paired is None:
        return [1 - after.numbers["noc"][str(target)] / before.numbers["noc"][str(target)] for target in TARGETS], None
    interval = paired["interval"]
    return list(paired["fewer"].values()), list(interval["fewer"].values()) if interval else None


def _plot(width: float, height: float) -> tuple[Figure, Axes]:
    figure = _figure(width, height)
    axes = figure.subplots()
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.7)
    axes.set_axisbelow(True)
    return figure, axes


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


@contextmanager
def style() -> Iterator[None]:
    """Fonts and frames of all figures; whatever draws stands inside."""
    with mpl.rc_context(
        {"axes.spines.top": False, "axes.spines.right": False, "font.size": 9.5, "axes.titlesize": 10, "legend.frameon": False}
    ):
        yield


def _save(figure: Figure, path: Path) -> None:
    """The PNG, whole or not at all, with nothing in it that changes from run to run."""
    with replacing(path) as aside:
        figure.savefig(aside, format="png", metadata={"Software": None})
