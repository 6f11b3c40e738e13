"""Checkpoints: a run as it stands after a step, in one file that is there whole or not at all, whatever happens while it is written."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import torch

from backend.errors import ModelError

FILE = "checkpoint.pt"
LOCK = "run.lock"
_VERSION = 2


def locked(folder: Path) -> IO[str]:
    """An open file that keeps other processes from training in `folder` until it is closed, or this process ends in whatever way.

    ModelError where another one does. A POSIX lock: loader processes, which may outlive a killed one by seconds, do not inherit it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / LOCK).open("w")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise ModelError(f"another process trains in {folder}; wait until it is done, or choose another run folder") from error
    return file


def save_checkpoint(folder: Path, state: Mapping[str, Any], conditions: Mapping[str, Any]) -> None:
    """Writes `state` (tensors, numbers, texts, lists and dicts of them) to `folder`, on the disk when this returns.

    conditions: JSON values on which the rest of the run depends. ModelError where it cannot be written; the last one is then untouched.
    """
    path = folder / FILE
    whole = {"version": _VERSION, "conditions": json.dumps(conditions, default=str), **state}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{FILE}.", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as stream:
                torch.save(whole, stream)
                stream.flush()
                os.fsync(stream.fileno())
            Path(temporary).replace(path)
            _sync_folder(folder)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _delete_left_behind(folder)
    except (OSError, RuntimeError) as error:  # torch's writer reports a full disk as RuntimeError
        reason = str(error).splitlines()[0]
        raise ModelError(f"the checkpoint {path} cannot be written ({reason}); make room, and the same command goes on") from error


def load_checkpoint(folder: Path, conditions: Mapping[str, Any]) -> dict[str, Any] | None:
    """What `save_checkpoint` wrote, tensors on the CPU; None where there is none. ModelError for a damaged one, or other conditions."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        version = state["version"]
        held = json.loads(state["conditions"])
    except Exception as error:  # whatever a damaged archive makes torch raise
        raise ModelError(
            f"the checkpoint {path} cannot be read ({(str(error).splitlines() or [type(error).__name__])[0]}); expected one of this "
            "version's `rsiseg train`; delete it to start anew, or choose another run folder"
        ) from error
    if version != _VERSION:
        raise ModelError(f"the checkpoint {path} is of version {version}, expected {_VERSION}; choose another run folder")
    wanted = json.loads(json.dumps(conditions, default=str))
    difference = _first_difference(wanted, held)
    if difference is not None:
        raise ModelError(
            f"{path} belongs to another run: {difference}; a run goes on with the words it was started with; "
            "repeat those, or choose another run folder"
        )
    return state


def _first_difference(wanted: Any, held: Any, name: str = "") -> str | None:
    if isinstance(wanted, dict) and isinstance(held, dict):
        for key in dict.fromkeys([*wanted, *held]):
            path = f"{name}.{key}" if name else key
            found = _first_difference(wanted.get(key), held.get(key), path)
            if found is not None:
                return found
        return None
    return None if wanted == held else f"its {name} is {_short(held)}, now {_short(wanted)} is asked for"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _delete_left_behind(folder: Path) -> None:
    """What processes that were killed while they wrote left."""
    for partial in folder.glob(f".{FILE}.*.part"):
        partial.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """The new name is on the disk too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
