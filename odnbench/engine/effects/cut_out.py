"""A rectangle that hides a part of the picture.

DeVries and Taylor, Improved regularization of convolutional neural networks with cutout, 2017;
Zhong et al., Random erasing data augmentation, AAAI 2020.
"""

# n images, s their side

import torch
from torch import Tensor

from odnbench.engine.effects.noise import windows

_NOISE = 50.0  # grey levels


def cut_out(images: Tensor, amounts: Tensor, random: Tensor, *, largest: float) -> Tensor:
    """(n, 3, s, s), in each a rectangle of one grey, or of noise around it.

    The sides are between half of and the whole of amounts (n,) times `largest`, a share of the
    picture's. random (n, 8): centre, sides, grey, whether noisy, and the place of the noise.
    """
    size = images.shape[-1]
    centre = random[:, :2] * size
    half = amounts[:, None] * largest * size * (0.5 + 0.5 * random[:, 2:4]) / 2
    pixels = torch.arange(size, device=images.device) + 0.5
    inside = (pixels - centre[:, :, None]).abs() < half[:, :, None]  # (n, 2, s)
    hidden = inside[:, 1, :, None] & inside[:, 0, None, :]  # (n, s, s)
    level = 255 * random[:, 4, None, None, None]
    spread = _NOISE * (random[:, 5] < 0.5).to(images)[:, None, None, None]
    filled = level + spread * windows(random[:, 6:8], size)
    return torch.where(hidden[:, None], filled, images)
