"""Points that stand where nothing was annotated.

A data set without flags has no place to say that a point is hidden. Tools then write 0 0 or −1 −1,
or put all hidden points to one place. Real annotations have such points only by chance: on 2342
faces of 300W, no three points coincide, and two only across closed lips and closed eyes.
"""

# L landmarks

import numpy as np

from odnbench.arrays import Flags, Floats
from odnbench.plan.protocols import Scheme

# 0 and −1 in a file, which a loader that counts pixels from 1 reads as −1 and −2.
_VALUES = (-2.0, -1.0, 0.0)


def placeholders(points: Floats, scheme: Scheme) -> Flags:
    """Whether each of `points` (L, 2) stands for a point that was not annotated: (L,).

    Two points that coincide do so only if they are of different parts of the face, or each other's
    mirror image.
    """
    found: Flags = (points[:, 0] == points[:, 1]) & np.isin(points[:, 0], _VALUES)
    _, place, count = np.unique(points, axis=0, return_inverse=True, return_counts=True)
    part_of = {i: name for name, of_part in scheme.components.items() for i in of_part}
    for shared in np.flatnonzero(count > 1):
        here = np.flatnonzero(place.ravel() == shared).tolist()
        apart = len({part_of.get(i, "") for i in here} - {""}) > 1
        if len(here) > 2 or apart or scheme.flip[here[0]] == here[1]:
            found[here] = True
    return found
