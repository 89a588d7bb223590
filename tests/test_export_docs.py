"""docs/export.md: its program of 20 lines predicts what the trial has predicted."""

import ast
import dataclasses
import re
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import Run

import odnbench
from odnbench.cli.app import app
from odnbench.datasets.rendering.stand_ins import draw_faces
from odnbench.datasets.sources import RENDERED_SEED
from odnbench.plan.entries import Dataset
from odnbench.sweep.plan import Plan
from odnbench.sweep.trained import export

PAGE = (Path(__file__).parents[1] / "docs" / "export.md").read_text(encoding="utf-8")
(PROGRAM,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_the_program_is_short_and_knows_nothing_of_odnbench() -> None:
    assert len([line for line in PROGRAM.splitlines() if line.strip()]) <= 20
    imported = [
        alias.name
        for node in ast.walk(ast.parse(PROGRAM))
        if isinstance(node, ast.Import)
        for alias in node.names
    ]
    assert sorted(imported) == ["cv2", "json", "math", "numpy", "onnxruntime"]


def test_the_commands_of_the_page_are_there() -> None:
    named = set(re.findall(r"^\$ odnbench (\w+)", PAGE, re.MULTILINE))
    assert named == {"export", "evaluate"}
    assert named <= {command.name for command in app.registered_commands}


@pytest.mark.slow
def test_the_program_predicts_what_the_trial_predicted(
    finished: Plan, odnbench: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    trial = next(one for one in finished.trials if one.spec.variant == "odn")
    folder = finished.folder(trial)
    done = odnbench("export", str(folder.path), "--out", "odn.onnx")
    assert done.returncode == 0, done.stderr

    monkeypatch.chdir(tmp_path)
    program: dict[str, Any] = {}
    exec(PROGRAM, program)
    predictions = folder.predictions
    dataset = finished.registry.get(Dataset, "300w")
    size = round(1.2 * trial.spec.data.stored_size)  # of rendered pictures
    compared = 0
    for part in sorted(set(predictions.parts)):
        wanted = [row for row, of in enumerate(predictions.parts) if of == part]
        drawn = draw_faces(dataset, part.partition("/")[2], size, seed=RENDERED_SEED)
        faces = {face.id: face for face in islice(drawn, 3 * len(wanted))}
        for row in wanted:
            face = faces[predictions.ids[row]]
            box = [*face.points.min(axis=0), *face.points.max(axis=0)]
            assert isinstance(face.image, np.ndarray)
            picture = face.image if face.image.ndim == 3 else np.stack(3 * [face.image], axis=2)
            np.testing.assert_allclose(
                program["landmarks"](picture, box), predictions.predicted[row], atol=1e-2
            )
            compared += 1
    assert compared == 12


def test_a_box_is_grown_alike_by_the_program_and_by_odnbench(
    finished: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    trial = next(one for one in finished.trials if one.spec.variant == "odn")
    grown = dataclasses.replace(trial.box, grown=(0.1, 0.3, -0.1, 0.05))
    other = dataclasses.replace(trial, box=grown)
    file = tmp_path / "odn.onnx"
    folder = finished.folder(trial)
    export(other, folder, finished.registry, file, "onnx", quantised=False, nme_percent={})
    monkeypatch.chdir(tmp_path)
    program: dict[str, Any] = {}
    exec(PROGRAM, program)
    picture = np.random.default_rng(0).integers(0, 256, (200, 220, 3), np.uint8)
    box = (60.0, 70, 140, 165)
    found = odnbench.load(str(file)).predict(picture, box).points
    np.testing.assert_allclose(program["landmarks"](picture, box), found, atol=1e-2)
    plain = odnbench.load(str(folder.path)).predict(picture, box).points
    assert np.abs(found - plain).mean() > 1
