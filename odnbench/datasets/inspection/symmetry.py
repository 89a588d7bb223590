"""Are a data set's coordinates one pixel off? A test from pictures and landmarks alone.

Mirror a face: landmark i lands where landmark flip[i] belongs. So the mean grey patch around i and
the mirrored mean patch around flip[i] coincide, unless all x carry the same error b (0-based
numbers read as 1-based, or the reverse): then the two patches are 2·b apart. Chance asymmetries of
single faces (light, pose, occluders, the annotator's hand) average out over faces.

Every face is sampled five times, at its points moved by k = −2 … 2 px, and the differences between
patch and mirrored patch are summed over the faces: D(k). D vanishes at k = −b. We start at the k
with the smallest ‖D(k)‖² and take one Gauss–Newton step, with the slope of D measured from the
neighbours of k. So b is in pixels of the pictures, whatever the size of the faces. The standard
error of b is that of the jackknife over groups of faces.

Limits. Only x is tested, because faces are not symmetric in y; a wrong base of counting moves x and
y alike. Faces and their annotation are not quite symmetric either: on 2342 faces of 300W an
asymmetry of about 0.1 % of the face is left, which no number of faces averages out (`ASYMMETRY`).
On faces larger than about 260 px, this asymmetry cannot be distinguished from one pixel. And the
official annotations of a data set may have an offset of their own (`plan.entries.Offset`): whoever
looks for a wrong base of counting takes it off the points beforehand, face by face.
"""

# L landmarks, P side of a patch in samples, K probes, G groups of faces

from dataclasses import dataclass

import cv2
import numpy as np

from odnbench.arrays import Floats, Floats32, Rows

PROBES_PX = np.arange(-2.0, 3.0)  # (K,)
# Samples along the side of a face, so that a patch shows the same part of every face.
SAMPLES_ACROSS = 100
# Of a patch, in samples; larger patches show more of the asymmetry of light and hair.
RADIUS = 4
# Groups of the jackknife.
GROUPS = 20
# With 40 faces of real sets, the test was wrong now and then.
LEAST_FACES = 60
# One standard deviation, as a share of a face's side, measured on 300W.
ASYMMETRY = 0.001
# The weight of faces of 50 px; the samples of smaller faces are mostly interpolated.
LARGEST_WEIGHT = 2.0


@dataclass(frozen=True)
class MirrorOffset:
    """The distance in x between the points and the places where symmetry puts them."""

    offset_px: float  # above 0 where the points are too far right
    standard_error_px: float  # of `offset_px`
    # Weighted harmonic mean of the faces' sides √(width · height), of the landmarks' boxes.
    face_px: float
    face_count: int

    @property
    def least_px(self) -> float:
        """The largest departure that is no fault: three standard deviations, at least 0.5 px."""
        return max(0.5, 3 * float(np.hypot(self.standard_error_px, ASYMMETRY * self.face_px)))

    @property
    def tells(self) -> bool:
        """Whether a fault of one pixel would be found. If not, finding no fault means nothing."""
        return self.least_px < 0.8

    @property
    def pixels_off(self) -> int:
        """+1 where the points are a pixel or more too far right and down, −1 where too far left and
        up, 0 where no fault is found.

        None is found where one pixel could not be told: what is seen there comes from something
        else, such as the asymmetry of large faces.
        """
        found = self.tells and abs(self.offset_px) > self.least_px
        return int(np.sign(self.offset_px)) if found else 0


class MirrorSums:
    """Sums of D over the faces of a data set, which are added one at a time."""

    def __init__(self, landmarks: int):
        P = 2 * RADIUS + 1
        self.sums = np.zeros((GROUPS, len(PROBES_PX), landmarks, P, P))  # (G, K, L, P, P)
        self.face_count, self.weights, self.weights_per_px = 0, 0.0, 0.0

    def add(self, face: "MirrorDifferences") -> None:
        """Adds the differences of one face."""
        step_px = face.side_px / SAMPLES_ACROSS
        weight = min(1 / step_px, LARGEST_WEIGHT)  # one pixel shows more on a small face
        self.sums[self.face_count % GROUPS] += weight * face.values
        self.face_count += 1
        self.weights += weight
        self.weights_per_px += weight / face.side_px

    def offset(self) -> MirrorOffset | None:
        """The offset common to all x; None for fewer than LEAST_FACES faces, or where all
        differences are zero.
        """
        total = self.sums.sum(axis=0)
        if self.face_count < LEAST_FACES or not total.any():
            return None
        without = np.array([_offset(total - part) for part in self.sums])  # (G,)
        error = float(np.sqrt((GROUPS - 1) * without.var()))  # the jackknife's
        face_px = self.weights / self.weights_per_px
        return MirrorOffset(_offset(total), error, face_px, self.face_count)


@dataclass(frozen=True)
class MirrorDifferences:
    """The differences of one face, for each probe k and landmark i."""

    side_px: float  # √(width · height) of the landmarks' box
    # (K, L, P, P) the patch around landmark i minus the mirrored patch around landmark flip[i].
    values: Floats32

    @classmethod
    def of(cls, grey: Floats32, points: Floats, flip: Rows) -> "MirrorDifferences | None":
        """The differences of a face with `points` (L, 2) in the picture `grey` (H, W).

        points: 0-based, pixel centres at integers. flip: (L,). None where the points span no area.
        """
        side_px = float(np.sqrt(np.prod(np.ptp(points, axis=0))))
        if side_px == 0:
            return None
        return cls(side_px, _differences(grey, points, flip, side_px / SAMPLES_ACROSS))


def _differences(grey: Floats32, points: Floats, flip: Rows, step_px: float) -> Floats32:
    """The differences of one face, sampled every `step_px`: (K, L, P, P)."""
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
    # 5 grey levels more, so that the noise of flat patches stays small.
    patches /= patches.std(axis=2, keepdims=True) + 5
    patches = patches.reshape(shape)
    return patches - patches[:, flip, :, ::-1]  # type: ignore[no-any-return]


def _offset(D: Floats) -> float:
    """The common offset b in px, from D (K, L, P, P), summed over faces."""
    P = D.shape[-1]
    ramp = np.linspace(-1, 1, P)
    plane = np.stack([np.ones(P * P), np.tile(ramp, P), np.repeat(ramp, P)], axis=1)
    Q = np.linalg.qr(plane)[0]  # (P², 3)
    D = D.reshape(*D.shape[:2], -1)
    D = D - (D @ Q) @ Q.T  # light from one side is a plane, not a shift
    nearest = 1 + int((D[1:-1] ** 2).sum(axis=(1, 2)).argmin())
    slope = (D[nearest + 1] - D[nearest - 1]) / 2  # per px
    return float((D[nearest] * slope).sum() / (slope**2).sum() - PROBES_PX[nearest])
