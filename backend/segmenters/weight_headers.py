"""What a weight file says of itself, and its hash: read without torch, so that the server can name versions before it loads anything.

A weight file is safetensors. Its header's metadata has one key, `rsiseg`, a JSON object: `family` and `architecture` always; `recipes`,
`input_size`, `threshold`, `zoom_in`, `flip`, `licence`, `source` where they differ from the registry's entry of that architecture.
Anything else in it (data, seed, recipe of the training) is kept and not read here.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from backend.errors import ModelError

METADATA_KEY = "rsiseg"


def read_metadata(path: Path) -> dict[str, Any]:
    """The metadata object of a weight file; raises ModelError where the file is missing, damaged, or does not say what it is."""
    with open_weights(path, framework="np") as file:
        text = (file.metadata() or {}).get(METADATA_KEY)
    try:
        about = json.loads(text or "null")
    except (ValueError, RecursionError):
        about = None
    if not isinstance(about, dict) or not isinstance(about.get("family"), str) or not isinstance(about.get("architecture"), str):
        raise ModelError(
            f"{path} does not say which network it belongs to; expected the metadata `{METADATA_KEY}` with family and architecture, "
            f"as `rsiseg train` writes it; train or convert it again"
        )
    return about


def open_weights(path: Path, *, framework: str) -> Any:
    """A safetensors file, opened; tensors come as `framework` has them, "np" or "pt". Raises ModelError for anything else."""
    if not path.is_file():
        raise ModelError(f"there is no weight file {path}; expected a .safetensors file; check the path, or train or convert one")
    try:
        return safe_open(path, framework=framework)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is not a whole safetensors file ({error}); copy or download it again") from error


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes, remembered in this process until its size or modification time is another."""
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _sha256(path: Path, _nbytes: int, _modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
