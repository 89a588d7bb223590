"""Are a data set's coordinates one pixel off? Told from pictures and landmarks alone.

Mirror a face: landmark i lands where landmark flip[i] belongs. So the mean grey patch around i and
the mirrored mean patch around flip[i] coincide, unless all x carry the same error b (0-based
numbers read as 1-based, or the reverse): then they stand 2·b apart. Chance asymmetries of single
faces (light, pose, occluders, the annotator's hand) average out over faces.

Every face is sampled five times, at its points moved by k = −2 … 2 px, and the differences between
patch and mirrored patch are summed over the faces: D(k). D vanishes at k = −b. We start at the k
whose D is smallest and take one Gauss–Newton step along the slope of D, which is measured (from
the neighbours of k), not derived. So b comes out in pixels of the pictures whatever the size of
the faces. Its standard error is the jackknife's over groups of faces.

Limits. Only x is tested: faces are not symmetric in y, but a fault of counting moves both alike.
People and annotators are not quite symmetric either: on 2342 faces of 300W a lasting asymmetry of
about 0.1 % of the face is left, which no number of faces averages out (`ASYMMETRY`); where faces
are larger than about 260 px, one pixel is not told from it. And a data set may carry an offset of
its own: the points of 300W, read as 1-based, lie 0.5 to 1 px too far right by this measure.
`expected_px` is for that.
"""

# L landmarks, P side of a patch in samples, K probes, G groups of faces

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from odnbench.arrays import Floats, Rows

PROBES_PX = np.arange(-2.0, 3.0)  # (K,)
SAMPLES_ACROSS = 100  # a face's side in samples: patches show the same part of every face
RADIUS = 4  # samples; larger patches see more of the light and of the hair's asymmetry
GROUPS = 20  # of the jackknife
LEAST_FACES = 60  # real sets of 40 were misjudged now and then
ASYMMETRY = 0.001  # of a face's side: one standard deviation, from 300W
LARGEST_WEIGHT = 2.0  # that of faces of 50 px; smaller ones are mostly interpolation


@dataclass(frozen=True)
class MirrorOffset:
    """How far to the right of where symmetry puts them the points lie."""

    offset_px: float
    standard_error_px: float  # of the mean over faces
    face_px: float  # side of a typical face: √(width · height) of the landmarks' box
    faces: int

    @property
    def least_px(self) -> float:
        """The smallest departure that counts: three standard deviations, and half a pixel."""
        return max(0.5, 3 * float(np.hypot(self.standard_error_px, ASYMMETRY * self.face_px)))

    @property
    def tells(self) -> bool:
        """Whether a fault of one pixel would be seen. If not, silence means nothing."""
        return self.least_px < 0.8

    def pixels_off(self, expected_px: float = 0.0) -> int:
        """+1: the points lie a pixel (or more) too far right and down; −1: left and up; 0: no
        fault found. `expected_px` is the data set's own offset where it is known.
        """
        departure = self.offset_px - expected_px
        return int(np.sign(departure)) if abs(departure) > self.least_px else 0


class MirrorSums:
    """The sums over the faces of a data set, which come one at a time."""

    def __init__(self, landmarks: int):
        P = 2 * RADIUS + 1
        self.sums = np.zeros((GROUPS, len(PROBES_PX), landmarks, P, P))  # (G, K, L, P, P)
        self.count, self.weights, self.weights_per_px = 0, 0.0, 0.0

    def add(self, face: "MirrorDifferences") -> None:
        """Adds one face."""
        step_px = face.side_px / SAMPLES_ACROSS
        weight = min(1 / step_px, LARGEST_WEIGHT)  # one pixel shows more on a small face
        self.sums[self.count % GROUPS] += weight * face.values
        self.count += 1
        self.weights += weight
        self.weights_per_px += weight / face.side_px

    def offset(self) -> MirrorOffset | None:
        """The offset common to all x; None for fewer than LEAST_FACES faces, or for pictures that
        show nothing.
        """
        total = self.sums.sum(axis=0)
        if self.count < LEAST_FACES or not total.any():
            return None
        without = np.array([_offset(total - part) for part in self.sums])  # (G,)
        error = float(np.sqrt((GROUPS - 1) * without.var()))  # the jackknife's
        return MirrorOffset(_offset(total), error, self.weights / self.weights_per_px, self.count)


@dataclass(frozen=True)
class MirrorDifferences:
    """What one face adds to the sums."""

    side_px: float  # √(width · height) of its landmarks' box
    values: NDArray[np.float32]  # (K, L, P, P) patches minus mirrored patches of the partners

    @classmethod
    def of(
        cls, grey: NDArray[np.float32], points: Floats, flip: Rows
    ) -> "MirrorDifferences | None":
        """grey (H, W) and its points (L, 2), 0-based, pixel centres at integers; flip (L,). None
        where the points span no area.
        """
        side_px = float(np.sqrt(np.prod(np.ptp(points, axis=0))))
        if side_px == 0:
            return None
        return cls(side_px, _differences(grey, points, flip, side_px / SAMPLES_ACROSS))


def _differences(
    grey: NDArray[np.float32], points: Floats, flip: Rows, step_px: float
) -> NDArray[np.float32]:
    """(K, L, P, P) of one face."""
    away = np.arange(-RADIUS, RADIUS + 1) * step_px  # (P,)
    x, y = points.T  # (L,)
    shape = K, L, P, P = len(PROBES_PX), len(points), len(away), len(away)
    across = (x + PROBES_PX[:, None])[:, :, None, None] + away  # (K, L, 1, P)
    down = y[:, None, None] + away[:, None]  # (L, P, 1)
    map_x, map_y = (
        np.broadcast_to(m, shape).reshape(-1, P).astype(np.float32) for m in (across, down)
    )
    sampled = cv2.remap(grey, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    patches = np.asarray(sampled, dtype=np.float32).reshape(K, L, P * P)
    patches = patches - patches.mean(axis=2, keepdims=True)
    patches /= patches.std(axis=2, keepdims=True) + 5  # grey levels: flat patches stay flat
    patches = patches.reshape(shape)
    return patches - patches[:, flip, :, ::-1]  # type: ignore[no-any-return]


def _offset(D: Floats) -> float:
    """D: (K, L, P, P), summed over faces."""
    P = D.shape[-1]
    ramp = np.linspace(-1, 1, P)
    plane = np.stack([np.ones(P * P), np.tile(ramp, P), np.repeat(ramp, P)], axis=1)
    Q = np.linalg.qr(plane)[0]  # (P², 3)
    D = D.reshape(*D.shape[:2], -1)
    D = D - (D @ Q) @ Q.T  # light from one side is a plane, not a shift
    nearest = 1 + int((D[1:-1] ** 2).sum(axis=(1, 2)).argmin())
    slope = (D[nearest + 1] - D[nearest - 1]) / 2  # per px
    return float((D[nearest] * slope).sum() / (slope**2).sum() - PROBES_PX[nearest])
