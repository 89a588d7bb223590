"""A network of others in an ONNX file: how its pictures and points are read."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import REGISTRY
from torch.nn import functional

from odnbench.engine.augment import central_crop, normalise
from odnbench.errors import OdnbenchError
from odnbench.networks.base import LandmarkNetwork
from odnbench.networks.onnx_network import OnnxNetwork
from odnbench.plan.specs import ModelSpec

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

SIDE = 32
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)


def save(path: Path, nodes: list[Any], shape: list[Any], *, of_bytes: bool = False) -> Path:
    """An ONNX file of `nodes` from `images` to `found`, with weights W (3, 6)."""
    kinds = onnx.TensorProto
    W = onnx.numpy_helper.from_array(np.arange(18, dtype=np.float32).reshape(3, 6) / 100, "W")
    graph = onnx.helper.make_graph(
        nodes,
        "network",
        [
            onnx.helper.make_tensor_value_info(
                "images", kinds.UINT8 if of_bytes else kinds.FLOAT, shape
            )
        ],
        [onnx.helper.make_tensor_value_info("found", kinds.FLOAT, None)],
        [W],
    )
    opset = onnx.helper.make_opsetid("", 17)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10), path)
    return path


def mean_colours(axes: list[int], first: str = "images") -> list[Any]:
    """The mean colour of each picture, times W."""
    node = onnx.helper.make_node
    return [
        node("ReduceMean", [first], ["mean"], axes=axes, keepdims=0),
        node("MatMul", ["mean", "W"], ["found"]),
    ]


def network_of(path: Path, landmarks: int = 3, size: int = SIDE, **options: Any) -> OnnxNetwork:
    return OnnxNetwork(ModelSpec(pretrained=str(path)), REGISTRY, landmarks, size, **options)


def crops(count: int = 3, size: int = SIDE) -> torch.Tensor:
    """(count, size, size, 3) uint8 RGB."""
    return torch.from_numpy(
        np.random.default_rng(1).integers(0, 256, (count, size, size, 3), np.uint8)
    )


def points_of(network: LandmarkNetwork, images: torch.Tensor) -> torch.Tensor:
    return network(normalise(central_crop(images, images.shape[1]), network.normalisation)).points


def expected(colours: torch.Tensor) -> torch.Tensor:
    """(B, 3, 2) the mean of colours (B, 3, H, W), times W."""
    W = torch.arange(18, dtype=torch.float32).reshape(3, 6) / 100
    return (colours.mean(dim=(2, 3)) @ W).reshape(-1, 3, 2)


@pytest.mark.parametrize("batch", ["N", 1])
@pytest.mark.parametrize("colours", ["rgb", "bgr"])
def test_pictures_of_floats_are_normalised_as_asked(
    tmp_path: Path, batch: Any, colours: str
) -> None:
    path = save(tmp_path / "net.onnx", mean_colours([2, 3]), [batch, 3, SIDE, SIDE])
    network = network_of(path, points="signed", mean=MEAN, std=STD, colours=colours)
    shown = crops().permute(0, 3, 1, 2) / 255
    shown = (shown - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    found = points_of(network, crops())
    torch.testing.assert_close(found, expected(shown if colours == "rgb" else shown.flip(1)))
    assert network.parameter_count == 18


def test_pictures_of_bytes_come_as_they_are(tmp_path: Path) -> None:
    cast = onnx.helper.make_node("Cast", ["images"], ["grey"], to=onnx.TensorProto.FLOAT)
    nodes = [cast, *mean_colours([1, 2], "grey")]
    path = save(tmp_path / "net.onnx", nodes, ["N", SIDE, SIDE, 3], of_bytes=True)
    network = network_of(path, points="signed", mean=MEAN, std=STD)
    found = points_of(network, crops())
    torch.testing.assert_close(found, expected(crops().permute(0, 3, 1, 2).float()))


@pytest.mark.parametrize(
    ("points", "unit"),
    [
        ("signed", lambda told: told),
        ("unit", lambda told: 2 * told - 1),
        ("pixels", lambda told: (2 * told + 1) / SIDE - 1),
    ],
)
def test_points_are_read_in_their_unit_order_and_shift(
    tmp_path: Path, points: str, unit: Any
) -> None:
    path = save(tmp_path / "net.onnx", mean_colours([2, 3]), ["N", 3, SIDE, SIDE])
    told = expected(crops().permute(0, 3, 1, 2) / 255)
    network = network_of(path, 2, points=points, order=[2, 0], shift_px=[1.5, -0.5])
    shift = torch.tensor([1.5, -0.5]) * 2 / SIDE
    torch.testing.assert_close(points_of(network, crops()), unit(told)[:, [2, 0]] + shift)


def test_the_peak_of_a_heatmap_is_its_point(tmp_path: Path) -> None:
    nodes = [onnx.helper.make_node("Identity", ["images"], ["found"])]
    path = save(tmp_path / "net.onnx", nodes, ["N", 3, SIDE, SIDE])
    network = network_of(path, points="heatmaps", sigma=2.0)
    peaks = torch.tensor([[[10.25, 12.5], [15.0, 20.75], [8.0, 9.0]]])  # in cells
    cells = torch.arange(SIDE)
    x, y = (((cells - peaks[..., axis, None]) ** 2 / -8).exp() for axis in (0, 1))
    maps = y[..., :, None] * x[..., None, :]
    found = network(maps).points
    torch.testing.assert_close(found, (2 * peaks + 1) / SIDE - 1, atol=1e-3, rtol=0)


def test_crops_of_another_side_are_resampled(tmp_path: Path) -> None:
    path = save(tmp_path / "net.onnx", mean_colours([2, 3]), ["N", 3, 24, 24])
    network = network_of(path, points="signed")
    shown = functional.interpolate(
        crops().permute(0, 3, 1, 2) / 255, (24, 24), mode="bilinear", antialias=True
    )
    torch.testing.assert_close(points_of(network, crops()), expected(shown))


def test_its_state_holds_the_file_and_copies_of_it_predict(tmp_path: Path) -> None:
    path = save(tmp_path / "net.onnx", mean_colours([2, 3]), ["N", 3, SIDE, SIDE])
    network = network_of(path, points="signed")
    state, points = network.state_dict(), points_of(network, crops())
    path.unlink()
    again = OnnxNetwork(ModelSpec(pretrained="none"), REGISTRY, 3, SIDE, points="signed")
    with pytest.raises(OdnbenchError, match="name one as"):
        points_of(again, crops())
    again.load_state_dict(state)
    for other in (again, copy.deepcopy(again)):
        torch.testing.assert_close(points_of(other, crops()), points)


@pytest.mark.parametrize(
    ("shape", "options", "told"),
    [
        (["N", 3, SIDE, SIDE], {"points": "centimetres"}, "unknown points 'centimetres'"),
        (["N", 3, SIDE, SIDE], {"points": "unit", "colours": "grey"}, "unknown colours"),
        (["N", 3, SIDE, SIDE], {"points": "unit", "mean": [0.5]}, "mean must have 3 numbers"),
        (["N", 3, SIDE, SIDE], {"points": "unit", "output": "fuond"}, "did you mean 'found'"),
        (["N", 3, SIDE, SIDE], {"points": "unit", "order": [0, 1]}, "each of 3 landmarks"),
        (["N", 1, SIDE, SIDE], {"points": "unit"}, r"\(B, 3, s, s\)"),
        (["N", 3, SIDE, 16], {"points": "unit"}, "square pictures, not 32×16"),
    ],
)
def test_options_that_do_not_fit_are_told(
    tmp_path: Path, shape: list[Any], options: dict[str, Any], told: str
) -> None:
    nodes = [onnx.helper.make_node("Identity", ["images"], ["found"])]
    path = save(tmp_path / "net.onnx", nodes, shape)
    with pytest.raises(OdnbenchError, match=told):
        network_of(path, **options)


@pytest.mark.parametrize(
    ("landmarks", "options", "told"),
    [
        (4, {"points": "unit"}, "gives 3 points and the scheme has 4"),
        (3, {"points": "unit", "order": [0, 1, 3]}, "0 to 2"),
        (3, {"points": "heatmaps"}, r"its output is \(3, 6\)"),
    ],
)
def test_outputs_that_do_not_fit_are_told(
    tmp_path: Path, landmarks: int, options: dict[str, Any], told: str
) -> None:
    path = save(tmp_path / "net.onnx", mean_colours([2, 3]), ["N", 3, SIDE, SIDE])
    with pytest.raises(OdnbenchError, match=told):
        points_of(network_of(path, landmarks, **options), crops())


@pytest.mark.parametrize("content", [b"", b"no network", bytes(100)])
def test_a_file_that_is_no_onnx_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(OdnbenchError, match=r"net\.onnx: .*"):
        network_of(tmp_path / "net.onnx", points="unit")
