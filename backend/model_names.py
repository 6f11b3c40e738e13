"""The names and versions of models, read from weights/registry.toml without torch, so that /setup and /health answer at once.

`backend.segmenters.registry` reads the same file when a model is really loaded, and checks everything that is not checked here.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from backend.errors import ModelError
from backend.segmenters.obtaining import how_to_get

WEIGHTS_FOLDER = Path(__file__).resolve().parents[1] / "weights"
DEFAULT = "default"


class ModelNames:
    """What may be asked for by name. folder: holds registry.toml and the weight files."""

    def __init__(self, folder: Path = WEIGHTS_FOLDER) -> None:
        self._folder = folder
        try:
            listed = tomllib.loads((folder / "registry.toml").read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise ModelError(f"the list of models {folder / 'registry.toml'} cannot be read ({error}); install the package again") from None
        self._default = listed.get(DEFAULT)
        self._tables: dict[str, Mapping[str, Any]] = {name: table for name, table in listed.items() if isinstance(table, dict)}

    def checked(self, name: str, *, path_allowed: bool = False) -> str:
        """The name of a model whose weights are here, `default` resolved.

        path_allowed: whether `name` may be a path to a .safetensors file. Only who starts the server may name files of its machine;
        a label config or a project may not.
        Raises ModelError for an unknown name, and for a model whose weights are not on this machine.
        """
        if path_allowed and name.endswith(".safetensors"):
            if not Path(name).is_file():
                raise ModelError(
                    f"there is no weight file {name}; expected a .safetensors file; check the path, or train one with `rsiseg train`"
                )
            return name
        wanted = str(self._default) if name == DEFAULT else name
        if wanted not in self._tables:
            known = ", ".join([DEFAULT, *self._tables])
            raise ModelError(f"there is no model '{name}'; known are {known}; use one of those")
        file = self._file(wanted)
        if file is not None and not file.is_file():
            advice = how_to_get(wanted, self._tables[wanted])
            raise ModelError(
                f"the weights of {wanted} are not on this machine, expected at {file}; {advice}, or choose one of {self._here()}"
            )
        return wanted

    def version(self, name: str) -> str:
        """`model_version` of a checked name for Label Studio: it changes with the weights and with how the registry says to use them.

        Such as `vitclick_s14@0a1b2c3d-9f8e7d6c`: weights, then settings. Label Studio skips tasks that have a prediction of this version.
        """
        if name.endswith(".safetensors"):
            return f"{Path(name).stem}@{_digest(Path(name))}"
        table = dict(self._tables[name])
        file = self._file(name)
        weights = table.pop("sha256", None) or ("generated" if file is None else _digest(file))
        settings = hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()
        return f"{name}@{weights[:8]}-{settings[:8]}"

    def versions(self) -> list[str]:
        """Versions of all models whose weights are here."""
        return [self.version(name) for name in self._tables if self._is_here(name)]

    def unavailable(self) -> dict[str, str]:
        """Names of the models whose weights are not here, each with what gets them here."""
        return {name: how_to_get(name, table) for name, table in self._tables.items() if not self._is_here(name)}

    def _file(self, name: str) -> Path | None:
        file = self._tables[name].get("file")
        return None if file is None else self._folder / str(file)

    def _is_here(self, name: str) -> bool:
        file = self._file(name)
        return file is None or file.is_file()

    def _here(self) -> str:
        return ", ".join(name for name in self._tables if self._is_here(name))


def _digest(file: Path) -> str:
    status = file.stat()
    return _digest_of(file, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest_of(file: Path, _nbytes: int, _modified: int) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()[:12]
