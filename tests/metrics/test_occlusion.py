"""Occlusion metrics against hand calculations and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from odnbench.metrics.occlusion import face_aurocs, score_flags, score_probabilities


def test_precision_and_recall_by_hand() -> None:
    predicted = np.array([[1, 1, 0, 0], [1, 0, 0, 0]], bool)
    true = np.array([[1, 0, 1, 0], [1, 0, 0, 1]], bool)
    score = score_flags(predicted, true)
    assert score.precision_percent == pytest.approx(100 * 2 / 3)
    assert score.recall_percent == pytest.approx(100 * 2 / 4)
    assert (score.called_percent, score.occluded_percent) == (37.5, 50.0)


def test_nothing_called_or_nothing_occluded_has_no_precision_or_recall() -> None:
    none, some = np.zeros((2, 3), bool), np.ones((2, 3), bool)
    assert np.isnan(score_flags(none, some).precision_percent)
    assert np.isnan(score_flags(some, none).recall_percent)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8))
def test_area_and_precision_are_those_of_scikit_learn(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    true = rng.random((5, 7)) < 0.3
    true[0, :2] = [True, False]  # both classes
    probability = rng.integers(0, levels + 1, true.shape) / levels  # with many ties
    score = score_probabilities(probability, true)
    assert score.auroc == pytest.approx(roc_auc_score(true.ravel(), probability.ravel()))
    expected = average_precision_score(true.ravel(), probability.ravel())
    assert score.average_precision == pytest.approx(expected)
    assert score.occluded_share == true.mean()


def test_a_probability_that_is_the_frequency_is_calibrated() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random((400, 500))
    assert (
        score_probabilities(probability, rng.random((400, 500)) < probability).calibration_error
        < 0.01
    )
    always_sure = score_probabilities(np.ones((4, 5)), np.zeros((4, 5), bool))
    assert always_sure.calibration_error == 1.0
    assert np.isnan(always_sure.auroc)


def test_the_area_within_a_face_is_the_share_of_pairs_in_the_right_order() -> None:
    probability = np.array([[0.9, 0.5, 0.1, 0.5], [0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]])
    true = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], bool)
    everything = np.ones_like(true)
    # First face: .9 beats both, .5 beats .1 and ties with .5; second face: no pair is in order.
    found = face_aurocs(probability, true, everything)
    np.testing.assert_allclose(found, [(2 + 1.5) / 4, 0.0, np.nan])
    without_the_tie = np.array([[1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1]], bool)
    assert face_aurocs(probability, true, without_the_tie)[0] == 1.0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8))
def test_areas_within_faces_are_those_of_scikit_learn(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    true, counted = rng.random((2, 6, 9)) < 0.5
    probability = rng.integers(0, levels + 1, true.shape) / levels  # with many ties
    found = face_aurocs(probability, true, counted)
    for face, area in enumerate(found):
        flags, kept = true[face, counted[face]], probability[face, counted[face]]
        if flags.any() and not flags.all():
            assert area == pytest.approx(roc_auc_score(flags, kept))
        else:
            assert np.isnan(area)


def test_a_map_that_differs_between_faces_alone_tells_nothing_within_a_face() -> None:
    # The second face is occluded more and has the larger probabilities, all of them alike.
    probability = np.repeat([[0.2], [0.8]], 10, axis=1)
    true = np.array([[1, *[0] * 9], [*[1] * 9, 0]], bool)
    np.testing.assert_array_equal(face_aurocs(probability, true, np.ones_like(true)), 0.5)
    assert score_probabilities(probability, true).auroc == 0.9
