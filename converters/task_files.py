"""The files behind the addresses of an export's tasks, on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from converters.errors import SourceError
from converters.origins import shown
from converters.resolver import Resolver


class TaskFiles:
    """Finds the files of tasks: beside the export and below the roots, also by their bare names there and in `images/`."""

    def __init__(self, home: Path, roots: Sequence[Path], document_root: Path | None) -> None:
        self._folders = [home, *(root.expanduser().resolve() for root in roots)]
        documents = self._folders if document_root is None else [document_root]
        self._resolvers = [Resolver(self._folders, document_root=folder) for folder in documents]

    def find(self, uri: str) -> Path:
        """SourceError when the file is not below any of the folders."""
        refused: SourceError | None = None
        for resolver in self._resolvers:
            try:
                return resolver.local_path(uri)
            except SourceError as error:
                refused = refused or error
        # An export that was moved with its files, uploads among them, still has them under their names.
        name = bare_name(uri)
        for folder in self._folders:
            for candidate in (folder / name, folder / "images" / name):
                if name and candidate.is_file() and candidate.resolve().is_relative_to(folder):
                    return candidate.resolve()
        raise SourceError(
            f"{shown(uri)} is not below {', '.join(str(folder) for folder in self._folders)}, and no file named {name or 'so'} is; "
            "put the file beside the export, or name its folder as a root"
        ) from refused


def bare_name(uri: str) -> str:
    """The file name at the end of an address or of its ?d=; empty for one that is no plain file name."""
    parts = urlsplit(uri)
    document = parse_qs(parts.query).get("d", [""])[0]
    name = PurePosixPath(document or unquote(parts.path)).name
    return name if name.isprintable() and name not in ("", ".", "..") and "\\" not in name else ""
