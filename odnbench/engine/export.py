"""The network of a finished trial, and a form of it that other tools can call."""

# B images, L landmarks, s side of the network's input

from torch import Tensor, nn

from odnbench.engine.augment import central_crop, normalise, to_pixels
from odnbench.engine.build import build_network
from odnbench.engine.checkpoint import load_checkpoint
from odnbench.errors import OdnbenchError
from odnbench.networks.base import LandmarkNetwork
from odnbench.plan.conversion import replace_at
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Trial
from odnbench.results.folder import CHECKPOINT, TrialFolder


class ServedNetwork(nn.Module):
    """(B, s, s, 3) uint8 RGB crops → (B, L, 2) landmarks, x y in pixels of the crop.

    Each crop is predicted once, also where the trial's numbers are those of a flip test.
    """

    def __init__(self, network: LandmarkNetwork, size: int):
        super().__init__()
        self.network, self.size = network, size

    def forward(self, images: Tensor) -> Tensor:
        inputs = normalise(central_crop(images, self.size), self.network.normalisation)
        points: Tensor = self.network(inputs).points
        return to_pixels(points, self.size)


def load_network(trial: Trial, folder: TrialFolder, registry: Registry) -> LandmarkNetwork:
    """The network of `trial` on the CPU, with the weights of the selected epoch from `folder`.

    Raises OdnbenchError where the network cannot be built, or the weights are damaged or not its
    own.
    """
    if folder.marked and (fault := folder.damage([CHECKPOINT])):
        raise OdnbenchError(f"{fault}; the command that trained it trains it again")
    # The pretrained weights may be gone by now, and the checkpoint replaces them anyway.
    spec = replace_at(trial.spec, "model.pretrained", "none")
    network = build_network(spec, registry, trial.scheme.points)
    load_checkpoint(network, folder.checkpoint)
    return network
