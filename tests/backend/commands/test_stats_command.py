"""`rsiseg stats` as it is typed."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from backend.commands.stats import command
from backend.errors import UsageError
from converters.errors import TaskError

RING = {"points": [[10, 10], [20, 10], [20, 20]], "closed": True}


def a_region(label: str, clicks: int | None) -> dict[str, Any]:
    made = {"model": "m", "version": "m@1", "clicks": clicks, "cfr": "off"}
    region = {"id": f"{label}{clicks}", "type": "polygonlabels", "value": {**RING, "polygonlabels": [label]}}
    return region if clicks is None else {**region, "meta": {"rsiseg": made}}


@pytest.fixture
def export(tmp_path: Path) -> Path:
    results = [a_region("roof", 1), a_region("roof", 3), a_region("tree", 21), a_region("tree", None)]
    prompt = {"id": "p", "type": "keypointlabels", "value": {"x": 1, "y": 1, "keypointlabels": ["roof"]}}
    annotations = [{"id": 1, "completed_by": 7, "result": [*results, prompt]}]
    path = tmp_path / "export.json"
    path.write_text(json.dumps([{"id": 1, "data": {}, "annotations": annotations}, {"id": 2, "data": {}, "annotations": []}]))
    return path


def test_tables_on_standard_output_and_what_was_left_out_beside_them(export: Path) -> None:
    result = CliRunner().invoke(command, [str(export)])
    assert result.exit_code == 0, result.output
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in result.stdout.splitlines() if line.startswith("|")]
    assert lines[0] == ["class", "objects", "clicked", "mean", "median", "1 click", ">20", "proposed", "+ clicks", "by hand"]
    assert ["roof", "2", "2", "2.00", "2.00", "50%", "0%", "0", "0", "0"] in lines
    assert ["tree", "2", "1", "21.00", "21.00", "0%", "100%", "0", "0", "1"] in lines
    assert ["all", "4", "3", "8.33", "3.00", "33%", "33%", "0", "0", "1"] in lines
    assert ["roof, m@1", "2", "2", "2.00", "2.00", "50%", "0%", "0", "0", "0"] in lines
    assert result.stdout.startswith("4 objects of 1 annotated tasks\n")
    assert "left out: 1 x keypointlabels: a key point left in the annotation" in result.stderr
    assert "left out: 1 x tasks without an annotation" in result.stderr


def test_json_has_all_numbers_and_nothing_else_is_on_standard_output(export: Path) -> None:
    said = json.loads(CliRunner().invoke(command, [str(export), "--json"]).stdout)
    assert (said["limit"], said["all"]["clicks"], said["all"]["beyond_limit"]) == (20, 25, pytest.approx(1 / 3))
    assert [one["class"] for one in said["by_class"]] == ["roof", "tree"]
    assert sum(said["left_out"].values()) == 2


def test_a_csv_line_for_each_group(export: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "stats.csv"
    said = json.loads(CliRunner().invoke(command, [str(export), "--json", "--csv", str(out)]).stdout)
    lines = list(csv.DictReader(out.read_text().splitlines()))
    assert [(line["grouped_by"], line["class"], line["model"], line["annotator"]) for line in lines] == [
        ("all", "", "", ""), ("class", "roof", "", ""), ("class", "tree", "", ""), ("model", "", "by hand", ""), ("model", "", "m@1", ""),
        ("class and model", "roof", "m@1", ""), ("class and model", "tree", "by hand", ""), ("class and model", "tree", "m@1", ""),
        ("annotator", "", "", "7"),
    ]  # fmt: skip
    assert float(lines[0]["mean"]) == said["all"]["mean"]
    assert lines[3]["mean"] == ""
    assert [path.name for path in out.parent.iterdir()] == ["stats.csv"]


def test_it_needs_no_torch(export: Path) -> None:
    code = "import sys\nsys.modules['torch'] = None\nfrom backend.cli import main\nmain()"
    done = subprocess.run([sys.executable, "-c", code, "stats", str(export)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and "| roof" in done.stdout, done.stderr


def test_what_is_no_export_is_refused_with_a_sentence(tmp_path: Path, export: Path) -> None:
    for content, said in (("{}", "expected Label Studio's JSON export"), ("a,b\n1,2\n", "is no JSON"), ("[{}]", "element 0 of the file")):
        (tmp_path / "other").write_text(content)
        refused = CliRunner().invoke(command, [str(tmp_path / "other")]).exception
        assert isinstance(refused, TaskError) and said in str(refused)
    for arguments, said in (([], "neither a file nor --project"), ([str(tmp_path / "gone.json")], "no such file")):
        refused = CliRunner().invoke(command, arguments).exception
        assert isinstance(refused, UsageError) and said in str(refused)
    refused = CliRunner().invoke(command, [str(export), "--csv", str(export / "below" / "a.csv")]).exception
    assert isinstance(refused, UsageError) and "--csv" in str(refused)
