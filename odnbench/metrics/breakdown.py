"""Mean errors by part of the face, by occlusion and by yaw of the head."""

# N faces, L landmarks

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from odnbench.arrays import Flags, Floats
from odnbench.plan.protocols import Scheme

# Limits of the groups of faces by the share of their landmarks that are occluded.
OCCLUDED_SHARES = (0.0, 0.1, 0.3, 1.0)
# Limits of the groups of faces by |yaw|.
YAW_DEGREES = (0.0, 15.0, 30.0, 60.0, 180.0)


@dataclass(frozen=True)
class Group:
    """The mean error of some points, as a fraction of the normaliser."""

    by: str  # "component", "points", "occluded", "yaw"
    name: str
    nme: float  # mean over all points of the group
    faces: int  # how many faces have a point in the group
    points: int  # how many points the group has


def breakdown(
    errors: Floats,
    counted: Flags,
    scheme: Scheme,
    occluded: Flags | None,
    yaw_degrees: Floats | None,
) -> list[Group]:
    """The groups of the points of all faces. A group without a point is left out.

    errors: (N, L), as `point_errors` gives them. counted: (N, L), whether the protocol counts the
    point. occluded: (N, L), and yaw_degrees: (N,); None where they are not known, and then the
    groups by them are left out.
    """
    masks = (
        (by, name, mask & counted)
        for by, name, mask in _masks(errors.shape, scheme, occluded, yaw_degrees)
    )
    return [
        Group(by, name, float(errors[mask].mean()), int(mask.any(axis=1).sum()), int(mask.sum()))
        for by, name, mask in masks
        if mask.any()
    ]


def _masks(
    shape: tuple[int, ...], scheme: Scheme, occluded: Flags | None, yaw_degrees: Floats | None
) -> Iterator[tuple[str, str, Flags]]:
    """`by` and `name` of each group, and which points (N, L) belong to it."""
    everything = np.ones(shape, np.bool_)
    for name, landmarks in scheme.components.items():
        mask = np.zeros(shape, np.bool_)
        mask[:, list(landmarks)] = True
        yield "component", name, mask
    if occluded is not None:
        yield "points", "visible", ~occluded
        yield "points", "occluded", occluded
        share = occluded.mean(axis=1, keepdims=True)  # (N, 1)
        yield "occluded", "none", everything & (share == 0)
        for low, high in pairwise(OCCLUDED_SHARES):
            inside = (share > low) & (share <= high)
            yield "occluded", f"{low:.0%} to {high:.0%}", everything & inside
    if yaw_degrees is not None:
        absolute = np.abs(yaw_degrees)[:, None]  # (N, 1)
        for low, high in pairwise(YAW_DEGREES):
            name = f"{low:g}° to {high:g}°" if high < 180 else f"over {low:g}°"
            yield "yaw", name, everything & (absolute >= low) & (absolute < high)
