"""`odnbench predict`: its points are the trial's, and a file that fails gets a message."""

import csv
import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from helpers import SHARED_DATA, TINY, Run
from PIL import Image

from odnbench.arrays import Bytes, Floats
from odnbench.datasets.rendering.layouts import render_layout
from odnbench.datasets.sources import FaceSource
from odnbench.engine.fit import predict_test
from odnbench.engine.predictor import TrainedPredictor
from odnbench.engine.training import on_device
from odnbench.plan.entries import Dataset
from odnbench.plan.pipelines import load_pipeline
from odnbench.plan.registry import Registry
from odnbench.results.folder import TrialFolder
from odnbench.scoring.prediction_files import read_prediction_file
from odnbench.sweep.inline import run_inline
from odnbench.sweep.plan import Places, Plan, make_plan
from odnbench.sweep.run import run

SAME_PX = 1e-3
LATIN = os.fsdecode(b"gr\xfcn")  # not UTF-8
BOX = (20.0, 24.0, 100.0, 110.0)  # of the face in the pictures of this file


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Path:
    """300W in its official layout, with rendered faces."""
    root = tmp_path_factory.mktemp("data")
    render_layout(registry.get(Dataset, "300w"), root / "300w", 17, 96, seed=1)
    return root


def trained_on(data_root: Path, storage: Path, cache: Path, *overrides: str) -> Plan:
    """A tiny ablation on the faces below `data_root`."""
    places = Places(storage, cache, data_root)
    own = [*TINY[1:], "backbone=resnet18-slim", "pretrained=none", "data.input_size=64", *overrides]
    plan = make_plan(load_pipeline("ablation"), Registry.load(), places, overrides=own)
    assert run(plan, run_inline, []).complete
    return plan


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, cache: Path, data_root: Path) -> Plan:
    return trained_on(data_root, tmp_path_factory.mktemp("runs"), cache, "variant=brnet,odn")


def folder_of(plan: Plan, variant: str = "odn") -> Path:
    (trial,) = (one for one in plan.trials if one.spec.variant == variant)
    return plan.folder(trial).path


def predictions_in(out: Path) -> dict[str, dict[str, Any]]:
    found = json.loads((out / "predictions.json").read_text())
    return {record["file"]: record for record in found["files"]}


@pytest.fixture(scope="module")
def picture() -> Bytes:
    """(140, 130, 3) noise, smoothed so that resampling does not matter."""
    noise = np.random.default_rng(5).integers(0, 256, (140, 130, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 4)  # type: ignore[return-value]


def save_boxes(path: Path, names: list[str], box: tuple[float, ...] = BOX) -> None:
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "x0", "y0", "x1", "y1"])
        table.writerows([name, *box] for name in names)


def save_film(path: Path, frames: Sequence[Any]) -> None:
    """frames: (140, 130, 3)."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (130, 140))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no videos")
    for frame in frames:
        writer.write(frame)
    writer.release()


def check_points_are_those_of_the_trial(
    odnbench: Run, folder: Path, data_root: Path, out: Path
) -> None:
    done = odnbench(
        "predict", str(folder), str(data_root / "300w"), "--boxes", "300w", "--data-root",
        str(data_root), "--no-overlays", "--out", str(out),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = predictions_in(out)
    expected = TrialFolder(folder).predictions
    assert len(expected.ids) >= 50
    for row, face in enumerate(expected.ids):
        names = [name for name in found if str(Path(name).with_suffix("")).endswith(face)]
        assert len(names) == 1, (face, names)
        (one,) = found[names[0]]["faces"]
        np.testing.assert_allclose(one["points"], expected.predicted[row], atol=SAME_PX)
        if expected.confidence is not None:
            np.testing.assert_allclose(one["confidence"], expected.confidence[row], atol=1e-4)


def test_points_are_those_of_the_trial(
    odnbench: Run, trained: Plan, data_root: Path, tmp_path: Path
) -> None:
    check_points_are_those_of_the_trial(odnbench, folder_of(trained), data_root, tmp_path / "out")
    for record in predictions_in(tmp_path / "out").values():
        (face,) = record["faces"]
        P, hidden = np.array(face["occlusion_map"]), np.array(face["occlusion"])
        assert hidden.shape == (68,) and P.ndim == 2
        assert 1 - P.max() - 1e-4 <= hidden.min() <= hidden.max() <= 1 - P.min() + 1e-4


def test_points_of_a_flip_test_and_confidence_are_those_of_the_trial(
    odnbench: Run, data_root: Path, cache: Path, tmp_path: Path
) -> None:
    overrides = ("variant=cut", "data.flip_test=true", "head=heatmap")
    plan = trained_on(data_root, tmp_path / "runs", cache, *overrides)
    folder = folder_of(plan, "cut")
    assert TrialFolder(folder).predictions.confidence is not None
    check_points_are_those_of_the_trial(odnbench, folder, data_root, tmp_path / "out")


def test_points_are_those_of_the_engine_on_real_faces(
    odnbench: Run,
    trained: Plan,
    registry: Registry,
    shared_data: Path,
    cache: Path,
    tmp_path: Path,
) -> None:
    root = tmp_path / "data"
    (root / "300w" / "helen").mkdir(parents=True)
    (root / "300w" / "helen" / "testset").mkdir()
    pictures = sorted((SHARED_DATA / "300w-subset" / "helen" / "testset").glob("*.jpg"))[:50]
    for path in pictures:
        for file in (path, path.with_suffix(".pts")):
            (root / "300w" / "helen" / "testset" / file.name).symlink_to(file)
    folder = TrialFolder(folder_of(trained))
    predictor = TrainedPredictor.load(folder, registry)
    source = FaceSource(folder.trial.spec.data, registry, root, cache)
    (faces,), _ = source.sets("300w/helen-test", 0)
    images = on_device(faces.images, torch.device("cpu"))
    expected = predict_test(
        predictor.network, faces, images, predictor.input_px, predictor.bf16, None
    )
    done = odnbench(
        "predict", str(folder.path), str(root), "--boxes", "300w/helen-test", "--data-root",
        str(root), "--out", "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {Path(name).stem: one for name, one in predictions_in(tmp_path / "out").items()}
    assert len(expected.ids) == 50
    for face, points in zip(expected.ids, expected.predicted, strict=True):
        (one,) = found[Path(face).name]["faces"]
        np.testing.assert_allclose(one["points"], points, atol=SAME_PX)


def rotated(picture: Bytes, path: Path) -> None:
    """Stores `picture` so that a viewer must turn it by 90° to the right (EXIF, 6)."""
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(picture))).save(path, exif=exif)


def test_a_picture_in_any_form_has_the_same_points(
    odnbench: Run, trained: Plan, picture: Bytes, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    Image.fromarray(picture).save(folder / "plain.png")
    Image.fromarray(picture).save(folder / "sub" / "Größe 顔.png")
    rotated(picture, folder / "turned.png")
    cv2.imwrite(str(folder / "deep.png"), picture[..., ::-1].astype(np.uint16) * 257)
    Image.fromarray(grey).save(folder / "grey.png")
    Image.fromarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)).save(folder / "grey-rgb.png")
    Image.fromarray(picture).convert("CMYK").save(folder / "cmyk.jpg", quality=98)
    Image.fromarray(picture).save(
        folder / "moves.gif", save_all=True, append_images=[Image.fromarray(255 - picture)]
    )
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*"))
    save_boxes(tmp_path / "boxes.csv", names)
    done = odnbench(
        "predict", str(folder_of(trained)), str(folder), "--boxes", "boxes.csv", "--out", "out"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = predictions_in(tmp_path / "out")
    assert sorted(found) == names

    def points(name: str) -> Floats:
        (face,) = found[name]["faces"]
        return np.array(face["points"])

    for name in ("sub/Größe 顔.png", "turned.png", "deep.png"):
        np.testing.assert_allclose(points(name), points("plain.png"), atol=SAME_PX)
    np.testing.assert_allclose(points("grey.png"), points("grey-rgb.png"), atol=SAME_PX)
    assert found["turned.png"]["exif_orientation"] == 6
    assert (found["turned.png"]["width"], found["turned.png"]["height"]) == (130, 140)
    # Inks and palettes change colours a little, and so the points.
    for name in ("cmyk.jpg", "moves.gif"):
        assert np.abs(points(name) - points("plain.png")).max() < 2
    assert found["moves.gif"]["notes"] == ["the first of 2 pictures in the file"]
    overlays = [tmp_path / "out" / record["overlay"] for record in found.values()]
    assert len(set(overlays)) == len(names) and all(path.is_file() for path in overlays)
    shown = cv2.imread(str(tmp_path / "out" / found["turned.png"]["overlay"]))
    assert shown is not None and shown.shape == picture.shape

    scored = read_prediction_file(tmp_path / "out" / "predictions.csv")
    assert scored.occluded is None
    row = scored.face_ids.index("plain.png")
    np.testing.assert_allclose(scored.points[row], points("plain.png"), atol=1e-6)


def test_a_large_turned_photograph_is_shown_smaller_and_predicted_whole(
    odnbench: Run, trained: Plan, picture: Bytes, tmp_path: Path
) -> None:
    large = cv2.resize(picture, (3000, 4000), interpolation=cv2.INTER_CUBIC)
    rotated(large, tmp_path / "large.jpg")  # type: ignore[arg-type]
    box = (500.0, 700.0, 2300.0, 3100.0)
    save_boxes(tmp_path / "boxes.csv", ["large.jpg"], box)
    done = odnbench("predict", str(folder_of(trained)), "large.jpg", "--boxes", "boxes.csv")
    assert done.returncode == 0, done.stdout + done.stderr
    record = predictions_in(tmp_path / "predictions")["large.jpg"]
    assert (record["width"], record["height"]) == (3000, 4000)
    left, top, right, bottom = record["faces"][0]["seen"]
    np.testing.assert_allclose([right - left, bottom - top], [1.3 * 2400] * 2, atol=3)
    shown = cv2.imread(str(tmp_path / "predictions" / record["overlay"]))
    assert shown is not None and shown.shape == (1600, 1200, 3)


def test_each_file_that_fails_is_told_and_the_others_go_on(
    odnbench: Run, trained: Plan, picture: Bytes, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(picture).save(folder / "good.png")
    Image.fromarray(picture).save(folder / "nobody.png")
    (folder / "cut.jpg").write_bytes(cv2.imencode(".jpg", picture)[1].tobytes()[:900])
    (folder / "spoilt.jpg").write_bytes(spoilt(picture))
    (folder / "text.png").write_text("no picture")
    (folder / "empty.jpg").touch()
    (folder / "phone.heic").write_bytes(b"ftypheic")
    (folder / "film.mp4").write_bytes(b"no film")
    (folder / LATIN).with_suffix(".avi").write_bytes(b"no film")
    (folder / LATIN).with_suffix(".png").write_bytes((folder / "good.png").read_bytes())
    os.mkfifo(folder / "pipe.png")
    (folder / "round.png").symlink_to("round.png")
    Image.new("RGB", (1, 1)).save(folder / "pixel.png")
    save_boxes(
        tmp_path / "boxes.csv", ["good.png", "cut.jpg", "text.png", "good.png", "spoilt.jpg"]
    )
    done = odnbench(
        "predict", str(folder_of(trained)), str(folder), "--boxes", "boxes.csv", "--out", "out"
    )
    assert done.returncode == 1, done.stderr
    found = predictions_in(tmp_path / "out")
    failed = {name for name, record in found.items() if record["error"]}
    assert failed == {path.name for path in folder.iterdir()} - {"good.png"}
    for name in failed:
        assert f"{name.encode(errors='backslashreplace').decode()}: " in done.stdout
        assert str(tmp_path) not in found[name]["error"]
    assert "12 of 13 files failed" in done.stdout
    assert len(found["good.png"]["faces"]) == 2  # of which the file gives two boxes

    whole = odnbench(
        "predict", str(folder_of(trained)), str(folder), "--whole-picture", "--out", "whole"
    )
    assert whole.returncode == 1
    found = predictions_in(tmp_path / "whole")
    assert found["nobody.png"]["faces"][0]["box"] == [0, 0, 129, 139]
    assert "no usable area" in found["pixel.png"]["error"]
    assert found[f"{LATIN}.png"]["faces"] == found["good.png"]["faces"]
    assert (tmp_path / "whole" / "overlays" / f"{LATIN}.jpg").is_file()


def spoilt(picture: Bytes) -> bytes:
    """A JPEG file of `picture` of which a part cannot be decoded."""
    data = bytearray(cv2.imencode(".jpg", picture)[1].tobytes())
    data[len(data) // 2 : len(data) // 2 + 60] = bytes(60)
    return bytes(data)


def test_a_box_that_is_none_of_its_picture_is_told_and_the_others_are_predicted(
    odnbench: Run, trained: Plan, picture: Bytes, tmp_path: Path
) -> None:
    Image.fromarray(picture).save(tmp_path / "a.png")
    rows = ["file,left,top,right,bottom", "a.png,20,24,100,110"]
    for box in ("3000,3000,3100,3100", "-200,20,-100,110", "0,0,20000,20000"):
        (tmp_path / "boxes.csv").write_text("\n".join([*rows, f"a.png,{box}"]))
        done = odnbench(
            "predict", str(folder_of(trained)), "a.png", "--boxes", "boxes.csv", "--out", "out"
        )
        assert done.returncode == 1, done.stderr
        assert "none of a face in this picture of 130 × 140 px" in " ".join(done.stdout.split())
        record = predictions_in(tmp_path / "out")["a.png"]
        assert len(record["faces"]) == 1 and "none of a face" in record["error"]


def test_what_is_interrupted_says_so_and_what_is_damaged(
    odnbench: Run,
    trained: Plan,
    picture: Bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "a.jpg").write_bytes(spoilt(picture))
    Image.fromarray(picture).save(tmp_path / "b.png")

    def write(overlay: Bytes, path: Path) -> None:
        if path.stem == "b":
            raise KeyboardInterrupt

    monkeypatch.setattr("odnbench.sweep.predicted.write_picture", write)
    command = ["predict", str(folder_of(trained)), "a.jpg", "b.png", "--whole-picture"]
    assert odnbench(*command).returncode == 130
    found = predictions_in(tmp_path / "predictions")
    assert list(found) == ["a.jpg"] and "damaged" in found["a.jpg"]["error"]
    head = tmp_path / "predictions" / "predictions.json"
    assert json.loads(head.read_text())["complete"] is False
    odnbench(*command, "--no-overlays")
    assert json.loads(head.read_text())["complete"] is True


def test_a_video_has_a_row_for_each_frame_and_an_overlay(
    odnbench: Run, trained: Plan, picture: Bytes, tmp_path: Path
) -> None:
    shades = range(0, 120, 20)
    save_film(
        tmp_path / "film.avi", [cv2.subtract(picture, np.full_like(picture, s)) for s in shades]
    )
    boxes = [
        {"file": "film.avi", "frame": frame, "x": 20, "y": 24, "width": 80, "height": 86}
        for frame in range(5)
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    records = []
    for smoothing in ("0", "0.5"):
        done = odnbench(
            "predict", "--boxes", "boxes.json", "--smoothing", smoothing, "--out", smoothing,
            str(folder_of(trained)), "film.avi",
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        records.append(predictions_in(tmp_path / smoothing)["film.avi"])
    rough, smooth = (
        np.array([frame["faces"][0]["points"] for frame in record["frames"][:5]])
        for record in records
    )
    expected = [rough[0]]
    for points in rough[1:]:
        expected.append((points + expected[-1]) / 2)
    np.testing.assert_allclose(smooth, expected, atol=SAME_PX)
    assert records[0]["frames"][5] == {"frame": 5, "faces": []}
    with (tmp_path / "0" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows] == list("012345") and not rows[5]["x0"]
    video = cv2.VideoCapture(str(tmp_path / "0" / records[0]["overlay"]))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 6


def test_a_video_without_faces_or_overlays(
    odnbench: Run, trained: Plan, picture: Bytes, tmp_path: Path
) -> None:
    save_film(tmp_path / "film.avi", [picture] * 3)
    model = str(folder_of(trained))
    save_boxes(tmp_path / "others.csv", ["other.avi"])
    done = odnbench("predict", model, "film.avi", "--boxes", "others.csv", "--out", "none")
    assert done.returncode == 1
    record = predictions_in(tmp_path / "none")["film.avi"]
    assert "no face in its frames" in record["error"] and len(record["frames"]) == 3
    # Of the boxes, the first and the last are too large.
    box = {"file": "film.avi", "x": 20, "y": 24, "width": 80}
    boxes = [box | {"frame": i, "height": height} for i, height in enumerate((1e9, 86, 1e9))]
    (tmp_path / "far.json").write_text(json.dumps(boxes))
    done = odnbench(
        "predict", model, "film.avi", "--boxes", "far.json", "--out", "far", "--no-overlays"
    )
    assert done.returncode == 1 and "1 of 1 files failed" in done.stdout, done.stdout
    record = predictions_in(tmp_path / "far")["film.avi"]
    assert record["error"].startswith("frame 0: ") and "no usable area" in record["error"]
    assert record["error"].endswith("(and 1 frames more)")
    assert record["overlay"] is None and not (tmp_path / "far" / "overlays").exists()
    assert [len(frame["faces"]) for frame in record["frames"]] == [0, 1, 0]


def test_overlays_are_not_predicted_in_their_turn(
    odnbench: Run, trained: Plan, picture: Bytes, tmp_path: Path
) -> None:
    Image.fromarray(picture).save(tmp_path / "a.png")
    model = str(folder_of(trained))
    for said in ("1 faces in 1 images", "1 overlays of a run before are left out"):
        done = odnbench("predict", model, ".", "--whole-picture")
        assert done.returncode == 0 and said in done.stdout, done.stdout + done.stderr
        assert list(predictions_in(tmp_path / "predictions")) == ["a.png"]
    written = list((tmp_path / "predictions").rglob("*.*"))
    before = [path.read_bytes() for path in written]
    for name, said in (("predictions/overlays", "give another --out"), ("predictions", "but over")):
        done = odnbench("predict", model, name, "--whole-picture")
        assert done.returncode == 2 and said in done.stderr
    assert len(written) == 3 and [path.read_bytes() for path in written] == before


REAL_CAPTURE = cv2.VideoCapture


class Camera:
    """Stands for the first webcam: shows `picture` three times, and then the user stops it."""

    def __init__(self, picture: Bytes):
        self.picture, self.left = picture, 3

    def __call__(self, source: int | str) -> "Camera | cv2.VideoCapture":
        return self if source == 0 else REAL_CAPTURE(source)

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def get(self, prop: int) -> float:
        return -1.0  # as of a device that does not tell

    def read(self) -> tuple[bool, Bytes]:
        if not self.left:
            os.kill(os.getpid(), signal.SIGINT)
            pytest.fail("it was not stopped")
        self.left -= 1
        time.sleep(0.2)
        return True, cv2.cvtColor(self.picture, cv2.COLOR_RGB2BGR)  # type: ignore[return-value]


def test_a_webcam_is_predicted_until_it_is_stopped(
    odnbench: Run,
    trained: Plan,
    picture: Bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", Camera(picture))
    # Tests that run in the background were started to ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        done = odnbench("predict", str(folder_of(trained)), "webcam", "--whole-picture")
    finally:
        signal.signal(signal.SIGINT, before)
    assert "3 faces in 3 images" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 130
    monkeypatch.setattr(cv2, "VideoCapture", REAL_CAPTURE)
    Image.fromarray(picture).save(tmp_path / "a.png")
    odnbench("predict", str(folder_of(trained)), "a.png", "--whole-picture", "--out", "still")
    still = predictions_in(tmp_path / "still")["a.png"]["faces"][0]["points"]
    record = predictions_in(tmp_path / "predictions")["webcam"]
    for frame in record["frames"]:
        np.testing.assert_allclose(frame["faces"][0]["points"], still, atol=SAME_PX)
    assert [frame["frame"] for frame in record["frames"]] == [0, 1, 2]
    film = cv2.VideoCapture(str(tmp_path / "predictions" / record["overlay"]))
    seconds = film.get(cv2.CAP_PROP_FRAME_COUNT) / film.get(cv2.CAP_PROP_FPS)
    between = 2 / record["frames_per_second"]  # from the first frame to the last
    assert between > 0.4
    assert seconds == pytest.approx(between, abs=0.1)


def test_a_webcam_that_does_not_answer_is_told(
    odnbench: Run, trained: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = cv2.VideoCapture()
    monkeypatch.setattr(cv2, "VideoCapture", lambda index: nothing)
    done = odnbench("predict", str(folder_of(trained)), "webcam", "--whole-picture")
    assert done.returncode == 1
    assert "webcam: no webcam answers" in done.stdout


def test_the_best_trial_is_the_one_with_the_lowest_validation_error(
    odnbench: Run, trained: Plan, picture: Bytes, tmp_path: Path
) -> None:
    Image.fromarray(picture).save(tmp_path / "a.png")
    best = min(
        map(trained.folder, trained.trials),
        key=lambda folder: folder.result.validation_nme_percent,
    )
    done = odnbench(
        "predict", "best:ablation", "a.png", "--whole-picture", "--storage",
        str(trained.storage),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    about = json.loads((tmp_path / "predictions" / "predictions.json").read_text())
    assert about["model"] == str(best.path)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("MODEL", "a.png"), "where are the faces?"),
        (("MODEL", "a.png", "--boxes", "300w", "--whole-picture"), "give one of"),
        (("MODEL", "absent.png", "--whole-picture"), "absent.png: "),
        (("MODEL", "empty", "--whole-picture"), "no picture"),
        (("nowhere", "a.png", "--whole-picture"), "nowhere: it is neither the folder of a trial"),
        (("best:ablation", "a.png", "--whole-picture"), "no results"),
        (("MODEL", "a.png", "--boxes", "300v"), "300v"),
        (("MODEL", "a.png", "--boxes", "absent.csv"), "absent.csv: "),
        (("MODEL", "a.png", "--boxes", "bad.csv"), "line 3 has a box without area"),
        (("MODEL", "a.png", "--boxes", "bad.json"), "object 1 must have file"),
        (("MODEL", "a.png", "--detector", "absent.onnx"), "absent.onnx"),
        (("MODEL", "a.png", "--detector", "a.png"), "not a model"),
        (("MODEL", "a.png", "sub/a.png", "--boxes", "good.csv"), "give more of its path"),
    ],
)
def test_wrong_use_is_told_in_a_line(
    odnbench: Run,
    trained: Plan,
    picture: Bytes,
    tmp_path: Path,
    arguments: tuple[str, ...],
    told: str,
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "sub/a.png"):
        Image.fromarray(picture).save(tmp_path / name)
    save_boxes(tmp_path / "good.csv", ["a.png"])
    (tmp_path / "bad.csv").write_text("file,x,y,width,height\na.png,1,1,5,5\na.png,1,1,0,5\n")
    (tmp_path / "bad.json").write_text('[{"name": "a.png"}]')
    model = str(folder_of(trained))
    done = odnbench("predict", *(model if text == "MODEL" else text for text in arguments))
    assert done.returncode == 2, done.stdout
    assert told in done.stderr
    assert "Traceback" not in done.stderr
