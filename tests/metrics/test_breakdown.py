"""Errors by group against sums by hand."""

import numpy as np
import pytest

from odnbench.metrics.breakdown import breakdown
from odnbench.plan.protocols import Scheme
from odnbench.plan.registry import Registry

SCHEME = Registry.load().get(Scheme, "68")


def test_groups_hold_the_points_that_their_names_say() -> None:
    rng = np.random.default_rng(0)
    errors = rng.random((40, 68))
    occluded = rng.random((40, 68)) < np.linspace(0, 0.6, 40)[:, None]
    yaw = np.linspace(-80, 80, 40)
    every = np.ones(errors.shape, bool)
    groups = {(g.by, g.name): g for g in breakdown(errors, every, SCHEME, occluded, yaw)}
    assert groups["component", "jaw"].nme == pytest.approx(errors[:, :17].mean())
    assert groups["component", "mouth"].nme == pytest.approx(errors[:, 48:].mean())
    assert groups["points", "visible"].nme == pytest.approx(errors[~occluded].mean())
    assert groups["points", "occluded"].points == occluded.sum()
    few = (occluded.mean(axis=1) > 0) & (occluded.mean(axis=1) <= 0.1)
    assert groups["occluded", "0% to 10%"].nme == pytest.approx(errors[few].mean())
    turned = np.abs(yaw) >= 60
    assert groups["yaw", "over 60°"].nme == pytest.approx(errors[turned].mean())
    assert groups["yaw", "over 60°"].faces == turned.sum()
    for by in ("component", "points", "occluded", "yaw"):
        assert sum(g.points for key, g in groups.items() if key[0] == by) == errors.size


def test_what_is_not_known_makes_no_group() -> None:
    groups = breakdown(np.ones((3, 68)), np.ones((3, 68), bool), SCHEME, None, None)
    assert {group.by for group in groups} == {"component"}


def test_points_that_the_protocol_does_not_count_are_in_no_group() -> None:
    errors = np.ones((3, 68))
    errors[:, :17] = 100.0
    counted = np.ones((3, 68), bool)
    counted[:, :17] = False
    groups = breakdown(errors, counted, SCHEME, None, np.zeros(3))
    assert {group.nme for group in groups} == {1.0}
    assert "jaw" not in {group.name for group in groups}
