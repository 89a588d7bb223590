"""Occlusion-adaptive deep network (ODN), Zhu et al., CVPR 2019, Fig. 1, and its ablations.

    backbone → Z → [ GM(Z), DM(Z) ] → down-sample, flatten → X → LM → W_fc → shape

The modules stand in the slots of registry/slots.toml, in their order: trunk modules change Z,
branches take Z side by side, vector modules change X. An empty branch gives no channels; without
any branch, Z itself goes on. "Down-sampled" is average pooling by two here, since the paper gives
no more. The paper's baseline BRNet averages Z to one vector instead, as a classifier does (`pool`).
A head that takes a map gets the features before down-sampling.
"""

# B images, L landmarks, C channels, h×w feature map, d length of X, k columns of M

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from odnbench.errors import OdnbenchError
from odnbench.networks.base import (
    IMAGENET,
    LandmarkNetwork,
    Normalisation,
    Prediction,
    SpectralPenalty,
)
from odnbench.networks.heads.head import CriterionFunction, LandmarkHead
from odnbench.plan.entries import Backbone, Head, Module, Slot
from odnbench.plan.registry import Registry
from odnbench.plan.specs import NONE, ModelSpec


class OcclusionAdaptiveNetwork(LandmarkNetwork):
    """ODN, or what an ablation leaves of it.

    input_size: side of the input in pixels, on which the length d of X depends. pool: whether the
    features are averaged to one vector, instead of down-sampled by two and flattened. Parameters
    are named after the slots and the head. Raises OdnbenchError for a backbone or a module without
    an attribute that the network needs.
    """

    def __init__(
        self,
        model: ModelSpec,
        registry: Registry,
        landmarks: int,
        input_size: int,
        pool: bool = False,
    ):
        super().__init__(landmarks)
        self._pool = pool
        entry = registry.get(Backbone, model.backbone)
        self.backbone: nn.Module = registry.build(
            Backbone, model.backbone, attach=entry.layer(model.attach), pretrained=model.pretrained
        )
        what = f"backbone '{model.backbone}'"
        channels = size_of(self.backbone, "out_channels", what)
        stride = size_of(self.backbone, "stride", what)
        self.normalisation = normalisation_of(self.backbone, what)
        filled = [
            (slot, model.module(name))
            for name, slot in registry.all(Slot).items()
            if model.module(name) != NONE
        ]

        def fill(place: str, argument: str, size: int, **more: int) -> tuple[list[str], list[int]]:
            """Builds the modules of a place; returns their slots and the sizes of their outputs."""
            slots, sizes = [], []
            for slot, name in filled:
                if slot.place != place:
                    continue
                module: nn.Module = registry.build(Module, name, **{argument: size}, **more)
                self.add_module(slot.name, module)
                slots.append(slot.name)
                sizes.append(size_of(module, argument.replace("in_", "out_"), f"module '{name}'"))
                if place != "branch":
                    size = sizes[-1]
            return slots, sizes

        self._trunk, sizes = fill("trunk", "in_channels", channels)
        channels = sizes[-1] if sizes else channels
        self._branches, sizes = fill("branch", "in_channels", channels)
        channels = sum(sizes) or channels
        side = input_size // stride  # of Z, in cells
        if input_size % stride:  # each network rounds in its own way
            side = _side_of(self.backbone, input_size)
        self._takes_map = registry.get(Head, model.head).takes == "map"
        if pool and self._takes_map:
            raise OdnbenchError(
                f"head '{model.head}' takes a map of features, but this variant averages it to one "
                "vector; take another variant, as cut, or another head"
            )
        self._vector: list[str] = []
        if not pool:
            self.feature_map = (side, side)
        if not self._takes_map:
            side = 1 if pool else -(-side // 2)
            channels *= side * side  # d
            self._vector, sizes = fill("vector", "in_features", channels, landmarks=landmarks)
            channels, side = (sizes[-1] if sizes else channels), 1  # k
        head: LandmarkHead = registry.build(
            Head, model.head, in_channels=channels, side=side, landmarks=landmarks
        )
        self._head_name = model.head
        self.add_module(model.head, head)

    @property
    def head(self) -> LandmarkHead:
        """The head of the network, by whatever name it is registered."""
        head: LandmarkHead = self.get_submodule(self._head_name)  # type: ignore[assignment]
        return head

    def set_mean_shape(self, mean_shape: Tensor) -> None:
        """See LandmarkNetwork.set_mean_shape."""
        super().set_mean_shape(mean_shape)
        self.head.set_mean_shape(mean_shape)

    def forward(self, images: Tensor) -> Prediction:
        """See LandmarkNetwork.forward."""
        Z = self.backbone(images)  # (B, C, h, w)
        for slot in self._trunk:
            Z = self.get_submodule(slot)(Z)
        features, occlusion_map = self._join_branches(Z)
        if not self._takes_map:
            features = self._to_vector(features)
        output = self.head(features)
        return Prediction(self.head.decode(output, self.mean_shape), occlusion_map, output)

    def data_term(
        self, prediction: Prediction, true: Tensor, criterion: CriterionFunction
    ) -> Tensor:
        """See LandmarkNetwork.data_term."""
        return self.head.data_term(prediction.output, prediction.points, true, criterion)

    def confidence(self, prediction: Prediction) -> Tensor | None:
        """See LandmarkNetwork.confidence."""
        return self.head.confidence(prediction.output)

    def _join_branches(self, Z: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, C', h, w) the outputs of all branches, and the occlusion map of a branch, if any."""
        outputs: list[Tensor] = []
        occlusion_map = None
        for slot in self._branches:
            branch: Any = self.get_submodule(slot)(Z)
            if isinstance(branch, tuple):
                branch, occlusion_map = branch
            outputs.append(branch)
        return (torch.cat(outputs, dim=1) if outputs else Z), occlusion_map

    def _to_vector(self, features: Tensor) -> Tensor:
        """(B, C', h, w) → (B, k)."""
        if self._pool:
            X = features.mean(dim=(-2, -1))  # (B, d)
        else:
            X = functional.avg_pool2d(features, 2, ceil_mode=True).flatten(1)  # (B, d)
        for slot in self._vector:
            X = self.get_submodule(slot)(X)  # (B, k)
        return X

    @property
    def structural_matrix(self) -> Tensor | None:
        """See LandmarkNetwork: M of the first module in a vector slot that has an M."""
        found = self._structural
        return None if found is None else found[1]

    @property
    def penalised_matrix(self) -> tuple[nn.Parameter, SpectralPenalty] | None:
        """See LandmarkNetwork: M if it is a parameter, and its module's `penalty`, by default the
        nuclear norm; None where that is None.
        """
        if (found := self._structural) is None or not isinstance(found[1], nn.Parameter):
            return None
        penalty = getattr(found[0], "penalty", SpectralPenalty())
        return None if penalty is None else (found[1], penalty)

    @property
    def _structural(self) -> tuple[nn.Module, Tensor] | None:
        """The first module in a vector slot that has an M, and its M."""
        modules = [self.get_submodule(slot) for slot in self._vector]
        found = ((module, getattr(module, "M", None)) for module in modules)
        return next(((module, M) for module, M in found if M is not None), None)

    @property
    def regression_matrix(self) -> nn.Parameter | None:
        """See LandmarkNetwork."""
        return self.head.regression_matrix


def _side_of(backbone: nn.Module, input_size: int) -> int:
    """Side in cells of the map that `backbone` makes of images of side `input_size`."""
    training = backbone.training
    with torch.no_grad():
        side: int = backbone.eval()(torch.zeros(1, 3, input_size, input_size)).shape[-1]
    backbone.train(training)
    return side


def normalisation_of(backbone: nn.Module, what: str) -> Normalisation:
    """How the inputs of `backbone` are normalised: by its `input_mean` and `input_std`, or as
    ImageNet's where it has neither.

    Raises OdnbenchError that begins with `what` unless both are three numbers, the second above 0.
    """
    mean = getattr(backbone, "input_mean", IMAGENET.mean)
    std = getattr(backbone, "input_std", IMAGENET.std)
    try:
        found = Normalisation(tuple(map(float, mean)), tuple(map(float, std)))
    except (TypeError, ValueError):
        found = Normalisation((), ())
    if len(found.mean) == len(found.std) == 3 and min(found.std) > 0:
        return found
    raise OdnbenchError(
        f"{what}: input_mean and input_std must be three numbers each, for R, G and B on [0, 1], "
        f"input_std above 0; they are {mean!r} and {std!r}"
    )


def size_of(module: nn.Module, attribute: str, what: str) -> int:
    """The whole number above 0 that a backbone or a module gives as `attribute`.

    Raises OdnbenchError that begins with `what` where it gives none.
    """
    value = getattr(module, attribute, None)
    if isinstance(value, int) and value > 0:
        return value
    raise OdnbenchError(
        f"{what}: {type(module).__name__} must have an attribute {attribute}, a whole number above "
        f"0; it is {value!r}"
    )
