"""Finds the ISPRS files below a folder as people really have them.

Zips unpack flat or into a folder of their own name, so files are found by their names at any depth; rows and columns are padded or not;
labels lie in one, some or all of the published folders. An image and a label of Vaihingen have the same file name: their pixels tell which
is which, and a layout in which one may have overwritten the other is refused. Nothing is read from inside zips: a window of a compressed
TIFF in one costs the decompression of all that comes before it, every time. They are listed, to say which of them to unpack.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from converters.chips import PixelWindow
from converters.errors import TaskError
from converters.isprs import IsprsName, looks_like_labels, parse_name
from converters.labelled_pixels import PICTURES, Picture
from converters.labelled_vector_file import ENDINGS
from converters.rasters import read_window

_DEPTH = 6
# Whole tiles only: a chip's name goes on behind the tile's.
_WHOLE = re.compile(
    r"(?:top_|label_)?potsdam_\d{1,2}_\d{1,2}(?:_RGBIR|_IRRG|_RGB|_label)?(?:_noBoundary)?|top_mosaic_09cm_area\d{1,2}(?:_noBoundary)?",
    re.IGNORECASE,
)
_ERODED = re.compile("noBoundary", re.IGNORECASE)
# "ISPRS_semantic_labeling_Vaihingen" is where the images are.
_LABEL_FOLDER = re.compile(r"ground_?truth|labels?(?!ing)|annotation|^gts?(?:_|$)", re.IGNORECASE)
_IMAGE_FOLDER = re.compile(r"^top$|ortho|images?$", re.IGNORECASE)
_ZIP = re.compile(r"ISPRS|potsdam|vaihingen|\d_(?:DSM|Ortho|Labels)", re.IGNORECASE)
# Side of the piece at the centre that tells a label of Vaihingen from its image.
_LOOK = 256


@dataclass(frozen=True, slots=True)
class PackedZip:
    """A zip that holds files of the benchmark. members: their names in it, and those of zips inside it."""

    path: Path
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IsprsTree:
    """What was found of one data set below `root`, by tile as `isprs.IsprsName.tile` spells it.

    dataset: "potsdam" or "vaihingen". labels, eroded: full labels, and those with ignored boundaries.
    images: product, as the letters of its bands in file order, -> tile -> file. packed: zips not unpacked. notes: doubts for a report.
    """

    root: Path
    dataset: str
    labels: Mapping[str, Path]
    eroded: Mapping[str, Path]
    images: Mapping[tuple[str, ...], Mapping[str, Path]]
    packed: tuple[PackedZip, ...]
    notes: tuple[str, ...]

    def packed_hint(self, wanted: Callable[[str], bool]) -> str:
        """Which zip to unpack for a member whose path (zip's own name in front) is `wanted`; "" when no zip has one."""
        for each in self.packed:
            for member in each.members:
                if wanted(f"{each.path.name}/{member}"):
                    inner = f", then {PurePosixPath(member).name} inside it" if member.lower().endswith(".zip") else ""
                    return f"{each.path} is still packed: unpack it{inner}"
        return ""


def whole_tile(path: str | Path) -> IsprsName | None:
    """What the name of a file that is a whole tile, image or label, says; None for any other file."""
    name = Path(path)
    return parse_name(name) if name.suffix.lower() in PICTURES and _WHOLE.fullmatch(name.stem) else None


def is_isprs_tree(path: Path) -> bool:
    """Whether there are labels of the ISPRS benchmark below the folder `path`, or images or zips of it without anyone's own vector files.

    A file is one when it is a zip of the benchmark: `find_tree` then says what to do with it.
    """
    if path.is_file():
        return _packed(path) is not None
    weak = False
    for file in _files(path):
        name = whole_tile(file)
        if name is not None and (name.role == "label" or (name.dataset == "vaihingen" and _has_label_colours(file))):
            return True
        weak = weak or name is not None or _packed(file) is not None
    return weak and not any(
        file.suffix.lower() in ENDINGS for folder in (path, path / "labels") if folder.is_dir() for file in folder.iterdir()
    )


def find_tree(root: Path) -> IsprsTree:
    """The files of one data set below a folder.

    Raises TaskError for a zip, for no or both data sets, and for a layout of Vaihingen in which image and label cannot both be there.
    """
    if root.is_file():
        raise TaskError(f"{root} is still packed; expected a folder; unpack it, and the zips inside it, and give the folder")
    names = {file: name for file in _files(root) if (name := whole_tile(file))}
    packed = tuple(zipped for file in _files(root) if (zipped := _packed(file)))
    datasets = sorted({name.dataset for name in names.values()})
    if len(datasets) > 1:
        raise TaskError(
            f"{root} holds both Potsdam and Vaihingen; expected one of them, since they differ in bands and scale; give its folder"
        )
    if not datasets:
        where = f"; {packed[0].path} is still packed: unpack it, and the zips inside it" if packed else ""
        raise TaskError(
            f"{root} holds no image or label of ISPRS Potsdam or Vaihingen; expected files such as top_potsdam_2_10_label.tif{where}"
        )
    notes: list[str] = []
    roles = {file: _role(root, file, name) for file, name in names.items()}
    _refuse_shared_folders(names, roles)
    products = sorted({role for role in roles.values() if isinstance(role, tuple)})
    if unclear := sorted(file for file, role in roles.items() if role is None):
        notes.append(f"files that name no product (RGB, IRRG or RGBIR) are left out: {len(unclear)}, {unclear[0].name} among them")

    def by_tile(role: object) -> dict[str, Path]:
        return _by_tile({file: name.tile for file, name in names.items() if roles[file] == role}, notes)

    images = {product: by_tile(product) for product in products}
    return IsprsTree(root, datasets[0], by_tile("label"), by_tile("eroded"), images, packed, tuple(notes))


def _files(root: Path) -> Iterator[Path]:
    """The files below a folder, links followed once, what systems hide left out."""
    seen: set[str] = set()
    for folder, below, files in os.walk(root, followlinks=True):
        place = Path(folder)
        real = os.path.realpath(folder)
        if real in seen or len(place.relative_to(root).parts) > _DEPTH:
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if not name.startswith(".") and name != "__MACOSX")
        yield from (place / name for name in sorted(files) if not name.startswith("."))


def _packed(path: Path) -> PackedZip | None:
    """The zip as far as it is of the benchmark, None for any other file."""
    if path.suffix.lower() != ".zip":
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            inside = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        inside = []
    members = tuple(
        name for name in inside if whole_tile(name) or (name.lower().endswith(".zip") and _ZIP.search(PurePosixPath(name).name))
    )
    return PackedZip(path, members) if members or _ZIP.search(path.name) else None


def _role(root: Path, file: Path, name: IsprsName) -> str | tuple[str, ...] | None:
    """ "label", "eroded", the bands of an image, or None for an image that does not say which product it is."""
    if name.role == "label":
        return "eroded" if _ERODED.search(file.stem) else "label"
    if name.dataset == "potsdam":
        return name.bands
    label = _has_label_colours(file)
    folders = [root.name, *file.relative_to(root).parts[:-1]]
    for folder in reversed(folders):
        as_label, as_image = _LABEL_FOLDER.search(folder), _IMAGE_FOLDER.search(folder)
        if as_label or as_image:
            if bool(as_label) != label:
                raise TaskError(
                    f"{file} has the colours of {'a label' if label else 'an image'}, and the folder {folder} is for "
                    f"{'images' if label else 'labels'}; image and label of Vaihingen share one name: one may have overwritten the other; "
                    "unpack the images and the labels into two folders again"
                )
            break
    return "label" if label else name.bands


def _has_label_colours(file: Path) -> bool:
    info = Picture(file).info
    if info.dtype != "uint8" or len(info.bands) < 3:
        return False
    width, height = min(info.size.width, _LOOK), min(info.size.height, _LOOK)
    centre = PixelWindow((info.size.width - width) // 2, (info.size.height - height) // 2, width, height)
    return looks_like_labels(read_window(file, centre, bands=(1, 2, 3)))


def _refuse_shared_folders(names: Mapping[Path, IsprsName], roles: Mapping[Path, object]) -> None:
    """TaskError where images and labels of Vaihingen that share their names lie in one folder: some have overwritten others."""
    plain = [file for file, name in names.items() if name.dataset == "vaihingen" and name.role == "image"]
    for folder in sorted({file.parent for file in plain}):
        found = {"label" if roles[file] == "label" else "image": file for file in plain if file.parent == folder}
        if len(found) > 1:
            raise TaskError(
                f"{folder} holds images ({found['image'].name}) and labels ({found['label'].name}) of Vaihingen, whose names are the same: "
                "one may have overwritten the other; expected two folders; unpack the zip of the images and that of the labels again"
            )


def _by_tile(tiles: Mapping[Path, str], notes: list[str]) -> dict[str, Path]:
    """One file a tile. Of several, the one of the complete labels, then the one nearest to the root; different ones are noted."""
    found: dict[str, Path] = {}
    for file in sorted(tiles, key=lambda file: ("participants" in str(file.parent).lower(), len(file.parts), file)):
        first = found.setdefault(tiles[file], file)
        if first != file and first.stat().st_size != file.stat().st_size:
            notes.append(f"{first} and {file} are of one tile and differ; the first is used")
    return found
