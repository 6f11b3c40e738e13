"""Label Studio's own Python environment, made with uv from label-studio.lock, which is installed with this package.

Its own, because Label Studio pins Django and some 130 other packages that the backend neither needs nor should be held to.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from backend.errors import UsageError

VERSION = "1.23.2"
CHECKOUT = Path(__file__).resolve().parents[2]
LOCK = Path(__file__).with_name("label-studio.lock")
_STAMP = "rsiseg-lock.sha256"

Tell = Callable[[str], None]


def default_environment(data_folder: Path) -> Path:
    """Beside the other environments in a checkout, where `make` and the tests share it; in the data folder otherwise."""
    return CHECKOUT / ".venv-label-studio" if (CHECKOUT / "Makefile").is_file() else data_folder / "label-studio-env"


def ensure(environment: Path, tell: Tell) -> Path:
    """The `label-studio` command of an environment that agrees with the lock file, made or brought up to date where it does not.

    Raises UsageError with uv's last words when that fails, in which case the next call begins anew.
    """
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    command = environment / "bin" / "label-studio"
    stamp = environment / _STAMP
    if command.is_file() and stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return command
    tell(f"installing Label Studio {VERSION} in {environment} (once: 250 MB to download, 0.8 GB on disk)")
    uv = find_uv(environment.parent, tell)
    if not (environment / "bin" / "python").exists():
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(environment)])
    python = str(environment / "bin" / "python")
    _run([uv, "pip", "sync", "--python", python, str(LOCK)])
    stamp.write_text(wanted, encoding="utf-8")
    return command


def find_uv(folder: Path, tell: Tell) -> str:
    """The uv on PATH, beside this Python, or of the checkout's Makefile; otherwise one made in `folder` with venv and pip."""
    near = [Path(sys.executable).parent / "uv", CHECKOUT / ".uv" / "bin" / "uv", folder / ".uv" / "bin" / "uv"]
    found = shutil.which("uv") or next((str(path) for path in near if path.is_file()), None)
    if found:
        return found
    own = folder / ".uv"
    tell(f"installing uv in {own}")
    _run([sys.executable, "-m", "venv", str(own)])
    _run([str(own / "bin" / "pip"), "install", "--quiet", "uv"])
    return str(own / "bin" / "uv")


def _run(command: Sequence[str]) -> None:
    """Shows the command's progress on standard error as it comes. Raises UsageError when it fails or is not there."""
    # A virtual environment that happens to be active must not become uv's target, nor a project file around the folder its settings.
    environ = {**os.environ, "UV_NO_CONFIG": "1"}
    environ.pop("VIRTUAL_ENV", None)
    try:
        subprocess.run(command, check=True, env=environ, stdout=sys.stderr.fileno(), stdin=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UsageError(
            f"`{' '.join(command[:3])} ...` failed ({error}); its own words are above; Label Studio needs Python 3.11 or later, "
            "0.8 GB of disk and, once, a connection to the package index"
        ) from None
