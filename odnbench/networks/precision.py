"""Float32 inside a network that computes in bf16.

Eq. (3) adds terms as small as 1e-6 to gradients of about 1, which bf16 with its 8 binary digits
rounds away. What such a term acts on is computed in float32.
"""

import torch
from torch import Tensor


def full_precision(tensor: Tensor) -> torch.autocast:
    """A context without autocast on the device of `tensor`."""
    return torch.autocast(tensor.device.type, enabled=False)


def widened(tensor: Tensor) -> Tensor:
    """`tensor` in float32, or as it is if it is float32 or float64."""
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()
