"""The loss of JPEG: colours at half the resolution, and quantised 8×8 discrete cosine transforms.

All that loses something in a JPEG file (ITU-T T.81) is computed, and nothing else. The colours are
those of JFIF, the tables of quantisation those of T.81, Annex K, times a number: what encoders call
quality 50 is 1, quality 10 is 5. Decoders differ in how they enlarge the colours; here each value
stands for 2×2 pixels.
"""

# n images, s their side, a multiple of 16

from functools import cache

import torch
from torch import Tensor

from odnbench.engine.effects.colour import LUMA

# Tables K.1 and K.2, row by row.
_LUMINANCE = """
16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112
100 103 99
"""
_CHROMINANCE = """
17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99
99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99
"""


def jpeg(images: Tensor, amounts: Tensor, random: Tensor, *, coarsest: float) -> Tensor:
    """(n, 3, s, s) as after a JPEG file whose tables are those of T.81 times amounts (n,) times
    `coarsest`. random (n, 8) is not used.
    """
    to_ycc, back, tables, cosines = _constants(images.device)
    steps = (tables * (amounts * coarsest)[:, None, None, None]).round().clamp(1, 255)
    ycc = torch.matmul(to_ycc, images.flatten(2)).view_as(images)
    luminance = _quantised(ycc[:, :1] - 128, steps[:, :1], cosines) + 128
    halved = torch.nn.functional.avg_pool2d(ycc[:, 1:], 2)
    chrominance = _quantised(halved, steps[:, 1:], cosines)
    enlarged = chrominance.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    return torch.matmul(back, torch.cat([luminance, enlarged], dim=1).flatten(2)).view_as(images)


def _quantised(planes: Tensor, steps: Tensor, cosines: Tensor) -> Tensor:
    """Planes (n, c, h, w) whose transforms are rounded to multiples of steps (n, 1, 8, 8)."""
    blocks = planes.unflatten(3, (-1, 8)).unflatten(2, (-1, 8)).transpose(3, 4)  # (…, 8, 8)
    steps = steps[:, :, None, None]
    found = cosines @ blocks @ cosines.T
    rounded = cosines.T @ ((found / steps).round() * steps) @ cosines
    decoded: Tensor = rounded.transpose(3, 4).reshape(planes.shape)
    return decoded


@cache
def _constants(device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """RGB → Y Cb Cr (3, 3) and its inverse, tables (2, 8, 8), and the cosine transform (8, 8)."""
    red, green, blue = LUMA
    to_ycc = torch.tensor(
        [
            [red, green, blue],
            [-red / (2 - 2 * blue), -green / (2 - 2 * blue), 0.5],
            [0.5, -green / (2 - 2 * red), -blue / (2 - 2 * red)],
        ],
        dtype=torch.float64,
    )
    tables = torch.tensor([list(map(float, t.split())) for t in (_LUMINANCE, _CHROMINANCE)])
    at = torch.arange(8, dtype=torch.float64)
    cosines = torch.cos((2 * at + 1) * at[:, None] * torch.pi / 16) / 2
    cosines[0] /= 2**0.5
    found = to_ycc, torch.linalg.inv(to_ycc), tables.unflatten(1, (8, 8)), cosines
    return tuple(tensor.float().to(device) for tensor in found)  # type: ignore[return-value]
