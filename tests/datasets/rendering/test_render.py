"""What rendered faces promise: the same face again, exact points, exact occlusion."""

import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from odnbench.datasets.rendering import face_model
from odnbench.datasets.rendering.face_mesh import rasterise
from odnbench.datasets.rendering.face_parameters import (
    FaceParameters,
    Pose,
    Skin,
    sample_parameters,
)
from odnbench.datasets.rendering.occluders import OCCLUDERS, Occluder
from odnbench.datasets.rendering.render import RenderedFace, draw, render_face
from odnbench.plan.shipped import shipped

SCHEMES = tomllib.loads((shipped("registry") / "schemes.toml").read_text(encoding="utf-8"))
DIFFICULTIES = ("train", "common", "challenging")
SIZE = 128


def parameters(index: int, difficulty: str = "train") -> FaceParameters:
    return sample_parameters(np.random.default_rng([5, index]), difficulty)


def same_face(a: RenderedFace, b: RenderedFace) -> bool:
    arrays = ("image", "points", "occluded", "occlusion_mask")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in arrays)


def test_a_face_is_the_same_whatever_was_drawn_before() -> None:
    first = render_face(3, 8, size=SIZE, difficulty="challenging")
    for index in (2, 1, 9):
        render_face(4, index, size=96, scheme="29")
    assert same_face(first, render_face(3, 8, size=SIZE, difficulty="challenging"))


def test_a_face_is_the_same_from_any_thread() -> None:
    serial = [render_face(0, i, size=96) for i in range(12)]
    with ThreadPoolExecutor(4) as pool:
        threaded = list(pool.map(lambda i: render_face(0, i, size=96), range(12)))
    assert all(same_face(a, b) for a, b in zip(serial, threaded, strict=True))


def test_seed_index_and_difficulty_each_make_another_face() -> None:
    images = [render_face(0, 0, size=64), render_face(1, 0, size=64), render_face(0, 1, size=64)]
    images.append(render_face(0, 0, size=64, difficulty="common"))
    assert len({face.image.tobytes() for face in images}) == 4


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_scheme_changes_points_but_never_the_picture(scheme: str) -> None:
    face, of_68 = (render_face(1, 4, size=SIZE, scheme=name) for name in (scheme, "68"))
    assert np.array_equal(face.image, of_68.image)
    assert np.array_equal(face.occlusion_mask, of_68.occlusion_mask)
    count = SCHEMES[scheme]["points"]
    assert face.points.shape == (count, 2) and face.occluded.shape == (count,)
    assert face.points.dtype == np.float64 and face.image.dtype == np.uint8


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_points_are_inside_the_picture(difficulty: str) -> None:
    for index in range(40):
        points = render_face(2, index, size=64, scheme="98", difficulty=difficulty).points
        assert points.min() >= 0 and points.max() <= 63


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_flip_is_an_involution_and_keeps_components(scheme: str) -> None:
    entry = SCHEMES[scheme]
    flip = np.array(entry["flip"])
    assert np.array_equal(flip[flip], np.arange(entry["points"]))
    for part in entry["components"].values():
        assert sorted(flip[part]) == sorted(part)
    parts = [i for part in entry["components"].values() for i in part]
    assert sorted(parts) == list(range(entry["points"]))
    left, right = entry["eye_corners"]
    assert flip[left] == right
    assert sorted(flip[entry["pupils"][0]]) == sorted(entry["pupils"][1])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_symmetric_face_is_its_own_mirror_image(scheme: str) -> None:
    face = draw(FaceParameters(), scheme, SIZE)
    mirrored = face.points * [-1, 1] + [SIZE - 1, 0]
    np.testing.assert_allclose(mirrored[SCHEMES[scheme]["flip"]], face.points, atol=1e-9)
    difference = face.image.astype(float) - face.image[:, ::-1]
    assert np.abs(difference).mean() < 1
    left, right = SCHEMES[scheme]["eye_corners"]
    assert face.points[left, 0] < face.points[right, 0]
    assert not face.occluded.any() and not face.occlusion_mask.any()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_opposite_yaw_and_roll_mirror_a_symmetric_face(scheme: str) -> None:
    pose = Pose(yaw_deg=35, pitch_deg=12, roll_deg=20)
    turned = draw(FaceParameters(pose=pose), scheme, SIZE)
    other = draw(FaceParameters(pose=replace(pose, yaw_deg=-35, roll_deg=-20)), scheme, SIZE)
    flip = SCHEMES[scheme]["flip"]
    mirrored = (turned.points * [-1, 1] + [SIZE - 1, 0])[flip]
    np.testing.assert_allclose(mirrored, other.points, atol=1e-9)
    assert np.array_equal(turned.occluded[flip], other.occluded)


def test_roll_turns_the_points_clockwise_as_a_similarity() -> None:
    upright = draw(FaceParameters(), "68", SIZE).points
    rolled = draw(FaceParameters(pose=Pose(roll_deg=30)), "68", SIZE).points
    a, b = (p - p.mean(axis=0) for p in (upright, rolled))
    clockwise = np.exp(1j * np.radians(30))  # y points down, so a positive angle is clockwise
    u, v = a @ [1, 1j] * clockwise, b @ [1, 1j]
    scale = np.abs(v).sum() / np.abs(u).sum()
    np.testing.assert_allclose(u * scale, v, atol=1e-9)


def test_the_size_only_scales_the_pixel_grid() -> None:
    small, large = (draw(parameters(1), "68", size).points for size in (64, 160))
    np.testing.assert_allclose((small + 0.5) / 64, (large + 0.5) / 160, atol=1e-12)


def test_the_box_of_the_points_has_the_share_that_the_pose_asks_for() -> None:
    pose = Pose(yaw_deg=-50, box_share=0.5, offset_share=(0.0, 0.0))
    points = draw(FaceParameters(pose=pose), "68", 200).points
    low, high = points.min(axis=0), points.max(axis=0)
    assert (high - low).max() == pytest.approx(100)
    np.testing.assert_allclose((low + high) / 2, 99.5)


def test_points_lie_on_what_is_drawn() -> None:
    dark_eyes = replace(Skin(), iris=(0.0, 0.0, 0.0))
    face = draw(FaceParameters(skin=dark_eyes), "98", 256)
    grey = face.image.mean(axis=-1)

    def near(index: int) -> float:
        x, y = np.rint(face.points[index]).astype(int)
        return float(grey[y - 1 : y + 2, x - 1 : x + 2].mean())

    cheek = float(grey[tuple(np.rint(face.points[[59, 75]].mean(axis=0))[::-1].astype(int))])
    for pupil in (96, 97):
        assert near(pupil) < 0.5 * cheek
    for brow in (39, 48):
        assert near(brow) < 0.8 * cheek


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_a_point_is_occluded_by_the_head_or_where_the_mask_says(difficulty: str) -> None:
    for index in range(25):
        face = parameters(index, difficulty)
        shown = draw(face, "68", SIZE)
        by_head = draw(replace(face, occluders=()), "68", SIZE).occluded
        x, y = np.rint(shown.points).astype(int).T
        assert np.array_equal(shown.occluded, by_head | shown.occlusion_mask[y, x])


def test_a_profile_hides_the_far_eye_and_not_the_near_one() -> None:
    right = draw(FaceParameters(pose=Pose(yaw_deg=80)), "68", SIZE)
    assert right.occluded[42:48].all() and right.occluded[11:17].all()
    assert not right.occluded[36:42].any() and not right.occluded[0:6].any()


@pytest.mark.parametrize(
    ("kind", "hidden", "seen"),
    [
        ("sunglasses", [*range(36, 48)], [*range(48, 68), 8]),
        ("mask", [*range(48, 68), 8, 33], [*range(17, 28), *range(36, 48)]),
        ("clear glasses", [], [*range(68)]),
    ],
)
def test_what_is_worn_hides_what_it_covers(kind: str, hidden: list[int], seen: list[int]) -> None:
    face = draw(FaceParameters(occluders=(Occluder(kind),)), "68", SIZE)
    assert face.occluded[hidden].all()
    assert not face.occluded[seen].any()


@pytest.mark.parametrize("kind", OCCLUDERS)
def test_an_occluder_changes_pixels_and_its_mask_covers_them(kind: str) -> None:
    face = FaceParameters(occluders=(Occluder(kind, anchor_mm=(5, 40), colour=(250, 10, 200)),))
    shown, bare = draw(face, "68", SIZE), draw(replace(face, occluders=()), "68", SIZE)
    changed = np.abs(shown.image.astype(int) - bare.image).max(axis=-1) > 60
    assert changed.any()
    assert shown.occlusion_mask.any() == (kind != "clear glasses")
    if kind != "clear glasses":
        assert changed[shown.occlusion_mask].mean() > 0.5


@pytest.mark.slow
def test_difficulties_are_ordered_in_occlusion_and_yaw() -> None:
    occluded, yaw = {}, {}
    for difficulty in DIFFICULTIES:
        faces = [render_face(7, i, size=64, difficulty=difficulty) for i in range(150)]
        occluded[difficulty] = np.mean([face.occluded.mean() for face in faces])
        yaw[difficulty] = np.mean([abs(face.yaw_deg) for face in faces])
    assert occluded["common"] < occluded["train"] < occluded["challenging"]
    assert yaw["common"] < yaw["train"] < yaw["challenging"]
    assert 0.2 < occluded["challenging"] < 0.36


def test_a_triangle_is_filled_where_pixel_centres_are_inside_and_values_are_linear() -> None:
    corners = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])
    values = corners @ [[2.0], [3.0]] + 1.0
    layers, covered = rasterise(corners, values, np.array([[0, 1, 2]]), 8)
    y, x = np.mgrid[:8, :8]
    assert np.array_equal(covered, x + y <= 6)
    np.testing.assert_allclose(layers[0][covered], (2 * x + 3 * y + 1)[covered], atol=1e-5)


def test_each_mode_of_expression_moves_what_it_is_named_after() -> None:
    def points(**amounts: float) -> np.ndarray:
        expression = tuple(amounts.get(name, 0.0) for name in face_model.EXPRESSION_MODES)
        return face_model.control_points(face_model.FaceShape(expression=expression))

    still = points()
    assert (points(smile=1.0)[[76, 82], 1] < still[[76, 82], 1]).all()
    assert (points(brows_raised=1.0)[33:51, 1] < still[33:51, 1]).all()
    opened = points(jaw_open=1.0)
    assert opened[94, 1] - opened[90, 1] > 10 + still[94, 1] - still[90, 1]


@pytest.mark.parametrize("wrong", [{"scheme": "67"}, {"difficulty": "hard"}])
def test_an_unknown_name_raises_and_tells_the_known_ones(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"68.*29|train.*challenging"):
        render_face(0, 0, **wrong)
