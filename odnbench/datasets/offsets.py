"""How far the annotation of a face lies from what its annotator meant (`plan.entries.Offset`).

The registry states the offset of a data set in pixels of the original pictures and as a share of
the face. Here it becomes pixels of the pictures as they are on disk, which may have been rescaled.
"""

# N faces, L landmarks

import numpy as np

from odnbench.arrays import Floats
from odnbench.plan.entries import Offset
from odnbench.plan.protocols import Scheme


def annotation_offsets(points: Floats, scales: Floats, offset: Offset, scheme: Scheme) -> Floats:
    """(N, 2) in px of the image: how far right of and below the point that an annotator meant the
    annotation of each face lies.

    points: (N, L, 2) of `scheme`, image frame. scales: (N,) px of the image per px of the original.
    """
    first, second = scheme.eye_corners
    inter_ocular = np.linalg.norm(points[:, first] - points[:, second], axis=-1)  # (N,)
    offsets: Floats = scales[:, None] * np.array(offset.px)  # (N, 2)
    offsets[:, 0] += offset.share * inter_ocular
    return offsets
