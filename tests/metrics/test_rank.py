"""Ranks from singular values, by hand and by NumPy."""

import numpy as np
import pytest

from odnbench.metrics.rank import effective_rank, stable_rank


def test_equal_singular_values_give_their_number() -> None:
    assert effective_rank(np.full(7, 3.0)) == pytest.approx(7)
    assert stable_rank(np.full(7, 3.0)) == pytest.approx(7)


def test_one_direction_has_rank_one_and_none_has_rank_zero() -> None:
    assert effective_rank(np.array([5.0, 0, 0])) == pytest.approx(1)
    assert stable_rank(np.array([5.0, 0, 0])) == pytest.approx(1)
    assert effective_rank(np.zeros(3)) == stable_rank(np.zeros(3)) == 0


def test_ranks_are_those_of_the_definitions() -> None:
    M = np.random.default_rng(0).normal(size=(30, 8))
    sigma = np.linalg.svd(M, compute_uv=False)
    assert stable_rank(sigma) == pytest.approx(
        np.linalg.norm(M) ** 2 / np.linalg.norm(M, ord=2) ** 2
    )
    p = sigma / sigma.sum()
    assert effective_rank(sigma) == pytest.approx(np.prod(p**-p))
