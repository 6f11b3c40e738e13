"""SUEM on flat grey scenes, where every share can be read off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from backend.training.copy_paste import Suem, united
from backend.training.scene import IGNORED, OTHER, Scene, wanted

DRAWS = 3000


def flat(grey: int, row: int, col: int, side: int = 10, label: int = 1) -> Scene:
    """30 x 30, an object of side x side 40 brighter than its ground, another one in the lower right corner, one ignored row."""
    image, labels = np.full((30, 30, 3), grey, np.uint8), np.zeros((30, 30), np.uint8)
    labels[row : row + side, col : col + side] = label
    image[labels > 0] += 40
    labels[28:, 28:], labels[0] = OTHER, IGNORED
    return Scene(image, labels)


SCENE = flat(50, 5, 5)


def always(scene: Scene | None) -> Callable[[], Scene | None]:
    return lambda: scene


def as_likely(hits: int, draws: int, probability: float) -> bool:
    return abs(hits - draws * probability) <= 4.5 * (draws * probability * (1 - probability)) ** 0.5


def test_simple_blends_the_object_alone_into_another_image() -> None:
    rng, other = np.random.default_rng(0), flat(150, 15, 15)
    shares = []
    for _ in range(DRAWS):
        made = Suem().on_another_image(SCENE, other, rng)
        inside = wanted(SCENE.labels)
        assert (made.labels == inside).all()  # nothing else is labelled, not even as ignored
        assert (made.image[~inside] == other.image[~inside]).all()
        value = int(made.image[7, 7, 0])
        assert (made.image[inside] == value).all()
        shares.append((150 - value) / (150 - 90))
    assert 0.49 < min(shares) < 0.51 and 0.99 < max(shares) <= 1
    assert abs(np.mean(shares) - 0.75) < 4.5 * 0.5 / np.sqrt(12 * DRAWS)


def test_exclusion_union_and_mixing_are_equally_likely_and_do_what_they_say() -> None:
    rng, other = np.random.default_rng(1), flat(150, 10, 10)  # overlaps the object's lower right quarter
    pasted, inside = wanted(other.labels), wanted(SCENE.labels)
    ways = {"exclusion": 0, "union": 0, "mixing": 0}
    for _ in range(DRAWS):
        made = Suem().with_another_object(SCENE, always(other), rng)
        assert (made.image[~pasted] == SCENE.image[~pasted]).all()
        if (made.labels == SCENE.labels).all():
            ways["mixing"] += 1
            on_object, off_object = int(made.image[12, 12, 0]), int(made.image[18, 18, 0])
            share = (off_object - 50) / (190 - 50)
            assert 0.49 < share <= 1 and abs(on_object - (share * 190 + (1 - share) * 90)) <= 1
            continue
        assert (made.image[pasted] == 190).all()
        way = "union" if wanted(made.labels)[18, 18] else "exclusion"
        ways[way] += 1
        assert (wanted(made.labels) == (inside | pasted if way == "union" else inside & ~pasted)).all()
        assert way == "union" or (made.labels[pasted] == OTHER).all()
    assert all(as_likely(count, DRAWS, 1 / 3) for count in ways.values())


def test_an_object_that_would_hide_the_wanted_one_is_not_taken_and_five_are_tried() -> None:
    rng = np.random.default_rng(2)
    hides = flat(150, 5, 7)  # leaves 2 x 10 = 20 pixels, one too few
    leaves = flat(150, 6, 7)  # leaves 2 * 10 + 8
    drawn: list[int] = []

    def others(usable: int) -> Callable[[], Scene | None]:
        numbers: Iterator[int] = iter(range(100))

        def another() -> Scene:
            drawn.append(next(numbers))
            return leaves if drawn[-1] == usable else hides

        return another

    assert Suem().with_another_object(SCENE, others(99), rng) is SCENE
    assert drawn == [0, 1, 2, 3, 4]
    drawn.clear()
    assert Suem().with_another_object(SCENE, others(4), rng) is not SCENE
    assert drawn == [0, 1, 2, 3, 4]


def test_whole_images_are_mixed_with_the_scene_the_stronger() -> None:
    rng, other = np.random.default_rng(3), flat(250, 15, 15)
    suem = Suem(paste_prob=0.0)
    mixed = [suem.mixed(SCENE, always(other), rng) for _ in range(DRAWS)]
    changed = [made for made in mixed if made is not SCENE]
    assert as_likely(len(changed), DRAWS, 0.5)
    for made in changed:
        assert made.labels is SCENE.labels
        share = (250 - int(made.image[1, 1, 0])) / 200
        assert 0.49 < share <= 1


def test_the_steps_come_with_their_probabilities_by_themselves() -> None:
    rng = np.random.default_rng(4)
    far = flat(150, 18, 18)
    simple = sum((Suem(mix_prob=0.0).mixed(SCENE, always(far), rng).image[2, 2] == 150).all() for _ in range(DRAWS))
    assert as_likely(simple, DRAWS, 0.5)
    untouched = sum(Suem().mixed(SCENE, always(far), rng) is SCENE for _ in range(DRAWS))
    assert as_likely(untouched, DRAWS, 1 / 8)


def test_without_another_scene_nothing_changes() -> None:
    rng = np.random.default_rng(5)
    assert all(Suem().mixed(SCENE, always(None), rng) is SCENE for _ in range(50))


def test_images_in_other_bands_are_not_mixed_in() -> None:
    rng = np.random.default_rng(6)
    infrared = replace(flat(150, 18, 18), bands=("IR", "R", "G"))
    assert all(Suem().mixed(SCENE, always(infrared), rng) is SCENE for _ in range(50))


def test_what_is_united_belongs_to_the_object_it_lies_on_or_gets_a_number() -> None:
    labels = np.array([[1, 1, 0, 2, OTHER, IGNORED]], np.uint8)
    assert united(labels, np.array([[0, 1, 1, 0, 0, 0]], bool)).tolist() == [[1, 1, 1, 2, OTHER, IGNORED]]
    assert united(labels, np.array([[0, 0, 0, 1, 1, 1]], bool)).tolist() == [[1, 1, 0, 2, 2, 2]]
    assert united(labels, np.array([[0, 0, 1, 0, 0, 0]], bool)).tolist() == [[1, 1, 3, 2, OTHER, IGNORED]]
