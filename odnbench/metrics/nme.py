"""Normalised mean error (NME) and its normalisers.

The NME of a face is the mean over its landmarks of the distance to the ground truth, divided by
the normaliser, a reference length of the face. Eq. (10) of the ODN paper, read to the letter,
divides the 2-norm of the whole shape's error by the number of landmarks ("shape-norm"), but the
numbers in that paper's tables are on the scale of the mean distance.
"""

# N faces, L landmarks

import numpy as np
from numpy.typing import ArrayLike

from odnbench.arrays import Flags, Floats
from odnbench.errors import OdnbenchError
from odnbench.plan.protocols import Protocol, Scheme

# Faces of which errors are computed at a time, so that these stay in the processor's cache.
_BLOCK = 4096


def reference_length_px(
    points: Floats, protocol: Protocol, scheme: Scheme, boxes: Floats | None = None
) -> Floats:
    """(N, L, 2) true points → (N,) the protocol's reference length, in pixels of the image. It can
    be zero or NaN.

    boxes: (N, 4), left, top, right, bottom, needed where the protocol takes its length from the
    face box. Raises OdnbenchError for missing boxes.
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
    return length


def cannot_normalise(length: Floats, protocol: Protocol) -> dict[int, str]:
    """Row → why its reference length cannot normalise an error, as the end of a sentence that
    begins with the face. length (N,): see `reference_length_px`.
    """
    bad = np.flatnonzero(~(np.isfinite(length) & (length > 0))).tolist()
    return {
        row: f": its {protocol.normaliser} length is {length[row]:g}, which cannot normalise an "
        "error"
        for row in bad
    }


def normaliser_px(
    points: Floats, protocol: Protocol, scheme: Scheme, boxes: Floats | None = None
) -> Floats:
    """(N,) see `reference_length_px`. Raises OdnbenchError for a length that is zero or not finite,
    as well.
    """
    length = reference_length_px(points, protocol, scheme, boxes)
    for row, why in cannot_normalise(length, protocol).items():
        raise OdnbenchError(f"face {row}{why}")
    return length


def point_errors(
    predicted: ArrayLike,
    true: ArrayLike,
    protocol: Protocol,
    scheme: Scheme,
    boxes: Floats | None = None,
) -> Floats:
    """(N, L, 2) predicted and true points, image frame → (N, L) distances over the normaliser.

    boxes: (N, 4), see `normaliser_px`. Raises OdnbenchError for shapes that do not fit the scheme,
    and where `normaliser_px` does.
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
    """(N, L, 2) predicted and true points → (N, L) distances in px."""
    apart = np.subtract(predicted, true, dtype=np.float64)
    apart *= apart
    distances: Floats = np.sqrt(apart[..., 0] + apart[..., 1])
    return distances


def counted_points(protocol: Protocol, occluded: ArrayLike | None) -> Flags:
    """(N, L) whether the point is occluded → (N, L) whether `protocol` counts it.

    Raises OdnbenchError for flags that are None.
    """
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
    """(N,) NME of each face as a fraction of the normaliser; NaN for a face of which the protocol
    counts no point.

    predicted, true: (N, L, 2), image frame. boxes: (N, 4), see `normaliser_px`. occluded: (N, L),
    needed where the protocol counts only visible or only occluded points. Raises OdnbenchError
    where `point_errors` and `counted_points` do.
    """
    predicted, true = np.asarray(predicted), np.asarray(true)
    _check_shapes(predicted, true, scheme)
    length = normaliser_px(true.astype(np.float64, copy=False), protocol, scheme, boxes)
    counted = None if protocol.visibility == "all" else counted_points(protocol, occluded)
    nme = np.empty(len(true))
    for start in range(0, len(true), _BLOCK):
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
    """(N,) number of points that `protocol` counts on each of `count` = N faces.

    occluded: (N, L), needed as in `nme_per_face`.
    """
    if protocol.visibility == "all":
        return np.full(count, float(scheme.points))
    return counted_points(protocol, occluded).sum(axis=1, dtype=np.float64)  # type: ignore[no-any-return]


def mean_terms(nme: Floats, points: Floats, protocol: Protocol) -> Floats:
    """(N,) terms with the NME of the whole set as their mean, so that intervals and tests of means
    serve every protocol. nme: (N,) NME of each face. points: (N,) its number of counted points n_f.

    Averaging "face": the terms are `nme`. Averaging "point": the NME of the set is a ratio
    estimator, R = Σ n_f · nme_f / Σ n_f, and the terms are R + (n_f / mean(n)) · (nme_f − R): R
    plus the influence of face f on R (Hampel et al., Robust Statistics, 1986, Sec. 2.1). The mean
    of the terms is R, and their variance over N is the linearised variance of a ratio estimator
    (Cochran, Sampling Techniques, 1977, ch. 6).
    """
    if protocol.averaging == "face":
        return nme
    weights = points / points.mean()  # n_f / mean(n)
    mean = (weights * nme).mean()  # R
    return mean + weights * (nme - mean)  # type: ignore[no-any-return]
