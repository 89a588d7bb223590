"""Is a variant better than the reference? Paired permutation tests with Holm's correction.

If two variants do equally well, the difference on each face is as likely to be positive as
negative. So the sign of each face's difference is flipped at random (Good, Permutation, Parametric
and Bootstrap Tests of Hypotheses, 2005). With one seed for each variant this is the usual exact
test, about these very runs; it takes a lucky seed for an improvement, because a seed shifts the
errors of all faces together. With several seeds, the variance due to seeds therefore enters the
statistic of each permutation, the difference over its standard error (contrasts.py), and the test
is about the variants over new seeds and new faces, as the interval is.

A permutation of the labels of runs would be exact, but for these faces only. And 5 + 5 runs have
only 126 arrangements: the smallest possible p is .008, too large for any of seven compared variants
to pass Holm's correction. With 3 + 3 runs it is .1.

Measured rejections of a true null hypothesis at 5 %, with log-normal errors, 135 and 689 faces, and
a variance due to seeds from none to 10 times that due to faces: 3.4–6.3 % with 5 and 10 seeds,
2–8 % with 2 and 3. Flips that ignore the variance due to seeds rejected up to 65 %.
"""

# S seeds, N faces, B permutations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from odnbench.arrays import Floats
from odnbench.errors import unknown
from odnbench.metrics.contrasts import Contrast, checked_errors, contrast, ratio
from odnbench.metrics.intervals import ROW_BLOCK, Interval, contrast_intervals

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Comparison:
    """A variant against the reference; differences are variant − reference."""

    variant: str
    reference: str
    difference: float  # of the mean errors, in their unit
    interval: Interval  # of the difference
    p: float
    p_holm: float  # Holm's correction for all comparisons of the table
    effect: float  # Cohen's d_z: mean over standard deviation of the faces' differences
    percent: float  # the difference in percent of the reference's mean
    lower_is_better: bool = True
    # Mean error of the reference, in the errors' unit.
    reference_mean: float = float("nan")

    @property
    def is_detected(self) -> bool:
        """Whether a difference as large is rare enough where there is none."""
        return self.p_holm < SIGNIFICANT

    @property
    def is_better(self) -> bool:
        """Whether the variant is detectably better than the reference."""
        return self.is_detected and (self.difference < 0) == self.lower_is_better

    @property
    def text(self) -> str:
        """The verdict, in the words of a table."""
        if not self.is_detected:
            return "no detectable difference"
        return "better" if self.is_better else "worse"

    @property
    def caveat(self) -> str:
        """How few seeds limit the verdict; empty from 4 seeds on."""
        return few_seeds(self.interval.seeds)


def few_seeds(seeds: int) -> str:
    """How so many seeds limit what is said of variants; empty from 4 seeds on."""
    return {
        1: "one seed: holds for these runs, not for the variants",
        2: "too few seeds to tell their spread",
        3: "three seeds: their spread is known only roughly",
    }.get(seeds, "")


def compare(
    errors: Mapping[str, ArrayLike],
    reference: str,
    *,
    lower_is_better: bool = True,
    draws: int = 10_000,
    seed: int = 0,
) -> tuple[Comparison, ...]:
    """Every other variant against `reference`, with one Holm correction for all comparisons.

    errors: name of the variant → (S, N). Raises OdnbenchError for an unknown reference, and where
    `contrast` does.
    """
    if reference not in errors:
        raise unknown("variant", reference, errors)
    variants = [name for name in errors if name != reference]
    differences = [
        contrast([1.0, -1.0], {name: errors[name], reference: errors[reference]})
        for name in variants
    ]
    p = [permutation_p(d, permutations=draws, seed=seed) for d in differences]
    intervals = contrast_intervals(differences, resamples=draws, seed=seed)
    reference_mean = checked_errors(reference, errors[reference]).mean()
    return tuple(
        Comparison(
            variant,
            reference,
            d.estimate,
            interval,
            p_raw,
            p_holm,
            float(ratio(d.estimate, d.per_face.std(ddof=1))),
            100 * float(ratio(d.estimate, reference_mean)),
            lower_is_better,
            float(reference_mean),
        )
        for variant, d, interval, p_raw, p_holm in zip(
            variants, differences, intervals, p, holm(p), strict=True
        )
    )


def permutation_p(of: Contrast, *, permutations: int = 10_000, seed: int = 0) -> float:
    """Two-sided p-value of the null hypothesis that the contrast is zero.

    It is at least 1 / (permutations + 1), never 0.
    """
    rng = np.random.default_rng(seed)
    mean, variance = flipped_faces(of.per_face, permutations, rng)
    pivots = of.pivots(mean, variance, rng)
    observed = abs(ratio(of.estimate, of.standard_error))
    as_extreme = np.abs(pivots) >= observed * (1 - 1e-12)  # equal pivots may differ by rounding
    return float((1 + as_extreme.sum()) / (1 + permutations))


def flipped_faces(
    per_face: Floats, permutations: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """(N,) differences → (B,) means under random signs, (B,) variances of such means."""
    N = len(per_face)
    means = []
    for start in range(0, permutations, rows := max(1, ROW_BLOCK // N)):
        heads = rng.integers(2, size=(min(rows, permutations - start), N), dtype=np.int8)
        means.append((2.0 * heads - 1) @ per_face / N)
    mean = np.concatenate(means)
    return mean, np.maximum((per_face**2).mean() - mean**2, 0) / (N - 1)


def holm(p: Sequence[float]) -> list[float]:
    """p-values adjusted by Holm's step-down procedure (Scand. J. Stat. 1979), in the order of p."""
    order = np.argsort(p)
    stepped = np.maximum.accumulate(np.take(p, order) * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1)
    return [float(value) for value in adjusted]
