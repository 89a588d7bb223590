"""Imports torchvision, also beside a torch build for which its compiled operators do not load.

torchvision's wheel may be a CUDA build while torch is a CPU build; its import then stops because
the schemas of two compiled operators were never declared. Declaring them is enough for models and
transforms; nms and qnms themselves stay without an implementation and say so when called.
"""

import torch

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

try:
    import torchvision
except RuntimeError as error:
    if "torchvision::nms does not exist" not in str(error):
        raise
    for operator in ("nms", "qnms"):
        torch.library.define(f"torchvision::{operator}", _SCHEMA)
    import torchvision

import torchvision.models.feature_extraction  # noqa: E402  torchvision.models leaves it out

__all__ = ["torchvision"]
