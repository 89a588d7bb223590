"""The interface of every network: pictures in, points and possibly an occlusion map out."""

# B images, L landmarks, H×W image, h×w feature map

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from odnbench.networks.heads.head import CriterionFunction


class Prediction(NamedTuple):
    """What a network gives for a batch of pictures.

    points: (B, L, 2), x y in [-1, 1] over the crop. occlusion_map: P (B, 1, h, w) in (0, 1),
    float32 in every precision, if the network has one. output: the output of the network's head,
    from which points were decoded, if the network has a head.
    """

    points: Tensor
    occlusion_map: Tensor | None = None
    output: Any = None


SpectralName = Literal["nuclear", "log-det", "schatten"]


@dataclass(frozen=True)
class SpectralPenalty:
    """What β of Eq. (3) weighs: a function of the singular values of M, by its name and with its
    options (losses/spectral.py); by default the paper's nuclear norm.
    """

    name: SpectralName = "nuclear"
    options: Mapping[str, float] = field(default_factory=dict)


class Normalisation(NamedTuple):
    """Mean and standard deviation of R, G and B on [0, 1], by which inputs are normalised."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class LandmarkNetwork(nn.Module):
    """A network that predicts landmarks; it knows the mean shape of its training set."""

    normalisation = IMAGENET  # of the images that it takes
    mean_shape: Tensor  # (L, 2) in [-1, 1] over the crop
    # Whether its work is done by operations of torch, which can count it.
    runs_in_torch = True
    # (h, w) of the feature map Z that modules take; None where there is none.
    feature_map: tuple[int, int] | None = None

    def __init__(self, landmarks: int):
        super().__init__()
        self.register_buffer("mean_shape", torch.zeros(landmarks, 2))

    def set_mean_shape(self, mean_shape: Tensor) -> None:
        """Takes the mean shape (L, 2) of the training set, before the first step."""
        self.mean_shape.copy_(mean_shape)

    @property
    def parameter_count(self) -> int:
        """How many numbers the network has learnt."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, images: Tensor) -> Prediction:
        """images (B, 3, H, W), normalised by `normalisation` → Prediction."""
        raise NotImplementedError

    def data_term(
        self, prediction: Prediction, true: Tensor, criterion: CriterionFunction
    ) -> Tensor:
        """(B,) the data term of each image; true (B, L, 2) in [-1, 1] over the crop."""
        return criterion(prediction.points, true)

    def confidence(self, prediction: Prediction) -> Tensor | None:
        """(B, L) how sure the network is of each point (`LandmarkHead.confidence`), where it can
        tell.
        """
        return None

    @property
    def structural_matrix(self) -> Tensor | None:
        """M (d, k) of the low-rank module, a parameter or a product of several, where the network
        has one.
        """
        return None

    @property
    def penalised_matrix(self) -> tuple[nn.Parameter, SpectralPenalty] | None:
        """M where β and γ act on it, and what β weighs."""
        return None

    @property
    def regression_matrix(self) -> nn.Parameter | None:
        """W_fc (2L, k) of the last, fully connected layer, where the network has one."""
        return None

    @property
    def convolution_weights(self) -> list[nn.Parameter]:
        """W_c: the weights of all convolutions that are trained, those that upsample included."""
        kinds = (nn.Conv2d, nn.ConvTranspose2d)
        found = (cast(nn.Parameter, m.weight) for m in self.modules() if isinstance(m, kinds))
        return [weight for weight in found if weight.requires_grad]
