"""Checkpoints that are whole or not there, a log without repeated steps, samples that are the same whoever draws them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.errors import ModelError, UsageError
from backend.training.checkpoint import FILE, load_checkpoint, locked, save_checkpoint
from backend.training.loader import Draws, Samples
from backend.training.objects import Pool
from backend.training.scalars import RunLog

CONDITIONS = {"recipe": {"name": "a", "lr": 0.1}, "bands": (("R", "G"),)}
NOTHING = Pool((), (), np.zeros(0))


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    state = {"step": 3, "net": {"w": torch.arange(3.0)}, "best": {"cost": float("inf")}}
    save_checkpoint(tmp_path, state, CONDITIONS)
    found = load_checkpoint(tmp_path, CONDITIONS)
    assert found is not None and found["step"] == 3 and torch.equal(found["net"]["w"], torch.arange(3.0))
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert load_checkpoint(tmp_path / "elsewhere", CONDITIONS) is None


def test_a_write_that_fails_leaves_the_last_checkpoint_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, {"step": 1}, CONDITIONS)

    def full(state: object, stream: object) -> None:
        stream.write(b"half")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(ModelError, match=r"cannot be written .*No space left.*; make room, and the same command goes on"):
        save_checkpoint(tmp_path, {"step": 2}, CONDITIONS)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    found = load_checkpoint(tmp_path, CONDITIONS)
    assert found is not None and found["step"] == 1


def test_what_a_killed_process_left_half_written_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / f".{FILE}.abc.part").write_bytes(b"half")
    save_checkpoint(tmp_path, {"step": 1}, CONDITIONS)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ModelError, match=r"cannot be read .*; delete it to start anew, or choose another run folder"):
        load_checkpoint(tmp_path, CONDITIONS)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Command:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "made"),)

    torch.save({"version": 2, "conditions": "{}", "x": Command()}, tmp_path / FILE)
    with pytest.raises(ModelError, match="cannot be read"):
        load_checkpoint(tmp_path, {})
    assert not (tmp_path / "made").exists()


def test_other_conditions_are_named(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, {"step": 1}, CONDITIONS)
    other = {**CONDITIONS, "recipe": {"name": "a", "lr": 0.2}}
    with pytest.raises(ModelError, match=r"belongs to another run: its recipe.lr is 0.1, now 0.2 is asked for"):
        load_checkpoint(tmp_path, other)


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path) -> None:
    there = "import sys, pathlib; from backend.training.checkpoint import locked; locked(pathlib.Path(sys.argv[1]))"
    words = [sys.executable, "-c", there, str(tmp_path)]
    with locked(tmp_path):
        refused = subprocess.run(words, check=False, capture_output=True, text=True)
    assert "another process trains in" in refused.stderr and "choose another run folder" in refused.stderr
    assert refused.returncode == 1


def test_the_log_is_cut_where_the_checkpoint_was(tmp_path: Path) -> None:
    log = RunLog(tmp_path, nbytes=0, step=0)
    log.row({"step": 0})
    reached = log.synced()
    log.row({"step": 1})
    log.close()
    again = RunLog(tmp_path, nbytes=reached, step=1)
    again.row({"step": 1, "loss": 2.0})
    again.close()
    assert [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()] == [{"step": 0}, {"step": 1, "loss": 2.0}]


@dataclass(frozen=True)
class Numbers:
    """Samples that are numbers; every other draw is unusable; the one at `breaks` fails."""

    breaks: int = -1

    def draw(self, pool: Pool, rng: np.random.Generator) -> float | None:
        sample = float(rng.random())
        if self.breaks > 0 and sample > 0.9:
            raise UsageError("the cached image is gone; start again")
        return sample if sample < 0.5 else None


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_samples_follow_from_seed_process_and_number_alone() -> None:
    draws = Draws(Numbers(), NOTHING, seed=4, rank=1)  # type: ignore[arg-type]
    one = Samples(draws)
    first, second = one.take(5), one.take(5)
    expected = [np.random.default_rng((4, 1, number)).random() for number in range(100)]
    usable = [value for value in expected if value < 0.5]
    assert first + second == usable[:10]
    assert Samples(draws, workers=2).take(10) == usable[:10]
    later = Samples(draws)
    later.take(5)
    assert Samples(draws, start=later.next_draw).take(5) == second
    assert Samples(Draws(Numbers(), NOTHING, seed=4, rank=0)).take(5) != first  # type: ignore[arg-type]


def test_an_error_of_a_loader_process_arrives_as_its_sentence() -> None:
    samples = Samples(Draws(Numbers(breaks=1), NOTHING, 0, 0), workers=1)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"^the cached image is gone; start again$"):
        samples.take(100)
