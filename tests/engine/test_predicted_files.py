"""What is written of predictions, of a film also where it is long."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from odnbench.datasets.inputs import Source
from odnbench.engine import predicted_files
from odnbench.engine.predict_files import Outcome
from odnbench.engine.predicted_files import PredictedFiles
from odnbench.engine.predictor import PredictedFace, Predictor

FILM = Source('a "film",\nof two lines.avi', Path("film.avi"), "video")
PICTURE = Source("b.png", Path("b.png"), "picture")
FACE = PredictedFace(
    np.array([0.0, 1, 2, 3]),
    np.array([0.0, 1, 2, 3]),
    np.array([[1.0, 2], [3, 4.5]]),
    None,
    np.array([0.25, 0.5]),
    None,
    None,
)
TWO_POINTS = SimpleNamespace(
    title="a network",
    scheme=SimpleNamespace(name="two", points=2),
    rule=SimpleNamespace(describe=lambda: "a box"),
)


def test_no_two_sources_have_their_overlay_in_one_place(tmp_path: Path) -> None:
    files = PredictedFiles(tmp_path, cast(Predictor, TWO_POINTS), {})
    names = ["a.png.jpg", "a.jpg", "a.png", "a.gif", "b/a.png", "../b/a.png", "/b/a.jpg", "a.png"]
    places = [files.overlay(Source(name, Path(name), "picture"), ".jpg") for name in names]
    files.write(complete=True)
    assert len(set(places)) == len(set(names)) and places[2] == places[-1]
    assert all(place.is_relative_to(tmp_path / "overlays") for place in places)


@pytest.mark.parametrize("memory_bytes", [16_000_000, 1])
def test_a_film_and_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory_bytes: int
) -> None:
    monkeypatch.setattr(predicted_files, "_MEMORY_BYTES", memory_bytes)
    files = PredictedFiles(tmp_path, cast(Predictor, TWO_POINTS), {"model": "m"})
    for frame, faces in enumerate([(), (FACE,), (FACE, FACE)]):
        files.add_frame(Outcome(FILM, frame, (64, 48), faces=faces))
    files.add_picture(Outcome(PICTURE, None, (32, 32), faces=(FACE,)), tmp_path / "o" / "b.jpg")
    files.end_video(FILM, None, 12.5)
    files.write(complete=True)

    found: dict[str, Any] = json.loads((tmp_path / "predictions.json").read_text())
    assert (found["model"], found["network"]) == ("m", "a network")
    film, picture = found["files"]
    assert (film["file"], film["width"], film["overlay"]) == (FILM.name, 64, None)
    assert film["frames_per_second"] == 12.5
    assert [(one["frame"], len(one["faces"])) for one in film["frames"]] == [(0, 0), (1, 1), (2, 2)]
    assert film["frames"][2]["faces"][1]["points"] == [[1.0, 2.0], [3.0, 4.5]]
    assert (picture["overlay"], len(picture["faces"])) == ("o/b.jpg", 1)
    with (tmp_path / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["file"], row["frame"], row["number"]) for row in rows] == [
        (FILM.name, "0", ""),
        (FILM.name, "1", "0"),
        (FILM.name, "2", "0"),
        (FILM.name, "2", "1"),
        ("b.png", "", "0"),
    ]
    assert [row["confidence_of_1"] for row in rows] == ["", *["0.5"] * 4]
    assert None not in rows[0] and rows[0]["x0"] == ""
