"""Which bands a model is trained on: chosen by its recipes, remembered with its weights, widened when there are more than it had."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from backend.errors import ModelError, UsageError
from backend.segmenters import catalogue, registry
from backend.segmenters.catalogue_entry import Entry
from backend.segmenters.weight_files import load_weights
from backend.segmenters.widening import widened
from converters.bands import format_bands, select
from converters.chips import PixelWindow
from converters.errors import RasterError
from converters.labelled_objects import LabelledImage

Recipes = tuple[tuple[str, ...], ...]


def training_recipes(entry: Entry, asked: Sequence[tuple[str, ...]], start_from: Path | None) -> Recipes:
    """The recipes a run trains for: those asked for, else those of the weights it starts from, else the registry's.

    An image is read in the first recipe whose bands it has. UsageError when those asked for differ in their number of bands.
    """
    if asked:
        if len({len(recipe) for recipe in asked}) > 1:
            raise UsageError(
                f"the bands {' and '.join(map(format_bands, asked))} are not of one number; a network reads one; train one for each"
            )
        return tuple(dict.fromkeys(asked))
    return entry.recipes if start_from is None else weight_file(start_from).recipes


def weight_file(path: Path) -> Entry:
    """What a weight file says of itself. ModelError where it says nothing."""
    if path.suffix != catalogue.FILE_SUFFIX:
        raise ModelError(f"{path} is no weight file; expected a name that ends in {catalogue.FILE_SUFFIX}, as `rsiseg train` writes it")
    return catalogue.entry(str(path))


def starting_weights(path: Path, entry: Entry, recipes: Recipes) -> dict[str, Tensor]:
    """The state dict of a weight file for a network of `entry`'s architecture that reads images in `recipes`.

    The file's own bands, in their order, or as many others, which then take their place: whoever names them has mapped them. Of more
    bands, the first must be the file's; the weights are widened, and the network computes what it computed before, whatever the new bands
    show. Raises ModelError for fewer bands, for others in front, and for a file of another architecture.
    """
    held = weight_file(path)
    if (held.family, held.architecture) != (entry.family, entry.architecture):
        raise ModelError(
            f"{path} holds a {held.family} {held.architecture}, {entry.name} is a {entry.family} {entry.architecture}; "
            "name the model that the file was trained as, or train without --from"
        )
    net = registry.build(entry.family, entry.architecture, held.bands)
    load_weights(net, path)
    bands = len(recipes[0])
    if bands == held.bands:
        return net.state_dict()
    strangers = [recipe for recipe in recipes if recipe[: held.bands] not in held.recipes]
    if bands < held.bands or strangers:
        wrong = format_bands((strangers or recipes)[0])
        known = " or ".join(map(format_bands, held.recipes))
        raise ModelError(
            f"{path} was trained on {known} and cannot start a model of {wrong}; expected as many bands, or those and further ones behind "
            f"them, such as {_longer(held.recipes[0])}"
        )
    return widened(net.state_dict(), family=entry.family, architecture=entry.architecture, bands=bands, had=held.bands)


def _longer(recipe: tuple[str, ...]) -> str:
    further = next((letter for letter in ("IR", "R", "G", "B") if letter not in recipe), "X")
    return format_bands((*recipe, further))


def channels_for(image: LabelledImage, recipes: Recipes) -> tuple[tuple[int, ...] | None, tuple[str, ...]]:
    """(channels of `image.read()`, 0-based in the order wanted, None: all as they are; their letters).

    An image whose bands nobody named must have as many as the model reads, and they are taken for its first recipe. UsageError for an
    image that has no recipe's bands.
    """
    wanted = " or ".join(map(format_bands, recipes))
    letters = image.bands
    if letters is None:
        count = image.read(PixelWindow(0, 0, 1, 1)).shape[2]
        if count != len(recipes[0]):
            raise UsageError(f"{image.name} has {count} bands of unknown meaning; expected {wanted}; name them in the file or with --bands")
        return None, recipes[0]
    try:
        numbers = select(letters, recipes)
    except RasterError:
        raise UsageError(
            f"{image.name} has the bands {format_bands(letters)}; expected {wanted}; leave its set out, or choose the bands with --bands"
        ) from None
    return tuple(number - 1 for number in numbers), tuple(letters[number - 1] for number in numbers)
