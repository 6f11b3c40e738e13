"""SUEM, the copy-paste of ICL: Simple, Union, Exclusion, Mixing, and the mix of whole images. MODELS.md 8."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.training.scene import BACKGROUND, OTHER, Labels, Scene, wanted

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Suem:
    """How often scenes are mixed. The defaults are the authors'.

    paste_prob: of each of the two pastes by itself. mix_prob: of the mix of whole images. fewest_opaque: the least share of what is pasted
    or mixed in; 1 covers. tries, visible: how many other objects are tried for one that leaves more than so many pixels of the object.
    """

    paste_prob: float = 0.5
    mix_prob: float = 0.5
    fewest_opaque: float = 0.5
    tries: int = 5
    visible: int = 20

    def mixed(self, scene: Scene, another: Callable[[], Scene | None], rng: np.random.Generator) -> Scene:
        """`scene` after the three steps, each with its probability.

        another: draws a scene of the same size, augmented by itself. Where it gives none, or one in other bands, the step is left out:
        pixels of two kinds of image are never mixed.
        """

        def alike() -> Scene | None:
            other = another()
            return other if other is not None and other.bands == scene.bands else None

        if rng.random() < self.paste_prob:
            scene = self.on_another_image(scene, alike(), rng)
        if rng.random() < self.paste_prob:
            scene = self.with_another_object(scene, alike, rng)
        if rng.random() < self.mix_prob and (other := alike()) is not None:
            everywhere = np.ones(scene.labels.shape, bool)
            # The scene is what is mixed in, so that it is never the fainter of the two.
            scene = replace(scene, image=self._blended(other.image, scene.image, everywhere, rng))
        return scene

    def on_another_image(self, scene: Scene, other: Scene | None, rng: np.random.Generator) -> Scene:
        """*Simple*: what is wanted, pasted where it is on another image, whose own objects are background then."""
        if other is None:
            return scene
        inside = wanted(scene.labels)
        labels = np.where(inside, scene.labels, np.uint8(BACKGROUND))
        return replace(scene, image=self._blended(other.image, scene.image, inside, rng), labels=labels)

    def with_another_object(self, scene: Scene, another: Callable[[], Scene | None], rng: np.random.Generator) -> Scene:
        """*Exclusion*, *Union* or *Mixing* with equal chances: an object put over the scene.

        It takes away from what is wanted, or is wanted too, or shines through and changes nothing.
        """
        inside = wanted(scene.labels)
        for _ in range(self.tries):
            other = another()
            pasted = wanted(other.labels) if other is not None else np.zeros_like(inside)
            if other is None or not pasted.any() or np.count_nonzero(inside & ~pasted) <= self.visible:
                continue
            way = rng.integers(3)
            if way == 2:
                return replace(scene, image=self._blended(scene.image, other.image, pasted, rng))
            image = np.where(pasted[..., None], other.image, scene.image)
            labels = np.where(pasted, np.uint8(OTHER), scene.labels) if way == 0 else united(scene.labels, pasted)
            return replace(scene, image=image, labels=labels)
        return scene

    def _blended(self, below: Image, above: Image, where: NDArray[np.bool_], rng: np.random.Generator) -> Image:
        share = rng.uniform(self.fewest_opaque, 1.0)
        blend = np.rint(share * above.astype(np.float32) + (1.0 - share) * below).astype(np.uint8)
        return np.where(where[..., None], blend, below)


def united(labels: Labels, more: NDArray[np.bool_]) -> Labels:
    """Labels with one more object wanted, HxW bool: as part of the one it lies on, else under a number, and so with a click, of its own."""
    present = wanted(labels)
    overlapped = labels[present & more]
    number = int(overlapped[0]) if overlapped.size else int(labels[present].max(initial=0)) + 1
    return np.where(more & ~present, np.uint8(number), labels)
