"""Intervals against hand calculations, Student's and Welch's intervals, and simulated coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from odnbench.arrays import Floats
from odnbench.errors import OdnbenchError
from odnbench.metrics import intervals
from odnbench.metrics.contrasts import contrast
from odnbench.metrics.intervals import (
    contrast_interval,
    difference_interval,
    faces_drawn,
    mean_interval,
    mean_intervals,
    resampled_faces,
)


def errors(
    seeds: int, faces: int, rng: np.random.Generator, *, seed_sd: float = 0.0, variants: int = 1
) -> list[Floats]:
    """Each (S, N), true mean 1: log-normal faces that variants share, a variant's own strength on
    each of them, noise; `seed_sd` in units of the faces' share in the mean of one variant."""
    face = rng.lognormal(-0.08, 0.4, faces)  # a tail like that of errors on the 300W test set
    own = face * rng.lognormal(-0.02, 0.2, (variants, 1, faces))
    noise = rng.lognormal(-0.045, 0.3, (variants, seeds, faces))
    shift = rng.normal(0, seed_sd * 0.5 / np.sqrt(faces), (variants, seeds, 1))
    return list(own * noise + shift)


def test_standard_error_is_that_of_the_two_way_analysis_of_variance() -> None:
    table = [[1.0, 2.0, 3.0], [3.0, 5.0, 10.0]]  # 2 seeds × 3 faces
    # mean squares: seeds 3 · (4 + 4) / 1, faces 2 · (4 + .25 + 6.25) / 2, rest 7 / 2
    variance = (24 + 10.5 - 3.5) / 6
    assert contrast([1.0], {"v": table}).standard_error ** 2 == pytest.approx(variance)
    assert contrast([3.0], {"v": table}).standard_error ** 2 == pytest.approx(9 * variance)


def test_estimates_are_means_and_their_difference() -> None:
    a, b = [[1.0, 2.0], [3.0, 6.0]], [[1.0, 4.0]]
    assert mean_interval(a).estimate == 3.0
    assert difference_interval(a, b).estimate == 0.5


def test_with_one_seed_and_normal_errors_it_is_students_interval() -> None:
    values = np.random.default_rng(3).normal(5, 2, 400)
    expected = stats.t.interval(0.95, 399, values.mean(), stats.sem(values))
    got = mean_interval(values[None], resamples=20_000)
    width = expected[1] - expected[0]
    assert (got.low, got.high) == pytest.approx(expected, abs=0.03 * width)
    assert got.seeds == 1


def test_where_only_seeds_vary_it_is_students_interval_over_seeds() -> None:
    rng = np.random.default_rng(4)
    runs = rng.normal(5, 2, 5)
    expected = stats.t.interval(0.95, 4, runs.mean(), stats.sem(runs))
    got = mean_interval(runs[:, None] + rng.normal(0, 0.01, (5, 200)), resamples=40_000)
    width = expected[1] - expected[0]
    assert (got.low, got.high) == pytest.approx(expected, abs=0.03 * width)


def test_where_only_seeds_vary_a_difference_has_welchs_interval() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(5, 2, 6), rng.normal(4, 1, 4)
    expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    dust = rng.normal(0, 0.01, (10, 200))
    got = difference_interval(a[:, None] + dust[:6], b[:, None] + dust[6:], resamples=40_000)
    width = expected.high - expected.low
    assert (got.low, got.high) == pytest.approx((expected.low, expected.high), abs=0.03 * width)
    assert got.seeds == 4


def test_faces_are_paired() -> None:
    rng = np.random.default_rng(6)
    a, b = errors(5, 200, rng, variants=2)
    paired, unpaired = difference_interval(a, b), difference_interval(a, rng.permuted(b, axis=1))
    assert paired.high - paired.low < 0.9 * (unpaired.high - unpaired.low)


def test_a_skewed_tail_makes_the_upper_arm_longer() -> None:
    got = mean_interval(np.random.default_rng(7).lognormal(0, 1, (1, 135)))
    assert got.high - got.estimate > 1.2 * (got.estimate - got.low)


def test_one_failing_face_leaves_the_failure_rate_unbounded_above() -> None:
    failed = np.arange(100)[None] == 0
    assert mean_interval(failed).high == np.inf
    assert mean_interval(np.arange(100)[None] < 20).high < 0.4


def test_identical_runs_differ_by_nothing() -> None:
    [a] = errors(1, 50, np.random.default_rng(8))
    assert difference_interval(a, a) == intervals.Interval(0.0, 0.0, 0.0, 0.95, 1)
    [a] = errors(5, 50, np.random.default_rng(8))
    several = difference_interval(a, a)  # other seeds could have differed
    assert -0.1 < several.low < several.estimate == 0.0 < several.high < 0.1
    twice = contrast([1.0, -1.0], {"a": a, "b": a})
    assert twice.standard_error**2 >= twice.noise > 0


def test_a_difference_that_varies_by_rounding_alone_is_a_point() -> None:
    got = difference_interval([[0.25] * 49 + [0.25 + 1e-15]], np.zeros((1, 50)))
    assert got == intervals.Interval(0.25, 0.25, 0.25, 0.95, 1)


def test_the_same_seed_gives_the_same_limits_and_another_gives_others() -> None:
    [a] = errors(5, 100, np.random.default_rng(10))
    assert mean_interval(a, seed=1) == mean_interval(a, seed=1) != mean_interval(a, seed=2)


@settings(deadline=None, max_examples=30)
@given(
    seeds=st.integers(1, 6),
    faces=st.integers(8, 40),
    scale=st.floats(0.1, 100),
    shift=st.floats(-10, 10),
)
def test_limits_follow_a_change_of_unit_and_a_higher_level_is_wider(
    seeds: int, faces: int, scale: float, shift: float
) -> None:
    [a] = errors(seeds, faces, np.random.default_rng(seeds * faces), seed_sd=1.0)
    one = mean_interval(a, resamples=500)
    other = mean_interval(scale * a + shift, resamples=500)
    assert (other.low, other.high) == pytest.approx(
        (scale * one.low + shift, scale * one.high + shift), rel=1e-6, abs=1e-6
    )
    wider = mean_interval(a, resamples=500, level=0.99)
    assert wider.low < one.low < one.estimate < one.high < wider.high


def test_resampled_means_vary_as_theory_says_also_in_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intervals, "ROW_BLOCK", 70)  # 7 rows at a time; 5000 is no multiple
    values = np.arange(10.0)
    counts, _ = faces_drawn(10, 5000, seed=11)
    assert (counts.sum(axis=1) == 10).all()
    found = resampled_faces(np.stack([values, 3 * values]), counts)
    assert found[0].shape == found[1].shape == (2, 5000)
    (means, threefold), (variances, ninefold) = found
    np.testing.assert_allclose(threefold, 3 * means)
    np.testing.assert_allclose(ninefold, 9 * variances)
    assert means.mean() == pytest.approx(4.5, abs=0.05)
    assert means.var() == pytest.approx(values.var() / 10, rel=0.06)
    assert variances.mean() == pytest.approx(values.var() / 10, rel=0.06)


@pytest.mark.parametrize(
    ("seeds", "faces", "repetitions", "seed_sd"),
    [
        (5, 135, 3000, 1.0),
        *(
            pytest.param(*setting, marks=pytest.mark.slow)
            for setting in (
                (5, 135, 3000, 0.0), (5, 135, 3000, 6.0),
                (5, 689, 1000, 0.0), (5, 689, 1000, 1.0), (5, 689, 1000, 6.0),
                (10, 135, 3000, 0.0), (10, 135, 3000, 1.0), (10, 135, 3000, 6.0),
            )
        ),
    ],
)  # fmt: skip
def test_95_percent_intervals_hold_the_true_mean_in_93_to_97_of_100_repetitions(
    seeds: int, faces: int, repetitions: int, seed_sd: float
) -> None:
    rng = np.random.default_rng(12)
    held = 0
    for _ in range(repetitions):
        [a] = errors(seeds, faces, rng, seed_sd=seed_sd)
        got = mean_interval(a, resamples=400)
        held += got.low <= 1.0 <= got.high
    assert 0.93 <= held / repetitions <= 0.97


@pytest.mark.parametrize(
    ("seeds", "seed_sd"),
    [
        (3, 1.0),
        *(
            pytest.param(*setting, marks=pytest.mark.slow)
            for setting in ((1, 0.0), (5, 0.0), (5, 6.0))
        ),
    ],
)
def test_95_percent_intervals_hold_the_true_difference_in_93_to_97_of_100_repetitions(
    seeds: int, seed_sd: float
) -> None:
    rng = np.random.default_rng(13)
    held = 0
    for _ in range(3000):
        a, b = errors(seeds, 135, rng, seed_sd=seed_sd, variants=2)
        got = difference_interval(a, 0.9 * b, resamples=400)
        held += got.low <= 0.1 <= got.high
    assert 0.93 <= held / 3000 <= 0.97


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ([[1.0, np.nan]], "must be finite, got nan for seed 0, face 1"),
        ([[1.0, 2.0], [np.inf, 2.0]], "must be finite, got inf for seed 1, face 0"),
        ([1.0, 2.0], r"must be seeds × faces, at least 1 × 2, got shape \(2,\)"),
        ([[1.0], [2.0]], r"got shape \(2, 1\)"),
        (np.empty((0, 5)), r"got shape \(0, 5\)"),
    ],
)
def test_errors_that_cannot_be_averaged_are_told(values: Floats, complaint: str) -> None:
    with pytest.raises(OdnbenchError, match=complaint):
        mean_interval(values)


def test_variants_tested_on_other_faces_are_told_apart() -> None:
    with pytest.raises(OdnbenchError, match="same faces, got variant 3, reference 2 faces"):
        difference_interval([[1.0, 2.0, 3.0]], [[1.0, 2.0]])


def test_a_contrast_of_one_seed_and_of_several_counts_the_seeds_it_knows() -> None:
    [a] = errors(5, 60, np.random.default_rng(14), seed_sd=5.0)
    mixed = contrast([1.0, -1.0], {"five": a, "one": a[:1]})
    assert mixed.seeds == contrast_interval(mixed).seeds == 1
    assert mixed.freedom == pytest.approx(4)
    assert mixed.standard_error > contrast([1.0], {"one": a[:1]}).standard_error


def test_many_intervals_are_those_of_each() -> None:
    rng = np.random.default_rng(3)
    of = [rng.lognormal(0, 0.5, (seeds, faces)) for seeds, faces in ((2, 40), (1, 25), (5, 40))]
    together = mean_intervals(of, resamples=500)
    for one, interval in zip(of, together, strict=True):
        alone = mean_interval(one, resamples=500)
        assert interval.seeds == alone.seeds
        for name in ("estimate", "low", "high"):
            assert getattr(interval, name) == pytest.approx(getattr(alone, name), rel=1e-12)
    assert mean_intervals([]) == []
