"""The model card in the folder of a trial."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers import REGISTRY
from nasty_names import NAMES

from odnbench.engine.card import card_of
from odnbench.plan.conversion import replace_at
from odnbench.plan.trials import Coverage, Trial
from odnbench.results.folder import CARD, TrialFolder
from odnbench.sweep.plan import Plan


@pytest.fixture
def folder(finished: Plan) -> TrialFolder:
    (trial,) = (trial for trial in finished.trials if trial.spec.variant == "odn")
    return finished.folder(trial)


def card(folder: TrialFolder, trial: Trial | None = None) -> str:
    return card_of(trial or folder.trial, folder.result, folder.predictions, REGISTRY)


def header_of(text: str) -> dict[str, Any]:
    _, header, _ = text.split("---\n", 2)
    pairs = (line.partition(": ") for line in header.splitlines())
    return {key: json.loads(value) for key, _, value in pairs}


def test_a_trained_network_has_its_card(folder: TrialFolder) -> None:
    text = (folder.path / CARD).read_text(encoding="utf-8")
    assert text == card(folder)
    for told in ("68 facial landmarks", "24 faces of 300w/train (rendered)", "resnet18-slim",
                 "1.3 × the landmarks' tight box", folder.trial.protocol.describe(),
                 "of no use on photographs", "no terms of a data set apply"):  # fmt: skip
        assert told in text, told
    (model,) = header_of(text)["model-index"]
    names = [result["dataset"]["name"] for result in model["results"]]
    assert names == [f"{one.split} ({one})" for one in folder.trial.coverage[1:]]


def test_people_may_add_to_it_and_remove_it(finished: Plan, folder: TrialFolder) -> None:
    text = (folder.path / CARD).read_text(encoding="utf-8")
    try:
        (folder.path / CARD).write_text(f"{text}\nMore.\n", encoding="utf-8")
        assert folder.finished
        (folder.path / CARD).unlink()
        assert folder.finished
    finally:
        folder.write_card(text)


def test_real_faces_have_the_terms_of_their_data_set(folder: TrialFolder) -> None:
    trial = folder.trial
    real = tuple(
        Coverage(one.split, one.faces, 2 * one.faces, rendered=False) for one in trial.coverage
    )
    spec = replace_at(trial.spec, "model.pretrained", "/home/me/weights.npz")
    text = card(folder, replace(trial, coverage=real, spec=spec))
    assert "for research only" in text and "(of 48)" in text
    assert "not those of the whole split" in text
    assert "rendered" not in text
    assert "from the weights weights.npz" in text and "/home/me" not in text


def test_a_network_of_annotated_boxes_is_not_said_to_take_those_of_a_detector(
    folder: TrialFolder,
) -> None:
    assert "--detector" in card(folder) and "a detector's box" in card(folder)
    box = replace(folder.trial.box, source="annotated")
    faces = replace(
        folder.predictions, boxes=np.tile([0.0, 0, 9, 9], (len(folder.predictions.ids), 1))
    )
    text = card_of(replace(folder.trial, box=box), folder.result, faces, REGISTRY)
    assert "--boxes boxes.csv" in text and "detector" not in text


def test_numbers_chosen_on_test_faces_are_told(folder: TrialFolder) -> None:
    spec = replace_at(folder.trial.spec, "train.select", "test")
    assert "ON THE TEST FACES" in card(folder, replace(folder.trial, spec=spec))


@pytest.mark.parametrize("name", NAMES)
def test_names_are_shown_as_they_are(folder: TrialFolder, name: str) -> None:
    text = card(folder, replace(folder.trial, title=name))
    (model,) = header_of(text)["model-index"]
    assert model["name"] == name.replace("\n", "\\n")
    (heading,) = (line for line in text.splitlines() if line.startswith("# "))
    assert "<script>" not in heading
    assert heading.replace("\\", "") == f"# {name}".replace("\\", "").replace("\n", "n")


def test_a_network_of_others_is_not_said_to_be_trained_here(folder: TrialFolder) -> None:
    spec = replace_at(folder.trial.spec, "train.epochs", 0)
    text = card(
        folder, replace(folder.trial, spec=replace_at(spec, "model.pretrained", "/a/theirs.onnx"))
    )
    assert "no weight was trained on them" in text and "that of theirs.onnx" in text
    for wrong in ("Trained on rendered", "Training began", "no terms of a data set apply"):
        assert wrong not in text
