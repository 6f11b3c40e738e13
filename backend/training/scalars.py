"""What a run writes down step by step: log.jsonl, which a repeated run repeats to the byte, and TensorBoard's files, with times as well."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from torch.utils.tensorboard import SummaryWriter

LOG = "log.jsonl"


class RunLog:
    """The files of one run. nbytes: of the log that belong to steps that are not repeated; what follows is cut off. step: the next one."""

    def __init__(self, folder: Path, *, nbytes: int, step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = (folder / LOG).open("ab")
        if self._file.tell() > nbytes:
            self._file.truncate(nbytes)
            self._file.seek(nbytes)
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step)

    def row(self, values: Mapping[str, Any]) -> None:
        """A line of the log."""
        self._file.write(json.dumps(values).encode() + b"\n")
        self._file.flush()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Points of TensorBoard's curves, by their names."""
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def synced(self) -> int:
        """Bytes of the log, all of which are on the disk now."""
        os.fsync(self._file.fileno())
        self._board.flush()
        return self._file.tell()

    def close(self) -> None:
        """Both kinds of files."""
        self._file.close()
        self._board.close()
