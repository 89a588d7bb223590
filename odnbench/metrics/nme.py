"""Normalised mean error (NME) and its normalisers.

The error of a face is the mean over its landmarks of the distance to the ground truth, over the
normaliser; Eq. (10) of the ODN paper, read to the letter, is another number, but its tables are on
this scale.
"""

# N faces, L landmarks

import numpy as np
from numpy.typing import ArrayLike, NDArray

from odnbench.errors import OdnbenchError
from odnbench.specs import Protocol, Scheme

Floats = NDArray[np.float64]


def normaliser_px(
    points: Floats, protocol: Protocol, scheme: Scheme, boxes: Floats | None = None
) -> Floats:
    """(N, L, 2) true points → (N,) the protocol's reference length, in pixels of the image.

    boxes (N, 4), left, top, right, bottom: needed where the protocol takes its length from the face
    box. Raises OdnbenchError for a face whose reference length is zero or not finite.
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
        raise OdnbenchError(
            f"face {bad[0]}: its {protocol.normaliser} length is {length[bad[0]]}, "
            "which cannot normalise an error"
        )
    return length


def nme_per_face(
    predicted: ArrayLike,
    true: ArrayLike,
    protocol: Protocol,
    scheme: Scheme,
    occluded: ArrayLike | None = None,
    boxes: Floats | None = None,
) -> Floats:
    """(N, L, 2) predicted and true points, image frame → (N,) NME as a fraction.

    occluded (N, L): needed where the protocol counts only visible or only occluded points; a face
    without any such point gets NaN. boxes (N, 4): see `normaliser_px`. Raises OdnbenchError for
    shapes that do not fit the scheme.
    """
    predicted, true = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    if predicted.shape != true.shape or true.shape[1:] != (scheme.points, 2):
        raise OdnbenchError(
            f"scheme {scheme.name} has {scheme.points} points; got predicted {predicted.shape} "
            f"and true {true.shape}"
        )
    errors_px = np.linalg.norm(predicted - true, axis=-1)  # (N, L)
    normalised = errors_px / normaliser_px(true, protocol, scheme, boxes)[:, None]
    if protocol.visibility == "all":
        result: Floats = normalised.mean(axis=1)
        return result
    if occluded is None:
        raise OdnbenchError(f"protocol {protocol.name} needs occlusion flags")
    counted = np.asarray(occluded, bool) == (protocol.visibility == "occluded")
    with np.errstate(invalid="ignore"):
        chosen: Floats = (normalised * counted).sum(axis=1) / counted.sum(axis=1)
    return chosen
