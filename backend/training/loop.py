"""The training loop: a method's samples in, averaged weights out, on one device or several; interruptible and resumable at any step.

Everything random follows from (seed, process, number of the draw or the step), so what a step does is the same in a run that was killed
and taken up again as in one that was not: to the bit on a CPU with one thread, up to the order of sums elsewhere.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from tqdm import tqdm

from backend.errors import ModelError, UsageError
from backend.training.averaging import Average
from backend.training.checkpoint import load_checkpoint, locked, save_checkpoint
from backend.training.devices import fabric_of, gathered
from backend.training.interruption import Interruption
from backend.training.loader import Draws, Samples
from backend.training.method import Method, StepLoss
from backend.training.objects import Pool
from backend.training.optimisation import Optimisation
from backend.training.optimiser import optimiser_of
from backend.training.run import BEST, Outcome, Run, Validation
from backend.training.scalars import RunLog
from backend.training.schedule import share_of_peak

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # devices.py says what is missing where it is not installed


@dataclass(slots=True)
class Best:
    """The best validation so far."""

    cost: float = math.inf
    step: int = 0
    scores: dict[str, float] = field(default_factory=dict)


def train(
    net: nn.Module,
    pretrained: frozenset[str],
    pool: Pool,
    method: Method[Any],
    plan: Optimisation,
    run: Run,
    validation: Validation | None = None,
) -> Outcome:
    """Trains `net`; a checkpoint in `run.folder` is continued, and steps already done are not repeated.

    pretrained: names of parameters that start from pretrained weights. With several devices the whole command runs once for each, and
    this starts the others. UsageError, ModelError: see `load_checkpoint`, `Samples` and `fabric_of`.
    """
    return _Loop(net, pretrained, pool, method, plan, run, validation).carried_out()


class _Work(nn.Module):
    """The network as torch's data parallelism wants to see it: one forward pass a step, whatever a method does with the network in it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, work: Callable[[], StepLoss]) -> tuple[Tensor, dict[str, float]]:
        found = work()
        return found.loss, dict(found.scalars)


class _Loop:
    def __init__(
        self,
        net: nn.Module,
        pretrained: frozenset[str],
        pool: Pool,
        method: Method[Any],
        plan: Optimisation,
        run: Run,
        validation: Validation | None,
    ) -> None:
        self.method, self.plan, self.run, self.validation = method, plan, run, validation
        self.fabric: Fabric = fabric_of(run.device, run.devices, run.precision)
        self.share = _share(plan, run.devices)
        self.fabric.launch()
        self.leads = self.fabric.is_global_zero
        self.net = net.to(self.fabric.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload] - torch's stubs lack it
        if self.fabric.device.type == "cpu":
            _unfuse_attention(self.net)
        self.optimiser = optimiser_of(self.net, pretrained, plan)
        self.work, self.stepper = self.fabric.setup(_Work(self.net), self.optimiser)
        self.average = Average(self.net, plan.ema)
        self.best = Best()
        self.lock = locked(run.folder) if self.leads else None
        self.step, log_bytes, draw = 0, 0, 0
        self.batch: list[Any] = []  # samples that go on
        state = load_checkpoint(run.folder, self._conditions())
        if state is not None:
            log_bytes, draw = self._take_up(state)
        draws = Draws(method, pool, run.seed, self.fabric.global_rank)
        self.samples = Samples(draws, start=draw, workers=run.workers if self.step < plan.steps else 0)
        self.log = RunLog(run.folder, nbytes=log_bytes, step=self.step) if self.leads else None

    def carried_out(self) -> Outcome:
        """All steps, or those up to an interruption."""
        interruption, saved = Interruption(), time.monotonic()
        with ExitStack() as stack:
            stack.enter_context(interruption.watching())
            if self.lock is not None and self.log is not None:
                stack.enter_context(self.lock)
                stack.callback(self.log.close)
            bar = stack.enter_context(self._progress())
            stop = False
            while self.step < self.plan.steps and not stop:
                due = time.monotonic() - saved > self.run.save_seconds
                stop, due = self._one_step(bar, interruption, due)
                validate = self.step % self.run.validate_every == 0 or self.step == self.plan.steps
                if validate and self.validation is not None:
                    self._validate(self.validation)
                if stop or due or validate:
                    self._save()
                    saved = time.monotonic()
        return self._outcome()

    def _one_step(self, bar: tqdm[Any], interruption: Interruption, due: bool) -> tuple[bool, bool]:
        """One step of the optimiser. Whether the run is to stop, and to be saved: the processes agree."""
        started, waited = time.perf_counter(), self.samples.seconds_waited
        share = share_of_peak(self.step, self.plan)
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * share
        self.batch += self.samples.take(self.share - len(self.batch))
        parts, scalars = self._learn()
        self.average.follow(self.net, self.step)
        rng = np.random.default_rng((self.run.seed, self.fabric.global_rank, self.step, 0, 1))
        self.batch = self.method.going_on(self.batch, rng)[: self.share]
        # Only now: a GPU may still be at the backward pass while the next clicks are made, and its loss has to be waited for.
        loss = sum(float(part) * weight for part, weight in parts)
        # The leading process alone says when to save: clocks differ.
        agreed = [loss, scalars.get("iou", 0.0), float(interruption.wanted), float(due and self.leads)]
        if self.fabric.world_size > 1:
            summed = torch.tensor(agreed, dtype=torch.float64, device=self.fabric.device)
            torch.distributed.all_reduce(summed)
            agreed = summed.tolist()
        loss = agreed[0] / self.fabric.world_size
        if "iou" in scalars:
            scalars["iou"] = agreed[1] / self.fabric.world_size
        if not math.isfinite(loss):
            raise ModelError(
                f"the loss of step {self.step} is {loss}; expected a number; the last checkpoint in {self.run.folder} is from before; "
                "train with a lower learning rate, or with --precision fp32, in another run folder"
            )
        if self.log is not None:
            row = {"step": self.step, "loss": loss, "lr": self.plan.lr * share, **scalars}
            self.log.row(row)
            seconds = time.perf_counter() - started
            pace = {"samples/s": self.plan.batch / seconds, "seconds waiting for data": self.samples.seconds_waited - waited}
            self.log.scalars(self.step, {f"train/{name}": value for name, value in row.items() if name != "step"})
            self.log.scalars(self.step, {f"pace/{name}": value for name, value in pace.items()})
        self.step += 1
        bar.update()
        bar.set_postfix({"loss": f"{loss:.3f}", "iou": f"{scalars.get('iou', math.nan):.3f}"}, refresh=False)
        return agreed[2] > 0, agreed[3] > 0

    def _learn(self) -> tuple[list[tuple[Tensor, float]], dict[str, float]]:
        """Forward and backward passes over this process's samples in `accumulate` parts, and a step of the optimiser.

        Returns the loss of each part with its share of the samples, and the scalars.
        """
        self.net.train()
        torch.manual_seed(np.random.SeedSequence((self.run.seed, self.fabric.global_rank, self.step, 0, 2)).generate_state(1)[0])
        losses, sums, shares = list[tuple[Tensor, float]](), dict[str, float](), dict[str, float]()
        parts = [part for part in np.array_split(np.arange(self.share), self.plan.accumulate) if len(part)]
        for number, places in enumerate(parts, start=1):
            rng = np.random.default_rng((self.run.seed, self.fabric.global_rank, self.step, number))
            chosen, weight = [self.batch[place] for place in places], len(places) / self.share
            task = partial(self.method.loss, self.net, chosen, rng, str(self.fabric.device))
            with self.fabric.no_backward_sync(self.work, enabled=number < len(parts)):
                loss, scalars = self.work(task)
                self.fabric.backward(loss * weight)
            losses.append((loss.detach(), weight))
            for name, value in scalars.items():
                sums[name], shares[name] = sums.get(name, 0.0) + value * weight, shares.get(name, 0.0) + weight
        if self.plan.clip:
            self.fabric.clip_gradients(self.work, self.stepper, max_norm=self.plan.clip, error_if_nonfinite=False)
        self.stepper.step()
        self.stepper.zero_grad(set_to_none=True)
        return losses, {name: value / shares[name] for name, value in sums.items()}

    def _validate(self, validation: Validation) -> None:
        """The leading process judges; the others wait."""
        if self.leads:
            weights = self.average.weights
            found = validation.judge(weights, self.step)
            if found.cost < self.best.cost:
                self.best = Best(found.cost, self.step, dict(found.scores))
                validation.write(self.run.folder / BEST, weights)
            if self.log is not None:
                self.log.row({"step": self.step - 1, "validation": dict(found.scores)})
                self.log.scalars(self.step - 1, {f"validation/{name}": value for name, value in found.scores.items()})
        self.fabric.barrier()

    def _save(self) -> None:
        mine = {"draw": self.samples.next_draw, "samples": [self.method.packed(sample) for sample in self.batch]}
        every = gathered(self.fabric, mine)
        if self.log is not None:
            state = {
                "step": self.step,
                "net": self.net.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "average": self.average.weights,
                "best": {"cost": self.best.cost, "step": self.best.step, "scores": self.best.scores},
                "log_bytes": self.log.synced(),
                "processes": every,
            }
            save_checkpoint(self.run.folder, state, self._conditions())
        self.fabric.barrier()

    def _take_up(self, state: Mapping[str, Any]) -> tuple[int, int]:
        """Goes on from a checkpoint: (bytes of the log, number of this process's next draw)."""
        self.net.load_state_dict(state["net"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average.load(state["average"])
        self.best = Best(**state["best"])
        self.step = state["step"]
        mine = state["processes"][self.fabric.global_rank]
        self.batch = [self.method.unpacked(sample) for sample in mine["samples"]]
        return state["log_bytes"], mine["draw"]

    def _conditions(self) -> dict[str, Any]:
        shapes = {name: list(value.shape) for name, value in self.net.state_dict().items()}
        own = {"seed": self.run.seed, "precision": self.run.precision, "devices": self.fabric.world_size}
        return {**self.run.conditions, **own, "plan": _plain(self.plan), "network": shapes}

    def _progress(self) -> tqdm[Any]:
        pause = 0.5 if sys.stderr.isatty() else 20.0
        return tqdm(total=self.plan.steps, initial=self.step, desc="training", unit="step", mininterval=pause, disable=not self.leads)

    def _outcome(self) -> Outcome:
        kept = self.run.folder / BEST
        weights: Mapping[str, Tensor] = self.average.weights
        if self.leads and self.best.step:
            weights = load_file(kept)
        done = self.step >= self.plan.steps
        return Outcome(weights, self.average.weights, self.best.scores, self.best.step or self.step, self.step, done, self.leads)


def _share(plan: Optimisation, devices: int) -> int:
    """Samples of a step for one device."""
    if plan.batch % devices or plan.batch // devices < plan.accumulate:
        raise UsageError(
            f"a batch of {plan.batch} cannot be shared by {devices} devices in {plan.accumulate} parts each; expected a multiple of "
            f"{devices}, {devices * plan.accumulate} at least; choose another --batch"
        )
    return plan.batch // devices


def _plain(plan: Optimisation) -> dict[str, Any]:
    return {name: getattr(plan, name) for name in plan.__slots__}


def _unfuse_attention(net: nn.Module) -> None:
    """timm's blocks with plain attention: on a CPU the fused one's backward pass is slower (10 against 12.6 samples a second)."""
    for module in net.modules():
        if hasattr(module, "fused_attn"):
            setattr(module, "fused_attn", False)  # noqa: B010 - no module's type knows the name
