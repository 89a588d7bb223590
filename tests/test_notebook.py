"""odnbench.load, odnbench.trials and odnbench.numbers, as a notebook calls them."""

import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import TINY

import odnbench
from odnbench.datasets.prepare import Recipe, prepare
from odnbench.datasets.rendering.stand_ins import draw_faces
from odnbench.engine.evaluate import predict
from odnbench.engine.export import load_network
from odnbench.errors import OdnbenchError
from odnbench.plan.entries import Dataset
from odnbench.plan.registry import Registry
from odnbench.sweep.plan import Plan


def test_the_package_is_imported_without_what_it_offers() -> None:
    script = "import odnbench, sys; print({'torch', 'pandas', 'numpy'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        odnbench.lode  # noqa: B018


def test_a_loaded_network_predicts_a_picture_as_its_trial_does(
    finished: Plan, registry: Registry, tmp_path: Path
) -> None:
    (trial,) = (t for t in finished.trials if t.spec.variant == "odn")
    drawn = draw_faces(registry.get(Dataset, "300w"), "ibug", 160, seed=3)
    faces = [face for face in islice(drawn, 6) if isinstance(face.image, np.ndarray)]
    data = trial.spec.data
    recipe = Recipe(trial.box, data.stored_size / data.input_size, data.stored_size)
    prepared = prepare(faces, "drawn", recipe, tmp_path / "drawn", rendered=True, faults=[])
    network = load_network(trial, finished.folder(trial), registry)
    images = torch.from_numpy(np.array(prepared.images))
    expected = predict(network, prepared, images, data.input_size, bf16=False).points
    loaded = odnbench.load(finished.folder(trial).path)
    assert loaded.title == trial.title
    for face, points in zip(faces, expected, strict=True):
        image = face.image if face.image.ndim == 3 else np.repeat(face.image[..., None], 3, axis=2)
        tight = np.concatenate([face.points.min(axis=0), face.points.max(axis=0)])
        np.testing.assert_allclose(loaded.predict(image, tight).points, points, atol=1e-3)


def test_the_best_trial_is_that_of_the_lowest_validation_error(finished: Plan) -> None:
    errors = {t.id: finished.folder(t).result.validation_nme_percent for t in finished.trials}
    kept = {t.id for t in finished.trials if finished.folder(t).checkpoint.is_file()}
    loaded = odnbench.load("best:ablation", storage=finished.storage)
    assert errors[loaded.trial.id] == min(errors[identity] for identity in kept)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("best:cofw", "no results of 'cofw'"),
        ("nothing", "best:PIPELINE"),
        ("gone.onnx", "gone.onnx is not there"),
        ("program.pt2", "only ONNX files are read"),
    ],
)
def test_what_is_no_trained_network_is_told(
    finished: Plan, model: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("program.pt2").touch()
    with pytest.raises(OdnbenchError, match=told):
        odnbench.load(model, storage=finished.storage)


@pytest.mark.parametrize("image", [np.zeros((9, 9)), np.zeros((9, 9, 4), np.uint8)])
def test_pictures_of_other_kinds_are_told(
    finished: Plan, image: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]"
) -> None:
    loaded = odnbench.load("best:ablation", storage=finished.storage)
    with pytest.raises(OdnbenchError, match="uint8 RGB"):
        loaded.predict(image, (0, 0, 8, 8))


@pytest.mark.parametrize(
    ("box", "told"),
    [
        ((4, 4, 4, 4), "right and bottom are the larger"),
        ((5, 5, 4, 4), "left \\+ width"),  # that is x, y, width, height
        ((1, 1, 4, float("nan")), "right and bottom are the larger"),
        ((1, 1, 4), "left, top, right, bottom"),
        ((30, 30, 38, 38), "none of a face in this picture of 9 × 9 px"),
        ((-38, 0, -30, 8), "none of a face in this picture"),
        ((0, 0, 2000, 2000), "none of a face in this picture"),
    ],
)
def test_a_box_that_is_none_is_told(finished: Plan, box: tuple[float, ...], told: str) -> None:
    loaded = odnbench.load("best:ablation", storage=finished.storage)
    with pytest.raises(OdnbenchError, match=told):
        loaded.predict(np.zeros((9, 9, 3), np.uint8), box)


def test_trials_are_those_of_the_plan_with_their_specs(finished: Plan, cache: Path) -> None:
    tiny = [text for text in TINY if "epochs" not in text]
    settings = [*tiny, "variant=mean-shape,brnet,odn"]
    with pytest.warns(UserWarning, match="rendered"):
        table = odnbench.trials("ablation", *settings, storage=finished.storage, cache=cache)
    assert table["title"].tolist() == [trial.title for trial in finished.trials]
    backbones = [trial.spec.model.backbone for trial in finished.trials]
    assert table["model.backbone"].tolist() == backbones
    again = table.set_index("variant").finished
    assert again["mean-shape"] and not again["odn"]  # which has other epochs here


def test_numbers_are_those_of_the_report_as_csv(finished: Plan) -> None:
    rows = odnbench.numbers("ablation", storage=finished.storage)
    trials = odnbench.numbers("ablation", storage=finished.storage, by="trial")
    nme = rows[(rows["metric"] == "nme") & (rows["occluders"] == "none")]
    assert set(nme["variant"]) == {"mean-shape", "brnet", "odn"}
    assert set(trials["trial"]) == {trial.id for trial in finished.trials}
    mean = nme.set_index(["variant", "column"])["mean"]
    own = trials[trials["metric"] == "nme"].groupby(["variant", "column"])["value"].mean()
    assert (mean - own).abs().max() < 1e-9


def test_errors_of_faces_are_those_that_the_numbers_are_means_of(finished: Plan) -> None:
    faces = odnbench.numbers("ablation", storage=finished.storage, by="face")
    trials = odnbench.numbers("ablation", storage=finished.storage, by="trial")
    nme = trials[trials["metric"] == "nme"].set_index(["trial", "column"])["value"]
    means = faces.groupby(["trial", "column"])["nme_percent"].mean()
    assert len(means) == len(nme)
    assert (means - nme).abs().max() < 1e-9
    assert not faces.duplicated(["trial", "column", "face"]).any()
