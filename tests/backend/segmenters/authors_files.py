"""What the authors' checkpoints are made of, beside tensors."""

from __future__ import annotations

import sys
import types

import pytest
from torch import nn

LOSS_MODULE = "isegm.model.modeling.transformer_helper.cross_entropy_loss"


def config(**params: object) -> dict[str, object]:
    """The description that stands beside the state dict in files of RITM and its family."""
    stated = {name: {"type": "builtin", "value": value, "specified": True} for name, value in params.items()}
    return {"class": "isegm.model.X", "params": stated}


def loss_object(monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """An object that pickles as SimpleClick's loss does: a module under the authors' names, with a reference to a function of theirs."""
    for depth in range(1, len(LOSS_MODULE.split(".")) + 1):
        name = ".".join(LOSS_MODULE.split(".")[:depth])
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    module = sys.modules[LOSS_MODULE]

    class CrossEntropyLoss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.reduction = "mean"
            self.cls_criterion = module.cross_entropy

    def cross_entropy() -> None:
        raise AssertionError("code of the file was run")

    for one in (CrossEntropyLoss, cross_entropy):
        one.__module__, one.__qualname__ = LOSS_MODULE, one.__name__
        setattr(module, one.__name__, one)
    return CrossEntropyLoss()


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """The authors' modules are not importable here, as on a machine of ours."""
    for name in [name for name in sys.modules if name.split(".")[0] == "isegm"]:
        monkeypatch.delitem(sys.modules, name)
