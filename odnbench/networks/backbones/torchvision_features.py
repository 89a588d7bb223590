"""Backbones of torchvision's classifiers, cut by torchvision's own feature extraction.

Parameters keep torchvision's names, so that its weights and files of the same naming load by name.
"""

# B images, C channels, H×W pixels of the image, s stride of the feature map

from torch import Tensor, nn

from odnbench.errors import OdnbenchError, unknown
from odnbench.networks.backbones.trunk import FeatureMap, place_of
from odnbench.networks.backbones.weights import load_weights, published_weights
from odnbench.networks.base import Normalisation
from odnbench.networks.torchvision_import import torchvision
from odnbench.plan.weights import weights_file


class TorchvisionFeatures(nn.Module):
    """The layers up to a feature map: (B, 3, H, W) → Z (B, out_channels, H/stride, W/stride).

    trunk: gives the map alone, as torchvision's feature extraction does. found: what is known of
    the map.
    """

    def __init__(self, trunk: nn.Module, found: FeatureMap, normalisation: Normalisation):
        super().__init__()
        self.trunk = trunk
        self.out_channels, self.stride = found.channels, found.stride
        self.channels_last = found.channels_last
        self.input_mean, self.input_std = normalisation

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        Z: Tensor = self.trunk(images)["Z"]
        return Z.permute(0, 3, 1, 2) if self.channels_last else Z


def torchvision_backbone(attach: str, pretrained: str, *, name: str) -> TorchvisionFeatures:
    """torchvision's classifier `name` up to `attach`, a word or a layer's own name (trunk.py).

    pretrained: "none", "imagenet" or another name of torchvision's own weights, which are
    downloaded once, or a local weights file. Raises OdnbenchError for an unknown name, and for
    weights that cannot be had.
    """
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise OdnbenchError(f"options: {unknown('model of torchvision', name, known)}")
    network = torchvision.models.get_model(name, weights=None)
    file = weights_file(pretrained)
    if file is None and pretrained != "none":
        network.load_state_dict(published_weights(name, pretrained))
    layer, found = place_of(network, attach, name)
    trunk = torchvision.models.feature_extraction.create_feature_extractor(
        network, {layer: "Z"}, suppress_diff_warning=True
    )
    if file is not None:
        load_weights(trunk, file)
    preset = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    return TorchvisionFeatures(trunk, found, Normalisation(tuple(preset.mean), tuple(preset.std)))
