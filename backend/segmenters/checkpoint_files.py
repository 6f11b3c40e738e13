"""Checkpoints as the authors publish them (.pth), read without running anything that is in them.

A .pth file is a pickle, and a pickle is a program. Three guards, each enough alone: the names it asks for are compared with a short list
before anything is loaded; torch then loads with `weights_only=True`, which knows data and no code; and the one class that published
files hold (a loss object, MODELS.md gotcha 11) is replaced by an empty one of the same name.
"""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from backend.errors import ModelError

_LOSS_MODULE = "isegm.model.modeling.transformer_helper.cross_entropy_loss"


class _Loss:
    """Stands for SimpleClick's loss object: its state is kept as plain attributes that nobody reads."""


def _loss_function(*_: Any, **__: Any) -> None:
    """Stands for the function that the loss object refers to."""


# torch looks allowed globals up by these two attributes.
_Loss.__module__, _Loss.__qualname__ = _LOSS_MODULE, "CrossEntropyLoss"
_loss_function.__module__, _loss_function.__qualname__ = _LOSS_MODULE, "cross_entropy"

ALLOWED = {
    "collections.OrderedDict",
    "__builtin__.set",
    "builtins.set",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    *(f"torch.{kind}Storage" for kind in ("Float", "Half", "BFloat16", "Double", "Long", "Int", "Byte", "Bool")),
    f"{_LOSS_MODULE}.CrossEntropyLoss",
    f"{_LOSS_MODULE}.cross_entropy",
}
"""Every name a checkpoint may refer to."""

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_OTHER_FORMATS = (
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it, all parts together, and convert the .pth file inside"),
    (b"<", "a web page", "the download failed; open its address in a browser"),
    (b"version https://git-lfs", "a Git LFS pointer", "fetch the file itself with `git lfs pull`"),
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One network of a file. tensors: its state dict, on the CPU. config: the authors' description of it, None where there is none."""

    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any] | None

    @property
    def params(self) -> dict[str, Any]:
        """Constructor parameters that the config states, by name; empty without a config."""
        stated = (self.config or {}).get("params")
        listed = stated if isinstance(stated, Mapping) else {}
        return {name: one["value"] for name, one in listed.items() if isinstance(one, Mapping) and "value" in one}


def read_checkpoint(path: Path) -> tuple[Checkpoint, ...]:
    """The networks of a .pth file: one, or several where RITM's authors stored one for each click.

    Raises ModelError for a file that is missing, of another format, damaged, cut short, or that asks for anything but weights.
    """
    _check_format(path)
    names, broken = _globals(path)
    if foreign := sorted(names - ALLOWED):
        raise ModelError(
            f"{path} asks to use {_some(foreign)} while it is read, which no weights need; nothing of it was run; "
            "expected a checkpoint of the authors; get it from them again"
        )
    if broken is not None:
        raise _damaged(path, broken) from broken
    try:
        with torch.serialization.safe_globals([_Loss, _loss_function]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a foreign file: whatever it makes the reader stumble over, it is the file's fault
        raise _damaged(path, error) from error
    parts = content if isinstance(content, list) and content else [content]
    return tuple(_network(path, part) for part in parts)


def _check_format(path: Path) -> None:
    """Raises ModelError unless the file looks like a whole .pth file, with every checksum right where it has checksums."""
    if not path.is_file():
        what = f"{path} is a folder" if path.is_dir() else f"there is no file {path}"
        raise ModelError(f"{what}; expected a checkpoint of the authors (.pth); check the path")
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise ModelError(f"{path} is empty; expected a checkpoint of the authors (.pth); download or copy it again")
    if path.suffix == ".safetensors" or head[8:9] == b"{":  # safetensors: the length of a JSON object, then the object
        raise ModelError(
            f"{path} is a safetensors file, so either converted already, and then a model name (--model FILE.safetensors), or not the "
            "authors'; expected their .pth file"
        )
    for magic, what, advice in _OTHER_FORMATS:
        if head.lstrip().startswith(magic):
            raise ModelError(f"{path} is {what}; expected a checkpoint (.pth); {advice}")
    if head.startswith(_ZIP):
        try:
            _check_archive(path)
        except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError) as error:
            raise _damaged(path, error) from error
    elif not head.startswith(_PICKLE):
        raise ModelError(f"{path} is no checkpoint: it begins with {head[:8]!r}; expected a .pth file of the authors; download it again")


def _is_archive(path: Path) -> bool:
    """Decided as torch decides it, by the first bytes, so that both look at the same part of a file that is two things at once."""
    with path.open("rb") as file:
        return file.read(len(_ZIP)) == _ZIP


def _check_archive(path: Path) -> None:
    """torch does not look at the checksums of its archives, so a flipped bit would become a weight.

    Nothing is unpacked, and no more is read than the file is long: members that are compressed or lie in each other make archives
    that grow without end.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise zipfile.BadZipFile(
                "it is compressed, which torch never does; a checkpoint inside another archive is to be unpacked first"
            )
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise zipfile.BadZipFile("its parts together are longer than the file")
        broken = archive.testzip()
    if broken is not None:
        raise zipfile.BadZipFile(f"the checksum of {broken} is wrong")


def _globals(path: Path) -> tuple[set[str], Exception | None]:
    """Every `module.name` that the pickles of the file refer to, and where reading them ended early, why."""
    names: set[str] = set()
    try:
        for name in _globals_in_order(path):
            names.add(name)
    except Exception as error:  # a foreign file, as above: the instructions themselves may be nonsense
        return names, error
    return names, None


def _globals_in_order(path: Path) -> Iterator[str]:
    """Reads the instructions of the pickles and carries none of them out."""
    if _is_archive(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".pkl"):
                    with archive.open(name) as file:
                        yield from _globals_of_pickle(file)
    else:
        with path.open("rb") as file:
            for _ in range(5):  # torch before 1.6: magic number, version, machine, the object, its storages; then numbers
                yield from _globals_of_pickle(file)


def _globals_of_pickle(file: IO[bytes]) -> Iterator[str]:
    for instruction, argument, _ in pickletools.genops(file):
        if instruction.name in ("GLOBAL", "INST"):
            yield str(argument).replace(" ", ".", 1)
        elif instruction.name in ("STACK_GLOBAL", "EXT1", "EXT2", "EXT4"):
            # The name is put together while the program runs. torch.save writes protocol 2, which has none of this.
            yield f"a name hidden by {instruction.name}"


def _network(path: Path, content: Any) -> Checkpoint:
    """A state dict beside a config (RITM and its family), or a plain state dict (SAM)."""
    tensors, config = content, None
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        tensors, config = content["state_dict"], content.get("config")
    if not isinstance(tensors, Mapping) or not tensors:
        raise ModelError(f"{path} holds a {type(content).__name__}; expected a state dict, alone or beside its config; give another file")
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor) or tensor.layout != torch.strided or tensor.is_meta:
            raise ModelError(f"{path} holds {type(tensor).__name__} under {_some([str(name)])}; expected a tensor; give another file")
    return Checkpoint(dict(tensors), config if isinstance(config, Mapping) else None)


def _damaged(path: Path, error: Exception) -> ModelError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    if "weights_only" in reason:  # torch's message goes on with advice to load without its guard
        reason = "it holds more than weights"
    return ModelError(f"{path} is damaged or cut short ({reason[:160]}); expected a whole checkpoint; download or copy it again")


def _some(names: list[str]) -> str:
    shown = ", ".join(name[:100] for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
