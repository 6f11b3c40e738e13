"""Markdown tables in the shape of the study's, every number with its 95 % interval and its number of objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from backend.evaluation.bench_results import DataSet, Model
from backend.evaluation.noc import TARGETS
from backend.evaluation.report import aligned_table
from backend.evaluation.statistics import STAGES, paired_difference
from backend.evaluation.study_match import Comparison

Pair = tuple[Model, Model]
"""A model before and after fine-tuning."""

_KEYS = tuple(map(str, TARGETS))
_NOC = tuple(f"NoC{target}" for target in TARGETS)
_SIDE_BY_SIDE = 4
_ENDS = ("80", "95")  # the two targets of the study's tables by class and by size


def clicks_table(data: DataSet) -> str:
    """Models by NoC (the study's Tables 1-3), the share that all clicks did not suffice for, mIoU."""
    header = ["model", "objects", *_NOC, ">=20@90", "mIoU@1", "mIoU@5", "mIoU@20"]
    rows = []
    for model in data.models:
        numbers = model.numbers
        rows.append(
            [
                model.label,
                str(numbers["objects"]),
                *(_with_interval(numbers, "noc", key) for key in _KEYS),
                _percent(numbers["over20"]["90"], _interval(numbers, "over20", "90")),
                *(_with_interval(numbers, "miou", click - 1, digits=3) for click in (1, 5, 20)),
            ]
        )
    return aligned_table(header, rows)


def sets_table(sets: Sequence[DataSet]) -> str:
    """Models by NoC on several data sets side by side, as the study puts PRGB beside PRGIR. Means alone."""
    labels = list(dict.fromkeys(model.label for data in sets for model in data.models))
    header = ["model", *(f"{data.title}: {noc}" for data in sets for noc in _NOC)]
    rows = []
    for label in labels:
        found = [next((model for model in data.models if model.label == label), None) for data in sets]
        rows.append([label, *(f"{model.numbers['noc'][key]:.2f}" if model else "-" for model in found for key in _KEYS)])
    return aligned_table(header, rows)


def class_table(data: DataSet) -> str:
    """NoC80 / NoC95 by class (the study's Tables 4 and 5)."""
    names = list(dict.fromkeys(name for model in data.models for name in model.numbers["by_class"]))
    counts = _counts([model.numbers["by_class"] for model in data.models], names)
    header = ["NoC80 / NoC95", *(f"{name} ({counts[name]})" for name in names)]
    return aligned_table(header, [[model.label, *_cells(model.numbers["by_class"], names)] for model in data.models])


def size_table(data: DataSet, class_name: str | None) -> str:
    """NoC80 / NoC95 by size of the objects of one class (the study's Tables 6 and 7), or of all objects."""
    groups = [_sizes(model, class_name) for model in data.models]
    names = list(dict.fromkeys(name for sizes in groups for name in sizes))
    counts = _counts(groups, names)
    header = ["NoC80 / NoC95", *(f"{name} ({counts[name]})" for name in names)]
    return aligned_table(header, [[model.label, *_cells(sizes, names)] for model, sizes in zip(data.models, groups, strict=True)])


def bands_table(sets: Sequence[DataSet]) -> str:
    """NoC80/85/90/95 by class for models of three and of four bands on one labelled set (the study's Table 8).

    Models stand side by side as in the study, more than `_SIDE_BY_SIDE` below each other.
    """
    models = [(f"{data.bands}: {model.label}", model.numbers) for data in sets for model in data.models]
    names = list(dict.fromkeys(name for _, numbers in models for name in numbers["by_class"]))
    counts = _counts([numbers["by_class"] for _, numbers in models], names)
    titles = [*(f"{name} ({counts[name]})" for name in names), f"overall ({_counted(numbers['objects'] for _, numbers in models)})"]
    columns = [[*(_slashed(numbers["by_class"].get(name)) for name in names), _slashed(numbers)] for _, numbers in models]
    if len(models) > _SIDE_BY_SIDE:
        return aligned_table(["NoC80/85/90/95", *titles], [[label, *cells] for (label, _), cells in zip(models, columns, strict=True)])
    rows = [[title, *cells] for title, *cells in zip(titles, *columns, strict=True)]
    return aligned_table(["NoC80/85/90/95", *(label for label, _ in models)], rows)


def tuning_table(pairs: Sequence[Pair]) -> str:
    """NoC before and after fine-tuning (the study's Table 3), and the share of clicks saved (its Figure 6)."""
    header = ["before -> after", "objects", *_NOC, *(f"saved@{target}" for target in TARGETS)]
    rows = []
    for before, after in pairs:
        paired = paired_difference(before.objects, after.objects) if before.objects and after.objects else None
        saved = [
            _percent(paired["fewer"][key], paired["interval"] and paired["interval"]["fewer"][key])
            if paired
            else _percent(1 - after.numbers["noc"][key] / before.numbers["noc"][key], None)
            for key in _KEYS
        ]
        steps = [f"{before.numbers['noc'][key]:.2f} -> {after.numbers['noc'][key]:.2f}" for key in _KEYS]
        rows.append([f"{before.label} -> {after.label}", _counted([before.numbers["objects"], after.numbers["objects"]]), *steps, *saved])
    return aligned_table(header, rows)


def best_of(data: DataSet) -> Model:
    """The model with the fewest clicks to 90 %."""
    return min(data.models, key=lambda model: model.numbers["noc"]["90"])


def difference_table(data: DataSet) -> str | None:
    """How many clicks more each model needs than the best one, object by object; None without results by object of two models."""
    best = best_of(data)
    rows = []
    for model in data.models:
        paired = paired_difference(best.objects, model.objects) if model is not best and best.objects and model.objects else None
        if paired:
            cells = [_signed(paired["noc"][key], paired["interval"] and paired["interval"]["noc"][key]) for key in _KEYS]
            rows.append([model.label, str(paired["objects"]), *cells])
    return aligned_table([f"clicks more than {best.label}", "objects", *(f"to {target} %" for target in TARGETS)], rows) if rows else None


def time_table(data: DataSet) -> str:
    """Seconds per click and what they were spent on."""
    header = ["model", "s/click", *("decode" if stage == "step" else stage for stage in STAGES), "robot's share"]
    rows = []
    for model in data.models:
        numbers, spans = model.numbers, model.numbers.get("seconds_interval") or {}
        total = numbers["seconds_per_click"]
        rows.append(
            [
                model.label,
                f"{total:.3f}{_bracket(spans.get('all'), 3)}",
                *(f"{numbers['seconds'][stage]:.4f}{_bracket(spans.get(stage), 4)}" for stage in STAGES),
                f"{numbers['seconds']['robot'] / total:.1%}" if total else "-",
            ]
        )
    return aligned_table(header, rows)


def study_table(comparisons: Iterable[Comparison]) -> str:
    """Ours / the study's (difference); a number of the study's that is in doubt is marked and gets no difference."""
    rows = [
        [
            f"{one.model.label} / {one.study_model}{', fine-tuned' if one.tuned else ''}",
            one.what,
            ", ".join(sorted({str(cell.table) for cell in one.published})),
            *(_beside(one, key) for key in _KEYS),
        ]
        for one in comparisons
    ]
    return aligned_table(["ours / the study's (difference)", "objects of", "Table", *_NOC], rows)


def _beside(one: Comparison, key: str) -> str:
    cell, difference = one.cell(key), one.difference(key)
    if cell is None:
        return f"{one.ours[key]:.2f} / -"
    return f"{one.ours[key]:.2f} / {cell.noc[key]:.2f}" + (" †" if difference is None else f" ({difference:+.2f})")


def _sizes(model: Model, class_name: str | None) -> Mapping[str, Any]:
    return model.numbers["by_size"] if class_name is None else model.numbers["by_class_and_size"].get(class_name, {})


def _cells(groups: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return [" / ".join(_with_interval(groups[name], "noc", key) for key in _ENDS) if name in groups else "-" for name in names]


def _counts(groups: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, str]:
    return {name: _counted(group[name]["objects"] for group in groups if name in group) for name in names}


def _counted(counts: Iterable[int]) -> str:
    """A number of objects, or the range of it where models were measured on different ones."""
    found = list(counts)
    return str(found[0]) if min(found) == max(found) else f"{min(found)}-{max(found)}"


def _slashed(numbers: Mapping[str, Any] | None) -> str:
    return "/".join(f"{numbers['noc'][key]:.2f}" for key in _KEYS) if numbers else "-"


def _interval(numbers: Mapping[str, Any], name: str, key: Any) -> Sequence[float] | None:
    return numbers["interval"][name][key] if numbers["interval"] else None


def _with_interval(numbers: Mapping[str, Any], name: str, key: Any, digits: int = 2) -> str:
    return f"{numbers[name][key]:.{digits}f}{_bracket(_interval(numbers, name, key), digits)}"


def _bracket(ends: Sequence[float] | None, digits: int) -> str:
    return f" [{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]" if ends else ""


def _signed(value: float, ends: Sequence[float] | None) -> str:
    return f"{value:+.2f}" + (f" [{ends[0]:+.2f}, {ends[1]:+.2f}]" if ends else "")


def _percent(share: float, ends: Sequence[float] | None) -> str:
    return f"{share:.1%}" + (f" [{ends[0]:.1%}, {ends[1]:.1%}]" if ends else "")
