"""Which faces of AFLW count as frontal.

The ODN paper tests on 1165 frontal faces of the 4386 and gives no rule. Later papers take those of
which all 19 points are visible, 1314 in number: label "all-visible". "near-frontal" adds that the
head is not turned much, as far as the landmarks tell.
"""

# L landmarks, of the 19-point scheme

from odnbench.arrays import Floats

_OUTER_EYE_CORNERS, _NOSE_TIP = (6, 11), 13
_MOST_OFF_CENTRE = 0.15  # inter-ocular distances


def frontal_labels(points: Floats, *, all_visible: bool) -> frozenset[str]:
    """The labels of a face for the frontal splits; points (L, 2) of the 19-point scheme."""
    if not all_visible:
        return frozenset()
    return frozenset(["all-visible", *(["near-frontal"] if is_near_frontal(points) else [])])


def is_near_frontal(points: Floats) -> bool:
    """Whether the nose tip is at most 0.15 inter-ocular distances off the middle of the outer eye
    corners, along their line. points (L, 2).
    """
    left, right = points[_OUTER_EYE_CORNERS[0]], points[_OUTER_EYE_CORNERS[1]]
    across = right - left
    off = (points[_NOSE_TIP] - (left + right) / 2) @ across
    return bool(abs(off) <= _MOST_OFF_CENTRE * (across @ across))
