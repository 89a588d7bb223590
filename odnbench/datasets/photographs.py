"""Faces of one photograph: found by their pictures, where the names of the files do not tell.

Some data sets hold a photograph more than once, under several names and annotated anew each time.
If one of these faces were trained on and another validated on, the validation error would come out
too small. And the annotations of one photograph show how well annotators repeat each other.

Two faces count as one photograph where the thumbnails of their landmarks' boxes correlate by more
than ALIKE. Of the 2.7 million pairs of 2342 faces of 300W, 132 have more than 0.92, and an affine
map brings one picture onto the other in 131 of these, in 12 of the 18 from 0.90 to 0.92, in 9 of
the 21 from 0.88 to 0.90, and in 2 of the 82 from 0.85 to 0.88. So few doubles are missed, most of
which are linked by a third picture. A pair that is taken for one photograph by mistake does no harm
here: its two faces stand on the same side.
"""

# N faces, L landmarks, K pairs of faces, S side of a prepared picture in pixels

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from odnbench.arrays import Bytes, Floats, Floats32, Rows
from odnbench.datasets.faces import FaceSet
from odnbench.datasets.parallel import in_order
from odnbench.errors import OdnbenchError
from odnbench.files.whole import write_whole
from odnbench.plan.ids import content_id
from odnbench.plan.protocols import Scheme

ALIKE = 0.92
# Raise it whenever the same pictures give other pairs or distances.
_VERSION = 1
# Faces whose thumbnails are compared at a time with all others.
_BLOCK = 1024
# Side of the pictures that are registered, in px: the distance is measured to about 0.1 % of the
# face, and a pair takes about 10 ms.
_REGISTERED_PX = 128
# Of a registered pair, within the face. Of 300W's pairs, 99 % have more.
_LEAST_CORRELATION = 0.95
# Pairs that are registered, which bounds the time.
_MOST_REGISTERED = 300


@dataclass(frozen=True)
class Doubles:
    """The pairs of faces that are one photograph, and the distances of their annotations."""

    pairs: Rows  # (K, 2) two faces, the first one the earlier
    # (K,) mean distance of the two annotations' points, as a share of the inter-ocular distance;
    # NaN where the two pictures were not registered.
    distances: Floats

    @property
    def photographs(self) -> Rows:
        """(K,) the number of the photograph that each pair shows, from 0."""
        faces, indices = np.unique(self.pairs, return_inverse=True)
        first, second = indices.reshape(-1, 2).T
        return _components(len(faces), first, second)[first]

    @property
    def repeatability(self) -> float:
        """Median of the distances over the photographs, of which each counts once; NaN where none
        was measured.
        """
        numbers, measured = self.photographs, np.isfinite(self.distances)
        medians = [
            np.median(self.distances[measured & (numbers == number)])
            for number in np.unique(numbers[measured])
        ]
        return float(np.median(medians)) if medians else float("nan")


def by_photograph(faces: FaceSet, scheme: Scheme, cache: Path) -> tuple[FaceSet, str]:
    """`faces` with those of one photograph in one group, and a clause that says how well annotators
    repeat each other.

    The clause is "" where no photograph is there more than once. scheme: of the points. The
    comparison is read from the folder `cache`, or made and written to it. Rendered faces are all
    different and are not compared. Raises OdnbenchError where the folder cannot be written.
    """
    if faces.rendered:
        return faces, ""
    doubles = _cached(faces, scheme, cache)
    groups = _joined(faces.groups, doubles.pairs)
    count, share = len(np.unique(doubles.photographs)), doubles.repeatability
    if not count:
        return faces, ""
    many = f"{count} photographs are" if count > 1 else "one photograph is"
    note = f"{many} there more than once, each time annotated anew"
    if np.isfinite(share):
        note += (
            f"; two annotations of one photograph differ by {100 * share:.1f} % of the "
            "inter-ocular distance in the median, which no method can be asked to beat by much"
        )
    return replace(faces, groups=groups), note


def find_doubles(faces: FaceSet, scheme: Scheme) -> Doubles:
    """The pairs of `faces` that are one photograph, found by comparing all thumbnails.

    The first face of each photograph is registered with the others, as far as _MOST_REGISTERED
    pairs. scheme: of the points.
    """
    pairs = alike(faces.thumbnails)
    doubles = Doubles(pairs, np.full(len(pairs), np.nan))
    _, firsts = np.unique(doubles.photographs, return_index=True)  # pairs are in order
    chosen = np.flatnonzero(np.isin(pairs[:, 0], pairs[firsts, 0]))[:_MOST_REGISTERED]

    def measure(pair: Rows) -> float:
        return _distance(faces[pair], scheme)

    doubles.distances[chosen] = list(in_order(measure, pairs[chosen]))
    return doubles


def alike(thumbnails: Bytes) -> Rows:
    """(N, H, W) → (K, 2): the pairs that correlate by more than ALIKE, in order."""
    rows = unit_rows(thumbnails)
    found = []
    for start in range(0, len(rows), _BLOCK):
        correlations = rows[start : start + _BLOCK] @ rows[start:].T
        first, second = np.nonzero(np.triu(correlations > ALIKE, k=1))
        found.append(np.stack([first, second], axis=1) + start)
    return np.concatenate(found) if found else np.empty((0, 2), np.intp)


def unit_rows(thumbnails: Bytes) -> Floats32:
    """(N, H, W) → (N, H · W) with zero mean and unit norm: their products are correlations.

    A picture of a single colour becomes zeros, which correlate with nothing.
    """
    rows = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return rows


def _distance(two: FaceSet, scheme: Scheme) -> float:
    """Mean distance of the points of two faces, pictures of one photograph, as a share of the
    inter-ocular distance; NaN where the two pictures cannot be registered.

    The second picture is brought onto the first by an affine map, because crops of whole pixels
    have a scale for each axis. Only the face counts: what stands around it may be cut off.
    """
    shape = (_REGISTERED_PX, _REGISTERED_PX)
    grey = [
        cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), shape, interpolation=cv2.INTER_AREA)
        for picture in two.images
    ]
    step = two.images.shape[1] / _REGISTERED_PX
    points = (two.points_crop + 0.5) / step - 0.5  # (2, L, 2), pixel centres at integers
    low, high = points[1].min(axis=0), points[1].max(axis=0)
    margin = 0.1 * (high - low).max()
    left, top = np.maximum(low - margin, 0).astype(int)
    right, bottom = (high + margin).astype(int)
    mask = np.zeros(shape, np.uint8)
    mask[top : max(bottom, 0), left : max(right, 0)] = 255
    until = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 60, 1e-4)
    try:
        correlation, warp = cv2.findTransformECC(
            grey[0], grey[1], np.eye(2, 3, dtype=np.float32), cv2.MOTION_AFFINE, until, mask, 5
        )
        back = np.linalg.inv(warp[:, :2])
    except (cv2.error, np.linalg.LinAlgError):  # it did not converge
        return float("nan")
    if correlation < _LEAST_CORRELATION:
        return float("nan")
    moved = (points[1] - warp[:, 2]) @ back.T  # (L, 2) in the first picture
    first = two[np.array([0])]
    moved = first.to_image(((moved + 0.5) * step - 0.5)[None])[0]
    true = first.points[0]
    one, other = scheme.eye_corners
    inter_ocular = max(float(np.linalg.norm(true[one] - true[other])), 1e-9)
    return float(np.linalg.norm(moved - true, axis=-1).mean()) / inter_ocular


def _cached(faces: FaceSet, scheme: Scheme, cache: Path) -> Doubles:
    """`find_doubles`, read from `cache` or written to it."""
    plain = replace(faces, offsets=np.zeros_like(faces.offsets))  # they change no picture
    path = cache / f"{content_id(_VERSION, plain.fingerprint)}.doubles"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            return Doubles(held["pairs"], held["distances"])
    except Exception:  # not there, or damaged: NumPy and zipfile raise almost anything
        doubles = find_doubles(faces, scheme)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, pairs=doubles.pairs, distances=doubles.distances)
    try:
        write_whole(path, buffer.getbuffer())
    except OSError as error:
        raise OdnbenchError(f"{path}: cannot be written: {error}") from error
    return doubles


def _joined(groups: Sequence[str], pairs: Rows) -> tuple[str, ...]:
    """`groups` of the faces, with the groups of the two faces of each pair made one."""
    names, indices = np.unique(np.array(groups), return_inverse=True)
    numbers = _components(len(names), *indices[pairs].T)[indices]  # of each face
    _, firsts, again = np.unique(numbers, return_index=True, return_inverse=True)
    return tuple(groups[firsts[number]] for number in again)


def _components(count: int, first: Rows, second: Rows) -> Rows:
    """(count,) the number of the connected component of each of `count` nodes. first, second: (K,)
    the ends of each edge.
    """
    edges = coo_array((np.ones(len(first)), (first, second)), shape=(count, count))
    return connected_components(edges, directed=False)[1].astype(np.intp)
