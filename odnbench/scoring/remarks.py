"""What readers of a score must know of its predictions: a sentence for each thing that was seen.

Nothing that is said here changes a number.
"""

# N faces, L landmarks

import numpy as np

from odnbench.arrays import Flags, Floats
from odnbench.errors import some
from odnbench.metrics.intervals import FEWEST_FACES
from odnbench.scoring.pairing import Paired, told
from odnbench.scoring.scores import Score

# A median error above half of the normaliser is that of other faces, or of another frame.
_IMPLAUSIBLE_PERCENT = 50.0
# Values that tools write for a landmark that they do not know, as the file counts pixels.
_SENTINELS = (0.0, -1.0)
# Landmarks in just one place that are hardly there by chance. Three are, on 20 of the 507 faces of
# COFW68 that HPM predicts on a grid; in the annotation of 300W two are, at closed lips.
_MANY = 4


def copies_flags(paired: Paired) -> bool:
    """Whether the predicted flags of occlusion are those of the annotation, of both kinds, on every
    landmark, or the reverse of them on every landmark.
    """
    predicted, true = paired.predicted_occluded, paired.occluded
    if predicted is None or true is None or not true.any() or true.all():
        return False
    agree = predicted == true
    return bool(agree.all() or not agree.any())


def remarks(
    paired: Paired, score: Score, *, predicted_first_pixel: int = 0, true_first_pixel: int = 0
) -> tuple[str, ...]:
    """The sentences about one file on one split."""
    found = []
    faces = _counted(len(paired.face_ids))
    if paired.left_out:
        found.append(f"left out: {told(paired.left_out, paired.coverage.split)}")
    uncounted = len(paired.face_ids) - len(score.nme)
    if uncounted:
        found.append(
            f"{uncounted} of {faces} have no {score.protocol.visibility} point and do not count"
        )
    if (paired.predicted == paired.true).all():
        found.append("its points are those of the annotation on every face: copied, not predicted")
    if copies_flags(paired):
        found.append(
            f"its occlusion flags repeat the annotation at every landmark of {faces}: copied, not "
            "predicted, so that precision and recall say nothing"
        )
    for what, points, first_pixel in (
        ("predictions", paired.predicted, predicted_first_pixel),
        ("annotations", paired.true, true_first_pixel),
    ):
        placeholders = _placeholders(points, first_pixel)
        if rows := np.flatnonzero(placeholders).tolist():
            names = some([paired.face_ids[row] for row in rows])
            found.append(
                f"{what} of {_counted(len(rows))} hold placeholders (landmarks at 0 0 or -1 -1, or "
                f"{_MANY} and more in one place), which count as they stand: {names}"
            )
    median = 100 * float(np.median(score.nme))
    if median > _IMPLAUSIBLE_PERCENT:
        found.append(
            f"half of the faces have an error above {median:.0f} % of the normaliser: are these "
            "the same faces, landmarks and pixels as the annotation's?"
        )
    if len(score.nme) < FEWEST_FACES:
        found.append(
            f"no interval and no test: fewer than {FEWEST_FACES} faces do not show how errors vary"
        )
    elif score.interval is None:
        found.append("no interval: errors differ on too few faces to show how they vary")
    return tuple(found)


def _counted(faces: int) -> str:
    """ "1 face", "2 faces"."""
    return f"{faces} face{'' if faces == 1 else 's'}"


def _placeholders(points: Floats, first_pixel: int) -> Flags:
    """(N,) whether landmarks (N, L, 2) of a face are no places in the picture: at (0, 0) or
    (-1, -1), as the file counts pixels from `first_pixel`, or many in one place.
    """
    in_file = points + first_pixel
    at = np.zeros(points.shape[:2], np.bool_)
    for value in _SENTINELS:
        at |= (in_file == value).all(axis=-1)
    places = np.sort(points[..., 0] + 1j * points[..., 1], axis=1)  # (N, L)
    same = places[:, _MANY - 1 :] == places[:, : 1 - _MANY]
    found: Flags = at.any(axis=1) | same.any(axis=1)
    return found
