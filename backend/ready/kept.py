"""An encoding as bytes and back, with every bit it had: safetensors, which holds numbers and text and runs nothing when it is read.

How each kind is laid out (tensors; text beside them):

  pixels       `pixels` of an `Encoding`
  sam          `embedding` of a `SamEncoding`; size, seen
  sam_tiles    `image` of a `TiledEncoding`; most, each_nbytes. Its tiles are a cache of their own and are not kept

The strides of each tensor are kept too: a convolution may sum in another order over other strides, and so end in other bits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_HEAD = 8  # bytes that state the length of a safetensors header


def packed(encoding: object, *, key: str) -> bytes | None:
    """The encoding as a safetensors file that states `key`; None for a type that is not known here."""
    from safetensors.torch import save  # noqa: PLC0415 - imports torch, which /health and /setup must not wait for

    taken = _taken_apart(encoding)
    if taken is None:
        return None
    kind, tensors, about = taken
    strides = {name: list(tensor.stride()) for name, tensor in tensors.items()}
    told = {"kind": kind, "key": key, "about": json.dumps(about), "strides": json.dumps(strides)}
    return save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, told)


def unpacked(content: bytes, *, key: str, device: str) -> Any:
    """The encoding with its tensors on `device`. Raises ValueError for content of another key, or that is none of this layout."""
    from safetensors import SafetensorError  # noqa: PLC0415 - see above
    from safetensors.torch import load  # noqa: PLC0415

    try:
        told = _told(content)
        if told["key"] != key:
            raise ValueError("it is another encoding than its name says")
        strides = json.loads(told["strides"])
        tensors = {name: _strided(tensor, strides[name]).to(device) for name, tensor in load(content).items()}
        return _put_together(told["kind"], tensors, json.loads(told["about"]))
    except (SafetensorError, KeyError, TypeError, IndexError, RuntimeError) as error:
        raise ValueError(f"it cannot be read ({type(error).__name__}: {error})") from None


def _told(content: bytes) -> Mapping[str, str]:
    """The text that stands in the header."""
    length = int.from_bytes(content[:_HEAD], "little")
    return json.loads(content[_HEAD : _HEAD + length])["__metadata__"]


def _strided(tensor: Tensor, strides: list[int]) -> Tensor:
    """The same numbers, laid out with these strides. Raises ValueError where that needs more memory than there are numbers."""
    import torch  # noqa: PLC0415 - see above

    extent = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, strides, strict=True))
    if extent > tensor.numel():
        return tensor
    return torch.empty_strided(tuple(tensor.shape), tuple(strides), dtype=tensor.dtype).copy_(tensor)


def _taken_apart(encoding: object) -> tuple[str, dict[str, Tensor], dict[str, Any]] | None:
    import torch  # noqa: PLC0415 - see above

    from backend.inference.encoding import Encoding  # noqa: PLC0415
    from backend.segmenters.sam_segmenter import SamEncoding  # noqa: PLC0415
    from backend.segmenters.sam_tiles import TiledEncoding  # noqa: PLC0415

    if isinstance(encoding, Encoding):
        return "pixels", {"pixels": encoding.pixels}, {}
    if isinstance(encoding, SamEncoding):
        return "sam", {"embedding": encoding.embedding}, {"size": encoding.size, "seen": encoding.seen}
    if isinstance(encoding, TiledEncoding):
        return "sam_tiles", {"image": torch.tensor(encoding.image)}, {"most": encoding.most, "each_nbytes": encoding.each_nbytes}
    return None


def _put_together(kind: str, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> Any:
    from backend.inference.encoding import Encoding  # noqa: PLC0415 - see above
    from backend.segmenters.sam_segmenter import SamEncoding  # noqa: PLC0415
    from backend.segmenters.sam_tiles import TiledEncoding  # noqa: PLC0415

    if kind == "pixels":
        return Encoding(tensors["pixels"])
    if kind == "sam":
        (height, width), (seen_height, seen_width) = about["size"], about["seen"]
        return SamEncoding(tensors["embedding"], (height, width), (seen_height, seen_width))
    if kind == "sam_tiles":
        return TiledEncoding(tensors["image"].cpu().numpy(), most=about["most"], each_nbytes=about["each_nbytes"])
    raise ValueError(f"it is of the kind {kind!r}, which means nothing here")
