"""A linear layer for inference: weights laid out once for oneDNN, a following GELU computed in the same pass.

torch hands fp32 matrix products on a CPU to MKL, which on processors of other makers than Intel reaches half of what oneDNN does.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

# Rows of the activations that the layout is chosen for; other numbers of rows are computed as well.
_USUAL_ROWS = 784


def onednn_linear_available() -> bool:
    """Whether this torch has the operators. They are private: torch's own compiler uses them, since 2.0, but nobody promises them."""
    namespace = torch.ops.mkldnn
    return torch.backends.mkldnn.is_available() and hasattr(namespace, "_linear_pointwise") and hasattr(namespace, "_reorder_linear_weight")


class PackedLinear(nn.Module):
    """y = x W' + b, then GELU where asked for: [..., inputs] -> [..., outputs], any float dtype in.

    layer: on the CPU. dtype: what it computes in, float32 or bfloat16. gelu: whether GELU follows. keep: give `dtype`, for a layer
    that feeds another of the same; otherwise the dtype of the input comes back.
    With gradients on (f-BRS), the same function is computed through torch's own operators.
    """

    def __init__(self, layer: nn.Linear, dtype: torch.dtype, *, gelu: bool = False, keep: bool = False) -> None:
        super().__init__()
        self.dtype = dtype
        self.gelu = gelu
        self.keep = keep
        self.packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach().to(dtype), _USUAL_ROWS)
        self.bias = None if layer.bias is None else layer.bias.detach().to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        own = x.to(self.dtype)
        if torch.is_grad_enabled() and own.requires_grad:
            y = F.linear(own, self.packed.to_dense(), self.bias)
            y = F.gelu(y) if self.gelu else y
        else:
            post = ("gelu", [], "none") if self.gelu else ("none", [], "")
            y = torch.ops.mkldnn._linear_pointwise(own, self.packed, self.bias, *post)
        return y if self.keep else y.to(x.dtype)
