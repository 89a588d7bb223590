"""Predictions of any tool: what is read, paired, refused and scored."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from odnbench.arrays import Floats
from odnbench.errors import OdnbenchError
from odnbench.metrics.nme import mean_terms
from odnbench.metrics.summaries import failures_percent
from odnbench.plan.protocols import Protocol, Scheme
from odnbench.plan.registry import Registry
from odnbench.results.predictions import Predictions, read_predictions, write_predictions
from odnbench.scoring.pairing import pair
from odnbench.scoring.prediction_files import (
    PredictionFile,
    read_prediction_file,
    read_prediction_files,
)
from odnbench.scoring.score import compare_files, score_files
from odnbench.scoring.truth import Truth, truth_in_file, truth_of

REGISTRY = Registry.load()
PUPILS = REGISTRY.get(Protocol, "cofw68-pupil")
RNG = np.random.default_rng(0)
POINTS = RNG.uniform(0, 200, (4, 68, 2))
FLAGS = RNG.random((4, 68)) < 0.3
NAMES = ("test/0001", "test/0002", "test/0003", "test/0004")
TRUTH = Truth("cofw68/test", "68", 4, False, NAMES, POINTS, FLAGS, None)


def as_csv(path: Path, points: Floats) -> Path:
    columns = {
        f"{a}{i}": points[:, i, k] for i in range(points.shape[1]) for k, a in enumerate("xy")
    }
    flags = {f"o{i}": FLAGS[:, i].astype(int) for i in range(68)}
    pd.DataFrame({"face": ["0001", "0002", "0003", "0004"], **columns, **flags}).to_csv(
        path, index=False
    )
    return path


def as_json(path: Path, points: Floats) -> Path:
    records = [
        {
            "imgpath": f"images/{i + 1:04d}.jpg",
            "landmarks": p.tolist(),
            "visible": (1.0 - f).tolist(),
        }
        for i, (p, f) in enumerate(zip(points, FLAGS, strict=True))
    ]
    path.write_text(json.dumps(records))
    return path


def as_txt(path: Path, points: Floats) -> Path:
    lines = []
    for i, (p, f) in enumerate(zip(points + 1, FLAGS, strict=True)):
        rows = ([i + 1], p[:, 0], p[:, 1], f.astype(int))
        lines += [" ".join(map(repr, map(float, row))) for row in rows[1:3]]
        lines.insert(len(lines) - 2, f"{i + 1} ")
        lines.append(" ".join(map(str, rows[3])))
    path.write_text("\n".join(lines) + "\n")
    return path


def as_parquet(path: Path, points: Floats) -> Path:
    frame = pd.DataFrame({"face": NAMES, "predicted": [p.ravel().tolist() for p in points]})
    frame.to_parquet(path)
    return path


WRITERS: dict[str, Callable[[Path, Floats], Path]] = {
    "a.csv": as_csv, "a.json": as_json, "a.txt": as_txt, "a.parquet": as_parquet,
}  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_reads_the_same_points_and_pairs_by_face(tmp_path: Path, name: str) -> None:
    file = read_prediction_file(WRITERS[name](tmp_path / name, POINTS))
    paired = pair(TRUTH, file, 68, REGISTRY)
    np.testing.assert_allclose(paired.predicted, POINTS, atol=1e-9)
    assert paired.face_ids == NAMES
    if name != "a.parquet":
        assert paired.predicted_occluded is not None
        np.testing.assert_array_equal(paired.predicted_occluded, FLAGS)


def test_the_order_of_a_file_does_not_matter(tmp_path: Path) -> None:
    file = read_prediction_file(as_csv(tmp_path / "a.csv", POINTS))
    order = [2, 0, 3, 1]
    shuffled = dataclasses.replace(
        file,
        face_ids=tuple(file.face_ids[i] for i in order),
        points=file.points[order],
        occluded=None,
    )
    np.testing.assert_array_equal(pair(TRUTH, shuffled, 68, REGISTRY).predicted, file.points)


def damaged(points: Floats, value: float) -> Floats:
    changed = points.copy()
    changed[1, 7, 0] = value
    return changed


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.txt", "a.parquet"])
def test_a_coordinate_that_is_no_number_is_named_with_its_face(
    tmp_path: Path, name: str, value: float
) -> None:
    path = WRITERS[name](tmp_path / name, damaged(POINTS, value))
    with pytest.raises(OdnbenchError, match=rf"{name}: face .*0002.*: landmark 7 is not a finite"):
        read_prediction_file(path)


def test_a_face_that_is_there_twice_is_named(tmp_path: Path) -> None:
    path = as_csv(tmp_path / "a.csv", POINTS)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[2]]))
    with pytest.raises(OdnbenchError, match=r"a\.csv: face 0002 is there twice"):
        read_prediction_file(path)


def test_a_face_without_prediction_is_named_and_left_out_only_on_request(tmp_path: Path) -> None:
    path = as_txt(tmp_path / "a.txt", POINTS)
    path.write_text("\n".join(path.read_text().splitlines()[:12]))
    file = read_prediction_file(path)
    with pytest.raises(OdnbenchError, match=r"no prediction for test/0004 of cofw68/test"):
        score_files([file], TRUTH, PUPILS, REGISTRY)
    (scored,) = score_files([file], TRUTH, PUPILS, REGISTRY, allow_partial=True)
    assert str(scored.score.coverage) == "3 of 4"
    assert len(scored.score.nme) == 3


def test_another_scheme_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    pd.DataFrame({"face": ["0001"], "x0": [1.0], "y0": [2.0]}).to_csv(path, index=False)
    with pytest.raises(OdnbenchError, match=r"a\.csv: 1 landmarks, but scheme 68 has 68"):
        pair(TRUTH, read_prediction_file(path), 68, REGISTRY)
    with pytest.raises(OdnbenchError, match="protocol 'wflw' has 98 points, cofw68/test has 68"):
        score_files([], TRUTH, REGISTRY.get(Protocol, "wflw"), REGISTRY)


def test_a_face_that_cannot_be_normalised_is_named(tmp_path: Path) -> None:
    points = POINTS.copy()
    points[2, 36:48] = 5.0  # all points of both eyes in one place
    truth = dataclasses.replace(TRUTH, points=points)
    file = read_prediction_file(as_csv(tmp_path / "a.csv", POINTS))
    with pytest.raises(OdnbenchError, match="face test/0003: its inter-pupil length is 0"):
        score_files([file], truth, PUPILS, REGISTRY)


def test_names_that_do_not_meet_are_shown_side_by_side(tmp_path: Path) -> None:
    path = as_csv(tmp_path / "a.csv", POINTS)
    path.write_text(path.read_text().replace("\n000", "\nface"))
    with pytest.raises(
        OdnbenchError, match="names faces like 'face1', the ground truth like 'test/"
    ):
        pair(TRUTH, read_prediction_file(path), 68, REGISTRY)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", "name,x0\n1,2", "expected columns face, x0, y0"),
        ("a.csv", "", "expected columns face, x0, y0"),
        ("a.csv", "face,x0,y0\n", "it holds no face"),
        ("a.csv", "face,x0,y0\n1,a,b", "line 2, column 'x0': expected a number, got 'a'"),
        ("a.json", "{", "cannot be read as JSON"),
        ("a.json", '[{"imgpath": "a"}]', 'record 1: expected a list of {"imgpath".*found imgpath'),
        ("a.json", "[]", "it holds no face"),
        ("a.json", '[{"imgpath": "a", "landmarks": [[1, 2, 3]]}]', "faces have 3 coordinates"),
        ("a.txt", "1\n1 2\n3 4\n", "expected four lines per face, got 3 lines"),
        ("a.txt", "1\n1 2\n3\n0 0\n", "face 1 of the file: expected a number, and as many"),
        ("a.txt", "1\n1 x\n3 4\n0 0\n", "face 1 of the file: expected numbers"),
        ("a.parquet", "no parquet", "cannot be read as Parquet"),
        ("a.pkl", "", "unknown format of predictions '.pkl'"),
    ],
)
def test_a_file_that_is_none_is_told(tmp_path: Path, name: str, content: str, told: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(OdnbenchError, match=told):
        read_prediction_file(tmp_path / name)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OdnbenchError, match=r"absent\.csv: No such file"):
        read_prediction_file(tmp_path / "absent.csv")


# The figures that a right implementation returns, from files of other tools


@pytest.fixture(scope="module")
def cofw68(shared_data: Path) -> tuple[Truth, dict[str, PredictionFile]]:
    files = sorted((shared_data / "peers" / "cofw68").glob("*.txt"))
    read = [read_prediction_file(path) for path in files]
    named = {file.name.partition("_")[0]: file for file in read}
    return truth_of("cofw68/test", REGISTRY, shared_data), named


@pytest.mark.parametrize(
    ("method", "protocol", "nme", "success"),
    [
        ("HPM", "cofw68-pupil", "0.0940", "72.39"),
        ("HPM", "cofw68-pupil-visible", "0.0793", "87.57"),
        ("CFSS", "cofw68-pupil", "0.0880", "78.11"),
        ("CFSS", "cofw68-pupil-visible", "0.0730", "89.94"),
        ("RCPR-occ", "cofw68-pupil", "0.1227", "57.59"),
        ("RCPR-occ", "cofw68-pupil-visible", "0.1144", "67.85"),
    ],
)
def test_published_figures_of_cofw68_come_out(
    cofw68: tuple[Truth, dict[str, PredictionFile]],
    method: str,
    protocol: str,
    nme: str,
    success: str,
) -> None:
    truth, files = cofw68
    (scored,) = score_files([files[method]], truth, REGISTRY.get(Protocol, protocol), REGISTRY)
    assert len(scored.score.nme) == 507
    assert f"{scored.score.nme_percent / 100:.4f}" == nme
    assert f"{100 - failures_percent(scored.score, 10):.2f}" == success


@pytest.mark.parametrize(
    ("method", "nme", "failures"),
    [("RCPR-occ", "8.76", "20.12"), ("HPM", "6.72", "6.71"), ("CFSS", "6.28", "9.07")],
)
def test_the_same_files_by_eye_corners(
    cofw68: tuple[Truth, dict[str, PredictionFile]], method: str, nme: str, failures: str
) -> None:
    truth, files = cofw68
    corners = REGISTRY.get(Protocol, "cofw68-paper")
    (scored,) = score_files([files[method]], truth, corners, REGISTRY)
    assert f"{scored.score.nme_percent:.2f}" == nme
    assert f"{failures_percent(scored.score, 10):.2f}" == failures


def test_occlusion_flags_of_hpm_have_their_published_precision_and_recall(
    cofw68: tuple[Truth, dict[str, PredictionFile]],
) -> None:
    truth, files = cofw68
    (scored,) = score_files([files["HPM"]], truth, PUPILS, REGISTRY)
    flags = scored.flags
    assert flags is not None
    assert f"{flags.precision_percent:.2f} / {flags.recall_percent:.2f}" == "80.65 / 34.06"


def test_files_are_compared_on_the_faces_that_all_have(
    cofw68: tuple[Truth, dict[str, PredictionFile]],
) -> None:
    truth, files = cofw68
    cut = dataclasses.replace(
        files["HPM"],
        face_ids=files["HPM"].face_ids[:400],
        points=files["HPM"].points[:400],
        occluded=None,
    )
    scored = score_files([files["CFSS"], cut], truth, PUPILS, REGISTRY, allow_partial=True)
    (comparison,) = compare_files(scored, files["CFSS"].name)
    common = scored[1].score.nme.mean() - scored[0].score.nme[:400].mean()
    assert comparison.difference == pytest.approx(common)


def test_splits_of_300w_are_told_apart_in_one_file_of_annotations(shared_data: Path) -> None:
    path = shared_data / "300w-annotations" / "spiga_300wpublic_test.json"
    file = read_prediction_file(path)
    counts = {
        split: len(truth_in_file(f"300w/{split}", REGISTRY, file).face_ids)
        for split in ("helen-test", "lfpw-test", "ibug", "common", "full")
    }
    assert counts == {"helen-test": 330, "lfpw-test": 224, "ibug": 135, "common": 554, "full": 689}
    with pytest.raises(OdnbenchError, match="it holds no face of 300w/indoor"):
        truth_in_file(
            "300w/indoor",
            REGISTRY,
            dataclasses.replace(file, face_ids=("a",) * 0, points=file.points[:0]),
        )


def test_groups_of_a_scored_file_cover_every_point(
    cofw68: tuple[Truth, dict[str, PredictionFile]],
) -> None:
    truth, files = cofw68
    (scored,) = score_files([files["HPM"]], truth, PUPILS, REGISTRY)
    sums = {by: sum(g.points for g in scored.groups if g.by == by) for by in ("component", "yaw")}
    assert sums == {"component": 507 * REGISTRY.get(Scheme, "68").points, "yaw": 507 * 68}


def test_the_mean_over_points_leaves_failures_to_the_faces(tmp_path: Path) -> None:
    """Under averaging "point" the NME is one over all visible points; FR and the median are still
    those of faces.
    """
    protocol = dataclasses.replace(
        REGISTRY.get(Protocol, "cofw68-pupil-visible"), averaging="point"
    )
    file = read_prediction_file(as_csv(tmp_path / "a.csv", POINTS + RNG.normal(0, 9, POINTS.shape)))
    (by_point,) = score_files([file], TRUTH, protocol, REGISTRY)
    (by_face,) = score_files(
        [file], TRUTH, dataclasses.replace(protocol, averaging="face"), REGISTRY
    )
    np.testing.assert_array_equal(by_point.score.nme, by_face.score.nme)
    assert failures_percent(by_point.score, 20) == failures_percent(by_face.score, 20)
    left, right = (POINTS[:, slice(*eye)].mean(axis=1) for eye in ((36, 42), (42, 48)))
    normaliser = np.linalg.norm(left - right, axis=1)[:, None]
    errors = np.linalg.norm(file.points - POINTS, axis=2) / normaliser
    assert by_point.score.nme_percent == pytest.approx(100 * errors[~FLAGS].mean())
    assert by_point.score.interval is None  # of four faces
    assert by_point.score.terms.mean() == pytest.approx(errors[~FLAGS].mean())


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        as_parquet(tmp_path / folder / "predictions.parquet", POINTS)
    paths = [tmp_path / folder / "predictions.parquet" for folder in ("a", "b")]
    files = read_prediction_files(paths)
    assert [file.name for file in files] == ["a/predictions", "b/predictions"]
    scored = score_files(files, TRUTH, PUPILS, REGISTRY)
    assert compare_files(scored, "a/predictions") == ()  # of four faces
    with pytest.raises(OdnbenchError, match="unknown file 'predictions'; did you mean"):
        compare_files(scored, "predictions")
    with pytest.raises(OdnbenchError, match=r"predictions\.parquet: the file is given twice"):
        read_prediction_files([paths[0], paths[0]])


def test_a_trials_file_serves_as_ground_truth_by_its_annotations(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "face": NAMES,
            "predicted": [p.ravel().tolist() for p in POINTS + 5],
            "true": [p.ravel().tolist() for p in POINTS],
            "occluded": FLAGS.tolist(),
            "box": [[0.0, 0, 9, 9]] * 4,
        }
    )
    frame.to_parquet(tmp_path / "predictions.parquet")
    truth = read_prediction_file(tmp_path / "predictions.parquet", truth=True)
    np.testing.assert_array_equal(truth.points, POINTS)
    assert truth.occluded is not None and truth.boxes is not None
    np.testing.assert_array_equal(truth.occluded, FLAGS)
    predicted = read_prediction_file(tmp_path / "predictions.parquet")
    np.testing.assert_array_equal(predicted.points, POINTS + 5)


@pytest.mark.parametrize("split", ["300w/private", "300w/train", "cofw68/test", "wflw/pose"])
def test_a_file_of_annotations_is_not_taken_for_another_split(
    shared_data: Path, split: str
) -> None:
    path = shared_data / "300w-annotations" / "spiga_300wpublic_test.json"
    with pytest.raises(OdnbenchError, match=split):
        truth_in_file(split, REGISTRY, read_prediction_file(path))


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        (("0/image1.jpg/17", "2/image2.jpg/3"), ("aflw/image2.jpg", "image1.jpg")),
        (("0--Parade/a.jpg/1,2,3,4", "1--B/c.jpg/5,6,7,8"), ("c", "a")),
    ],
)
def test_ids_with_a_row_or_a_box_meet_file_names(
    ids: tuple[str, ...], names: tuple[str, ...]
) -> None:
    truth = dataclasses.replace(TRUTH, face_ids=ids, points=POINTS[:2], occluded=None, official=2)
    file = PredictionFile(Path("a.csv"), names, POINTS[[1, 0]])
    np.testing.assert_array_equal(pair(truth, file, 68, REGISTRY).predicted, POINTS[:2])


def test_occlusion_of_some_landmarks_alone_is_refused(tmp_path: Path) -> None:
    path = as_csv(tmp_path / "a.csv", POINTS)
    pd.read_csv(path, dtype={"face": str}).drop(columns="o67").to_csv(path, index=False)
    with pytest.raises(OdnbenchError, match="occlusion must be given for every landmark"):
        read_prediction_file(path)


def test_the_interval_of_a_mean_over_points_has_the_right_width() -> None:
    """Points per face vary, errors do not depend on them: their number is no error of the mean."""
    rng = np.random.default_rng(0)
    protocol = dataclasses.replace(PUPILS, averaging="point", visibility="visible")
    points = rng.integers(8, 20, 500).astype(float)
    nme = rng.lognormal(-3, 0.3, 500)
    terms = mean_terms(nme, points, protocol)
    weights = points / points.sum()
    assert terms.mean() == pytest.approx((weights * nme).sum())
    expected = np.sqrt((weights**2 * (nme - terms.mean()) ** 2).sum())  # of a ratio estimator
    assert terms.std(ddof=1) / np.sqrt(500) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("flip_test", [True, False])
def test_a_trials_file_says_whether_it_is_of_a_flip_test(tmp_path: Path, flip_test: bool) -> None:
    boxes = np.full((4, 4), np.nan)
    held = Predictions(NAMES, NAMES, POINTS, POINTS, FLAGS, boxes, ("",) * 4, flip_test=flip_test)
    path = tmp_path / "predictions.parquet"
    write_predictions(held, path)
    assert read_predictions(path).flip_test == flip_test
    (scored,) = score_files([read_prediction_file(path)], TRUTH, PUPILS, REGISTRY)
    told = [note for note in scored.notes if note.startswith("flip test: the mean")]
    assert len(told) == flip_test
    assert not any("flip" in n for n in read_prediction_file(path, truth=True).notes)
