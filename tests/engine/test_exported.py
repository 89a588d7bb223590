"""Exported networks predict what PyTorch predicts, whatever they are made of."""

import io
import json
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import REGISTRY, trial_of
from torch import nn

from odnbench.arrays import Bytes
from odnbench.datasets.faces import FaceSet
from odnbench.datasets.prepare import Recipe, prepare
from odnbench.datasets.rendering.stand_ins import draw_faces
from odnbench.engine import exported
from odnbench.engine.build import build_network
from odnbench.engine.export import ServedNetwork
from odnbench.engine.exported import CropNetwork, export_network, pictures
from odnbench.errors import OdnbenchError
from odnbench.networks import onnx_file
from odnbench.networks.base import LandmarkNetwork
from odnbench.plan.entries import Dataset, Head

BARE = ("geometry=none", "low_rank=none", "distillation=none")
BACKBONES = ("mobilenet-v2", "shufflenet-v2-0.5", "efficientnet-b0", "regnet-y-400mf", "resnet50")
NETWORKS = {
    "odn": (),
    **{f"head {head}": (*BARE, f"head={head}") for head in REGISTRY.all(Head)},
    **{name: (*BARE, f"backbone={name}") for name in BACKBONES},
}
RECORD = {"title": "a network – with “marks”"}


def network_of(*overrides: str, shown: Bytes | None = None) -> tuple[LandmarkNetwork, int]:
    """A network that is not trained, of which no layer is idle, and the side of its input.

    shown: what its batch normalisation is set to, clouds of colour by default; for other pictures
    the network might enlarge rounding errors without bound.
    """
    torch.manual_seed(0)
    trial = trial_of("odn", overrides)
    network, size = build_network(trial.spec, REGISTRY, 68), trial.spec.data.input_size
    network.mean_shape.copy_(0.3 * torch.randn(68, 2))
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # what it has seen, and nothing of before
        crops = torch.from_numpy(pictures(size) if shown is None else shown)
        CropNetwork(network.train(), size)(crops)
        network.eval()
        if (W := network.regression_matrix) is not None:  # so that points lie in the crop
            points = CropNetwork(network, size).predict(pictures(size))["points"]
            W.mul_(0.2 * size / float(np.ptp(points, axis=0).max()))
    return network, size


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> FaceSet:
    """100 rendered faces, cropped to the side of the network's input."""
    trial, path = trial_of("odn"), tmp_path_factory.mktemp("faces") / "drawn"
    drawn = islice(draw_faces(REGISTRY.get(Dataset, "300w"), "ibug", 128, seed=3), 100)
    recipe = Recipe(trial.box, 1.0, trial.spec.data.input_size)
    return prepare(list(drawn), "drawn", recipe, path, rendered=True, faults=[])


@pytest.mark.slow
@pytest.mark.parametrize("overrides", NETWORKS.values(), ids=NETWORKS)
def test_both_formats_predict_what_pytorch_predicts(
    overrides: tuple[str, ...], faces: FaceSet, tmp_path: Path
) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    images = np.array(faces.images)
    network, size = network_of(*overrides, shown=images)
    assert images.shape == (100, size, size, 3)
    with torch.inference_mode():
        points = ServedNetwork(network, size)(torch.from_numpy(images)).numpy()
    assert np.ptp(points, axis=0).max() > 0.1, "the pictures decide"
    expected = CropNetwork(network, size).predict(images)

    export_network(network, size, RECORD, tmp_path / "net.onnx")
    session = runtime.InferenceSession(tmp_path / "net.onnx")
    found = session.run(None, {"images": images})
    np.testing.assert_allclose(found[0], points, atol=1e-3)
    assert [output.name for output in session.get_outputs()] == list(expected)
    for one, other in zip(found[1:], list(expected.values())[1:], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    record = json.loads(session.get_modelmeta().custom_metadata_map["odnbench"])
    assert record["title"] == RECORD["title"]
    assert list(record["outputs"]) == list(expected)

    export_network(network, size, RECORD, tmp_path / "net.pt2", "torch-export")
    extra = {"odnbench": ""}
    program = torch.export.load(tmp_path / "net.pt2", extra_files=extra).module()
    np.testing.assert_allclose(
        program(torch.from_numpy(images))["points"].detach().numpy(), points, atol=1e-3
    )
    assert json.loads(extra["odnbench"]) == record


@pytest.mark.slow
def test_a_quantised_network_is_small_and_keeps_its_record(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    network, size = network_of()
    whole = export_network(network, size, RECORD, tmp_path / "whole.onnx")
    small = export_network(network, size, RECORD, tmp_path / "small.onnx", quantised=True)
    assert small.bytes < whole.bytes / 2
    assert small.largest_difference_px > whole.largest_difference_px
    session = runtime.InferenceSession(tmp_path / "small.onnx")
    assert "odnbench" in session.get_modelmeta().custom_metadata_map


def test_a_file_that_predicts_other_points_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, size = network_of(*BARE)
    path = tmp_path / "net.pt2"
    path.write_text("of before")
    honest = exported.program_predictor

    def astray(content: bytes) -> Any:
        predict = honest(content)
        return lambda images: {name: value + 0.01 for name, value in predict(images).items()}

    monkeypatch.setattr(exported, "program_predictor", astray)
    with pytest.raises(OdnbenchError, match=r"net\.pt2: not written: .* up to 0\.0141 px"):
        export_network(network, size, RECORD, path, "torch-export")
    assert path.read_text() == "of before"
    assert [file.name for file in tmp_path.iterdir()] == ["net.pt2"]


@pytest.mark.parametrize("library", ["onnx", "onnxscript"])
def test_without_the_libraries_of_onnx_the_error_says_what_to_install(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> Any:
        if name.partition(".")[0] == library:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return io if name == "onnx" else import_module(name)

    monkeypatch.setattr(onnx_file, "import_module", absent)
    network, size = network_of(*BARE)
    with pytest.raises(OdnbenchError, match=rf"{library} is not installed.*odnbench\[export\]"):
        export_network(network, size, RECORD, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())
