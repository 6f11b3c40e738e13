"""SegFormer in training: residuals are skipped, the last block's most; never when it serves."""

from __future__ import annotations

import pytest
import torch

from backend.segmenters.segformer import Block, MixVisionTransformer


def test_blocks_skip_more_the_deeper_they_are_up_to_a_tenth() -> None:
    net = MixVisionTransformer(channels=(8, 16, 20, 32), depths=(2, 1, 3, 1), heads=(1, 2, 2, 4))
    blocks = [block for stage in (net.block1, net.block2, net.block3, net.block4) for block in stage]
    assert [block.drop_path.drop_prob for block in blocks] == pytest.approx([number / 60 for number in range(7)])
    assert not [name for name in net.state_dict() if "drop_path" in name]


def test_a_sample_is_skipped_whole_in_training_and_never_in_eval_mode() -> None:
    torch.manual_seed(0)
    block, x = Block(8, 1, 1, skipped=0.5), torch.randn(400, 4, 8)
    out = block.train()(x, (2, 2))
    untouched = (out == x).flatten(1).all(dim=1)
    assert 60 < int(untouched.sum()) < 140  # both residuals, each skipped half of the time: 100 +- 4.5 * 8.7
    assert not (block.eval()(x, (2, 2)) == x).flatten(1).all(dim=1).any()
    torch.testing.assert_close(block(x, (2, 2)), block(x, (2, 2)))
