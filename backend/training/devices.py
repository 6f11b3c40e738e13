"""What a run computes on: one device or several, a process each, through lightning-fabric."""

from __future__ import annotations

import logging
import warnings
from datetime import timedelta
from typing import Any, TypeVar

import torch

from backend.errors import UsageError
from backend.segmenters.precision import native_bf16
from backend.training.run import Precision

try:
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy
except ImportError as error:
    raise UsageError("training needs the package lightning-fabric, which is not installed; install rsiseg[train]") from error

CHOICES = ("auto", "bf16-mixed", "fp32")
_LONGEST_WAIT = timedelta(hours=2)  # of the other processes, while one validates
ValueT = TypeVar("ValueT")


def precision_of(wanted: str, device: str) -> Precision:
    """What `wanted` (of CHOICES) means on a device. auto: bf16-mixed on a GPU and on a CPU that multiplies such numbers, else fp32."""
    if wanted == "auto":
        return "bf16-mixed" if torch.device(device).type == "cuda" or native_bf16() else "fp32"
    return "fp32" if wanted == "fp32" else "bf16-mixed"


def fabric_of(device: str, devices: int, precision: Precision) -> Fabric:
    """A Fabric, not yet launched. device: cpu, cuda, or cuda:N for that one. UsageError for devices that are not there."""
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise UsageError(f"--device {device}: there is no such device; expected cpu or cuda") from error
    if wanted.type not in ("cpu", "cuda"):
        raise UsageError(f"--device {device}: training runs on cpu or cuda; name one of them")
    if wanted.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"--device {device}: torch finds no GPU here; train with --device cpu, or check the driver")
    if wanted.index is not None and devices > 1:
        raise UsageError(f"--device {device} names one device and --devices asks for {devices}; write --device {wanted.type}")
    there = torch.cuda.device_count() if wanted.type == "cuda" else devices
    if devices > there:
        raise UsageError(f"--devices {devices}: {there} of the kind {wanted.type} are here; ask for so many at most")
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces number formats and processes
    if wanted.type == "cuda":
        torch.set_float32_matmul_precision("high")
    # About the strides of 1x1 kernels: which of two equal memory layouts theirs is called.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    # Methods may leave parameters out of a step, such as those of a head that is not asked.
    # ICL goes through a network several times before one backward pass; sending batch-norm buffers at each would wait for ever.
    strategy = DDPStrategy(find_unused_parameters=True, broadcast_buffers=False, timeout=_LONGEST_WAIT) if devices > 1 else "auto"
    chosen: list[int] | int = [wanted.index] if wanted.index is not None and wanted.type == "cuda" else devices
    number_format = "bf16-mixed" if precision == "bf16-mixed" else "32-true"
    return Fabric(accelerator=wanted.type, devices=chosen, strategy=strategy, precision=number_format)


def gathered(fabric: Fabric, mine: ValueT) -> list[ValueT | Any]:
    """What every process has, in their order, in the leading one; elsewhere the list is not to be used."""
    if fabric.world_size == 1:
        return [mine]
    every: list[Any] | None = [None] * fabric.world_size if fabric.is_global_zero else None
    torch.distributed.gather_object(mine, every)
    return every or []
