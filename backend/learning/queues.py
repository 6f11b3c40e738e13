"""Which queue a server and its worker share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from backend.learning.queue import Accepts
from backend.learning.sqlite_queue import SqliteQueue


def redis_address(environ: Mapping[str, str] = os.environ) -> str | None:
    """Of the Redis that REDIS_URL names, None where it names none."""
    return environ.get("REDIS_URL") or None


def queue_of(data_dir: Path, environ: Mapping[str, str] = os.environ) -> Accepts:
    """Where the server of a data folder leaves checks: in Redis where REDIS_URL names one, else in a file of that folder."""
    address = redis_address(environ)
    if address is None:
        return SqliteQueue(queue_file(data_dir))
    from backend.learning.rq_queue import RqQueue  # noqa: PLC0415 - redis and rq take a third of a second to import

    return RqQueue(address)


def queue_file(data_dir: Path) -> Path:
    """Where the embedded queue of a data folder lies."""
    return data_dir / "learning" / "queue.sqlite"
