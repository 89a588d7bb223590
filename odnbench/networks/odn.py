"""Occlusion-adaptive deep network (ODN), Zhu et al., CVPR 2019, Fig. 1, and its ablations.

    backbone → Z → [ GM(Z), DM(Z) ] → down-sample, flatten → X → LM → W_fc → shape

A branch that is left out leaves its channels out; without both, Z itself takes their place, and
without LM, X goes straight to W_fc. The baseline BRNet is the whole backbone without any of the
three: pooling to one vector and one linear layer. "Down-sampled" is average pooling by two here:
the paper gives no more.
"""

# B images, L landmarks, C channels, h×w feature map, d length of X, k columns of M

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from odnbench.networks.base import LandmarkNetwork, Prediction
from odnbench.plan.registry import NONE, Backbone, Module, Registry
from odnbench.plan.specs import ModelSpec


class OcclusionAdaptiveNetwork(LandmarkNetwork):
    """ODN, or what an ablation leaves of it.

    input_size: side of the input in pixels, on which the length d of X depends.
    """

    def __init__(self, model: ModelSpec, registry: Registry, landmarks: int, input_size: int):
        super().__init__(landmarks)
        self.backbone = registry.build(
            Backbone, model.backbone, attach=model.attach, pretrained=model.pretrained
        )
        channels = self.backbone.out_channels

        def module(name: str, size: int, argument: str) -> nn.Module | None:
            if name == NONE:
                return None
            built: nn.Module = registry.build(Module, name, **{argument: size})
            return built

        self.geometry = module(model.geometry, channels, "in_channels")
        self.distillation = module(model.distillation, channels, "in_channels")
        branches = [b for b in (self.geometry, self.distillation) if b is not None]
        hybrid_channels = sum(cast(int, b.out_channels) for b in branches) or channels
        self.pool_to_vector = not branches and model.low_rank == NONE  # BRNet
        side = 1 if self.pool_to_vector else -(-input_size // self.backbone.stride // 2)
        d = hybrid_channels * side * side
        self.low_rank = module(model.low_rank, d, "in_features")
        k = d if self.low_rank is None else cast(int, self.low_rank.out_features)
        self.regression = nn.Linear(k, 2 * landmarks, bias=False)
        nn.init.normal_(self.regression.weight, std=0.01)  # start near the mean shape

    def forward(self, images: Tensor) -> Prediction:
        """See LandmarkNetwork.forward."""
        Z = self.backbone(images)  # (B, C, h, w)
        hybrid, occlusion_map = [], None
        if self.geometry is not None:
            hybrid.append(self.geometry(Z))
        if self.distillation is not None:
            clean, occlusion_map = self.distillation(Z)
            hybrid.append(clean)
        features = torch.cat(hybrid, dim=1) if hybrid else Z
        if self.pool_to_vector:
            X = features.mean(dim=(-2, -1))  # (B, d)
        else:
            X = functional.avg_pool2d(features, 2, ceil_mode=True).flatten(1)  # (B, d)
        if self.low_rank is not None:
            X = self.low_rank(X)  # (B, k)
        offsets = self.regression(X).unflatten(1, (-1, 2))  # (B, L, 2)
        return Prediction(self.mean_shape + offsets.float(), occlusion_map)

    @property
    def structural_matrix(self) -> nn.Parameter | None:
        """See LandmarkNetwork."""
        return None if self.low_rank is None else cast(nn.Parameter, self.low_rank.M)

    @property
    def regression_matrix(self) -> nn.Parameter:
        """See LandmarkNetwork."""
        return cast(nn.Parameter, self.regression.weight)
