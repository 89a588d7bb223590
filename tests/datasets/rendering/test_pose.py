"""Yaw from landmarks, against heads of known pose and another tool's estimates."""

import json
from pathlib import Path

import numpy as np
import pytest

from odnbench.datasets.rendering.pose import yaw_degrees
from odnbench.datasets.rendering.render import render_face
from odnbench.plan.protocols import Scheme
from odnbench.plan.registry import Registry


@pytest.mark.parametrize("scheme", ["68", "29", "19", "98"])
def test_yaw_of_rendered_faces_is_found(scheme: str) -> None:
    faces = [render_face(3, i, scheme=scheme, size=64, difficulty="profile") for i in range(60)]
    found = yaw_degrees(np.stack([face.points for face in faces]), scheme)
    true = np.array([face.yaw_deg for face in faces])
    assert np.abs(found - true).max() < 15
    assert np.corrcoef(found, true)[0, 1] > 0.98


def test_yaw_does_not_depend_on_place_size_or_roll() -> None:
    points = render_face(3, 5, scheme="68", size=64, difficulty="challenging").points
    R = np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    yaw = yaw_degrees(np.stack([points, 3 * points @ R.T + [50, -20]]), "68")
    assert yaw[0] == pytest.approx(yaw[1])
    flip = list(Registry.load().get(Scheme, "68").flip)
    assert yaw_degrees((points * [-1, 1])[None, flip], "68")[0] == pytest.approx(-yaw[0], abs=0.5)


def test_yaw_of_real_faces_agrees_with_the_published_poses(shared_data: Path) -> None:
    path = shared_data / "300w-annotations" / "spiga_300wpublic_test.json"
    records = json.loads(path.read_text())
    found = yaw_degrees(np.array([record["landmarks"] for record in records]), "68")
    published = np.array([record["headpose"][0] for record in records])
    assert abs(np.corrcoef(found, published)[0, 1]) > 0.95


def test_an_unknown_scheme_is_told() -> None:
    with pytest.raises(ValueError, match="unknown scheme"):
        yaw_degrees(np.zeros((1, 5, 2)), "5")
