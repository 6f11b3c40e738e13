"""One export from beginning to end: everything under a temporary name beside the final one, which is replaced when all of it is there."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

from converters.errors import ExportError
from converters.exporting.formats import Format, Request


def run(format: Format, request: Request) -> None:
    """Writes `request.out` in the format; a file or folder that was there before is replaced in one step, or left as it was.

    Raises ExportError when it cannot be written or when nothing can be placed, and whatever the format raises.
    """
    final = request.out
    partial = final.with_name(f".{final.name}.{os.getpid()}.partial")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        _refuse_other_kind(format, final)
        format.write(replace(request, out=partial))
        request.account.check()
        _put(partial, final)
    except OSError as error:
        why = error.strerror or error
        raise ExportError(
            f"{final} cannot be written ({why}); expected a {format.writes} in a folder that you may write; change --out"
        ) from error
    finally:
        _remove(partial)


def _refuse_other_kind(format: Format, final: Path) -> None:
    found = "a folder" if final.is_dir() else "a file"
    if final.exists() and (format.writes == "folder") != final.is_dir():
        raise ExportError(f"{final} cannot be written: it is {found}; the format {format.name} writes a {format.writes}; change --out")


def _put(partial: Path, final: Path) -> None:
    """A file takes the other's place in one step. A folder cannot: the old one steps aside first, and comes back if that fails."""
    if not final.is_dir():
        partial.replace(final)
        return
    aside = final.with_name(f".{final.name}.{os.getpid()}.old")
    final.rename(aside)
    try:
        partial.rename(final)
    except OSError:
        aside.rename(final)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
