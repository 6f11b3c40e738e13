"""Tables and figures of one or several results of bench, in one folder: report.md and the PNG files that it shows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from backend.errors import UsageError
from backend.evaluation import figures, published, report_tables
from backend.evaluation.bench_results import DataSet, Model
from backend.evaluation.report_tables import Pair
from backend.evaluation.study_match import Comparison, compare, departures, isprs_place, study_set

_SETTINGS = ("data", "labels", "attribute", "kind", "patch", "min_area", "split", "limit", "seed", "stop_at")
_RUN = ("device", "precision", "batch", "workers", "cluster")


def write_report(sets: Sequence[DataSet], tuned: Mapping[str, str], out: Path, as_set: str | None = None) -> dict[str, Any]:
    """Write report.md and its figures into the folder `out`, and say what was written and how it compares with the study.

    tuned: AFTER -> BEFORE, names as bench was asked. as_set: the study's set to compare with, whatever the data is; None finds it out.
    Returns {"files": [names], "study": [...], "best": {...}}, JSON values. UsageError when `tuned` names an AFTER that is in no result.
    """
    known = {name for data in sets for model in data.models for name in (model.name, model.plain)}
    if strangers := set(tuned) - known:
        raise UsageError(f"--fine-tuned names {min(strangers)}, which no result has; measured were {', '.join(sorted(known))}")
    out.mkdir(parents=True, exist_ok=True)
    files: list[str] = []
    compared: list[dict[str, Any]] = []
    text = ["# Benchmark report", *_reading()]
    if len(sets) > 1:
        text += ["## Clicks needed on all data sets", report_tables.sets_table(sets)]
    with figures.style():
        for number, data in enumerate(sets, start=1):
            prefix = f"{_slug(data.title)}_" if len(sets) == 1 else f"{number}_{_slug(data.title)}_"
            text += [f"## {data.title}", *_about(data), *_numbers(data)]
            text += _drawn(data, out, prefix, files)
            text += _tuning(data, _pairs(data, tuned), out, prefix, files)
            name = as_set or study_set(data)
            comparisons = list(compare(data, name, tuned)) if name else []
            compared += [_as_json(one, data, name) for one in comparisons if name]
            text += _study(data, name, comparisons, told=as_set is not None)
    text += [*_bands(sets), "## Slips in the study's tables", *(f"* Table {slip.table}: {slip.found}" for slip in published.slips())]
    temporary = out / ".report.md.tmp"
    temporary.write_text("\n\n".join(_joined(text)) + "\n", encoding="utf-8")
    temporary.replace(out / "report.md")
    return {
        "files": ["report.md", *files],
        "best": {data.title: report_tables.best_of(data).name for data in sets},
        "study": compared,
    }


def _reading() -> list[str]:
    return [
        "NoC80 is the mean number of clicks of a robot annotator to an IoU of 80 %, 20 where it is never reached; >=20@90 the share of "
        "objects that took all 20 for 90 %; mIoU@5 the mean IoU after 5 clicks. Brackets hold 95 % intervals, parentheses behind the name "
        "of a column the number of objects."
    ]


def _about(data: DataSet) -> Iterator[str]:
    """Where the numbers come from."""
    shown = [f"{name} {data.settings[name]}" for name in (*_SETTINGS, *_RUN) if data.settings.get(name) is not None]
    if isinstance(several := data.settings.get("bands"), list):
        shown = [f"{part} (of the run's {several[0]})" if part.startswith("kind ") else part for part in shown]
    shown.insert(1, f"bands {data.bands or 'as each model chose'}")
    shown += [f"{name} {version}" for name, version in (data.settings.get("versions") or {}).items()]
    yield f"Settings: {', '.join(shown)}. Results: {', '.join(path.name for path in data.files)}."
    for note in data.settings.get("notes") or ():
        yield f"* {note}"
    yield from (f"* {model.label}: {model.version}" for model in data.models)
    if units := {(one["unit"], one["units"]) for model in data.models if (one := model.numbers["interval"])}:
        drawn = " and ".join(f"{count} {unit}{'s' if unit != 'patch' else 'es'}" for unit, count in sorted(units))
        yield f"Intervals: percentile bootstrap over {drawn}; a class, a size or an image over what it has of images, patches or objects."


def _numbers(data: DataSet) -> Iterator[str]:
    yield "### Clicks needed"
    yield report_tables.clicks_table(data)
    if len(data.models) > 1:
        best = report_tables.best_of(data)
        yield f"{best.label} needs the fewest clicks to 90 %."
        table = report_tables.difference_table(data)
        yield table or "Models are compared by their means alone: no results by object (OUT.objects.parquet) stand beside the JSON files."
        if table:
            yield (
                "These are differences on the same objects, surer than those of two means. Where the brackets hold 0, so many objects show "
                "no difference."
            )
    classes = list(dict.fromkeys(name for model in data.models for name in model.numbers["by_class"]))
    if len(classes) > 1:
        yield "### By class"
        yield report_tables.class_table(data)
    yield "### By size"
    if len(classes) > 1:
        yield "All classes:"
        yield report_tables.size_table(data, None)
    for name in classes:
        if len(classes) > 1 and all(len(model.numbers["by_class_and_size"].get(name, ())) < 2 for model in data.models):
            continue
        yield f"{name.capitalize()}:"
        yield report_tables.size_table(data, name)
    yield "### Time per click"
    yield report_tables.time_table(data)


def _drawn(data: DataSet, out: Path, prefix: str, files: list[str]) -> Iterator[str]:
    yield "### Figures"
    for name, title, draw in (
        ("miou.png", "Mean IoU after k clicks", figures.draw_miou),
        ("iou_histograms.png", "Objects by IoU after 2 and 5 clicks", figures.draw_histograms),
    ):
        draw(out / f"{prefix}{name}", data)
        files.append(f"{prefix}{name}")
        yield f"![{title}]({prefix}{name})"


def _tuning(data: DataSet, pairs: Sequence[Pair], out: Path, prefix: str, files: list[str]) -> Iterator[str]:
    if not pairs:
        return
    yield "### Before and after fine-tuning"
    yield report_tables.tuning_table(pairs)
    for name, title, draw in (
        ("before_after.png", "Mean IoU before and after fine-tuning", figures.draw_before_and_after),
        ("improvement.png", "Clicks saved by fine-tuning", figures.draw_improvement),
    ):
        draw(out / f"{prefix}{name}", data, pairs)
        files.append(f"{prefix}{name}")
        yield f"![{title}]({prefix}{name})"


def _pairs(data: DataSet, tuned: Mapping[str, str]) -> list[Pair]:
    """Before and after: as `tuned` says, with the same suffix; and one name in two versions, in the order of the files."""
    by_name: dict[str, list[Model]] = {}
    for model in data.models:
        by_name.setdefault(model.name, []).append(model)
    pairs = [(versions[0], later) for versions in by_name.values() for later in versions[1:]]
    for model in data.models:
        before = by_name.get(tuned.get(model.plain, "") + model.refinement)
        if before:
            pairs.append((before[-1], model))
    return pairs


def _study(data: DataSet, name: str | None, comparisons: Sequence[Comparison], *, told: bool) -> Iterator[str]:
    if name is None:
        if isprs_place(data):
            yield "### Beside the study's"
            yield "The study's sets are told apart by their bands, and this run named none: give bench --bands RGB, IRRG or RGBIR."
        return
    yield f"### Beside the study's {name}"
    if told:
        yield f"That this data stands for {name} is what --study-set says."
    if not comparisons:
        yield "None of these models has the weights of a row of the study: published ones, or what --fine-tuned says was trained from them."
        return
    yield report_tables.study_table(comparisons)
    doubts = sorted({(cell.table, cell.doubt) for one in comparisons for cell in one.published if cell.doubt})
    yield from (f"† Table {table} {doubt}: no number of that set, so no difference is given." for table, doubt in doubts)
    yield " ".join([*departures(data.settings, name), "It does not say which size of each network or how many CFR passes it used either."])


def _bands(sets: Sequence[DataSet]) -> Iterator[str]:
    """One labelled set with three and with four bands."""
    groups: dict[str, list[DataSet]] = {}
    for data in sets:
        if data.bands:
            groups.setdefault(str(data.settings["data"]), []).append(data)
    for alike in groups.values():
        if len({len(re.findall("IR|[A-Z]", data.bands or "")) for data in alike}) > 1:
            yield f"## Three and four bands: {alike[0].title.split(',', maxsplit=1)[0]}"
            yield report_tables.bands_table(alike)


def _as_json(one: Comparison, data: DataSet, name: str) -> dict[str, Any]:
    """A comparison as JSON values."""
    targets = {}
    for key, ours in one.ours.items():
        cell = one.cell(key)
        if cell is not None:
            targets[key] = {
                "ours": ours,
                "study": cell.noc[key],
                "difference": one.difference(key),
                "table": cell.table,
                "doubt": cell.doubt,
            }
    return {
        "data": data.title,
        "set": name,
        "model": one.model.name,
        "version": one.model.version,
        "study_model": one.study_model,
        "fine_tuned": one.tuned,
        "objects_of": one.what,
        "noc": targets,
    }


def _joined(text: Sequence[str]) -> Iterator[str]:
    """Paragraphs, with the items of a list kept together."""
    block: list[str] = []
    for part in text:
        if block and not (part.startswith("* ") and block[-1].startswith("* ")):
            yield "\n".join(block)
            block = []
        block.append(part)
    yield "\n".join(block)


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_") or "data"
