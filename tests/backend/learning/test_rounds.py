"""A round ends in a record, and in a version only where the verdict on the project's own held-out images is good beyond chance.

The network is a miniature with random weights: what is tested is what happens with a verdict, not that such weights learn. Two tests use
the real verdict (one step cannot help); the others are given one.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from accepted_project import brushes, names, tasks_of
from version_files import write_tiny

from backend.learning import rounds
from backend.learning.procedural import SCENES, procedural_set
from backend.learning.round_order import Learning, Replay, RoundOrder, read_order
from backend.learning.rounds import Home, InterruptedRound, begin, carry_on, give_up
from backend.learning.versions import SHIPPED
from backend.training.verdict import Verdict

PROJECT = 7
BETTER = Verdict(30, 9, 6.5, 5.25, (-1.8, -0.6), "image", 9)
SAME = Verdict(30, 9, 6.5, 6.4, (-0.8, 0.6), "image", 9)
LEARNING = Learning(steps=2, batch=2, precision="fp32")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("weights") / "tiny.safetensors", seed=1)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("pictures")
    return folder, tasks_of(folder, names(8, 4))


@pytest.fixture
def home(tmp_path: Path, pictures: tuple[Path, Any]) -> Home:
    return Home(tmp_path / "data", PROJECT, roots=(pictures[0],))


@pytest.fixture
def begun(home: Home, tiny: Path, pictures: tuple[Path, dict[int, dict[str, Any]]], tmp_path: Path) -> Callable[..., Path]:
    """Begins a round."""

    def start(learning: Learning = LEARNING, tasks: list[dict[str, Any]] | None = None) -> Path:
        export = tmp_path / "export.json"
        export.write_text(json.dumps(list(pictures[1].values()) if tasks is None else tasks))
        current = home.versions.current(PROJECT)
        parent = SHIPPED if current is None else current.number
        order = RoundOrder(PROJECT, home.next_number(), str(tiny), parent, brushes(pictures[1]), 12, False, learning)
        return begin(home, order, export, {"1:a", "2:b"})

    return start


def given(verdict: Verdict) -> Any:
    return lambda *_: verdict


def test_better_weights_become_the_version_that_answers_and_the_next_round_learns_on_from_them(
    home: Home, begun: Callable[..., Path], pictures: tuple[Path, dict[int, Any]]
) -> None:
    record = carry_on(home, begun(), given(BETTER))
    assert record["promoted"] == 1 and record["why"].startswith("promoted: better beyond the interval; 30 held-out objects")
    assert record["objects"] == brushes(pictures[1]) and record["held out"]["images"] == 4 and record["seconds"] > 0
    one = home.versions.current(PROJECT)
    assert one is not None and (one.number, one.parent, one.about["round"]) == (1, SHIPPED, 1)
    assert one.about["held out"] == BETTER.as_json()
    second = begun()
    assert read_order(second).parent == 1
    assert carry_on(home, second, given(BETTER))["promoted"] == 2
    two = home.versions.current(PROJECT)
    assert two is not None and two.parent == 1 and two.weights.read_bytes() != one.weights.read_bytes()
    assert home.records()[1]["parent"] == 1
    assert not list(home.rounds.glob("*/run")) and not list(home.rounds.glob("*/candidate*"))


def test_weights_that_are_no_better_are_not_promoted_by_the_real_verdict(home: Home, begun: Callable[..., Path]) -> None:
    record = carry_on(home, begun())
    assert record["promoted"] is None and record["why"].startswith("not promoted: no better beyond the interval")
    assert record["verdict"]["objects"] == record["held out"]["objects"] > 0
    assert home.versions.current(PROJECT) is None and home.versions.of(PROJECT) == []


def test_only_images_of_the_project_judge(home: Home, begun: Callable[..., Path]) -> None:
    """Replayed sets have held-out images of their own."""
    judged: list[int] = []

    def judge(entry: Any, before: Any, after: Any, pool: Any, device: str) -> Verdict:
        judged.append(len(pool.objects))
        return SAME

    procedural_set(home.data_dir / "learning" / SCENES, count=10)
    replay = Learning(replay=(Replay(SCENES, 0.5),), steps=1, batch=2, precision="fp32")
    alone = carry_on(home, begun(), judge)
    mixed = carry_on(home, begun(replay), judge)
    assert judged[0] == judged[1] == alone["held out"]["objects"]
    assert mixed["learning"]["replay"] == [{"path": SCENES, "weight": 0.5}]


def test_too_few_held_out_images_train_nothing(home: Home, begun: Callable[..., Path], pictures: tuple[Path, dict[int, Any]]) -> None:
    record = carry_on(home, begun(tasks=list(pictures[1].values())[:9]), given(BETTER))
    assert record["promoted"] is None and record["verdict"] is None
    assert "on 1 held-out images of the project cannot judge" in record["why"] and "annotate more images" in record["why"]


def test_a_round_that_was_interrupted_goes_on_from_its_checkpoint(
    home: Home, begun: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = begun(Learning(steps=6, batch=2, precision="fp32"))
    from backend.training import loop

    whole = loop._Loop._one_step

    def interrupted(self: Any, bar: Any, interruption: Any, due: bool) -> Any:
        if self.step == 3:
            signal.raise_signal(signal.SIGINT)
        return whole(self, bar, interruption, due)

    with monkeypatch.context() as patched:
        patched.setattr(loop._Loop, "_one_step", interrupted)
        with pytest.raises(InterruptedRound):
            carry_on(home, folder, given(BETTER))
    assert home.unfinished() == folder and home.records() == []
    log = (folder / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in log] == [0, 1, 2, 3]
    steps: list[int] = []

    def counted(self: Any, *words: Any) -> Any:
        steps.append(self.step)
        return whole(self, *words)

    monkeypatch.setattr(loop._Loop, "_one_step", counted)
    assert carry_on(home, folder, given(BETTER))["promoted"] == 1
    assert steps == [4, 5] and home.unfinished() is None


def test_a_kill_between_version_and_promotion_makes_no_second_version(
    home: Home, begun: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = begun()
    with monkeypatch.context() as patched:

        def killed(self: Any, project: int, number: int) -> None:
            raise KeyboardInterrupt

        patched.setattr(rounds.Versions, "promote", killed)
        with pytest.raises(KeyboardInterrupt):
            carry_on(home, folder, given(BETTER))
    assert carry_on(home, folder, given(BETTER))["promoted"] == 1
    assert [one.number for one in home.versions.of(PROJECT)] == [1]


def test_a_rollback_during_the_round_is_not_overruled(home: Home, begun: Callable[..., Path]) -> None:
    carry_on(home, begun(), given(BETTER))
    folder = begun()

    def judge(*_: Any) -> Verdict:
        home.versions.roll_back(PROJECT)
        return BETTER

    record = carry_on(home, folder, judge)
    assert record["promoted"] is None and record["why"].startswith("kept as version 2, not promoted: another version was made current")
    assert home.versions.current(PROJECT) is None


def test_new_objects_are_told_from_those_of_the_last_round(home: Home, begun: Callable[..., Path]) -> None:
    assert home.seen() == frozenset()
    folder = begun()
    assert home.seen() == {"1:a", "2:b"}
    record = give_up(folder, "given up: no memory")
    assert record["why"] == "given up: no memory" and home.unfinished() is None and home.next_number() == 2


def test_a_shorter_round_warms_up_for_the_same_share() -> None:
    assert Learning(steps=30).settled().optimisation.warmup == 2
    plan = Learning(lr=1e-4, batch=3).settled().optimisation
    assert (plan.lr, plan.pretrained_lr, plan.batch, plan.steps, plan.warmup) == (1e-4, 1e-4, 3, 300, 20)


def test_drawn_scenes_are_the_same_everywhere_and_made_once(tmp_path: Path) -> None:
    one, two = procedural_set(tmp_path / "a" / "scenes", count=3), procedural_set(tmp_path / "b" / "scenes", count=3)
    files = sorted(path.relative_to(one) for path in one.rglob("*.*"))
    assert len(files) == 7 and all((one / file).read_bytes() == (two / file).read_bytes() for file in files)
    (one / "images" / "scene 0.png").unlink()
    assert procedural_set(one, count=3) == one and not (one / "images" / "scene 0.png").exists()
