"""SAM's image encoder breaks off between two of its blocks when somebody clicked, and only where nobody waits for it."""

from __future__ import annotations

import numpy as np
import pytest

from backend.inference.giving_way import GaveWay, giving_way
from backend.segmenters import registry
from converters.frames import Click

IMAGE = np.random.default_rng(3).integers(0, 255, (90, 130, 3), dtype=np.uint8)


def test_it_breaks_off_before_the_next_block_and_answers_as_before_when_asked_again() -> None:
    segmenter = registry.load("sam_tiny")
    expected = segmenter.step(segmenter.encode(IMAGE), [Click(40, 60, True)], segmenter.start(segmenter.encode(IMAGE)))
    begun: list[int] = []
    blocks = segmenter.net.image_encoder.blocks  # type: ignore[attr-defined]
    for number, block in enumerate(blocks):
        block.register_forward_hook(lambda *_, number=number: begun.append(number))
    assert len(blocks) == 2
    with giving_way(lambda: begun == [0]), pytest.raises(GaveWay):
        segmenter.encode(IMAGE)
    assert begun == [0]
    encoding = segmenter.encode(IMAGE)
    assert begun == [0, 0, 1]
    again = segmenter.step(encoding, [Click(40, 60, True)], segmenter.start(encoding))
    np.testing.assert_array_equal(again.probability, expected.probability)
