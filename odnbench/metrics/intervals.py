"""Confidence intervals of mean errors and of their differences: a bootstrap-t over faces and seeds.

Failure rates and areas under the CED are means too: pass `errors > t` or `max(0, t − errors) / t`.

An interval is about the population that faces and seeds are drawn from: with probability `level`
it holds the mean error of the training recipe over new seeds and new faces. Faces are resampled.
Seeds are too few to be resampled: their effect is drawn from the normal distribution
(contrasts.py). One seed does not show the variance due to seeds: the interval is then about these
very runs on new faces.

Measured coverage of 95 % intervals, with log-normal face errors, 135 and 689 faces, and a variance
due to seeds from none to 30 times that due to faces. Means: 93–96 % with 5 and 10 seeds, 91–96 %
with 3, 87–98 % with 2. Differences: 93–96 % with 5 and 10 seeds, 93–99 % with 2 and 3. A failure
rate needs about 5 failing faces. With fewer, the upper limit can be infinite, since some resamples
hold no failing face; with none, the interval is the single point 0 and says nothing.
"""

# S seeds, N faces, B resamples, R rows of a report

from collections import defaultdict
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from odnbench.arrays import Floats
from odnbench.metrics.contrasts import Contrast, contrast

# With fewer faces no interval and no test is shown. On log-normal errors, which are never negative,
# limits of a mean reached below 0 in 30 to 50 % of the repetitions with 4 faces, in 7 to 17 % with
# 5 and in at most 2 % with 6; and with 5 faces and one seed no permutation test can find a
# difference, since the smallest p is 2 / 2^5 = .06.
FEWEST_FACES = 6
_WIDEST = 10

Counts = npt.NDArray[np.uint8]

# Resampled values that are held in memory at a time: 8 MB for an array.
ROW_BLOCK = 1_000_000


@dataclass(frozen=True)
class Interval:
    """Estimate and confidence limits, in the unit of the errors."""

    estimate: float
    low: float
    high: float
    level: float
    # Number of seeds of the variant with the fewest. With 1, the limits hold for these runs only.
    seeds: int

    @property
    def is_bounded(self) -> bool:
        """Whether both limits are finite; they are not where errors differ on few faces alone."""
        return bool(np.isfinite([self.low, self.high]).all())

    def tells(self, mean: float) -> bool:
        """Whether the limits are at most _WIDEST times a mean error apart. Wider ones, as a single
        large error makes them that many resamples do not hold, say nothing.
        """
        return self.is_bounded and self.high - self.low <= _WIDEST * mean


def mean_interval(
    errors: ArrayLike, *, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Interval of a variant's mean. errors (S, N). Raises OdnbenchError where `contrast` does."""
    (found,) = mean_intervals([errors], level=level, resamples=resamples, seed=seed)
    return found


def mean_intervals(
    errors: Iterable[ArrayLike], *, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> list[Interval]:
    """`mean_interval` of each of `errors`; all of equal N in the time of a few."""
    means = [contrast([1.0], {"errors": one}) for one in errors]
    return contrast_intervals(means, level=level, resamples=resamples, seed=seed)


def difference_interval(
    variant: ArrayLike,
    reference: ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Interval of mean(variant) − mean(reference), with errors (S, N) and (S', N).

    Faces are paired, seeds are not. Raises OdnbenchError where `contrast` does.
    """
    difference = contrast([1.0, -1.0], {"variant": variant, "reference": reference})
    return contrast_interval(difference, level=level, resamples=resamples, seed=seed)


def contrast_interval(
    of: Contrast, *, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Interval of a contrast by the bootstrap-t, Davison & Hinkley 1997, Sec. 5.2.

    Its limits are estimate − standard error × quantile of the pivots.
    """
    (found,) = contrast_intervals([of], level=level, resamples=resamples, seed=seed)
    return found


def contrast_intervals(
    contrasts: Sequence[Contrast], *, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> list[Interval]:
    """`contrast_interval` of each of `contrasts`; all of equal N in the time of a few."""
    alike = defaultdict(list)  # number of faces → indices
    for index, of in enumerate(contrasts):
        alike[len(of.per_face)].append(index)
    found: dict[int, Interval] = {}
    for N, indices in alike.items():
        per_face = np.stack([contrasts[index].per_face for index in indices])
        means, variances = resampled_faces(per_face, faces_drawn(N, resamples, seed)[0])
        for index, mean, variance in zip(indices, means, variances, strict=True):
            _, rng = faces_drawn(N, resamples, seed)
            found[index] = _interval(contrasts[index], mean, variance, rng, level)
    return [found[index] for index in range(len(contrasts))]


def _interval(
    of: Contrast, mean: Floats, variance: Floats, rng: np.random.Generator, level: float
) -> Interval:
    """The interval from (B,) resampled means and (B,) variances of them."""
    pivots = of.pivots(mean - of.estimate, variance, rng)
    # Quantiles are single pivots, not interpolated ones, because pivots can be infinite.
    above = of.standard_error * np.quantile(pivots, (1 - level) / 2, method="lower")
    below = of.standard_error * np.quantile(pivots, (1 + level) / 2, method="higher")
    return Interval(
        of.estimate, float(of.estimate - below), float(of.estimate - above), level, of.seeds
    )


def resampled_faces(per_face: Floats, counts: Counts) -> tuple[Floats, Floats]:
    """(R, N) values in R rows, (B, N) how often each face is in a resample → (R, B) means,
    (R, B) variances of them.
    """
    R, N = per_face.shape
    least = per_face.min(axis=1)
    # Above the least value, so that a resample of nothing but that, as of no failing face, has a
    # variance of exactly 0.
    above = (per_face - least[:, None]).T
    values = np.concatenate([above, above**2], axis=1)  # (N, 2R)
    blocks = np.array_split(counts, -(-counts.size // ROW_BLOCK))
    found = np.concatenate([block.astype(float) @ values for block in blocks]).T  # (2R, B)
    sums, squares = found[:R], found[R:]
    variances = np.maximum(0.0, squares - sums**2 / N) / (N - 1) / N
    return least[:, None] + sums / N, variances


def faces_drawn(N: int, resamples: int, seed: int) -> tuple[Counts, np.random.Generator]:
    """(B, N) how often each of N faces is in a resample, and the generator that has drawn them."""
    counts, generator = _faces_drawn(N, resamples, seed)
    return counts, deepcopy(generator)


@lru_cache(maxsize=8)  # reports have many rows of the same faces
def _faces_drawn(N: int, resamples: int, seed: int) -> tuple[Counts, np.random.Generator]:
    rng, blocks = np.random.default_rng(seed), []
    for start in range(0, resamples, rows := max(1, ROW_BLOCK // N)):
        count = min(rows, resamples - start)
        places = rng.integers(N, size=(count, N)) + N * np.arange(count)[:, None]
        blocks.append(np.bincount(places.ravel(), minlength=count * N).astype(np.uint8))
    return np.concatenate(blocks).reshape(resamples, N), rng
