"""Trains with two processes and writes down, for each, what its network became: run by test_devices.py, and by itself once more.

python two_processes.py FOLDER STEPS
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from pathlib import Path

import torch
from scene_pools import scene_pool
from torch import nn

from backend.segmenters import registry
from backend.training.episode import EpisodeSettings
from backend.training.episode_training import EpisodeTraining
from backend.training.loop import train
from backend.training.optimisation import Optimisation
from backend.training.run import Run


class StoppedInTheSecond(EpisodeTraining):
    """The second process alone is asked to stop, while it learns for the third time."""

    times = 0

    def loss(self, *arguments: object) -> object:  # type: ignore[override]
        self.times += 1
        if self.times == 3 and os.environ.get("LOCAL_RANK") == "1":
            os.kill(os.getpid(), signal.SIGTERM)
        return super().loss(*arguments)  # type: ignore[arg-type]


def digest(net: nn.Module) -> str:
    return hashlib.sha256(b"".join(value.numpy().tobytes() for value in net.state_dict().values())).hexdigest()


def main(folder: Path, stop: bool) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = registry.build("vitclick", "tiny")
    plan = Optimisation(lr=1e-3, batch=4, accumulate=2, steps=5, warmup=1, clip=1.0, ema=0.9)
    method = (StoppedInTheSecond if stop else EpisodeTraining)(EpisodeSettings(input_size=28))
    outcome = train(net, frozenset(), scene_pool([0], 512, 60), method, plan, Run(folder, devices=2))
    about = {"steps": outcome.steps, "leads": outcome.leads, "net": digest(net)}
    (folder / f"process_{os.environ.get('LOCAL_RANK', '0')}_{outcome.steps}.json").write_text(json.dumps(about))


if __name__ == "__main__":
    main(Path(sys.argv[1]), stop=sys.argv[2] == "stop")
