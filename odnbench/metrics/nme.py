"""Normalised mean error (NME) and its normalisers.

The error of a face is the mean over its landmarks of the distance to the ground truth, over the
normaliser. Eq. (10) of the ODN paper, read to the letter, divides the 2-norm of the whole shape by
the number of landmarks ("shape-norm"), but its tables are on the scale of the mean distance.
"""

# N faces, L landmarks

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from odnbench.arrays import Flags, Floats
from odnbench.errors import OdnbenchError
from odnbench.plan.protocols import Protocol, Scheme

_BLOCK = 4096  # faces


def normaliser_px(
    points: Floats,
    protocol: Protocol,
    scheme: Scheme,
    boxes: Floats | None = None,
    faces: Sequence[str] = (),
) -> Floats:
    """(N, L, 2) true points → (N,) the protocol's reference length, in pixels of the image.

    boxes (N, 4), left, top, right, bottom: needed where the protocol takes its length from the face
    box. faces: ids to name in errors. Raises OdnbenchError for a face whose reference length is
    zero or not finite.
    """
    length: Floats
    if protocol.normaliser == "inter-ocular":
        first, second = points[:, scheme.eye_corners[0]], points[:, scheme.eye_corners[1]]
        length = np.linalg.norm(first - second, axis=-1)
    elif protocol.normaliser == "inter-pupil":
        first, second = (points[:, list(pupil)].mean(axis=1) for pupil in scheme.pupils)
        length = np.linalg.norm(first - second, axis=-1)
    elif boxes is None:
        raise OdnbenchError(f"protocol {protocol.name} needs the faces' boxes")
    else:
        width, height = (boxes[:, 2:] - boxes[:, :2]).T
        length = {
            "box-width": width,
            "box-area": np.sqrt(np.maximum(width * height, 0)),
            "box-diagonal": np.hypot(width, height),
        }[protocol.normaliser]
    if bad := np.flatnonzero(~(np.isfinite(length) & (length > 0))).tolist():
        face = faces[bad[0]] if faces else bad[0]
        raise OdnbenchError(
            f"face {face}: its {protocol.normaliser} length is {length[bad[0]]}, "
            "which cannot normalise an error"
        )
    return length


def point_errors(
    predicted: ArrayLike,
    true: ArrayLike,
    protocol: Protocol,
    scheme: Scheme,
    boxes: Floats | None = None,
) -> Floats:
    """(N, L, 2) predicted and true points, image frame → (N, L) distances over the normaliser.

    boxes (N, 4): see `normaliser_px`. Raises OdnbenchError for shapes that do not fit the scheme.
    """
    predicted, true = np.asarray(predicted), np.asarray(true)
    _check_shapes(predicted, true, scheme)
    length = normaliser_px(true.astype(np.float64, copy=False), protocol, scheme, boxes)
    return _distances(predicted, true) / length[:, None]


def _check_shapes(predicted: Floats, true: Floats, scheme: Scheme) -> None:
    if predicted.shape != true.shape or true.shape[1:] != (scheme.points, 2):
        raise OdnbenchError(
            f"scheme {scheme.name} has {scheme.points} points; got predicted {predicted.shape} "
            f"and true {true.shape}"
        )


def _distances(predicted: Floats, true: Floats) -> Floats:
    """(N, L, 2) twice → (N, L)."""
    apart = np.subtract(predicted, true, dtype=np.float64)
    apart *= apart
    distances: Floats = np.sqrt(apart[..., 0] + apart[..., 1])
    return distances


def counted_points(protocol: Protocol, occluded: ArrayLike | None) -> Flags:
    """(N, L) flags of occlusion → which points `protocol` counts."""
    if occluded is None:
        raise OdnbenchError(f"protocol {protocol.name} needs occlusion flags")
    hidden = np.asarray(occluded, np.bool_)
    if protocol.visibility == "all":
        return np.ones_like(hidden)
    return hidden if protocol.visibility == "occluded" else ~hidden


def nme_per_face(
    predicted: ArrayLike,
    true: ArrayLike,
    protocol: Protocol,
    scheme: Scheme,
    occluded: ArrayLike | None = None,
    boxes: Floats | None = None,
) -> Floats:
    """(N,) NME as a fraction; arguments and errors are those of `point_errors`.

    occluded (N, L): needed where the protocol counts only visible or only occluded points; a face
    without any such point gets NaN.
    """
    predicted, true = np.asarray(predicted), np.asarray(true)
    _check_shapes(predicted, true, scheme)
    length = normaliser_px(true.astype(np.float64, copy=False), protocol, scheme, boxes)
    counted = None if protocol.visibility == "all" else counted_points(protocol, occluded)
    nme = np.empty(len(true))
    for start in range(0, len(true), _BLOCK):  # a block's errors stay in the processor's cache
        block = slice(start, start + _BLOCK)
        errors = _distances(predicted[block], true[block])
        if protocol.error == "shape-norm":
            errors *= errors
        if counted is not None:
            errors[~counted[block]] = 0.0
        nme[block] = errors.sum(axis=1)
    if protocol.error == "shape-norm":
        np.sqrt(nme, out=nme)  # Eq. (10): ‖S − Ŝ‖₂ / (L Ω)
    nme /= length
    L = points_per_face(len(true), protocol, scheme, occluded)
    nme[L == 0] = np.nan
    nme /= np.maximum(L, 1)
    return nme


def points_per_face(
    count: int, protocol: Protocol, scheme: Scheme, occluded: ArrayLike | None = None
) -> Floats:
    """(N,) how many points `protocol` counts on each of `count` faces; occluded (N, L)."""
    if protocol.visibility == "all":
        return np.full(count, float(scheme.points))
    return counted_points(protocol, occluded).sum(axis=1, dtype=np.float64)  # type: ignore[no-any-return]


def mean_terms(nme: Floats, points: Floats, protocol: Protocol) -> Floats:
    """(N,) numbers whose mean is the NME of the set, and whose spread is that of it: `nme` (N,)
    itself, or, under averaging "point", the mean over all points and each face's influence on it,
    by its number of `points` (N,).
    """
    if protocol.averaging == "face":
        return nme
    weights = points / points.mean()
    mean = (weights * nme).mean()
    return mean + weights * (nme - mean)  # type: ignore[no-any-return]
