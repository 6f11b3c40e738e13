"""Which number format a model computes in, decided without torch: the server states it in `model_version` before anything is loaded."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal, cast, get_args

from backend.errors import ModelError

Precision = Literal["fp32", "mixed", "bf16"]
"""mixed: the MLPs of a transformer in bfloat16, about half of its arithmetic and the part that masks feel least. bf16: every linear
layer, convolution and attention; norms, residual sums and position embeddings stay float32 in both. Sums are float32 throughout."""
AUTO = "auto"
"""`mixed` where the processor multiplies bf16 numbers and the model is known to draw the same masks with it, `fp32` otherwise. The
processor alone decides, even where a GPU then computes, so that it is known before torch is."""
CHOICES = (AUTO, *get_args(Precision))

# As Linux names them. Without one of these, bf16 is emulated, and slower than fp32.
_NATIVE_FLAGS = ("avx512_bf16", "amx_bf16")


@cache
def native_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this machine's CPU multiplies bf16 numbers. False where that cannot be told."""
    try:
        lines = cpuinfo.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return False
    flags = next((set(line.split()) for line in lines if line.startswith("flags")), set[str]())
    return any(flag in flags for flag in _NATIVE_FLAGS)


def chosen_precision(wanted: str, *, same_masks: bool) -> Precision:
    """What `wanted` (auto, fp32, mixed or bf16) means for one model.

    same_masks: whether its masks are known to agree with those of fp32 when it computes `mixed` (`Entry.mixed`).
    Raises ModelError for another word.
    """
    if wanted not in CHOICES:
        raise ModelError(f"there is no precision '{wanted}'; expected one of {', '.join(CHOICES)}")
    if wanted != AUTO:
        return cast("Precision", wanted)
    return "mixed" if same_masks and native_bf16() else "fp32"
