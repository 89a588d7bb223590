"""Which faces of AFLW count as frontal.

The ODN paper tests on 1165 frontal faces of the 4386 and gives no rule for their choice. Later
papers take the 1314 faces of which all 19 points are visible: label "all-visible". The label
"near-frontal" requires in addition that the nose tip is close to the middle of the eyes.
"""

# L landmarks, of the 19-point scheme

from odnbench.arrays import Floats

_OUTER_EYE_CORNERS, _NOSE_TIP = (6, 11), 13
# In inter-ocular distances.
_MOST_OFF_CENTRE = 0.15


def frontal_labels(points: Floats, *, all_visible: bool) -> frozenset[str]:
    """The labels of a face for the frontal splits; points (L, 2) of the 19-point scheme."""
    if not all_visible:
        return frozenset()
    return frozenset(["all-visible", *(["near-frontal"] if is_near_frontal(points) else [])])


def is_near_frontal(points: Floats) -> bool:
    """Whether the nose tip, measured along the line of the outer eye corners, is at most 0.15
    inter-ocular distances from their middle. points (L, 2).
    """
    left, right = points[_OUTER_EYE_CORNERS[0]], points[_OUTER_EYE_CORNERS[1]]
    across = right - left
    off = (points[_NOSE_TIP] - (left + right) / 2) @ across
    return bool(abs(off) <= _MOST_OFF_CENTRE * (across @ across))
