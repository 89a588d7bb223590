"""Backbones of torchvision's classifiers: any whose layers follow each other.

Their parameters keep torchvision's names, so that its weights and files of the same naming load by
name. They are cut as nested containers: torchvision's own feature extraction traces a network
twice, which takes up to a second and a half (DenseNet-121), a cut between layers some hundredths.
A function between the last layer and the pooling, as DenseNet's last ReLU, is no part of Z.
"""

from odnbench.errors import OdnbenchError, unknown
from odnbench.networks.backbones.trunk import FeatureExtractor, cut
from odnbench.networks.backbones.weights import load_weights, published_weights
from odnbench.networks.torchvision_import import torchvision
from odnbench.plan.weights import weights_file


def torchvision_backbone(attach: str, pretrained: str, *, name: str) -> FeatureExtractor:
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
    backbone = cut(network, attach, name)
    if file is not None:
        load_weights(backbone, file)
    preset = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    backbone.input_mean, backbone.input_std = tuple(preset.mean), tuple(preset.std)
    return backbone
