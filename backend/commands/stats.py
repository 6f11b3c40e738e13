"""`rsiseg stats`: the clicks that a team's accepted objects took, by class, model and annotator."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from backend.commands.export_source import open_source
from backend.errors import UsageError
from converters.click_statistics import LIMIT, ClickStatistics
from converters.whole_file import write_whole

_HEADER = ("objects", "clicked", "mean", "median", "1 click", f">{LIMIT}", "proposed", "+ clicks", "by hand")
_GROUPS = ("class", "model", "class and model", "annotator")


@click.command()
@click.argument("label_studio_json", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--project", type=click.IntRange(1), help="Number of a project on the server, instead of a file.")
@click.option("--url", help="Address of Label Studio for --project. [default: LABEL_STUDIO_URL]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output instead of tables.")
@click.option("--csv", "csv_file", type=click.Path(path_type=Path, dir_okay=False), help="Write every group to this CSV file as well.")
def command(label_studio_json: Path | None, project: int | None, url: str | None, as_json: bool, csv_file: Path | None) -> None:
    """Count the clicks of accepted objects in LABEL_STUDIO_JSON, a project's export in the format JSON, or in a project on the server.

    All annotations count that were not cancelled. Means, median and shares are of objects with at least one click; a proposal that was
    accepted untouched took none and stands in a column of its own, as do objects drawn by hand. What is left out is named.
    """
    statistics = ClickStatistics()
    with tempfile.TemporaryDirectory(prefix="rsiseg-stats-") as folder:
        source = open_source(label_studio_json, project, url, None, Path(folder) / "stats")
        statistics.count(source.tasks())
    report = statistics.report()
    if csv_file is not None:
        _write(csv_file, _csv(report))
    if as_json:
        click.echo(json.dumps(report, ensure_ascii=False, indent=1))
    else:
        _tell(report)


def _tell(report: Mapping[str, Any]) -> None:
    from backend.evaluation.report import aligned_table

    click.echo(f"{report['all']['objects']} objects of {report['annotated_tasks']} annotated tasks\n")
    for name in _GROUPS:
        groups = report[_key(name)]
        if name != "class and model" or len(groups) > 1:
            rows = [[", ".join(group[part] for part in name.split(" and ")), *_cells(group)] for group in groups]
            rows += [["all", *_cells(report["all"])]] if name == "class" else []
            click.echo(aligned_table([name, *_HEADER], rows) + "\n")
    for reason, count in report["left_out"].items():
        click.echo(f"left out: {count} x {reason}", err=True)


def _key(name: str) -> str:
    return f"by_{name.replace(' ', '_')}"


def _cells(numbers: Mapping[str, Any]) -> list[str]:
    proposed = numbers["proposals"] + numbers["changed_by_hand"]
    return [
        str(numbers["objects"]),
        str(numbers["clicked"]),
        *("-" if numbers[name] is None else f"{numbers[name]:.2f}" for name in ("mean", "median")),
        *("-" if numbers[name] is None else f"{numbers[name]:.0%}" for name in ("one_click", "beyond_limit")),
        str(proposed),
        str(numbers["refined_proposals"]),
        str(numbers["by_hand"]),
    ]


def _csv(report: Mapping[str, Any]) -> str:
    """A line for each group, with what it is a group of; fractions in full, empty where there is none."""
    out = io.StringIO()
    writer = csv.DictWriter(out, ["grouped_by", "class", "model", "annotator", *report["all"]], lineterminator="\n")
    writer.writeheader()
    writer.writerows(_lines(report))
    return out.getvalue()


def _lines(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"grouped_by": "all", **report["all"]}
    for name in _GROUPS:
        yield from ({"grouped_by": name, **group} for group in report[_key(name)])


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written ({error.strerror}); expected a file in a folder that you may write; change --csv"
        ) from error
