"""Geometry-aware module (GM), Zhu et al., CVPR 2019, Sec. 3.1.

Two pathways see the same features at two scales; their outputs are multiplied channel by channel,
so that one position can look at the others of its row and column. The paper calls the product
"matrix outer product" and says that each response is a weighted sum over the corresponding row and
column: that is the matrix product A_c B_c, our default. The full outer product of the flattened
maps, averaged back to the map's size, and the element-wise product are there to compare with.

The paper gives no widths. Both pathways end in a batch norm without ReLU: products of features keep
their sign, and their scale stays bounded.
"""

# B images, C channels, H×W feature map

from collections.abc import Callable

import torch
from torch import Tensor, nn

from odnbench.errors import unknown
from odnbench.networks.modules.layers import conv


class GeometryModule(nn.Module):
    """Z (B, C, H, W) → geometric features (B, out_channels, H, W).

    product: "matmul", "outer" or "hadamard". hidden and out: widths as shares of C.
    """

    def __init__(self, in_channels: int, *, product: str, hidden: float, out: float):
        super().__init__()
        if product not in PRODUCTS:
            raise unknown("product", product, PRODUCTS)
        self.product = PRODUCTS[product]
        self.out_channels = round(in_channels * out)
        width = round(in_channels * hidden)
        self.pathway_a = self._pathway(in_channels, width, kernel=3)
        self.pathway_b = self._pathway(in_channels, width, kernel=5)
        self.last = conv(self.out_channels, self.out_channels, 1)

    def forward(self, Z: Tensor) -> Tensor:
        A, B = self.pathway_a(Z), self.pathway_b(Z)  # each (B, C', H, W)
        size = A.shape[-1]
        geometric = self.product(A, B) / size**0.5  # (B, C', H, W)
        features: Tensor = self.last(geometric)
        return features

    def _pathway(self, in_channels: int, width: int, kernel: int) -> nn.Sequential:
        return nn.Sequential(
            conv(in_channels, width, 1),
            conv(width, width, kernel),
            conv(width, self.out_channels, 1, relu=False),
        )


def pooled_outer(A: Tensor, B: Tensor) -> Tensor:
    """Outer product of the flattened maps, a_i b_j, averaged over j: (B, C, H, W).

    The average over j of a_i b_j is a_i times the mean of B, so the (HW)² products need not be
    formed.
    """
    return A * B.mean(dim=(-2, -1), keepdim=True)


PRODUCTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "matmul": torch.matmul,
    "outer": pooled_outer,
    "hadamard": torch.mul,
}
