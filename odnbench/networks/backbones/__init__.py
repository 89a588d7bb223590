"""Backbones: networks that were made to classify, up to the feature map that modules take."""

from odnbench.networks.backbones.resnets import resnet, slim_resnet18
from odnbench.networks.backbones.timm_features import timm_backbone
from odnbench.networks.backbones.torchvision_features import torchvision_backbone

__all__ = ["resnet", "slim_resnet18", "timm_backbone", "torchvision_backbone"]
