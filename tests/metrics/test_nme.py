"""NME and CED against hand calculations and published predictions."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from odnbench.errors import OdnbenchError
from odnbench.metrics.ced import area_under_ced, ced, failure_rate
from odnbench.metrics.nme import (
    mean_terms,
    nme_per_face,
    normaliser_px,
    points_per_face,
)
from odnbench.plan.protocols import Protocol, Scheme
from odnbench.plan.registry import Registry

REGISTRY = Registry.load()
PROTOCOL = REGISTRY.get(Protocol, "300w-paper")
SCHEME = REGISTRY.get(Scheme, "68")
Floats = NDArray[np.float64]


def faces(count: int = 3, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).uniform(0, 200, (count, 68, 2))


def test_nme_is_zero_for_a_perfect_prediction() -> None:
    assert nme_per_face(faces(), faces(), PROTOCOL, SCHEME).tolist() == [0.0] * 3


def test_nme_is_the_mean_distance_over_the_inter_ocular_distance() -> None:
    true = np.zeros((1, 68, 2))
    true[0, 45] = [30.0, 40.0]  # outer corners 36 and 45: 50 px apart
    predicted = true.copy()
    predicted[0, 0] += [3.0, 4.0]  # 5 px
    predicted[0, 67] += [0.0, 12.0]  # 12 px
    expected = (5.0 + 12.0) / 68 / 50.0
    assert nme_per_face(predicted, true, PROTOCOL, SCHEME) == pytest.approx([expected])


def test_pupils_are_the_means_of_the_eye_contours() -> None:
    true = faces(1)
    by_hand = np.linalg.norm(true[0, 36:42].mean(axis=0) - true[0, 42:48].mean(axis=0))
    pupils = dataclasses.replace(PROTOCOL, normaliser="inter-pupil")
    assert normaliser_px(true, pupils, SCHEME) == pytest.approx([by_hand])


@settings(max_examples=50, deadline=None)
@given(
    angle=st.floats(-3, 3),
    scale=st.floats(0.1, 10),
    shift=st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
)
def test_nme_does_not_change_under_a_similarity_of_the_image(
    angle: float, scale: float, shift: tuple[float, float]
) -> None:
    R = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    predicted, true = faces(seed=1), faces(seed=2)
    moved = nme_per_face(predicted @ R.T + shift, true @ R.T + shift, PROTOCOL, SCHEME)
    np.testing.assert_allclose(moved, nme_per_face(predicted, true, PROTOCOL, SCHEME), rtol=1e-8)


def test_visible_and_occluded_points_make_up_all_points() -> None:
    predicted, true = faces(seed=1), faces(seed=2)
    occluded = np.random.default_rng(3).random((3, 68)) < 0.3
    parts = {}
    for rule in ("all", "visible", "occluded"):
        protocol = dataclasses.replace(PROTOCOL, visibility=rule)
        parts[rule] = nme_per_face(predicted, true, protocol, SCHEME, occluded)
    share = occluded.mean(axis=1)
    np.testing.assert_allclose(
        parts["all"], share * parts["occluded"] + (1 - share) * parts["visible"]
    )


def test_a_zero_inter_ocular_distance_is_an_error_that_names_the_face() -> None:
    true = faces()
    true[1, 36] = true[1, 45]
    with pytest.raises(OdnbenchError, match="face 1: its inter-ocular length is 0"):
        nme_per_face(true, true, PROTOCOL, SCHEME)


@pytest.mark.parametrize(
    ("normaliser", "length"),
    [("box-width", 30.0), ("box-area", 20.0 * 3**0.5), ("box-diagonal", 50.0)],
)
def test_a_face_box_normalises_by_its_width_area_or_diagonal(
    normaliser: str, length: float
) -> None:
    boxes = np.array([[10.0, 5.0, 40.0, 45.0]])  # 30 × 40 px
    protocol = dataclasses.replace(PROTOCOL, normaliser=normaliser)
    assert normaliser_px(faces(1), protocol, SCHEME, boxes) == pytest.approx([length])
    with pytest.raises(OdnbenchError, match="needs the faces' boxes"):
        normaliser_px(faces(1), protocol, SCHEME)
    for box in ([10.0, 5, 10, 5], [float("nan")] * 4):
        with pytest.raises(OdnbenchError, match=f"face 0: its {normaliser} length is"):
            normaliser_px(faces(1), protocol, SCHEME, np.array([box]))


def test_equation_10_to_the_letter_divides_the_norm_of_the_shape_by_the_points() -> None:
    predicted, true = faces(seed=1), faces(seed=2)
    protocol = dataclasses.replace(PROTOCOL, error="shape-norm")
    by_hand = [
        np.linalg.norm(p - t) / 68 / np.linalg.norm(t[36] - t[45])
        for p, t in zip(predicted, true, strict=True)
    ]
    assert nme_per_face(predicted, true, protocol, SCHEME) == pytest.approx(by_hand)


def test_the_mean_over_points_weighs_faces_by_their_counted_points() -> None:
    predicted, true = faces(seed=1), faces(seed=2)
    occluded = np.random.default_rng(0).random((3, 68)) < [[0.1], [0.5], [1.0]]  # none left of one
    protocol = dataclasses.replace(PROTOCOL, visibility="visible", averaging="point")
    nme = nme_per_face(predicted, true, protocol, SCHEME, occluded)
    points = points_per_face(3, protocol, SCHEME, occluded)
    normalised = (
        np.linalg.norm(predicted - true, axis=2) / normaliser_px(true, PROTOCOL, SCHEME)[:, None]
    )
    mean = mean_terms(nme[:2], points[:2], protocol).mean()
    assert mean == pytest.approx(normalised[~occluded].mean())
    assert mean != pytest.approx(nme[:2].mean())
    assert np.isnan(nme).tolist() == [False, False, True]
    assert points.tolist() == (~occluded).sum(axis=1).tolist()


def test_a_prediction_that_is_no_number_is_not_taken_for_an_uncounted_point() -> None:
    predicted = faces()
    predicted[0, 5] = np.nan
    protocol = dataclasses.replace(PROTOCOL, visibility="visible")
    nme = nme_per_face(predicted, faces(), protocol, SCHEME, np.zeros((3, 68), bool))
    assert np.isnan(nme).tolist() == [True, False, False]


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    predicted, true = faces(10, seed=1), faces(10, seed=2)
    whole = nme_per_face(predicted, true, PROTOCOL, SCHEME)
    monkeypatch.setattr("odnbench.metrics.nme._BLOCK", 3)
    assert nme_per_face(predicted, true, PROTOCOL, SCHEME).tolist() == whole.tolist()


@pytest.mark.parametrize("shape", [(3, 67, 2), (3, 68, 3), (2, 68, 2)])
def test_shapes_that_do_not_fit_the_scheme_are_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(OdnbenchError, match="scheme 68 has 68 points"):
        nme_per_face(np.ones(shape), faces(), PROTOCOL, SCHEME)


def test_ced_failures_and_area_by_hand() -> None:
    nme = np.array([0.02, 0.05, 0.08, 0.20])
    assert failure_rate(nme, 0.08) == 0.25  # only above the threshold
    assert area_under_ced(nme, 0.08) == pytest.approx((0.06 + 0.03 + 0 + 0) / 4 / 0.08)
    assert ced(nme, np.array([0.0, 0.02, 0.1, 1.0])).tolist() == [0.0, 0.25, 0.75, 1.0]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=50), st.floats(0.01, 0.3))
def test_area_is_the_integral_of_the_curve_and_failures_its_rest(
    errors: list[float], threshold: float
) -> None:
    nme = np.array(errors)
    steps = (np.arange(20_000) + 0.5) / 20_000 * threshold
    assert area_under_ced(nme, threshold) == pytest.approx(ced(nme, steps).mean(), abs=2e-4)
    assert failure_rate(nme, threshold) == pytest.approx(
        1 - float(ced(nme, np.array([threshold]))[0])
    )


@pytest.fixture(scope="module")
def spiga(shared_data: Path) -> tuple[Floats, NDArray[np.bool_]]:
    """NME of SPIGA's published predictions, and which faces are of the Challenging set.

    Its annotations list the 554 faces of the Common set first, then the 135 of IBUG.
    """
    truth = json.loads((shared_data / "300w-annotations/spiga_300wpublic_test.json").read_text())
    found = json.loads((shared_data / "peers/spiga/results_300wpublic_test.json").read_text())
    predicted = {record["imgpath"]: record["landmarks"] for record in found}
    nme = nme_per_face(
        np.array([predicted[record["imgpath"]] for record in truth]),
        np.array([record["landmarks"] for record in truth]),
        PROTOCOL,
        SCHEME,
    )
    return nme, np.arange(len(nme)) >= 554


def test_spigas_predictions_give_the_known_figures(
    spiga: tuple[Floats, NDArray[np.bool_]],
) -> None:
    nme, challenging = spiga
    assert len(nme) == 689
    assert f"{100 * nme.mean():.6f}" == "2.993687"
    assert f"{100 * nme[~challenging].mean():.6f}" == "2.587080"
    assert f"{100 * nme[challenging].mean():.6f}" == "4.662282"
    assert f"{100 * failure_rate(nme, 0.08):.4f}" == "0.7257"
    assert failure_rate(nme[~challenging], 0.08) == 0
    assert f"{100 * failure_rate(nme[challenging], 0.08):.4f}" == "3.7037"
    assert f"{100 * area_under_ced(nme, 0.08):.2f}" == "62.72"


def test_a_protocol_that_counts_visible_points_needs_flags() -> None:
    protocol = dataclasses.replace(PROTOCOL, visibility="visible")
    with pytest.raises(OdnbenchError, match="needs occlusion flags"):
        nme_per_face(faces(), faces(), protocol, SCHEME)


def test_a_face_without_any_counted_point_has_no_error_and_spoils_no_other() -> None:
    occluded = np.zeros((3, 68), bool)
    occluded[1] = True
    protocol = dataclasses.replace(PROTOCOL, visibility="visible")
    nme = nme_per_face(faces(seed=1), faces(seed=2), protocol, SCHEME, occluded)
    whole = nme_per_face(faces(seed=1), faces(seed=2), PROTOCOL, SCHEME)
    assert np.isnan(nme[1])
    np.testing.assert_allclose(nme[[0, 2]], whole[[0, 2]])


def test_errors_at_occluded_points_do_not_move_the_error_at_visible_ones() -> None:
    occluded = np.random.default_rng(3).random((3, 68)) < 0.3
    predicted, true = faces(seed=1), faces(seed=2)
    protocol = dataclasses.replace(PROTOCOL, visibility="visible")
    before = nme_per_face(predicted, true, protocol, SCHEME, occluded)
    predicted[occluded] += 1000.0
    np.testing.assert_array_equal(before, nme_per_face(predicted, true, protocol, SCHEME, occluded))
