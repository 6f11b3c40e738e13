"""Every family's encoding goes to disk and back with every bit, and a click on it gives the same mask."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from backend.inference.encoding import Encoding
from backend.ready import kept
from backend.segmenters import registry
from backend.segmenters.sam_segmenter import SamEncoding
from converters.frames import Click

IMAGE = np.random.default_rng(3).integers(0, 255, (90, 130, 3), dtype=np.uint8)
CLICKS = [Click(40.5, 60.5, True), Click(20.5, 90.5, False), Click(70.5, 30.5, True)]
FAMILIES = ["vitclick_tiny", "ritm_tiny", "simpleclick_tiny", "focalclick_tiny", "sam_tiny", "sam_tiny_vit_tiny"]


def tensors_of(encoding) -> list[torch.Tensor]:
    fields = (getattr(encoding, name, None) for name in ("pixels", "embedding", "image"))
    return [torch.as_tensor(field) for field in fields if field is not None]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_click_on_an_encoding_from_disk_has_the_bits_of_one_on_a_computed_encoding(name: str) -> None:
    segmenter = registry.load(name)
    computed = segmenter.encode(IMAGE)
    content = kept.packed(computed, key="it")
    assert content is not None
    read = kept.unpacked(content, key="it", device="cpu")
    assert type(read) is type(computed)
    assert (read.nbytes, read.size) == (computed.nbytes, computed.size)
    (one,), (other,) = tensors_of(computed), tensors_of(read)
    assert (one.dtype, one.stride()) == (other.dtype, other.stride())
    assert torch.equal(one, other)
    states = [segmenter.start(encoding) for encoding in (computed, read)]
    for count in range(1, len(CLICKS) + 1):
        states = [segmenter.step(encoding, CLICKS[:count], state) for encoding, state in zip((computed, read), states, strict=True)]
        np.testing.assert_array_equal(states[0].probability, states[1].probability)
    assert states[0].probability.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_strides_and_number_format_stay_as_they_were(dtype: torch.dtype) -> None:
    embedding = torch.rand(1, 8, 5, 6).to(dtype).to(memory_format=torch.channels_last)
    content = kept.packed(SamEncoding(embedding, (50, 60), (40, 48)), key="it")
    assert content is not None
    read = kept.unpacked(content, key="it", device="cpu")
    assert read.embedding.stride() == embedding.stride() != embedding.contiguous().stride()
    assert read.embedding.dtype == dtype
    assert torch.equal(read.embedding, embedding)
    assert (read.size, read.seen) == ((50, 60), (40, 48))


def test_what_is_no_known_encoding_is_not_kept() -> None:
    assert kept.packed(np.zeros((4, 4, 3), np.uint8), key="it") is None


def content() -> bytes:
    made = kept.packed(Encoding(torch.arange(24, dtype=torch.uint8).reshape(1, 3, 2, 4)), key="it")
    assert made is not None
    return made


def with_header(change) -> bytes:
    """`content` with its header changed, and everything else where it was."""
    made = content()
    length = int.from_bytes(made[:8], "little")
    header = json.loads(made[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + made[8 + length :]


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"\x80\x04K\x01.",  # a pickle
        content()[:20],
        content()[:-1],
        with_header(lambda header: header.pop("__metadata__")),
        with_header(lambda header: header["__metadata__"].update(kind="another")),
        with_header(lambda header: header["__metadata__"].update(kind="sam")),
        with_header(lambda header: header["__metadata__"].update(strides="{}")),
        with_header(lambda header: header["__metadata__"].update(strides='{"pixels": [1]}')),
        with_header(lambda header: header["__metadata__"].update(about="no JSON")),
    ],
)
def test_what_is_no_file_of_ours_is_refused(wrong: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        kept.unpacked(wrong, key="it", device="cpu")


def test_another_encoding_is_not_taken_for_the_one_asked_for() -> None:
    with pytest.raises(ValueError, match="another encoding"):
        kept.unpacked(content(), key="not it", device="cpu")
