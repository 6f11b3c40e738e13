"""How the server was started: one frozen value, read from the environment and overridden by the options of `rsiseg serve`.

| variable | meaning |
|---|---|
| RSISEG_HOST, RSISEG_PORT | address to listen on |
| RSISEG_WORKERS, RSISEG_THREADS | processes, and threads in each |
| RSISEG_MODEL | registry name or .safetensors file of the model that no project or tag overrides |
| RSISEG_CFR, RSISEG_CFR_CLICKS | refinement that no project or tag overrides: `off`, `4`, `auto:4`; of the first `1` clicks or `all` |
| RSISEG_FBRS | `off`, `b` or `c`: f-BRS likewise; not together with CFR |
| RSISEG_CORRECT | `on`: a click on a region that is there already corrects it; `off`: every click is about a new object |
| RSISEG_PROPOSE | proposals before anyone clicked: `off`; `batch`, where predictions of tasks are asked for; `on`, on opening a task too |
| RSISEG_PROPOSE_SCORE | the least score of a proposal, 0 to 1 (docs/preannotation.md) |
| RSISEG_DEVICE | `auto`, `cpu`, `cuda`, `cuda:1` ... |
| RSISEG_PRECISION | `auto`, `fp32`, `mixed` or `bf16`, see backend/segmenters/precision.py |
| RSISEG_DATA_DIR | folder for what must survive a restart; the workers share it |
| RSISEG_ROOT | folders that rasters may be read from, separated as in PATH |
| RSISEG_DOCUMENT_ROOT | Label Studio's LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT, where it is readable here |
| RSISEG_LABEL_STUDIO_URL, else LABEL_STUDIO_URL | where uploads are fetched from |
| RSISEG_ALLOW_ORIGIN | further servers to read pictures from, such as https://tiles.example.org, separated by blanks |
| LABEL_STUDIO_API_KEY | personal or legacy token for that; an environment variable only, never an option, never logged |
| RSISEG_BASIC_AUTH_USER, RSISEG_BASIC_AUTH_PASSWORD | ask Label Studio for these; both or neither |
| RSISEG_CACHE_MB | memory for probability maps, encodings and pixels in each worker process |
| RSISEG_DISK_CACHE_MB | disk for encodings in the data folder, shared by the workers; 0 for none |
| RSISEG_WARM_TASKS | tasks made ready before they are opened, see docs/ready.md; 0: only the opened one |
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from backend.errors import ContractError, UsageError
from backend.inference.refinement import Refinement
from backend.segmenters.precision import AUTO, CHOICES

SWITCH = ("on", "off")
PROPOSE = ("off", "batch", "on")
FOLDER_VARIABLES = ("RSISEG_ROOT", "RSISEG_DOCUMENT_ROOT", "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT")


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """See the module's table. api_key and basic_auth_password are left out of the `repr`."""

    host: str = "127.0.0.1"
    port: int = 9090
    workers: int = 1
    threads: int = 8
    model: str = "default"
    cfr: str = "off"
    cfr_clicks: str = "1"
    fbrs: str = "off"
    correct: str = "on"
    propose: str = "batch"
    propose_score: float = 0.25
    device: str = "auto"
    precision: str = AUTO
    data_dir: Path = Path("rsiseg-data")
    roots: tuple[Path, ...] = ()
    document_root: Path | None = None
    label_studio_url: str | None = None
    allowed_origins: tuple[str, ...] = ()
    api_key: str | None = field(default=None, repr=False)
    basic_auth_user: str | None = None
    basic_auth_password: str | None = field(default=None, repr=False)
    cache_mb: int = 1024
    disk_cache_mb: int = 2048
    warm_tasks: int = 2

    def __post_init__(self) -> None:
        if (self.basic_auth_user is None) != (self.basic_auth_password is None):
            raise UsageError(
                "only one of RSISEG_BASIC_AUTH_USER and RSISEG_BASIC_AUTH_PASSWORD is set; expected both or neither; set the other one"
            )
        for name, least in {"port": 0, "workers": 1, "threads": 1, "cache_mb": 1, "disk_cache_mb": 0, "warm_tasks": 0}.items():
            if getattr(self, name) < least:
                raise UsageError(f"{name} is {getattr(self, name)}; expected at least {least}")
        try:
            Refinement.parse(self.cfr, self.cfr_clicks, self.fbrs)
        except ContractError as error:
            raise UsageError(f"the server's own refinement (--cfr, --cfr-clicks, --fbrs) cannot be used: {error}") from None
        if self.correct not in SWITCH:
            raise UsageError(f"correct is {self.correct!r} (--correct); expected one of {', '.join(SWITCH)}")
        if self.propose not in PROPOSE:
            raise UsageError(f"propose is {self.propose!r} (--propose); expected one of {', '.join(PROPOSE)}")
        if not 0 <= self.propose_score <= 1:
            raise UsageError(f"the least score of a proposal is {self.propose_score} (--propose-score); expected a number from 0 to 1")
        if self.precision not in CHOICES:
            raise UsageError(f"the precision is {self.precision!r} (--precision); expected one of {', '.join(CHOICES)}")
        for root in (*self.roots, *([self.document_root] if self.document_root else [])):
            if not root.is_dir():
                raise UsageError(f"{root} is not a folder; --root and --document-root name existing folders that hold rasters or pictures")

    @property
    def prediction(self) -> Mapping[str, str]:
        """What `prediction_settings` takes from the server where neither tag nor project says anything."""
        return {"cfr": self.cfr, "cfr_clicks": self.cfr_clicks, "fbrs": self.fbrs, "correct": self.correct}

    @property
    def cache_bytes(self) -> int:
        """Bytes that all caches of one worker process may hold together."""
        return self.cache_mb * 1024 * 1024

    @property
    def disk_cache_bytes(self) -> int:
        """Bytes that encodings on disk may take, of all worker processes together."""
        return self.disk_cache_mb * 1024 * 1024


def settings_from(environ: Mapping[str, str] = os.environ) -> ServerSettings:
    """The settings that the environment gives; what it does not name keeps its default. Raises UsageError for a value that is none."""

    def text(*names: str) -> str | None:
        return next((environ[name] for name in names if environ.get(name)), None)

    given: dict[str, object] = {}
    for name in (
        "host",
        "model",
        "cfr",
        "cfr_clicks",
        "fbrs",
        "correct",
        "propose",
        "device",
        "precision",
        "basic_auth_user",
        "basic_auth_password",
    ):
        given[name] = text(f"RSISEG_{name.upper()}")
    for name in ("port", "workers", "threads", "cache_mb", "disk_cache_mb", "warm_tasks"):
        given[name] = _whole_number(f"RSISEG_{name.upper()}", text(f"RSISEG_{name.upper()}"))
    given["propose_score"] = _number("RSISEG_PROPOSE_SCORE", text("RSISEG_PROPOSE_SCORE"))
    given["data_dir"] = _path(text("RSISEG_DATA_DIR"))
    roots, given["document_root"] = folders_from(environ)
    given["roots"] = roots or None
    given["label_studio_url"] = text("RSISEG_LABEL_STUDIO_URL", "LABEL_STUDIO_URL")
    given["allowed_origins"] = tuple((text("RSISEG_ALLOW_ORIGIN") or "").split()) or None
    given["api_key"] = text("LABEL_STUDIO_API_KEY")
    return ServerSettings(**{name: value for name, value in given.items() if value is not None})  # pyright: ignore[reportArgumentType]


def folders_from(environ: Mapping[str, str]) -> tuple[tuple[Path, ...], Path | None]:
    """The roots and the document root that `FOLDER_VARIABLES` name, whether they exist or not."""
    roots, *document_roots = (environ.get(name) or None for name in FOLDER_VARIABLES)
    return tuple(Path(part) for part in (roots or "").split(os.pathsep) if part), _path(next(filter(None, document_roots), None))


def _path(value: str | None) -> Path | None:
    return None if value is None else Path(value)


def _number(variable: str, value: str | None) -> float | None:
    try:
        return None if value is None else float(value)
    except ValueError:
        raise UsageError(f"the environment variable {variable} is {value!r}; expected a number") from None


def _whole_number(variable: str, value: str | None) -> int | None:
    if value is None:
        return None
    try:
        return int(value)
    except ValueError:
        raise UsageError(f"the environment variable {variable} is {value!r}; expected a whole number") from None
