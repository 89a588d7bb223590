"""What P tells: covered and self-occluded landmarks apart, cells, and maps that are too small."""

import dataclasses

import numpy as np
import pytest
from helpers import REGISTRY

from odnbench.arrays import Floats
from odnbench.results.predictions import Occlusion, Predictions
from odnbench.scoring.occlusion import map_cells, occlusion_scores

COLUMN = "300w/challenging"
# 1 − P at the five landmarks of three faces. Covered: the first; self-occluded: the second.
P_AWAY = np.array([[0.9, 0.3, 0.2, 0.4, 0.5], [0.3, 0.6, 0.1, 0.4, 0.2], [0.9, 0.8, 0.1, 0.1, 0.1]])
OCCLUDED = np.array([[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]], bool)
COVERED = np.array([[1, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]], bool)


def predictions(occlusion: Occlusion | None) -> Predictions:
    points = np.zeros((3, 5, 2))
    return Predictions(
        ids=("a", "b", "c"),
        parts=("300w/ibug",) * 3,
        predicted=points,
        true=points,
        occluded=OCCLUDED,
        boxes=np.zeros((3, 4)),
        labels=("",) * 3,
        occlusion=occlusion,
    )


def cells(count: int = 16) -> Floats:
    return np.zeros((3, count))


def test_covered_and_self_occluded_landmarks_are_each_set_against_visible_ones() -> None:
    held = predictions(Occlusion(P_AWAY, cells(), None, COVERED))
    scores = occlusion_scores(held, REGISTRY, [COLUMN])[COLUMN]
    assert scores.keys() == {"covered landmarks", "self-occluded landmarks"}
    covered, hidden = scores["covered landmarks"], scores["self-occluded landmarks"]
    assert covered.face_ids == hidden.face_ids == ("a", "b")  # nothing is occluded on "c"
    # a: .9 against .2 .4 .5; b: .3 against .1 .4 .2
    np.testing.assert_allclose(covered.aurocs, [1, 2 / 3])
    # a: .3 against .2 .4 .5; b: .6 against .1 .4 .2
    np.testing.assert_allclose(hidden.aurocs, [1 / 3, 1])
    # 2 covered and 3 + 3 + 5 visible ones: .3 of b loses to a's .4 and .5, b's .4, c's .9 and .8,
    # and .9 of a ties with c's .9
    assert covered.pooled.auroc == pytest.approx((10.5 + 6) / 22)
    assert covered.pooled.occluded_share == pytest.approx(2 / 13)


def test_without_masks_landmarks_are_taken_by_their_flags() -> None:
    scores = occlusion_scores(predictions(Occlusion(P_AWAY, cells(), None)), REGISTRY, [COLUMN])
    assert scores[COLUMN].keys() == {"landmarks"}
    # a: .9 beats three, .3 beats one; b: .3 beats two, .6 beats three
    np.testing.assert_allclose(scores[COLUMN]["landmarks"].aurocs, [4 / 6, 5 / 6])


def test_cells_are_occluded_where_more_than_half_of_them_is_covered() -> None:
    probability, share = cells(), cells()
    probability[0, :3], share[0, :3] = (0.2, 0.9, 0.3), (0.6, 0.5, 0.4)
    held = predictions(Occlusion(P_AWAY, probability, share))
    score = occlusion_scores(held, REGISTRY, [COLUMN])[COLUMN]["cells"]
    assert score.face_ids == ("a",)
    assert score.aurocs == pytest.approx([13 / 15])  # .2 loses to .9 and .3
    assert score.pooled.occluded_share == 1 / 48


@pytest.mark.parametrize(("count", "is_scored"), [(1, False), (15, False), (16, True), (20, True)])
def test_a_map_smaller_than_four_by_four_is_not_scored(count: int, is_scored: bool) -> None:
    held = predictions(Occlusion(P_AWAY, cells(count), None))
    assert bool(occlusion_scores(held, REGISTRY, [COLUMN])) == is_scored
    assert map_cells(held) == count
    assert map_cells(dataclasses.replace(held, occlusion=None)) is None


def test_there_is_no_score_where_nothing_or_everything_is_occluded() -> None:
    held = predictions(Occlusion(P_AWAY, cells(), None))
    for flags in (np.zeros_like(OCCLUDED), np.ones_like(OCCLUDED)):
        assert occlusion_scores(dataclasses.replace(held, occluded=flags), REGISTRY, [COLUMN]) == {}
    assert occlusion_scores(predictions(None), REGISTRY, [COLUMN]) == {}
