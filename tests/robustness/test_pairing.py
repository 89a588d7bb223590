"""Which prediction belongs to which face: paths, pictures with several faces, other alphabets."""

import json
import re
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import Run
from prediction_files import (
    FACES,
    coco,
    data_root,
    predicted,
    score_arguments,
    triples,
    truth,
    write_csv,
)

TEST, TRAIN = "300w/lfpw-test", "300w/lfpw-train"
FOLDERS = "lfpw/testset/", "lfpw/trainset/"  # both hold image_0000.png to image_0007.png


def nme_percent(odnbench: Run, split: str, file: Path, *more: str) -> float:
    """The NME that the command tells for one file."""
    done = odnbench(*score_arguments(split, file), "--json", *more)
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)
    return float(record["nme_percent"])


def by_hand(split: str) -> float:
    """The NME of `predicted` over the outer eye corners, in percent."""
    true = truth(split).points
    length = np.linalg.norm(true[:, 36] - true[:, 45], axis=1)
    distances = np.linalg.norm(predicted(truth(split)) - true, axis=2).mean(axis=1)
    return float(100 * (distances / length).mean())


@pytest.mark.parametrize(
    "named",
    [
        lambda face: f"/home/me/300w/{face}.png",
        lambda face: "C:\\data\\300W\\" + face.replace("/", "\\") + ".JPG",
        lambda face: f"./{face}",
        lambda face: f"images/test/{face.rpartition('/')[2]}.jpg",  # as SPIGA writes them
        lambda face: f"preds/{face.rpartition('/')[2]}.pts",
        lambda face: face.rpartition("/")[2].upper(),
        lambda face: f"/home/train/work/{face}.png",  # the user's folders above tell nothing
    ],
    ids=["absolute", "windows", "relative", "spiga", "other folder", "stem", "train above"],
)
def test_a_face_is_found_by_its_path_however_it_is_written(
    odnbench: Run, tmp_path: Path, named: Callable[[str], str]
) -> None:
    faces = [named(face) for face in truth(TEST).face_ids]
    file = write_csv(tmp_path / "a.csv", faces, predicted(truth(TEST)))
    assert nme_percent(odnbench, TEST, file) == pytest.approx(by_hand(TEST))


def test_folders_of_another_part_of_the_same_split_are_refused(
    odnbench: Run, tmp_path: Path
) -> None:
    """The rendered parts of the private set hold pictures of the same names."""
    faces = [f"01_Indoor/image_{i:04d}" for i in range(FACES)]
    file = write_csv(tmp_path / "a.csv", faces, predicted(truth("300w/indoor")))
    done = odnbench(*score_arguments("300w/private", file), "--allow-partial", "--json")
    (record,) = json.loads(done.stdout)
    assert record["faces"] == FACES
    assert all(face.startswith("02_outdoor") for face in record["left_out"])


@pytest.mark.parametrize("split", [TEST, TRAIN])
def test_train_and_test_in_one_file_are_told_apart_by_their_folders(
    odnbench: Run, tmp_path: Path, split: str
) -> None:
    both = [truth(TRAIN), truth(TEST)]
    faces = [f"/data/300w/{face}.png" for one in both for face in one.face_ids]
    file = write_csv(tmp_path / "a.csv", faces, np.concatenate(list(map(predicted, both))))
    assert nme_percent(odnbench, split, file) == pytest.approx(by_hand(split))


@pytest.mark.parametrize(
    "folder", ["lfpw/trainset", "/data/300w/lfpw/trainset", "C:\\lfpw\\trainset", "train", "ibug"]
)
def test_predictions_of_another_part_are_refused(
    odnbench: Run, tmp_path: Path, folder: str
) -> None:
    faces = [f"{folder}/{face.rpartition('/')[2]}.png" for face in truth(TEST).face_ids]
    file = write_csv(tmp_path / "a.csv", faces, predicted(truth(TEST)))
    for more in ([], ["--allow-partial"]):
        done = odnbench(*score_arguments(TEST, file), *more)
        assert done.returncode == 2
        assert f"a.csv: it holds no face of {TEST} that can be scored" in done.stderr
        assert "are those of another part of the data set" in done.stderr


def test_annotations_of_another_part_in_the_file_of_truth_are_refused_too(
    odnbench: Run, tmp_path: Path
) -> None:
    split = "300w/lfpw-test"
    names = [f"image_{i:04d}.png" for i in range(8)]
    points = predicted(truth(split))
    true = write_csv(tmp_path / "true.csv", [f"lfpw/trainset/{n}" for n in names], points)
    file = write_csv(tmp_path / "a.csv", [f"lfpw/testset/{n}" for n in names], points)
    done = odnbench("score", str(file), "--dataset", split, "--truth", str(true))
    assert done.returncode == 2
    assert f"it holds no face of {split}" in done.stderr
    # Truth by bare names does not let the training part pass as the test part either.
    true = write_csv(tmp_path / "true.csv", names, points)
    file = write_csv(tmp_path / "a.csv", [f"lfpw/trainset/{n}" for n in names], points)
    done = odnbench("score", str(file), "--dataset", split, "--truth", str(true))
    assert done.returncode == 2
    assert "are those of another part of the data set" in done.stderr


# WFLW shows several faces in one picture; three of the eight are in one here.


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with WFLW, of which the faces 0, 1 and 2 are in one picture, at some distance."""
    truth("wflw/test")
    root = tmp_path_factory.mktemp("crowd")
    shutil.copytree(data_root() / "wflw", root / "wflw")
    (path,) = root.rglob("list_98pt_rect_attr_test.txt")
    lines = [line.split() for line in path.read_text().splitlines()]
    for index, words in enumerate(lines[:3]):
        numbers = np.array(words[:200], float).reshape(-1, 2) + np.array([60.0 * index, 0])
        words[:200] = [f"{n:.6f}" for n in numbers.ravel()]
        words[-1] = lines[0][-1]
    for index, words in enumerate(lines):
        words[205] = str(int(index != 1))  # whether the face is blurred
    path.write_text("\n".join(map(" ".join, lines)) + "\n")
    return root


def crowd_truth(crowd: Path) -> tuple[list[str], np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Names of pictures, points and boxes of the faces of WFLW's test part in `crowd`."""
    (path,) = crowd.rglob("list_98pt_rect_attr_test.txt")
    rows = [line.split() for line in path.read_text().splitlines()]
    numbers = np.array([row[:200] for row in rows], float)
    return [row[-1] for row in rows], numbers[:, :196].reshape(-1, 98, 2), numbers[:, 196:]


@pytest.mark.parametrize("split", ["wflw/test", "wflw/blur"])
def test_one_prediction_for_a_picture_with_several_faces_is_nobodys(
    odnbench: Run, tmp_path: Path, crowd: Path, split: str
) -> None:
    names, points, _ = crowd_truth(crowd)
    kept = [0, *range(3, 8)]
    file = write_csv(tmp_path / "a.csv", [names[i] for i in kept], points[kept] + 0.1)
    arguments = ["score", str(file), "--dataset", split, "--data-root", str(crowd)]
    done = odnbench(*arguments)
    assert done.returncode == 2
    assert "its picture has 3 faces; tell them apart by the boxes of the faces" in done.stderr
    done = odnbench(*arguments, "--allow-partial", "--json")
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)
    assert not [face for face in record["left_out"] if not face.startswith(names[0])]
    assert record["nme_percent"] < 1


@pytest.mark.parametrize("split", ["wflw/test", "wflw/blur"])
def test_boxes_tell_the_faces_of_a_picture_apart(
    odnbench: Run, tmp_path: Path, crowd: Path, split: str
) -> None:
    names, points, boxes = crowd_truth(crowd)
    order = [2, 5, 1, 7, 0, 3, 6, 4]
    near = boxes[order] + np.random.default_rng(0).normal(0, 2, (8, 4))  # as a detector finds them
    file = write_csv(tmp_path / "a.csv", [names[i] for i in order], points[order] + 0.1, boxes=near)
    arguments = ["score", str(file), "--dataset", split, "--data-root", str(crowd), "--json"]
    done = odnbench(*arguments)
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)
    assert record["nme_percent"] < 1
    assert record["left_out"] == {}


def test_the_box_in_an_id_tells_the_faces_of_a_picture_apart(
    odnbench: Run, tmp_path: Path, crowd: Path
) -> None:
    names, points, boxes = crowd_truth(crowd)
    faces = [f"{n}/{','.join(f'{b:g}' for b in box)}" for n, box in zip(names, boxes, strict=True)]
    quoted = [f'"{face}"' for face in faces]
    file = write_csv(tmp_path / "a.csv", quoted[::-1], points[::-1] + 0.1)
    done = odnbench(
        "score", str(file), "--dataset", "wflw/blur", "--data-root", str(crowd), "--json"
    )
    assert json.loads(done.stdout)[0]["nme_percent"] < 1, done.stderr


def test_faces_of_a_picture_are_told_apart_in_annotations_of_coco_too(
    odnbench: Run, tmp_path: Path, crowd: Path
) -> None:
    names, points, boxes = crowd_truth(crowd)
    (tmp_path / "true.json").write_text(json.dumps(coco(names, triples(points, 2), boxes)))
    for name, kept in (("all.csv", range(8)), ("some.csv", [0, 2, 3, 4, 5, 6, 7])):
        rows = list(kept)
        shown = [names[i] for i in rows]
        write_csv(tmp_path / name, shown, points[rows] + 0.1, boxes=boxes[rows])
    done = odnbench(
        "score", "all.csv", "some.csv", "--truth", "true.json", "--dataset", "wflw/test",
        "--allow-partial", "--json", "--reference", "all",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    whole, part = json.loads(done.stdout)
    assert (whole["faces"], part["faces"]) == (8, 7)
    box = ",".join(f"{side:g}" for side in boxes[1])
    assert list(part["left_out"]) == [f"{names[1]}/{box}"]
    assert part["comparison"]["difference"] == 0


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_meet_in_either_form_of_unicode_and_case(
    odnbench: Run, tmp_path: Path, form: str
) -> None:
    names = [f"Gesichter/Änderung_é{i}.PNG" for i in range(8)]
    points = predicted(truth(TEST))
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    true = [unicodedata.normalize(form, name) for name in names]  # type: ignore[arg-type]
    mine = [unicodedata.normalize(other, name).lower() for name in names]  # type: ignore[arg-type]
    files = [
        write_csv(tmp_path / name, faces, points)
        for name, faces in (("a.csv", mine), ("true.csv", true))
    ]
    done = odnbench(
        "score", str(files[0]), "--dataset", "cofw68/test", "--truth", str(files[1]),
        "--allow-partial",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "8 of 507" in done.stdout


def test_a_name_that_may_be_several_pictures_is_nobodys(odnbench: Run, tmp_path: Path) -> None:
    """The rendered parts of the private set hold pictures of the same names."""
    split = "300w/private"
    faces = [face.rpartition("/")[2] for face in truth(split).face_ids][:FACES]
    file = write_csv(tmp_path / "a.csv", faces, predicted(truth(split))[:FACES])
    done = odnbench(*score_arguments(split, file))
    assert done.returncode == 2
    assert "'image_0000' may be one of 2 pictures; name it with its folders" in done.stderr


def test_an_implausible_number_is_called_so(odnbench: Run, tmp_path: Path) -> None:
    points = predicted(truth(TEST))[::-1] + 40  # of other faces, in another crop
    file = write_csv(tmp_path / "a.csv", truth(TEST).face_ids, points)
    done = odnbench(*score_arguments(TEST, file))
    assert done.returncode == 0
    assert re.search(
        r"a: half of the faces have an error above \d+ % of the normaliser", done.stdout
    )
