"""Where the errors are: by part of the face, by occlusion, by the turn of the head."""

# N faces, L landmarks

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from odnbench.arrays import Flags, Floats
from odnbench.plan.protocols import Scheme

OCCLUDED_SHARES = (0.0, 0.1, 0.3, 1.0)  # limits of the groups by occluded fraction
YAW_DEGREES = (0.0, 15.0, 30.0, 60.0, 180.0)  # limits of the groups by |yaw|


@dataclass(frozen=True)
class Group:
    """The mean error of some points, as a fraction of the normaliser."""

    by: str  # "component", "points", "occluded", "yaw"
    name: str
    nme: float  # mean over all points of the group
    faces: int
    points: int


def breakdown(
    errors: Floats,
    counted: Flags,
    scheme: Scheme,
    occluded: Flags | None,
    yaw_degrees: Floats | None,
) -> list[Group]:
    """Groups of the points of all faces; groups without a point are left out.

    errors (N, L): of `point_errors`, counted (N, L): which of them the protocol counts. occluded
    (N, L), yaw_degrees (N,): where they are known.
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
        turn = np.abs(yaw_degrees)[:, None]  # (N, 1)
        for low, high in pairwise(YAW_DEGREES):
            name = f"{low:g}° to {high:g}°" if high < 180 else f"over {low:g}°"
            yield "yaw", name, everything & (turn >= low) & (turn < high)
