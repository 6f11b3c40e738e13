"""The loop: it goes on where it was, with the same losses; it stops when asked; it keeps the best; it refuses another run's checkpoint."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scene_pools import scene_pool
from torch import Tensor, nn

from backend.errors import ModelError, UsageError
from backend.segmenters import registry
from backend.segmenters.vitclick import VitClick
from backend.training.episode import Episode, EpisodeSettings
from backend.training.episode_training import EpisodeTraining
from backend.training.loop import train
from backend.training.objects import Pool, PooledObject
from backend.training.optimisation import Optimisation
from backend.training.run import BEST, Outcome, Run, Validated

PLAN = Optimisation(lr=1e-3, batch=2, steps=8, warmup=2, clip=1.0, ema=0.9)
METHOD = EpisodeTraining(EpisodeSettings(input_size=28))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def pool() -> Pool:
    return scene_pool([0], 512, 60)


def network() -> nn.Module:
    torch.manual_seed(0)
    return registry.build("vitclick", "tiny")


def trained(pool: Pool, run: Run, plan: Optimisation = PLAN, method: EpisodeTraining = METHOD, validation: object = None) -> Outcome:
    return train(network(), frozenset(), pool, method, plan, run, validation)  # type: ignore[arg-type] - a test's own


def rows(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


class Interrupted(EpisodeTraining):
    """Ctrl-C is pressed while the sample of a certain number of losses is learned from."""

    def __init__(self, at: int) -> None:
        super().__init__(METHOD.settings)
        self.left = at

    def loss(self, *arguments: object) -> object:  # type: ignore[override]
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return super().loss(*arguments)  # type: ignore[arg-type]


def test_ctrl_c_ends_the_step_and_saves_and_the_next_run_does_what_one_run_would_have_done(pool: Pool, tmp_path: Path) -> None:
    handler = signal.getsignal(signal.SIGINT)  # a suite in the background is started with SIGINT ignored
    whole = trained(pool, Run(tmp_path / "whole"))
    assert whole.finished and whole.steps == 8
    stopped = trained(pool, Run(tmp_path / "parts"), method=Interrupted(3))
    assert not stopped.finished and stopped.steps == 3
    assert signal.getsignal(signal.SIGINT) is handler
    with (tmp_path / "parts" / "log.jsonl").open("a") as log:  # steps after the checkpoint, of a process that was killed
        log.write('{"step": 3, "loss": 9.0}\n{"ste')
    finished = trained(pool, Run(tmp_path / "parts"))
    assert (tmp_path / "parts" / "log.jsonl").read_bytes() == (tmp_path / "whole" / "log.jsonl").read_bytes()
    assert [row["step"] for row in rows(tmp_path / "parts")] == list(range(8))
    for name, value in whole.weights.items():
        assert torch.equal(value, finished.weights[name])


def test_a_finished_run_is_not_trained_again(pool: Pool, tmp_path: Path) -> None:
    plan = replace(PLAN, steps=1)
    first = trained(pool, Run(tmp_path), plan)
    log = (tmp_path / "log.jsonl").read_bytes()
    again = trained(pool, Run(tmp_path), plan)
    assert again.finished and (tmp_path / "log.jsonl").read_bytes() == log
    assert all(torch.equal(value, again.weights[name]) for name, value in first.weights.items())


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_loader_processes_change_nothing(pool: Pool, tmp_path: Path) -> None:
    plan = replace(PLAN, steps=4)
    trained(pool, Run(tmp_path / "none"), plan)
    trained(pool, Run(tmp_path / "two", workers=2), plan)
    assert (tmp_path / "none" / "log.jsonl").read_bytes() == (tmp_path / "two" / "log.jsonl").read_bytes()


def test_another_seed_is_another_run(pool: Pool, tmp_path: Path) -> None:
    plan = replace(PLAN, steps=1)
    trained(pool, Run(tmp_path / "a"), plan)
    trained(pool, Run(tmp_path / "b", seed=1), plan)
    assert rows(tmp_path / "a") != rows(tmp_path / "b")


def test_what_belongs_to_another_run_is_refused_in_a_sentence(pool: Pool, tmp_path: Path) -> None:
    plan, run = replace(PLAN, steps=1), Run(tmp_path, conditions={"recipe": "one", "data": ["a", 1.0]})
    trained(pool, run, plan)
    for other, words in (
        (replace(run, seed=3), "its seed is 0, now 3 is asked for"),
        (replace(run, precision="bf16-mixed"), "its precision"),
        (replace(run, conditions={"recipe": "two", "data": ["a", 1.0]}), 'its recipe is "one", now "two" is asked for'),
        (replace(run, conditions={"recipe": "one", "data": ["b", 1.0]}), "its data is"),
    ):
        with pytest.raises(ModelError, match=words):
            trained(pool, other, plan)
    with pytest.raises(ModelError, match=r"its plan.steps is 1, now 2 is asked for; .* choose another run folder"):
        trained(pool, run, replace(plan, steps=2))
    with pytest.raises(ModelError, match=r"its network\."):
        train(VitClick(width=96, depth=2, heads=2, taps=(1, 2), grid=8), frozenset(), pool, METHOD, plan, run)


class Accumulated(EpisodeTraining):
    """Notes how many samples it is asked for at a time."""

    def __init__(self) -> None:
        super().__init__(METHOD.settings)
        self.sizes: list[int] = []

    def loss(self, net: nn.Module, samples: list[Episode], rng: np.random.Generator | None, device: str) -> object:  # type: ignore[override]
        self.sizes.append(len(samples))
        return super().loss(net, samples, rng, device)


def test_a_batch_in_parts_is_still_one_step(pool: Pool, tmp_path: Path) -> None:
    method = Accumulated()
    trained(pool, Run(tmp_path), replace(PLAN, steps=2, batch=5, accumulate=2), method)
    assert method.sizes == [3, 2, 3, 2]
    assert [row["step"] for row in rows(tmp_path)] == [0, 1]


def test_gradients_of_parts_add_up_to_that_of_the_batch(tmp_path: Path) -> None:
    """A method without chance: two samples together, or one after the other."""

    class Mean:
        def draw(self, pool: Pool, rng: np.random.Generator) -> float:
            return float(rng.random())

        def loss(self, net: nn.Module, samples: list[float], rng: np.random.Generator, device: str) -> object:
            from backend.training.method import StepLoss

            return StepLoss(torch.stack([(net(torch.tensor([[sample]])) - 3.0).square().sum() for sample in samples]).mean())

        def going_on(self, samples: list[float], rng: np.random.Generator) -> list[float]:
            return []

        def packed(self, sample: float) -> dict[str, Tensor]:
            return {"sample": torch.tensor(sample)}

        def unpacked(self, tensors: Mapping[str, Tensor]) -> float:
            return float(tensors["sample"])

    found = []
    for parts in (1, 2, 4):
        torch.manual_seed(0)
        net = nn.Linear(1, 1)
        plan = Optimisation(lr=0.1, batch=4, steps=3, accumulate=parts, ema=0.0)
        empty = Pool((), (), np.zeros(0))
        found.append(train(net, frozenset(), empty, Mean(), plan, Run(tmp_path / str(parts))).weights)  # type: ignore[arg-type]
    assert torch.allclose(found[0]["weight"], found[1]["weight"]) and torch.allclose(found[0]["weight"], found[2]["weight"])


@dataclass
class Judge:
    """Says what it is told to say, and keeps what it is given."""

    costs: list[float]
    seen: list[int] = field(default_factory=list)

    def judge(self, weights: Mapping[str, Tensor], step: int) -> Validated:
        self.seen.append(step)
        cost = self.costs[len(self.seen) - 1]
        return Validated({"noc90": cost}, cost)

    def write(self, path: Path, weights: Mapping[str, Tensor]) -> None:
        save_file({name: value.contiguous() for name, value in weights.items()}, path)


def test_the_weights_of_the_best_validation_are_kept_also_over_an_interruption(pool: Pool, tmp_path: Path) -> None:
    judge = Judge([9.0, 4.0, 6.0, 5.0])
    assert not trained(pool, Run(tmp_path, validate_every=2), method=Interrupted(5), validation=judge).finished
    outcome = trained(pool, Run(tmp_path, validate_every=2), validation=judge)
    assert judge.seen == [2, 4, 6, 8]
    assert outcome.best_step == 4 and outcome.scores == {"noc90": 4.0}
    kept = load_file(tmp_path / BEST)
    assert all(torch.equal(value, outcome.weights[name]) for name, value in kept.items())
    assert [row["validation"] for row in rows(tmp_path) if "validation" in row] == [{"noc90": cost} for cost in judge.costs]


def test_labels_that_can_never_be_clicked_end_the_run(tmp_path: Path) -> None:
    everything = PooledObject(0, "all", (0, 0, 64, 64), np.ones((64, 64), np.int8))
    hopeless = Pool((np.zeros((64, 64, 3), np.uint8),), (everything,), np.ones(1))
    with pytest.raises(UsageError, match="check the labels"):
        trained(hopeless, Run(tmp_path))


def test_a_loss_that_is_no_number_ends_the_run_and_says_what_to_do(pool: Pool, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"loss of step \d is (nan|inf).* lower learning rate"):
        trained(pool, Run(tmp_path), replace(PLAN, lr=1e30, clip=0.0))


def test_devices_that_cannot_share_the_batch_or_are_not_there_are_refused(pool: Pool, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a batch of 2 cannot be shared by 3 devices"):
        trained(pool, Run(tmp_path, devices=3))
    with pytest.raises(UsageError, match="no such device"):
        trained(pool, Run(tmp_path, device="abacus"))
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="torch finds no GPU here"):
            trained(pool, Run(tmp_path, device="cuda"))


def test_curves_are_written_for_tensorboard(pool: Pool, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trained(pool, Run(tmp_path, validate_every=2), replace(PLAN, steps=2), validation=Judge([3.0]))
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    names = {"train/loss", "train/iou", "train/lr", "pace/samples/s", "pace/seconds waiting for data", "validation/noc90"}
    assert names <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("train/loss")] == [0, 1]
