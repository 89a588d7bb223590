"""The mean shape of the training set, whatever the picture: the error that any network must
beat.
"""

from torch import Tensor

from odnbench.networks.base import LandmarkNetwork, Prediction
from odnbench.plan.registry import Registry
from odnbench.plan.specs import ModelSpec


class MeanShape(LandmarkNetwork):
    """(B, 3, H, W) → the mean shape, B times. Only the number of landmarks matters."""

    def __init__(self, model: ModelSpec, registry: Registry, landmarks: int, input_size: int):
        super().__init__(landmarks)

    def forward(self, images: Tensor) -> Prediction:
        """See LandmarkNetwork.forward."""
        return Prediction(self.mean_shape.expand(images.shape[0], -1, -1), None)
