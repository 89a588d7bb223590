"""A weighted sum of variants' mean errors, and its variance over new faces and new seeds.

The data are crossed: all seeds s of all variants c are tested on the same faces f, with errors

    E_c[s, f] = mean_c + seed_c[s] + face_c[f] + noise_c[s, f].

A mean error therefore varies with the faces *and* with the seeds that were drawn. The variance due
to seeds is estimated by a two-way analysis of variance (Searle, Casella & McCulloch, Variance
Components, 1992), and the variances of several variants are added with Satterthwaite's degrees of
freedom (Biometrics Bulletin, 1946). The effect of a seed is taken as normal, because five seeds
cannot show the shape of its distribution; the effect of a face is not, because hundreds of faces
can.

Bootstrap intervals and permutation tests differ only in how they draw faces. Both then use
`pivots`, the drawn estimates over their standard errors. The standard error is computed anew in
every draw: with the same one for all draws, neither method is right when variances are unknown
(Davison & Hinkley, Bootstrap Methods and their Application, 1997, Sec. 5.2; Janssen, Statistics &
Probability Letters, 1997).

Resampling seeds like faces (the pigeonhole bootstrap; Owen, Annals of Applied Statistics, 2007)
would give a mean over S seeds only (S − 1)/S of its variance due to seeds, and would count the
noise three times: with 5 seeds, 95 % intervals covered 86 % where the variance of seeds dominated.
"""

# S seeds, N faces, B draws, c variants (cells of a design) with weights w_c

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from odnbench.arrays import Floats
from odnbench.errors import OdnbenchError


@dataclass(frozen=True)
class Contrast:
    """The weighted sum θ = Σ_c w_c · mean(E_c) and what its variance consists of."""

    # (N,) Σ_c w_c · mean_s E_c[s, f].
    per_face: Floats
    # The least S_c. With 1, the variance due to seeds is not known for that variant.
    seeds: int
    # Σ_c w_c² · var_s(mean_f E_c[s, f]) / S_c over the variants with several seeds: the variance of
    # θ due to seeds and noise.
    spread: float
    # Σ_c w_c² · var(noise_c) / (S_c · N): the part of `spread` that is due to noise. The variance
    # of `per_face` holds the same part, which must be counted once.
    noise: float
    # Satterthwaite's degrees of freedom of `spread`.
    freedom: float

    @property
    def estimate(self) -> float:
        """θ, which is the mean of `per_face`."""
        return float(self.per_face.mean())

    @property
    def standard_error(self) -> float:
        """√(max(var(per_face) / N, noise) + max(spread − noise, 0)).

        The first term is the variance of θ over new faces, the second that over new seeds.
        """
        variance = self.per_face.var(ddof=1) / len(self.per_face)
        return float(np.sqrt(max(variance, self.noise) + max(self.spread - self.noise, 0)))

    def pivots(self, mean: Floats, variance: Floats, rng: np.random.Generator) -> Floats:
        """(B,) draws of (estimate − truth) / standard error, some infinite for very few faces.

        mean: (B,), the mean over drawn faces minus its expectation. variance: (B,), the variance of
        that mean, estimated from the drawn faces. The true variance due to seeds is not known: each
        draw takes a value of it that fits `spread` with its degrees of freedom, then draws the
        effect of the seeds, and a new `spread`, from that value.
        """
        B = len(mean)
        true = np.maximum(self.spread / self.chi2_per_freedom(B, rng) - self.noise, 0)  # (B,)
        spread = (true + self.noise) * self.chi2_per_freedom(B, rng)  # (B,) as drawn seeds give it
        error = mean + np.sqrt(true) * rng.standard_normal(B)
        seen = np.maximum(variance, self.noise) + np.maximum(spread - self.noise, 0)
        return ratio(error, np.sqrt(seen))

    def chi2_per_freedom(self, B: int, rng: np.random.Generator) -> Floats:
        """(B,) draws of χ² / freedom: the ratio of an estimated variance to the true variance."""
        return rng.chisquare(self.freedom, B) / self.freedom


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> Floats:
    """numerator / denominator, with 0 / 0 = 0: where all numbers are equal, there is no effect."""
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient: Floats = np.divide(numerator, denominator, dtype=np.float64)
    return np.where(np.isnan(quotient), 0.0, quotient)


def contrast(weights: Sequence[float], cells: Mapping[str, ArrayLike]) -> Contrast:
    """The contrast with one of `weights` for each of `cells`, which maps a variant's name to its
    (S, N) errors. S may differ between cells.

    Raises OdnbenchError for errors that are not finite or not seeds × faces, for fewer than 2
    faces, and for cells with different numbers of faces.
    """
    errors = [checked_errors(name, values) for name, values in cells.items()]
    if len({len(E[0]) for E in errors}) > 1:
        counts = ", ".join(f"{name} {len(E[0])}" for name, E in zip(cells, errors, strict=True))
        raise OdnbenchError(
            f"compared variants must be tested on the same faces, got {counts} faces; "
            "keep the faces that all of them have, in one order"
        )
    per_face = np.sum([w * E.mean(axis=0) for w, E in zip(weights, errors, strict=True)], axis=0)
    spread, noise, inverse_freedom = 0.0, 0.0, 0.0
    for w, E in zip(weights, errors, strict=True):
        S, N = E.shape
        if S > 1:
            seed_means, face_means = E.mean(axis=1, keepdims=True), E.mean(axis=0, keepdims=True)
            residual = E - seed_means - face_means + E.mean()  # (S, N)
            cell = w**2 * seed_means.var(ddof=1) / S
            spread += cell
            noise += w**2 * (residual**2).sum() / ((S - 1) * (N - 1)) / (S * N)
            inverse_freedom += cell**2 / (S - 1)
    return Contrast(
        per_face.round(12),  # rounding errors of equal numbers are no variance
        min(map(len, errors)),
        spread,
        noise,
        spread**2 / inverse_freedom if spread else 1.0,  # Satterthwaite 1946
    )


def checked_errors(name: str, values: ArrayLike) -> Floats:
    """The errors of variant `name` as a finite (S, N) array with N ≥ 2.

    Raises OdnbenchError for anything else.
    """
    errors = np.asarray(values, np.float64)
    if errors.ndim != 2 or errors.shape[0] < 1 or errors.shape[1] < 2:
        raise OdnbenchError(
            f"{name}: errors must be seeds × faces, at least 1 × 2, got shape {errors.shape}; "
            "stack one row per seed and test on more faces"
        )
    if len(bad := np.argwhere(~np.isfinite(errors))):
        seed, face = bad[0]
        raise OdnbenchError(
            f"{name}: errors must be finite, got {errors[seed, face]} for seed {seed}, face {face}"
            f" ({len(bad)} such values); leave these faces out for all variants"
        )
    return errors
