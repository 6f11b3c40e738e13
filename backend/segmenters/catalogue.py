"""Which segmenters there are: weights/registry.toml, read once for everyone who asks, and without torch.

The server names models and versions from it before anything is loaded, `rsiseg weights list` and docs/models.md are it in print, and
`registry` loads its entries.
"""

from __future__ import annotations

import tomllib
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path

from backend.errors import ModelError
from backend.segmenters.catalogue_entry import Entry, entry_of_table, version_of
from backend.segmenters.precision import AUTO, chosen_precision
from backend.segmenters.weight_headers import read_metadata

DEFAULT = "default"
FILE_SUFFIX = ".safetensors"
# Installed with the package as data, beside it in a checkout.
WEIGHTS_FOLDER = Path(__file__).resolve().parents[2] / "weights"


class Catalogue:
    """The entries of one registry.toml, in its order, whether their weights are here or not; and weight files that are in no list.

    folder: holds registry.toml and the weight files. precision: auto, fp32, mixed or bf16; every entry says what that means for it.
    Raises ModelError for a registry that cannot be read, and for another word.
    """

    def __init__(self, folder: Path, precision: str = AUTO) -> None:
        path = folder / "registry.toml"
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ModelError(f"the list of models {path} cannot be read ({error}); it comes with the package; install it again") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ModelError(f"{path} is not valid TOML ({error}); correct that line") from error
        default = tables.pop(DEFAULT, None)
        if strangers := [name for name, table in tables.items() if not isinstance(table, dict)]:
            raise ModelError(f"{path} has {', '.join(strangers)} outside of any entry; see the head of that file")
        listed = [entry_of_table(name, table, folder) for name, table in tables.items()]
        self.entries = tuple(replace(one, precision=chosen_precision(precision, same_masks=one.mixed)) for one in listed)
        self.precision = precision
        self._by_name = {one.name: one for one in self.entries}
        if default not in self._by_name:
            raise ModelError(f"{path} says that the default is {default!r}, which it does not list; name one of {', '.join(self._by_name)}")
        self.default = self._by_name[default]

    def entry(self, name: str) -> Entry:
        """The entry of that name, `default`, or the path of a weight file (.safetensors). Raises ModelError for anything else."""
        if name.endswith(FILE_SUFFIX):
            return self._of_file(Path(name))
        found = self.default if name == DEFAULT else self._by_name.get(name)
        if found is None:
            known = ", ".join([DEFAULT, *self._by_name])
            raise ModelError(
                f"there is no model '{name}'; known are {known}; use one of those, or the path of a weight file ({FILE_SUFFIX})"
            )
        return found

    def checked(self, name: str, *, path_allowed: bool = False) -> str:
        """The name of a model whose weights are here, `default` resolved, or the path it was given.

        path_allowed: whether `name` may be the path of a weight file. Only who starts the server may name files of its machine;
        a label config or a project may not.
        Raises ModelError for an unknown name, for a model whose weights are not on this machine, and for a file that is none.
        """
        if name.endswith(FILE_SUFFIX) and not path_allowed:
            raise ModelError(
                f"there is no model '{name[:100]}'; a file is named where the server is started (--model); use one of {self._here()}"
            )
        one = self.entry(name)
        if not one.available:
            raise ModelError(
                f"the weights of {one.name} are not on this machine, expected at {one.file}; {one.how_to_get}, "
                f"or choose one of {self._here()}"
            )
        return name if name.endswith(FILE_SUFFIX) else one.name

    def version(self, name: str) -> str:
        """`version_of` of `entry(name)`: the string of a model in Label Studio, in the metadata of regions, and in bench."""
        return version_of(self.entry(name))

    def versions(self) -> list[str]:
        """Versions of all models whose weights are here."""
        return [version_of(one) for one in self.entries if one.available]

    def unavailable(self) -> dict[str, str]:
        """Names of the models whose weights are not here, each with what gets them here."""
        return {one.name: one.how_to_get for one in self.entries if not one.available}

    def _here(self) -> str:
        return ", ".join(one.name for one in self.entries if one.available)

    def _of_file(self, path: Path) -> Entry:
        if not path.is_file():
            raise ModelError(f"there is no weight file {path}; expected a {FILE_SUFFIX} file; check the path, or train or convert one")
        status = path.stat()
        return _unlisted(self, path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=16)
def _unlisted(listed: Catalogue, path: Path, _nbytes: int, _modified: int) -> Entry:
    """A weight file that is in no list: its metadata names the architecture, the rest is as in that architecture's first entry."""
    about = read_metadata(path)
    family, architecture = about["family"], about["architecture"]
    if family not in {one.family for one in listed.entries}:
        known = ", ".join(sorted({one.family for one in listed.entries}))
        raise ModelError(
            f"{path} says that it is of the family '{family}', which there is not; known are {known}; train or convert it again"
        )
    alike = [one for one in listed.entries if (one.family, one.architecture) == (family, architecture)]
    plain = Entry(name=path.stem, family=family, architecture=architecture, licence="unknown", source=str(path), file=path)
    if alike:
        first = alike[0]
        use = {"recipes": first.recipes, "input_size": first.input_size, "threshold": first.threshold}
        plain = replace(plain, **use, zoom_in=first.zoom_in, flip=first.flip, mixed=first.mixed)
    plain = replace(plain, precision=chosen_precision(listed.precision, same_masks=plain.mixed))
    try:
        return plain.with_use(about)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"the metadata of {path} cannot be read ({error}); write it again with `rsiseg train` or `rsiseg weights convert`"
        ) from error


@cache
def shipped(precision: str = AUTO) -> Catalogue:
    """The catalogue that comes with the package. precision: see `Catalogue`."""
    return Catalogue(WEIGHTS_FOLDER, precision)


def entries() -> tuple[Entry, ...]:
    """All entries of the shipped catalogue."""
    return shipped().entries


def entry(name: str) -> Entry:
    """`Catalogue.entry` of the shipped one."""
    return shipped().entry(name)
