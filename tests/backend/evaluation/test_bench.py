"""`rsiseg bench` on a small labelled set: its JSON, resuming, workers, and what it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from backend.commands.bench import command
from backend.errors import ModelError, UsageError
from backend.evaluation import models as bench_models
from backend.evaluation.data_source import Source
from backend.evaluation.grabcut import GrabCut
from backend.evaluation.plan import Protocol, TargetLists
from backend.inference.segmenter import State
from converters.errors import RasterError, RSISegError, TaskError
from converters.frames import Box, Click


class Greedy:
    """A cheap segmenter whose mask grows with each click: disks of radius 9 around positive ones, without those around negative ones."""

    name = version = "greedy"
    recipes: tuple[tuple[str, ...], ...] = (("R", "G", "B"), ("IR", "R", "G"))
    threshold = 0.5
    takes_boxes = False
    steps = 0
    encodings: list[np.ndarray]

    def __init__(self) -> None:
        self.encodings = []

    def encode(self, image: np.ndarray) -> np.ndarray:
        self.encodings.append(image)
        return image

    def start(self, encoding: np.ndarray, initial_mask: np.ndarray | None = None, box: Box | None = None) -> State:
        return State(np.zeros(encoding.shape[:2], np.float32))

    def step(self, encoding: np.ndarray, clicks: Sequence[Click], state: State) -> State:
        Greedy.steps += 1
        mask = np.zeros(encoding.shape[:2], np.float32)
        for click in clicks:
            cv2.circle(mask, (int(click.col), int(click.row)), 9 if click.positive else 4, 1.0 if click.positive else 0.0, -1)
        return State(mask)


@pytest.fixture(autouse=True)
def greedy(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Greedy]]:
    monkeypatch.setitem(bench_models.BASELINES, "greedy", Greedy)
    Greedy.steps = 0
    yield Greedy


def bench(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)


def without_times(out: Path) -> dict:
    document = json.loads(out.read_text())
    del document["cost"]
    for numbers in document["models"].values():
        del numbers["seconds_per_click"], numbers["seconds"], numbers["seconds_interval"]
    return document


def test_the_json_has_what_the_design_promises(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    answer = bench("--data", data, "--model", "greedy", "--json", out)
    assert answer.exit_code == 0
    document = json.loads(out.read_text())
    numbers = document["models"]["greedy"]
    assert numbers["objects"] == document["settings"]["objects"] == 8
    assert list(numbers["noc"]) == list(numbers["over20"]) == ["80", "85", "90", "95"]
    assert len(numbers["miou"]) == 20
    assert all(1 <= noc <= 20 for noc in numbers["noc"].values())
    assert {name: group["objects"] for name, group in numbers["by_class"].items()} == {"car": 4, "field": 2, "roof": 2}
    assert {name: group["objects"] for name, group in numbers["by_image"].items()} == {"one.png": 4, "two.png": 4}
    assert sum(group["objects"] for group in numbers["by_size"].values()) == 8
    assert numbers["seconds_per_click"] == pytest.approx(sum(numbers["seconds"].values()))
    assert re.search(r"\| greedy +\| +8 \|", answer.stdout)
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out.json", "out.objects.parquet", "out.timings.jsonl"]


def test_small_objects_are_left_out(data: Path, tmp_path: Path) -> None:
    bench("--data", data, "--model", "greedy", "--json", tmp_path / "out.json", "--min-area", 100)
    assert set(json.loads((tmp_path / "out.json").read_text())["models"]["greedy"]["by_class"]) == {"field", "roof"}


def test_an_image_is_encoded_once_for_all_its_objects(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = Greedy()
    monkeypatch.setitem(bench_models.BASELINES, "greedy", lambda: segmenter)
    bench("--data", data, "--model", "greedy")
    assert len(segmenter.encodings) == 2


class Killed(Exception):
    pass


@pytest.mark.parametrize("after", [1, 43, 100])
def test_a_killed_run_resumes_to_the_same_bytes_without_repeating_objects(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    bench("--data", data, "--model", "greedy", "--json", tmp_path / "whole.json")
    steps_of_a_whole_run, Greedy.steps = Greedy.steps, 0
    step = Greedy.step

    def deadly(self: Greedy, encoding: np.ndarray, clicks: Sequence[Click], state: State) -> State:
        if Greedy.steps >= after:
            raise Killed
        return step(self, encoding, clicks, state)

    monkeypatch.setattr(Greedy, "step", deadly)
    with pytest.raises(Killed):
        bench("--data", data, "--model", "greedy", "--json", tmp_path / "out.json")
    monkeypatch.setattr(Greedy, "step", step)
    finished = after // 20
    partial = tmp_path / "out.partial.jsonl"
    assert len(partial.read_text().splitlines()) == 1 + finished
    with partial.open("a") as torn:
        torn.write('{"model":"greedy","vers')  # what a kill in the middle of a line leaves
    Greedy.steps = 0
    bench("--data", data, "--model", "greedy", "--json", tmp_path / "out.json", "--resume")
    assert Greedy.steps == steps_of_a_whole_run - finished * 20
    assert (tmp_path / "out.objects.parquet").read_bytes() == (tmp_path / "whole.objects.parquet").read_bytes()
    assert without_times(tmp_path / "out.json") == without_times(tmp_path / "whole.json")


def test_a_model_added_to_a_finished_run_costs_only_its_own_clicks(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.json"
    bench("--data", data, "--model", "greedy", "--json", out)
    monkeypatch.setitem(bench_models.BASELINES, "other", Greedy)
    steps, Greedy.steps = Greedy.steps, 0
    bench("--data", data, "--model", "greedy", "--model", "other", "--json", out, "--resume")
    assert Greedy.steps == steps
    numbers = without_times(out)["models"]
    assert numbers["greedy"] == numbers["other"]


def test_results_of_a_changed_model_are_not_used_again(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.json"
    bench("--data", data, "--model", "greedy", "--json", out)
    steps, Greedy.steps = Greedy.steps, 0
    monkeypatch.setattr(Greedy, "version", "greedy@2")
    bench("--data", data, "--model", "greedy", "--json", out, "--resume")
    assert Greedy.steps == steps


def test_an_unfinished_run_is_not_overwritten_by_mistake(data: Path, tmp_path: Path) -> None:
    (tmp_path / "out.partial.jsonl").write_text("{}\n")
    with pytest.raises(UsageError, match="--resume"):
        bench("--data", data, "--model", "greedy", "--json", tmp_path / "out.json")


def test_results_under_other_settings_are_not_mixed_in(data: Path, tmp_path: Path) -> None:
    bench("--data", data, "--model", "greedy", "--json", tmp_path / "out.json")
    with pytest.raises(UsageError, match="patch = None, this run has 48"):
        bench("--data", data, "--model", "greedy", "--json", tmp_path / "out.json", "--patch", 48, "--resume")


def test_two_workers_give_the_bytes_of_one(data: Path, tmp_path: Path) -> None:
    for workers in (1, 2):
        bench("--data", data, "--model", "grabcut", "--limit", 3, "--workers", workers, "--json", tmp_path / f"{workers}.json")
    assert (tmp_path / "1.objects.parquet").read_bytes() == (tmp_path / "2.objects.parquet").read_bytes()


def test_a_limit_draws_the_same_objects_for_a_seed_and_others_for_another(data: Path) -> None:
    protocol = Protocol(Source(data))
    found = protocol.source.open()
    everything = TargetLists(protocol).of(found)
    drawn = [TargetLists(protocol, 4, seed).of(found) for seed in (1, 1, 2, 3, 4)]
    assert drawn[0] == drawn[1]
    assert len({tuple(targets) for targets in drawn}) > 1
    assert all([target for target in everything if target in targets] == targets for targets in drawn)


def test_a_split_file_chooses_images(data: Path, tmp_path: Path) -> None:
    split = tmp_path / "split.txt"
    split.write_text("two\n\n")
    bench("--data", data, "--model", "greedy", "--split", split, "--json", tmp_path / "out.json")
    assert list(json.loads((tmp_path / "out.json").read_text())["models"]["greedy"]["by_image"]) == ["two.png"]


@pytest.mark.parametrize(("suffix", "passes"), [("+cfr2", 20 + 2), ("+cfr2@clicks=3", 20 + 6), ("+acfr5@clicks=all", 40)])
def test_a_refined_model_is_measured_beside_the_plain_one(data: Path, tmp_path: Path, suffix: str, passes: int) -> None:
    """Greedy reads no map, so that its second pass changes nothing and an adaptive cascade ends there."""
    bench("--data", data, "--model", f"greedy{suffix}", "--limit", 1, "--json", tmp_path / "out.json")
    assert Greedy.steps == passes
    numbers = json.loads((tmp_path / "out.json").read_text())["models"][f"greedy{suffix}"]
    assert numbers["version"] == f"greedy{suffix}"


def test_f_brs_is_measured_on_the_networks_it_is_for() -> None:
    assert bench_models.load_model("ritm_tiny+fbrsc").version.endswith("+fbrsc")


def test_bands_are_put_in_the_order_the_model_wants(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = Greedy()
    monkeypatch.setitem(bench_models.BASELINES, "greedy", lambda: segmenter)
    bench("--data", data, "--model", "greedy")
    bench("--data", data, "--model", "greedy", "--bands", "BGR")
    assert np.array_equal(segmenter.encodings[0], segmenter.encodings[2][:, :, ::-1])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--model", "greedy+cfr"], UsageError, r"ends in \+cfr; expected .*\+acfr4@clicks=all.*greedy alone"),
        (["--model", "greedy@clicks=all"], UsageError, r"ends in @clicks=all"),
        (["--model", "greedy+cfr2+acfr4"], UsageError, r"ends in \+cfr2\+acfr4"),
        (["--model", "ritm_tiny+fbrsb+cfr2"], UsageError, r"ends in \+fbrsb\+cfr2"),
        (["--model", "ritm_tiny+fbrsx"], UsageError, r"ends in \+fbrsx"),
        (["--model", "simpleclick_tiny+fbrsc"], ModelError, r"or place b"),
        (["--model", "sam_tiny+fbrsb"], ModelError, r"reads clicks as pixels"),
        (["--model", "greedy+cfr99"], UsageError, r"at most 20"),
        (["--model", "no_such+cfr4"], ModelError, "'no_such'"),
        (["--model", "no_such"], ModelError, "no_such"),
        (["--model", "greedy", "--resume"], UsageError, "without --json"),
        (["--model", "greedy", "--min-area", "100000"], UsageError, "no object of at least 100000 px"),
        (["--model", "greedy", "--bands", "RGBIR"], TaskError, "bands RGB; expected RGBIR"),
        (["--model", "greedy", "--bands", "XXX"], RasterError, "expected RGB or IRRG"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_sentence(
    data: Path, arguments: list[str], error: type[RSISegError], message: str
) -> None:
    with pytest.raises(error, match=message):
        bench("--data", data, *arguments)


def test_a_split_that_names_unknown_images_and_a_folder_of_nothing_are_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "split.txt").write_text("three.png\n")
    with pytest.raises(UsageError, match=r"three\.png"):
        bench("--data", data, "--model", "greedy", "--split", tmp_path / "split.txt")
    with pytest.raises(UsageError, match="study-test is a split of the ISPRS data sets alone"):
        bench("--data", data, "--model", "greedy", "--split", "study-test")
    (tmp_path / "empty").mkdir()
    with pytest.raises(TaskError, match="ISPRS Potsdam or Vaihingen"):
        bench("--data", tmp_path / "empty", "--model", "greedy")


def test_bench_without_data_or_models_is_a_wrong_command_line() -> None:
    for arguments, missing in (((), "--data"), (("--data", "."), "--model")):
        answer = bench(*arguments)
        assert answer.exit_code == 2
        assert f"Missing option '{missing}'" in answer.stderr


def test_report_is_a_command_of_bench_with_options_of_its_own(data: Path) -> None:
    assert "report" in bench("--help").stdout
    assert bench("report", "--help").exit_code == 0
    answer = bench("--model", "greedy", "report")
    assert answer.exit_code == 2
    assert "before 'report'" in answer.stderr


def test_grabcut_finds_a_plain_object_within_few_clicks_and_repeats_itself_bit_for_bit(data: Path) -> None:
    image = cv2.imread(str(data / "images" / "one.png"))
    clicks = [Click(row=20.5, col=28.5, positive=True), Click(row=40.5, col=28.5, positive=False)]
    states = []
    for _ in range(2):
        grabcut = GrabCut()
        encoding = grabcut.encode(image)
        state = grabcut.start(encoding)
        for number in range(1, len(clicks) + 1):
            state = grabcut.step(encoding, clicks[:number], state)
        states.append(state.probability)
    assert np.array_equal(states[0], states[1])
    wanted = np.zeros((96, 96), bool)
    wanted[10:30, 12:45] = True
    found = states[0] > 0.5
    assert (found & wanted).sum() / (found | wanted).sum() > 0.8


def test_grabcut_obeys_clicks_and_survives_windows_of_one_colour() -> None:
    grabcut = GrabCut()
    image = np.full((20, 20, 3), 128, np.uint8)
    clicks = (Click(row=5.5, col=5.5, positive=True), Click(row=15.5, col=15.5, positive=False))
    state = grabcut.start(image)
    for number in (1, 2):
        state = grabcut.step(image, clicks[:number], state)
        assert state.probability[5, 5] == 1
    assert state.probability[15, 15] == 0
    assert not grabcut.step(image, clicks[1:], grabcut.start(image)).probability.any()
