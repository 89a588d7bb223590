"""ResNet backbones, He et al., CVPR 2016, cut where the modules of ODN take over.

"We modify the last residual unit of ResNet-18" (Zhu et al., CVPR 2019, Sec. 3): with
attach = "layer4.0", Z is the output of layer4.0 and our modules stand in the place of layer4.1.
Parameters keep torchvision's names, so that its weights and files of the same naming load by name.
"""

# B images, C channels, H×W pixels of the image, s stride of the feature map

from collections import OrderedDict

from torch import nn

from odnbench.errors import OdnbenchError
from odnbench.networks.backbones.weights import load_weights, published_weights
from odnbench.networks.torchvision_import import torchvision
from odnbench.plan.weights import weights_file

_BLOCK = torchvision.models.resnet.BasicBlock


class FeatureExtractor(nn.Sequential):
    """The first layers of a network: (B, 3, H, W) → Z (B, out_channels, H/stride, W/stride)."""

    def __init__(self, layers: "OrderedDict[str, nn.Module]", out_channels: int, stride: int):
        super().__init__(layers)
        self.out_channels = out_channels
        self.stride = stride


def resnet(attach: str, pretrained: str, *, name: str) -> FeatureExtractor:
    """torchvision's ResNet `name` up to and including block `attach` ("layer3", "layer4.0", …).

    pretrained: "none", "imagenet" or another name of torchvision's own weights, which are
    downloaded once, or a local weights file (.npz, .safetensors, .pth). Raises OdnbenchError for an
    unknown `attach` and for weights that cannot be had.
    """
    model = torchvision.models.get_model(name, weights=None)
    file = weights_file(pretrained)
    if file is None and pretrained != "none":
        model.load_state_dict(published_weights(name, pretrained))
    backbone = _cut(model, attach)
    if file is not None:
        load_weights(backbone, file)
    return backbone


def slim_resnet18(attach: str, pretrained: str, *, width: int) -> FeatureExtractor:
    """ResNet-18 with `width` channels in its first stage instead of 64."""
    file = weights_file(pretrained)
    if file is None and pretrained != "none":
        raise OdnbenchError(
            "model.pretrained: there are no published weights of the slim ResNet-18; "
            "use -s pretrained=none or -s backbone=resnet18"
        )
    model = torchvision.models.ResNet(_BLOCK, [2, 2, 2, 2])
    widths = (width, 2 * width, 4 * width, 8 * width)
    model.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
    model.bn1 = nn.BatchNorm2d(width)
    model.inplanes = width  # torchvision counts the channels reached so far here
    for stage, channels in enumerate(widths, start=1):
        layer = model._make_layer(_BLOCK, channels, blocks=2, stride=1 if stage == 1 else 2)
        setattr(model, f"layer{stage}", layer)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    backbone = _cut(model, attach)
    if file is not None:
        load_weights(backbone, file)
    return backbone


def _cut(model: nn.Module, attach: str) -> FeatureExtractor:
    """The layers of a torchvision ResNet up to and including `attach`."""
    stage, _, block = attach.partition(".")
    stages = ("layer1", "layer2", "layer3", "layer4")
    available = [
        *stages,
        *(f"{name}.{index}" for name in stages for index in range(len(getattr(model, name)))),
    ]
    if attach not in available:
        raise OdnbenchError(
            f"model.attach: this backbone has no '{attach}'; it has {', '.join(available)}"
        )
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        (name, getattr(model, name)) for name in ("conv1", "bn1", "relu", "maxpool")
    )
    for name in stages[: stages.index(stage) + 1]:
        layers[name] = getattr(model, name)
    if block:
        layers[stage] = nn.Sequential(*list(layers[stage].children())[: int(block) + 1])
    last = list(layers[stage].children())[-1]
    norm = [module for module in last.modules() if isinstance(module, nn.BatchNorm2d)][-1]
    out_channels = norm.num_features
    return FeatureExtractor(layers, out_channels, stride=2 ** (int(stage[-1]) + 1))
