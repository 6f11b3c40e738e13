"""A file appears whole or not at all: written under a name beside its own, which it takes when it is complete."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import get_ident


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields the name to write to, in the folder of `path`, which must exist; no pattern such as *.png finds it.

    What is there when the block ends takes the place of `path` in one step. When the block raises, `path` stays as it was and nothing is
    left beside it. Two processes or threads that write the same file do not meet: the last one wins.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}-{get_ident()}.part")
    try:
        yield aside
        aside.replace(path)
    finally:
        with suppress(OSError):  # it has its own name now, or it never came to be, or its folder is none: the block says why
            aside.unlink()


def write_whole(path: Path, content: bytes | str) -> None:
    """All of `content` (text as UTF-8, line ends as they are) or nothing. Raises OSError."""
    with replacing(path) as aside:
        aside.write_bytes(content.encode() if isinstance(content, str) else content)
