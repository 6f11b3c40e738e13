"""The picture of simulated weeks: clicks to 90 % by round, with and without learning, on images that were not yet annotated.

python benchmarks/week_picture.py OUT.png WEEK.json [WEEK.json ...]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes

mpl.use("Agg")
import matplotlib.pyplot as plt

TARGET = "90"
_COLOURS = {"without": "#666666", "with": "#0a6fb8"}


def draw(weeks: Sequence[dict[str, Any]], out: Path) -> None:
    """A row a week: images of the coming round on the left, the fixed test part on the right."""
    figure, axes = plt.subplots(len(weeks), 2, figsize=(11, 3.9 * len(weeks)), squeeze=False, sharey="row")
    for week, (left, right) in zip(weeks, axes, strict=True):
        rounds = week["rounds"]
        weak = week["settings"]["weaken"]
        start = f"decoder weakened by noise ({weak})" if weak else f"start: {week['start']}"
        numbers = [row["round"] for row in rounds]
        _lines(left, numbers, [row["coming"] for row in rounds])
        left.set_title(f"images of the coming round\n{start}", fontsize=10)
        left.set_xlabel("round")
        _lines(right, [*numbers, len(numbers) + 1], [*(row["test"] for row in rounds), week["test at the end"]])
        right.set_title(f"test part, never annotated: {rounds[0]['test']['with'][TARGET]['objects']} objects\n{start}", fontsize=10)
        right.set_xlabel("before round")
        records = [*((row["round"], row["learning"]) for row in rounds)]
        if week["poisoned"] is not None:
            records.append((len(rounds) + 1, week["poisoned"]))
        for number, record in records:
            poisoned = record is week["poisoned"]
            text = "promoted" if record["promoted"] is not None else "refused"
            right.annotate(
                f"poisoned:\n{text}" if poisoned else text,
                (number + 0.5, 0.03),
                xycoords=("data", "axes fraction"),
                ha="center",
                fontsize=8,
                color="#b02020" if poisoned else "#207030" if record["promoted"] is not None else "#666666",
            )
        right.set_xlim(0.7, len(rounds) + 2.1)
        left.set_ylabel(f"clicks to {TARGET} % IoU")
        left.set_ylim(bottom=0)
        left.legend(frameon=False, loc="lower left")
    figure.tight_layout()
    figure.savefig(out, dpi=110)
    plt.close(figure)


def _lines(axes: Axes, numbers: Sequence[int], found: Sequence[dict[str, Any]]) -> None:
    for offset, (name, colour) in zip((-0.04, 0.04), _COLOURS.items(), strict=True):
        cells = [one[name][TARGET] for one in found]
        means = [cell["mean"] for cell in cells]
        ends = [cell["interval"] or [cell["mean"]] * 2 for cell in cells]
        below = [mean - low for mean, (low, _) in zip(means, ends, strict=True)]
        above = [high - mean for mean, (_, high) in zip(means, ends, strict=True)]
        places = [number + offset for number in numbers]
        axes.errorbar(
            places, means, [below, above], fmt="o-", color=colour, capsize=3, markersize=5, linewidth=1.4, label=f"{name} learning"
        )
    axes.set_xticks(list(numbers))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


if __name__ == "__main__":
    draw([json.loads(Path(path).read_text()) for path in sys.argv[2:]], Path(sys.argv[1]))
