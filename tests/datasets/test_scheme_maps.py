"""From the landmarks of one scheme to those of another, and the crops of faces that have those."""

import dataclasses

import numpy as np
import pytest

from odnbench.datasets.crop import window_of
from odnbench.datasets.faces import Face
from odnbench.datasets.rendering.render import render_face
from odnbench.datasets.scheme_maps import box_rule_of, map_between, mapped, told
from odnbench.errors import OdnbenchError
from odnbench.plan.entries import Dataset
from odnbench.plan.protocols import BoxRule, Scheme, SchemeMap
from odnbench.plan.registry import Registry

REGISTRY = Registry.load()
MAPS = list(REGISTRY.all(SchemeMap).values())
GROWS = dataclasses.replace(
    REGISTRY.get(BoxRule, "landmarks"), name="grows", grown=(0.1, 0.3, 0.0, -0.05)
)
RULES = [*REGISTRY.all(BoxRule).values(), GROWS]


@pytest.mark.parametrize("rule", MAPS, ids=lambda rule: rule.name)
def test_mapped_landmarks_lie_where_the_other_scheme_has_them(rule: SchemeMap) -> None:
    """The same rendered faces with the points of both schemes."""
    corners = list(REGISTRY.get(Scheme, rule.gives).eye_corners)
    distances = []
    for index in range(20):
        takes, gives = (
            render_face(3, index, scheme=scheme, size=96, difficulty="common").points
            for scheme in (rule.takes, rule.gives)
        )
        length = np.linalg.norm(gives[corners[0]] - gives[corners[1]])
        distances.append(np.linalg.norm(mapped(takes, rule) - gives, axis=1) / length)
    assert np.mean(distances, axis=0).max() < 0.06  # the next landmark is a tenth away or more
    assert np.mean(distances) < 0.015


def test_what_a_mapped_landmark_is_made_of() -> None:
    points = np.random.default_rng(0).normal(size=(5, 98, 2))
    found = mapped(points, REGISTRY.get(SchemeMap, "98-to-68"))
    assert found.shape == (5, 68, 2)
    np.testing.assert_array_equal(found[:, :17], points[:, :33:2])
    eyelid = (2 * points[:, 61] + points[:, 62]) / 3
    np.testing.assert_allclose(found[:, 37], eyelid)
    np.testing.assert_array_equal(found[:, 18, 0], points[:, 34, 0])
    np.testing.assert_allclose(found[:, 18, 1], (points[:, 34, 1] + points[:, 41, 1]) / 2)
    points = points[:, :68]
    found = mapped(points, REGISTRY.get(SchemeMap, "68-to-29"))
    np.testing.assert_allclose(found[:, 16], points[:, 36:42].mean(axis=1))
    np.testing.assert_array_equal(found[:, 20], points[:, 30])


@pytest.mark.parametrize("rule", MAPS, ids=lambda rule: rule.name)
@pytest.mark.parametrize("box", RULES, ids=lambda box: box.name)
def test_a_face_like_the_mean_gets_the_crop_of_training(rule: SchemeMap, box: BoxRule) -> None:
    points = render_face(1, 0, scheme=rule.takes, size=400, difficulty="common").points
    given = np.array([20.0, 30, 200, 250])
    face = Face("face", "part", None, points, box=given, detector_box=given)
    trained = window_of(face, box, 1.25)
    mean_shape = trained.to_crop(points, 100) / 50 - 1
    other = dataclasses.replace(face, points=mapped(points, rule))
    grown = box_rule_of(rule, box, mean_shape)
    assert window_of(other, grown, 1.25) == trained
    if box.source == "landmarks":
        assert window_of(other, box, 1.25) != trained
        assert "grown" in grown.describe()


def test_a_rule_that_grows_no_box_is_described_as_before() -> None:
    assert REGISTRY.get(BoxRule, "landmarks").describe() == (
        "square crop, 1.3 × the landmarks' tight box"
    )


def test_a_map_is_found_by_its_schemes_and_said_with_what_is_lost() -> None:
    scheme = REGISTRY.get(Scheme, "98")
    assert map_between(scheme, REGISTRY.get(Dataset, "wflw"), REGISTRY) is None
    rule = map_between(scheme, REGISTRY.get(Dataset, "300w"), REGISTRY)
    assert rule is not None
    assert "98 points and mapped to 68 by 98-to-68 (Jin et al." in told(rule, scheme)
    assert "; 18 of the 98 are not used" in told(rule, scheme)
    with pytest.raises(OdnbenchError, match="aflw has the points of scheme 19, the network"):
        map_between(scheme, REGISTRY.get(Dataset, "aflw"), REGISTRY)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"y": {"2": (0,)}}, "y must name landmarks from 0 to 1, got '2'"),
        ({"y": {"01": (0,)}}, "y must name landmarks from 0 to 1, got '01'"),
        ({"points": ((0,), ())}, "landmark 1 must be the mean of at least one landmark"),
        ({"y": {"1": (-1,)}}, r"landmark 1 must be the mean .* got \[-1\]"),
    ],
)
def test_a_map_of_nothing_is_refused(changes: dict[str, object], reason: str) -> None:
    plain = SchemeMap("mine", "", "68", "29", "", ((0,), (1,)))
    with pytest.raises(OdnbenchError, match=reason):
        dataclasses.replace(plain, **changes)  # type: ignore[arg-type]
