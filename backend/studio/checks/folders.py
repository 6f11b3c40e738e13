"""The folders that `rsiseg serve` would be given: named by options or the environment, and there or not."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from backend.settings import FOLDER_VARIABLES, ServerSettings, folders_from, settings_from
from backend.studio.checks.finding import Verdict, fail, ok
from backend.studio.checks.notes import Notes


def settings_with_folders(
    environ: Mapping[str, str], roots: Sequence[Path], document_root: Path | None
) -> tuple[ServerSettings, tuple[Path, ...]]:
    """The settings of the environment with those folders that exist, and those that do not.

    roots, document_root: of the command line; empty and None leave it to the environment. Raises UsageError for other settings.
    """
    settings = settings_from({name: value for name, value in environ.items() if name not in FOLDER_VARIABLES})
    named_roots, named_document_root = folders_from(environ)
    roots, document_root = tuple(roots) or named_roots, document_root or named_document_root
    missing = [folder for folder in (*roots, *([document_root] if document_root else [])) if not folder.is_dir()]
    there = replace(
        settings,
        roots=tuple(root for root in roots if root not in missing),
        document_root=None if document_root in missing else document_root,
    )
    return there, tuple(missing)


def folders(notes: Notes) -> Verdict:
    """The folders exist and can be read."""
    settings, missing = notes.question.settings, notes.question.missing
    if missing:
        return fail(
            f"{', '.join(map(str, missing))} is not a folder of this machine",
            "name existing folders with --root and --document-root, here and for `rsiseg serve`",
        )
    named = [*settings.roots, *([settings.document_root] if settings.document_root else [])]
    if closed := [str(folder) for folder in named if not os.access(folder, os.R_OK | os.X_OK)]:
        return fail(f"{', '.join(closed)} cannot be read by this user", "run the backend as a user who may, or open the folder to it")
    if not named:
        return ok("no --root and no --document-root: only pictures that Label Studio serves can be read")
    where = [f"rasters below {', '.join(map(str, settings.roots))}"] if settings.roots else []
    where += [f"local files of Label Studio below {settings.document_root}"] if settings.document_root else []
    return ok(", ".join(where))
