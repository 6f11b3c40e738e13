"""One export from beginning to end: everything under a temporary name beside the final one, which is replaced when all of it is there."""

from __future__ import annotations

import glob
import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from converters.errors import ExportError
from converters.exporting.formats import Format, Request


def run(format: Format, request: Request) -> None:
    """Writes `request.out` in the format; a file or folder that was there before is replaced in one step, or left as it was.

    Raises ExportError when it cannot be written or when nothing can be placed, and whatever the format raises.
    """
    final = request.out
    partial = _aside(final, "partial", os.getpid())  # it keeps the ending, which some writers judge a file by
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_behind(final)
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
    aside = _aside(final, "old", os.getpid())
    final.rename(aside)
    try:
        partial.rename(final)
    except OSError:
        aside.rename(final)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _aside(final: Path, kind: str, process: int | str) -> Path:
    return final.with_name(f".{final.stem}.{process}.{kind}{final.suffix}")


def _remove_left_behind(final: Path) -> None:
    """What exports that were killed left beside the final name. An old folder comes back if the new one never took its place."""
    for kind in ("old", "partial"):
        for found in final.parent.glob(glob.escape(final.with_name(f".{final.stem}.").name) + f"*.{kind}{glob.escape(final.suffix)}"):
            process = found.name.removeprefix(f".{final.stem}.").removesuffix(f".{kind}{final.suffix}")
            if not process.isdigit() or _is_running(int(process)):
                continue
            if kind == "old" and not final.exists():
                found.rename(final)
            else:
                _remove(found)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):  # what it was to become cannot be there either, and the error that is under way says why
            path.unlink()
