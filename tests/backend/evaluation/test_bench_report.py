"""`rsiseg bench report`: what it writes, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from backend.commands.bench_report import command
from backend.errors import UsageError
from backend.evaluation.noc import ObjectResult
from backend.evaluation.objects_table import write_objects
from backend.evaluation.statistics import summarise

SETTINGS = {"data": "trees/potsdam", "kind": "ISPRS Potsdam, RGB, full labels", "bands": "RGB", "patch": 600, "min_area": 30, "seed": 0}
CLASSES = ("building", "tree", "car")


def measured(model: str, clicks: int, version: str = "1") -> list[ObjectResult]:
    """Thirty objects of three classes that take about `clicks` clicks to 95 %."""
    random = np.random.default_rng(3)
    results = []
    for index in range(30):
        needed = max(1, min(19, clicks + int(random.integers(-1, 2))))
        ious = (0.3,) * (needed - 1) + (0.96,) * (21 - needed)
        results.append(
            ObjectResult(
                model, f"{model}@{version}", f"{index % 3}.tif", (600 * index, 0, 600, 600), index, CLASSES[index % 3], 400 * (index + 1),
                ((True, 1, 1),) * 20, ious, tuple(range(1, 21)), gsd=0.05, seconds={"step": 2.0, "robot": 0.1},
            )
        )  # fmt: skip
    return results


def write(path: Path, *runs: list[ObjectResult], parquet: bool = True, **settings: object) -> Path:
    models = {run[0].model: {"version": run[0].version, **summarise(run)} for run in runs}
    path.write_text(json.dumps({"settings": SETTINGS | settings, "models": models}))
    if parquet:
        write_objects(path.with_suffix(".objects.parquet"), [result for run in runs for result in run])
    return path


def report(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)


def row(text: str, start: str) -> list[str]:
    """Cells of the first table row that begins so."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_tables_figures_and_the_studys_numbers(tmp_path: Path) -> None:
    result = write(tmp_path / "a.json", measured("simpleclick_vit_base_cocolvis", 4), measured("grabcut", 12), notes=["6_7: odd cars"])
    answer = report(result, "--out", tmp_path / "out", "--json")
    told = json.loads(answer.stdout)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(told["files"])
    assert told["files"] == ["report.md", "potsdam_rgb_miou.png", "potsdam_rgb_iou_histograms.png"]
    assert told["best"] == {"potsdam, RGB": "simpleclick_vit_base_cocolvis"}
    (overall,) = told["study"]
    assert (overall["set"], overall["study_model"], overall["noc"]["80"]["study"]) == ("PRGB", "SimpleClick", 4.90)
    ours = overall["noc"]["80"]["ours"]
    assert overall["noc"]["80"]["difference"] == pytest.approx(ours - 4.90)

    text = (tmp_path / "out" / "report.md").read_text()
    assert "* 6_7: odd cars" in text
    cells = row(text, "simpleclick_vit_base_cocolvis ")
    assert cells[1] == "30"
    assert re.fullmatch(rf"{ours:.2f} \[\d\.\d\d, \d\.\d\d\]", cells[2])
    assert row(text, "grabcut  ")[2].startswith("1")
    more = next(line for line in text.splitlines() if line.startswith("| grabcut") and "+" in line)
    assert "| +8.00 [+8.00, +8.00] |" in more
    assert f"{ours:.2f} / 4.90 ({ours - 4.90:+.2f})" in text
    assert "(0.075 m2, 9.03 m2] (" in text, "the study's sizes of buildings"
    for slip in ("Table 3: The columns after", "`1.483.78`", "Table 7: The numbers by size"):
        assert slip in text
    for name in told["files"][1:]:
        assert f"({name})" in text
        with Image.open(tmp_path / "out" / name) as figure:
            assert figure.width >= 1000


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    result = write(tmp_path / "a.json", measured("m", 4), measured("m+cfr4", 3))
    report(result, "--out", tmp_path / "one")
    report(result, "--out", tmp_path / "two")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_before_and_after_fine_tuning_as_told(tmp_path: Path) -> None:
    before = write(tmp_path / "a.json", measured("simpleclick_vit_base_cocolvis", 8), measured("simpleclick_vit_base_cocolvis+cfr4", 7))
    after = write(tmp_path / "b.json", measured("w/mine.safetensors", 4), measured("w/mine.safetensors+cfr4", 4))
    pair = "simpleclick_vit_base_cocolvis=w/mine.safetensors"
    told = json.loads(report(before, after, "--out", tmp_path / "out", "--fine-tuned", pair, "--json").stdout)
    assert [name for name in told["files"] if "before_after" in name or "improvement" in name] == [
        "potsdam_rgb_before_after.png",
        "potsdam_rgb_improvement.png",
    ]
    text = (tmp_path / "out" / "report.md").read_text()
    cells = row(text, "simpleclick_vit_base_cocolvis -> mine ")
    was, now = summarise(measured("x", 8))["noc"]["80"], summarise(measured("x", 4))["noc"]["80"]
    assert cells[1:3] == ["30", f"{was:.2f} -> {now:.2f}"]
    assert cells[6].startswith(f"{1 - now / was:.1%} [")
    assert row(text, "simpleclick_vit_base_cocolvis+cfr4 -> mine+cfr4")
    assert {
        (one["study_model"], one["fine_tuned"], one["noc"]["80"]["table"]) for one in told["study"] if one["objects_of"] == "overall"
    } == {
        ("SimpleClick", False, 1),
        ("SimpleClick-CFR", False, 1),
        ("SimpleClick", True, 2),
        ("SimpleClick-CFR", True, 2),
    }
    assert "† Table 7 repeats Table 5" in text


def test_one_model_in_two_versions_is_shown_before_and_after(tmp_path: Path) -> None:
    old = write(tmp_path / "old.json", measured("m", 9, "1"))
    new = write(tmp_path / "new.json", measured("m", 5, "2"))
    report(old, new, "--out", tmp_path / "out")
    assert "| m (old) -> m (new) " in (tmp_path / "out" / "report.md").read_text()


def test_bands_of_one_set_stand_side_by_side(tmp_path: Path) -> None:
    run = json.loads(write(tmp_path / "a.json", measured("m [RGB]", 4), measured("m4 [RGBIR]", 6), bands=["RGB", "RGBIR"]).read_text())
    run["models"]["m [RGB]"]["bands"], run["models"]["m4 [RGBIR]"]["bands"] = "RGB", "RGBIR"
    (tmp_path / "a.json").write_text(json.dumps(run))
    report(tmp_path / "a.json", "--out", tmp_path / "out")
    text = (tmp_path / "out" / "report.md").read_text()
    assert "## potsdam, RGB\n" in text
    assert "## potsdam, RGBIR\n" in text
    assert "## Three and four bands: potsdam" in text
    (header,) = [line for line in text.splitlines() if line.startswith("| NoC80/85/90/95")]
    assert [cell.strip() for cell in header.strip("|").split("|")] == ["NoC80/85/90/95", "RGB: m", "RGBIR: m4"]
    assert row(text, "overall (30)")[1].count("/") == 3


def test_without_results_by_object_means_are_compared_and_that_is_said(tmp_path: Path) -> None:
    result = write(tmp_path / "a.json", measured("a", 4), measured("b", 8), parquet=False)
    report(result, "--out", tmp_path / "out")
    assert "compared by their means alone" in (tmp_path / "out" / "report.md").read_text()


def test_a_set_can_be_named_and_the_report_says_so(tmp_path: Path) -> None:
    result = write(tmp_path / "a.json", measured("sam_vit_b", 6), kind="COCO instances", patch=None)
    report(result, "--out", tmp_path / "out", "--study-set", "PRGIR")
    text = (tmp_path / "out" / "report.md").read_text()
    assert "That this data stands for PRGIR is what --study-set says." in text
    assert "/ 6.78 (" in text
    assert "these are whole images" in text


def test_an_isprs_run_without_named_bands_is_told_how_to_compare(tmp_path: Path) -> None:
    report(write(tmp_path / "a.json", measured("sam_vit_b", 6), bands=None), "--out", tmp_path / "out")
    assert "give bench --bands RGB, IRRG or RGBIR" in (tmp_path / "out" / "report.md").read_text()


@pytest.mark.parametrize("content", ["", "[]", '{"models": {}}', '{"settings": {"data": "d"}, "models": {"m": 3}}'])
def test_what_is_no_result_is_refused_and_nothing_is_written(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UsageError, match=r"a\.json"):
        report(tmp_path / "a.json", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_result_of_an_earlier_version_is_told_from_a_broken_one(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"settings": {"data": "d"}, "models": {"m": {"version": "1", "objects": 3}}}))
    with pytest.raises(UsageError, match="lacks noc, as an earlier version of bench wrote it"):
        report(tmp_path / "a.json", "--out", tmp_path / "out")


def test_refusals_name_what_was_given(tmp_path: Path) -> None:
    result = write(tmp_path / "a.json", measured("m", 4))
    with pytest.raises(UsageError, match="--fine-tuned m is no pair"):
        report(result, "--out", tmp_path / "out", "--fine-tuned", "m")
    with pytest.raises(UsageError, match="names other, which no result has"):
        report(result, "--out", tmp_path / "out", "--fine-tuned", "m=other")
    with pytest.raises(UsageError, match="in the same version"):
        report(result, result, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
