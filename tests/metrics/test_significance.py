"""Tests of two variants against SciPy's permutation tests, Holm's definition and simulation."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from odnbench.errors import OdnbenchError
from odnbench.metrics import significance
from odnbench.metrics.contrasts import contrast
from odnbench.metrics.intervals import Interval
from odnbench.metrics.significance import (
    Comparison,
    compare,
    flipped_faces,
    holm,
    permutation_p,
)

Floats = NDArray[np.float64]


def p_of(a: Floats, b: Floats, permutations: int = 10_000, seed: int = 0) -> float:
    difference = contrast([1.0, -1.0], {"a": a, "b": b})
    return permutation_p(difference, permutations=permutations, seed=seed)


def pair(seeds: int, faces: int, rng: np.random.Generator, seed_sd: float = 0.0) -> Floats:
    """(2, S, N) errors of two variants that are equally good on average: log-normal faces, a
    variant's own strength on each, noise; seeds have the standard deviation seed_sd · 0.25 / √N."""
    face = rng.lognormal(-0.08, 0.4, faces)
    own = face * rng.lognormal(-0.02, 0.2, (2, 1, faces))
    noise = rng.lognormal(-0.045, 0.3, (2, seeds, faces))
    shift = rng.normal(0, seed_sd * 0.25 / np.sqrt(faces), (2, seeds, 1))
    both: Floats = own * noise + shift
    return both


@pytest.mark.parametrize("shift", [0.0, 0.3, 0.8])
def test_with_one_seed_each_it_is_the_exact_sign_flip_test(shift: float) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.lognormal(size=(2, 1, 12))
    exact = stats.permutation_test(
        (a[0] + shift, b[0]), lambda x, y: np.mean(x - y), permutation_type="samples"
    )
    assert p_of(a + shift, b) == pytest.approx(exact.pvalue, abs=0.02)


def test_arrangements_as_extreme_as_the_observed_one_count_whatever_rounding_does() -> None:
    for values in np.random.default_rng(11).random((20, 1, 3)):  # all of one sign: 2 of 2³
        assert p_of(values, np.zeros((1, 3))) == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.0])
def test_where_only_seeds_vary_it_agrees_with_permuting_the_labels_of_runs(shift: float) -> None:
    rng = np.random.default_rng(2)
    runs = rng.normal(size=(2, 10))
    labels = stats.permutation_test(
        (runs[0] + shift, runs[1]), lambda x, y: np.mean(x) - np.mean(y), rng=0
    )
    a, b = runs[:, :, None] + rng.normal(0, 0.01, (2, 10, 200))
    assert p_of(a + shift, b) == pytest.approx(labels.pvalue, abs=0.03)


@pytest.mark.parametrize(
    ("seeds", "seed_sd"),
    [
        (3, 2.0),
        *(
            pytest.param(*setting, marks=pytest.mark.slow)
            for setting in (
                (1, 0.0), (3, 6.0), (5, 0.0), (5, 2.0), (5, 6.0), (10, 0.0), (10, 2.0), (10, 6.0),
            )
        ),
    ],
)  # fmt: skip
def test_equal_variants_are_told_apart_in_5_of_100_repetitions(seeds: int, seed_sd: float) -> None:
    rng = np.random.default_rng(3)
    p = []
    for _ in range(3000):
        a, b = pair(seeds, 135, rng, seed_sd)
        p.append(p_of(a, b, permutations=399))
    assert 0.035 <= np.mean(np.array(p) <= 0.05) <= 0.065


def test_a_gain_of_8_percent_over_5_seeds_and_689_faces_is_found() -> None:
    rng = np.random.default_rng(4)
    pairs = [pair(5, 689, rng, seed_sd=1.0) for _ in range(50)]
    assert sum(p_of(0.92 * a, b, permutations=399) <= 0.05 for a, b in pairs) >= 45


def test_p_is_never_zero() -> None:
    a, b = pair(1, 100, np.random.default_rng(5))
    assert p_of(a + 10, b, permutations=999) == 1 / 1000


def test_p_has_two_sides() -> None:
    a, b = pair(1, 40, np.random.default_rng(6))
    assert p_of(a + 0.1, b) == p_of(b, a + 0.1) < 1
    a, b = pair(5, 40, np.random.default_rng(6))
    assert p_of(a + 0.1, b) == pytest.approx(p_of(b, a + 0.1), abs=0.02)


@pytest.mark.parametrize("seeds", [1, 4])
def test_identical_runs_are_no_evidence(seeds: int) -> None:
    a, _ = pair(seeds, 30, np.random.default_rng(7))
    assert p_of(a, a) == 1.0


def test_flipped_means_vary_as_theory_says_also_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(significance, "ROW_BLOCK", 21)  # 7 rows at a time; 4000 is no multiple
    means, variances = flipped_faces(np.array([1.0, 2.0, 6.0]), 4000, np.random.default_rng(8))
    assert set(np.round(means * 3)) == {-9, -7, -5, -3, 3, 5, 7, 9}
    # the 3 signed values of a permutation have mean m and variance (41 − 3 m²) / 2
    assert variances == pytest.approx((41 - 3 * means**2) / 2 / 3)
    assert means.var() == pytest.approx(41 / 9, rel=0.05)


def test_holm_steps_down_from_the_smallest_p() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_holm_is_the_closed_test_of_bonferroni(p: list[float]) -> None:
    hypotheses = range(len(p))
    groups = [set(g) for n in range(1, len(p) + 1) for g in combinations(hypotheses, n)]
    closed = [
        max(min(1.0, len(g) * min(p[j] for j in g)) for g in groups if i in g) for i in hypotheses
    ]
    assert holm(p) == pytest.approx(closed)


def test_a_comparison_states_difference_effect_and_percent() -> None:
    reference = [[2.0, 4.0, 6.0], [4.0, 6.0, 8.0]]  # faces' means 3, 5, 7
    variant = [[2.0, 3.0, 4.0]]  # differences −1, −2, −3
    [got] = compare({"base": reference, "new": variant}, "base")
    assert (got.variant, got.reference) == ("new", "base")
    assert got.difference == got.interval.estimate == pytest.approx(-2.0)
    assert got.effect == pytest.approx(-2.0)  # standard deviation 1
    assert got.percent == pytest.approx(-40.0)  # of 5
    assert got.interval.seeds == 1


def test_a_table_is_corrected_together() -> None:
    rng = np.random.default_rng(9)
    reference, twin = pair(5, 300, rng, seed_sd=1.0)
    table = compare(
        {"twin": twin, "base": reference, "good": 0.8 * reference, "bad": 1.2 * reference}, "base"
    )
    assert [row.variant for row in table] == ["twin", "good", "bad"]
    assert [row.text for row in table] == ["no detectable difference", "better", "worse"]
    assert [row.p_holm for row in table] == holm([row.p for row in table])
    again = compare({"base": reference, "good": 0.8 * reference, "twin": twin}, "base", seed=1)
    assert [row.text for row in again] == ["better", "no detectable difference"]


@pytest.mark.parametrize(
    ("difference", "p_holm", "lower_is_better", "text"),
    [
        (-0.1, 0.049, True, "better"),
        (0.1, 0.049, True, "worse"),
        (0.1, 0.049, False, "better"),
        (-0.1, 0.049, False, "worse"),
        (-0.1, 0.05, True, "no detectable difference"),
    ],
)
def test_the_verdict_is_given_below_5_percent_after_correction(
    difference: float, p_holm: float, lower_is_better: bool, text: str
) -> None:
    interval = Interval(difference, -1.0, 1.0, 0.95, 5)
    row = Comparison("a", "b", difference, interval, 0.001, p_holm, 0.1, 1.0, lower_is_better)
    assert row.text == text


@pytest.mark.parametrize(
    ("seeds", "caveat"), [(1, "one seed"), (2, "too few seeds"), (3, "three seeds"), (4, "")]
)
def test_few_seeds_qualify_the_verdict(seeds: int, caveat: str) -> None:
    a, b = pair(4, 30, np.random.default_rng(10))
    [row] = compare({"a": a, "b": b[:seeds]}, "a")
    assert row.caveat.startswith(caveat)
    assert bool(row.caveat) == bool(caveat)


def test_an_unknown_reference_gets_a_suggestion() -> None:
    with pytest.raises(OdnbenchError, match="unknown variant 'brnte'; did you mean 'brnet'"):
        compare({"brnet": [[1.0, 2.0]], "odn": [[1.0, 2.0]]}, "brnte")


def test_bad_errors_are_told_by_the_name_of_their_variant() -> None:
    with pytest.raises(OdnbenchError, match="odn: errors must be finite, got nan"):
        compare({"brnet": [[1.0, 2.0]], "odn": [[1.0, np.nan]]}, "brnet")
    with pytest.raises(OdnbenchError, match="got odn 3, brnet 2 faces"):
        compare({"brnet": [[1.0, 2.0]], "odn": [[1.0, 2.0, 3.0]]}, "brnet")
