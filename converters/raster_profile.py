"""What an import settles about a raster before it cuts it: the file's word, the user's word, what its ISPRS name adds, and which it was."""

from __future__ import annotations

from dataclasses import dataclass

from affine import Affine

from converters import bands as band_letters
from converters import georeference, isprs
from converters.chips import PixelWindow
from converters.errors import RasterError
from converters.rasters import RasterInfo, describe, raster_stretch, read_window
from converters.remote_raster import RasterLocation

# Side of the piece at the centre that tells an ISPRS label from its image of the same name.
_LOOK = 256


@dataclass(frozen=True, slots=True)
class RasterProfile:
    """A raster as its tasks will record it.

    bands_source: "file", "ISPRS name", "given" or "assumed". crs_source: "file", "given", "assumed" or "none".
    gsd: metres per px or None. stretch: (low, high) a band, None for uint8. warnings: sentences for the summary.
    """

    info: RasterInfo
    bands: tuple[str, ...]
    bands_source: str
    crs: str | None
    crs_source: str
    gsd: float | None
    stretch: tuple[tuple[float, float], ...] | None
    warnings: tuple[str, ...]


def settle(path: RasterLocation, *, bands: tuple[str, ...] | None = None, crs: str | None = None) -> RasterProfile:
    """Everything the tasks of a raster record besides their windows. Reads the raster once, decimated, where it is not uint8.

    bands, crs: what the user gave; they override the file.
    Raises RasterError for what cannot be read, for bands that do not fit the file, and for an ISPRS label taken for an image.
    """
    info = describe(path)
    name = isprs.parse_name(path.name)
    _refuse_labels(info, name)
    letters, bands_source, warnings = _bands(info, bands)
    crs, crs_source, notes = _crs(info, name, crs)
    if name is not None and name.role == "height":
        notes.append(f"by its name this is a height model of {name.title}, not a picture")
    return RasterProfile(
        info=info,
        bands=letters,
        bands_source=bands_source,
        crs=crs,
        crs_source=crs_source,
        gsd=georeference.ground_sampling_distance(info.transform, crs, info.size),
        stretch=raster_stretch(path, bands=letters, nodata=info.nodata),
        warnings=(*warnings, *notes),
    )


def _refuse_labels(info: RasterInfo, name: isprs.IsprsName | None) -> None:
    """An image and a label of Vaihingen have one name: a label must not end up as something to annotate."""
    if name is None:
        return
    label = name.role == "label"
    if not label and info.dtype == "uint8" and len(info.bands) == 3:
        width, height = min(info.size.width, _LOOK), min(info.size.height, _LOOK)
        centre = PixelWindow((info.size.width - width) // 2, (info.size.height - height) // 2, width, height)
        label = isprs.looks_like_labels(read_window(info.path, centre, bands=(1, 2, 3)))
    if label:
        raise RasterError(f"{info.path} is a label of {name.title}, not its image; expected the image of that tile; give its path instead")


def _bands(info: RasterInfo, given: tuple[str, ...] | None) -> tuple[tuple[str, ...], str, tuple[str, ...]]:
    if given is None:
        return info.bands, info.bands_source, info.warnings
    if len(given) != len(info.bands):
        raise RasterError(
            f"{info.path.name} has {len(info.bands)} bands ({band_letters.format_bands(info.bands)}), and --bands names {len(given)} "
            f"({band_letters.format_bands(given)}); expected one letter a band, X for a band of no interest"
        )
    # What the file left open is settled by the user's word; only other warnings remain.
    return given, "given", tuple(warning for warning in info.warnings if "--bands" not in warning)


def _crs(info: RasterInfo, name: isprs.IsprsName | None, given: str | None) -> tuple[str | None, str, list[str]]:
    """(CRS, where it comes from, sentences)."""
    if given is not None:
        crs, notes = georeference.parse_crs(given), []
        if info.crs is not None and info.crs != crs:
            notes.append(f"the given {_short(crs)} replaces the file's own {_short(info.crs)}")
        if info.transform is None:
            notes.append("a CRS was given, but the file does not say where its pixels lie; results cannot be placed on the map")
        return crs, "given", notes
    if info.crs is not None:
        missing = (
            ["the file names a CRS but not where its pixels lie; results cannot be placed on the map"] if info.transform is None else []
        )
        return info.crs, "file", missing
    if name is not None and name.dataset == "potsdam" and _looks_like_utm(info.transform):
        note = (
            f"the file names no CRS; {isprs.POTSDAM_CRS} is assumed, as for every {name.title.rsplit(' ', 1)[0]} tile; --crs overrides it"
        )
        return isprs.POTSDAM_CRS, "assumed", [note]
    hint = "if you know it, import with --crs"
    if name is not None and name.dataset == "vaihingen":
        hint = f"if its eastings are about 497 000, {isprs.VAIHINGEN_SUGGESTION} is likely: import with --crs {isprs.VAIHINGEN_SUGGESTION}"
    if info.transform is None:
        return None, "none", ["the file has no georeference; clicks work, results can be exported in pixels only"]
    return None, "none", [f"the file names no CRS; clicks work, results can be exported in pixels only; {hint}"]


def _looks_like_utm(transform: Affine | None) -> bool:
    return transform is not None and 100_000 < transform.c < 900_000 and 0 < transform.f < 10_000_000


def _short(crs: str) -> str:
    """A CRS fit for a sentence: its code, or that it is a custom one."""
    return crs if len(crs) <= 20 else "custom CRS"
