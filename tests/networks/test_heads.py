"""What heads promise beyond their contract: targets, data terms and decoding, by hand."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from helpers import FACES, REGISTRY, trial_of
from scipy import stats
from torch import Tensor

from odnbench.datasets.sources import split_validation
from odnbench.engine.training import Training, build_network
from odnbench.errors import OdnbenchError
from odnbench.losses.objective import build_objective
from odnbench.losses.squared import squared
from odnbench.networks.base import LandmarkNetwork
from odnbench.networks.heads.cells import from_cells, to_cells
from odnbench.networks.heads.flow import Flow
from odnbench.networks.heads.heatmap import Heatmap
from odnbench.networks.heads.local import Local, LocalMaps
from odnbench.networks.heads.rle import Likely
from odnbench.plan.entries import Head
from odnbench.plan.pipelines import load_pipeline, resolve
from odnbench.plan.protocols import Scheme
from odnbench.plan.specs import TrialSpec

HEADS = list(REGISTRY.all(Head))
POINTS = sorted({scheme.points for scheme in REGISTRY.all(Scheme).values()} | {5})
SIDE = 4  # of the feature map
SHAPE = torch.tensor([[-0.5, -0.4], [0.5, -0.4], [0.0, 0.0], [-0.3, 0.5], [0.3, 0.5]])
# Near the middle, off the centres of cells; near the edge; on it; outside of the crop.
FACE = torch.tensor([[[-0.41, -0.33], [0.27, -0.55], [0.93, 0.02], [-1.0, 0.4], [0.3, 1.3]]])


def head_of(name: str, landmarks: int = 5) -> Any:
    torch.manual_seed(0)
    side = 1 if REGISTRY.get(Head, name).takes == "vector" else SIDE
    return REGISTRY.build(Head, name, in_channels=8, side=side, landmarks=landmarks).eval()


def network_of(head: str, landmarks: int, *more: str) -> tuple[TrialSpec, LandmarkNetwork]:
    overrides = [
        "variant=cut", *more, "backbone=resnet18-slim", "pretrained=none", "attach=stride-16",
        f"input_size={16 * SIDE}", f"head={head}",
    ]  # fmt: skip
    (spec,) = resolve(load_pipeline("ablation"), REGISTRY, overrides=overrides)
    torch.manual_seed(0)
    return spec, build_network(spec, REGISTRY, landmarks)


@pytest.mark.parametrize("landmarks", POINTS)
@pytest.mark.parametrize("name", HEADS)
def test_every_head_learns_and_predicts_with_every_number_of_points(
    name: str, landmarks: int
) -> None:
    head = head_of(name, landmarks=landmarks).train()
    vector = REGISTRY.get(Head, name).takes == "vector"
    features = torch.randn((2, 8) if vector else (2, 8, SIDE, SIDE))
    mean_shape, true = torch.rand(landmarks, 2) - 0.5, torch.rand(2, landmarks, 2) * 2.4 - 1.2
    head.set_mean_shape(mean_shape)
    output = head(features)
    head.data_term(output, head.decode(output, mean_shape), true, squared).sum().backward()
    for parameter_name, parameter in head.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), parameter_name
    output = head.eval()(features)
    points, confidence = head.decode(output, mean_shape), head.confidence(output)
    assert points.shape == (2, landmarks, 2) and points.isfinite().all()
    assert (confidence is None) == name.startswith(("regression", "soft-argmax"))
    assert confidence is None or confidence.shape == (2, landmarks)


@pytest.mark.parametrize("name", HEADS)
def test_modules_stand_in_front_of_every_head(name: str) -> None:
    vector = REGISTRY.get(Head, name).takes == "vector"
    if not vector:
        with pytest.raises(OdnbenchError, match=f"head '{name}' takes their map; add -s low_rank="):
            network_of(name, 5, "variant=odn")
    spec, network = network_of(name, 5, "variant=odn" if vector else "variant=gm-dm")
    objective = build_objective(spec.loss, network, REGISTRY, 16 * SIDE)
    prediction = network(torch.randn(2, 3, 16 * SIDE, 16 * SIDE))
    terms = objective(prediction, torch.rand(2, 5, 2) - 0.5)
    assert terms.keys() == {"data", "eta"}
    torch.stack(list(terms.values())).sum().backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), parameter_name
    idle = {"zeta"} if vector else {"zeta", "beta", "gamma", "lambda"}
    assert objective.idle_weights(prediction, None) == idle


def test_the_centre_of_each_cell_is_where_it_is_counted() -> None:
    assert to_cells(torch.tensor([-1.0, -0.75, 0.75, 1.0]), 4).tolist() == [-0.5, 0, 3, 3.5]
    assert from_cells(torch.tensor([0, 3]), 4).tolist() == [-0.75, 0.75]


# The largest error of a decoded target in cells, inside of the crop, near its edge, on the edge and
# beyond; inf where the head cannot say where the landmark is. A Gaussian that the edge cuts off is
# off by a share of its deviation, which is 1.5 cells of a heatmap and 1 of the soft-argmax.
ERRORS = {
    "heatmap": (1e-3, 0.75, 1.5, math.inf),
    "local": (1e-4, 1e-4, 1e-4, 1e-4),
    "simcc": (0.5 + 1e-4, 0.5 + 1e-4, 0.5 + 1e-4, math.inf),
    "soft-argmax": (0.01, 0.5, 1.5, math.inf),
}


def encoded(name: str) -> tuple[object, int]:
    """What `name` gives that has FACE as its point, and the number of its cells along an axis."""
    head = head_of(name)
    if isinstance(head, Heatmap):
        n = SIDE * 8
        return head.targets(FACE, n), n
    if isinstance(head, Local):
        head.set_mean_shape(SHAPE)
        return local_maps(FACE, head.neighbours, SIDE), SIDE
    n = SIDE * (4 if name == "soft-argmax" else 64)
    cells = (torch.arange(n) + 0.5) * 2 / n - 1
    nearness = -((cells - FACE[..., None]) ** 2) * n**2 / 8  # (1, L, 2, n): of one cell's deviation
    if name == "simcc":
        return nearness, n
    x, y = nearness.softmax(dim=-1).unbind(dim=2)
    return y[..., :, None] * x[..., None, :], n


def local_maps(face: Tensor, neighbours: Tensor, n: int) -> LocalMaps:
    """Score 1 in the cell of each landmark, and the offsets from there; all else is 7 or 0."""
    landmarks, count = neighbours.shape
    scores = torch.zeros(1, landmarks, n * n)
    offsets = torch.full((1, landmarks, 1 + count, 2, n * n), 7.0)
    at = (face[0] + 1) * n / 2
    for landmark in range(landmarks):
        column, row = (min(max(math.floor(float(p)), 0), n - 1) for p in at[landmark])
        cell = row * n + column
        scores[0, landmark, cell] = 1
        for place, told in enumerate([landmark, *neighbours[landmark].tolist()]):
            offsets[0, landmark, place, :, cell] = at[told] - torch.tensor([column, row])
    return LocalMaps(scores, offsets)


@pytest.mark.parametrize("name", ERRORS)
def test_an_encoded_point_is_decoded(name: str) -> None:
    head = head_of(name)
    if isinstance(head, Local):
        head.set_mean_shape(SHAPE)
    output, n = encoded(name)
    points = head.decode(output, SHAPE)
    assert points.dtype == torch.float32
    errors = ((points - FACE) * n / 2).abs().amax(dim=2)[0].tolist()
    inside, edge, on_edge, beyond = ERRORS[name]
    for error, largest in zip(errors, (inside, inside, edge, on_edge, beyond), strict=True):
        assert error <= largest
    if math.isinf(beyond):  # as far out as the head can say
        assert 1 - 1.5 * 2 / n <= float(points[0, 4, 1]) <= 1 + 1.5 * 2 / n
        assert abs(float(points[0, 4, 0]) - 0.3) <= 1.5 * 2 / n


def test_of_a_heatmap_training_decodes_the_highest_cell_and_gives_no_gradient_to_it() -> None:
    head = head_of("heatmap").train()
    output = head.targets(FACE, 32).requires_grad_()
    points = head.decode(output, SHAPE)
    assert not points.requires_grad
    cells = to_cells(points, 32)
    assert torch.equal(cells, cells.round())
    inside = to_cells(FACE, 32).round().clamp(0, 31)
    torch.testing.assert_close(cells, inside)


def test_a_map_without_a_maximum_is_decoded_as_its_first_cell() -> None:
    points = head_of("heatmap").decode(torch.zeros(1, 1, 8, 8), SHAPE)
    assert to_cells(points, 8).tolist() == [[[0, 0]]]


def test_a_heatmap_is_a_gaussian_and_empty_far_beyond_the_edge() -> None:
    head = head_of("heatmap")
    true = torch.tensor([[[0.1, -0.3], [0.1, 2.5]]])
    maps = head.targets(true, 8)[0]
    for row, column in np.ndindex(8, 8):
        square = (column - (1.1 * 4 - 0.5)) ** 2 + (row - (0.7 * 4 - 0.5)) ** 2
        expected = math.exp(-square / (2 * 1.5**2))
        assert float(maps[0, row, column]) == pytest.approx(expected, rel=1e-5)
    assert float(maps[1].max()) < 1e-3
    output = torch.rand(1, 2, 8, 8)
    term = head.data_term(output, true, true, squared)
    assert float(term) == pytest.approx(float((output[0] - maps).square().sum()), rel=1e-5)
    assert head.confidence(maps[None])[0].tolist() == pytest.approx(
        [float(maps[0].max()), 0], abs=1e-3
    )


def test_soft_argmax_adds_the_divergence_of_its_maps_from_gaussians() -> None:
    head, n = head_of("soft-argmax-js"), 8
    p = torch.rand(2, 5, n, n).flatten(2).softmax(dim=2).unflatten(2, (n, n))
    true = FACE.expand(2, -1, -1)
    points = head.decode(p, SHAPE)
    expected = []
    for face in range(2):
        value = 0.0
        for landmark in range(5):
            x, y = (true[face, landmark].double().numpy() + 1) * n / 2 - 0.5
            cells = np.arange(n)
            q = np.exp(-0.5 * ((cells - x) ** 2)[None] - 0.5 * ((cells - y) ** 2)[:, None])
            mine, q = p[face, landmark].double().numpy().ravel(), (q / q.sum()).ravel()
            middle = (mine + q) / 2
            value += (stats.entropy(mine, middle) + stats.entropy(q, middle)) / 2
            value += float((points[face, landmark] - true[face, landmark]).square().sum())
        expected.append(value)
    found = head.data_term(p, points, true, squared)
    assert found.tolist() == pytest.approx(expected, rel=1e-5)
    plain = head_of("soft-argmax").data_term(p, points, true, squared)
    torch.testing.assert_close(plain, squared(points, true))


def test_a_map_with_all_its_mass_in_one_cell_has_a_finite_gradient() -> None:
    head = head_of("soft-argmax-js")
    logits = torch.zeros(1, 5, 64)
    logits[..., 9] = 500.0
    logits.requires_grad_()
    p = logits.softmax(dim=2).unflatten(2, (8, 8))
    head.data_term(p, head.decode(p, SHAPE), FACE, squared).sum().backward()
    assert logits.grad is not None and logits.grad.isfinite().all()


def test_neighbours_are_the_nearest_landmarks_of_the_mean_shape() -> None:
    head = REGISTRY.build(Head, "local", in_channels=8, side=SIDE, landmarks=5)
    head.set_mean_shape(SHAPE)
    for landmark, neighbours in enumerate(head.neighbours.tolist()):
        assert sorted([landmark, *neighbours]) == [0, 1, 2, 3, 4]
        distances = [math.dist(SHAPE[landmark], SHAPE[other]) for other in neighbours]
        assert all(near <= far + 1e-6 for near, far in pairwise(distances))
    many = REGISTRY.build(Head, "local", in_channels=8, side=SIDE, landmarks=68)
    assert many.neighbours.shape == (68, 10)
    many.set_mean_shape(torch.zeros(68, 2))  # all in one place
    assert all(i not in neighbours for i, neighbours in enumerate(many.neighbours.tolist()))


def test_training_tells_the_head_its_mean_shape_and_a_checkpoint_holds_what_it_keeps() -> None:
    trial = trial_of("cut", ["head=local"])
    rows, _ = split_validation(FACES.train, 0.1)
    training = Training.of(trial, FACES.train, rows, REGISTRY, torch.device("cpu"))
    expected = REGISTRY.build(Head, "local", in_channels=8, side=SIDE, landmarks=68)
    expected.set_mean_shape(training.batches.mean_shape())
    state = training.network.state_dict()
    assert torch.equal(state["local.neighbours"], expected.neighbours)
    fresh = build_network(trial.spec, REGISTRY, 68)
    assert not torch.equal(fresh.get_submodule("local").neighbours, expected.neighbours)
    fresh.load_state_dict(state)
    images = torch.randn(2, 3, 32, 32)
    points = training.network.eval()(images).points
    torch.testing.assert_close(fresh.eval()(images).points, points)


def test_a_landmark_is_the_mean_of_what_is_said_of_it() -> None:
    """Three landmarks in a row; the outer ones have the middle one as only neighbour, which has the
    first one.
    """
    head = Local(8, 2, 3, neighbours=1, score_weight=10.0)
    head.set_mean_shape(torch.tensor([[-0.5, 0.0], [0.0, 0.0], [0.6, 0.0]]))
    assert head.neighbours.tolist() == [[1], [0], [1]]
    scores = torch.zeros(1, 3, 4)
    scores[0, 0, 0] = scores[0, 1, 3] = scores[0, 2, 1] = 1.0  # cells (0, 0), (1, 1), (1, 0)
    offsets = torch.zeros(1, 3, 2, 2, 4)
    offsets[0, 0, :, :, 0] = torch.tensor([[0.5, 0.5], [0.8, 0.6]])
    offsets[0, 1, :, :, 3] = torch.tensor([[0.2, 0.4], [-0.7, -0.9]])
    offsets[0, 2, :, :, 1] = torch.tensor([[0.3, 0.3], [0.4, 0.2]])
    # In cells: of the first, its own and what the second says; of the second, three; of the third
    # its own.
    expected = torch.tensor(
        [
            [(0.5 + 0.3) / 2, (0.5 + 0.1) / 2],
            [(1.2 + 0.8 + 1.4) / 3, (1.4 + 0.6 + 0.2) / 3],
            [1.3, 0.3],
        ]
    )
    points = head.decode(LocalMaps(scores, offsets), torch.zeros(3, 2))
    torch.testing.assert_close(points[0], expected - 1)  # a cell of two is 1 wide


def test_the_local_data_term_is_the_published_one() -> None:
    head = head_of("local")
    head.set_mean_shape(SHAPE)
    assert torch.equal(torch.tensor(head.neighbours.shape), torch.tensor([5, 4]))
    n, true = SIDE, FACE
    rng = np.random.default_rng(1)
    scores, offsets = rng.normal(size=(5, n * n)), rng.normal(size=(5, 5, 2, n * n))
    expected = 0.0
    for landmark in range(5):
        at = (true[0].double().numpy() + 1) * n / 2
        cell = np.clip(np.floor(at[landmark]), 0, n - 1)
        number = int(cell[1] * n + cell[0])
        target = np.eye(n * n)[number]
        expected += 10 * np.mean((scores[landmark] - target) ** 2)
        told = offsets[landmark, :, :, number]
        expected += np.abs(told[0] - (at[landmark] - cell)).sum()
        others = head.neighbours[landmark].tolist()
        expected += np.mean(
            [np.abs(told[1 + i] - (at[k] - cell)).sum() for i, k in enumerate(others)]
        )
    output = LocalMaps(
        torch.from_numpy(scores)[None].float(), torch.from_numpy(offsets)[None].float()
    )
    found = head.data_term(output, true, true, squared)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_simcc_compares_bins_with_gaussians_by_their_divergence() -> None:
    head, bins = head_of("simcc"), SIDE * 64
    logits = torch.randn(1, 5, 2, bins)
    expected = 0.0
    for landmark, axis in np.ndindex(5, 2):
        at = (float(FACE[0, landmark, axis]) + 1) * bins / 2 - 0.5
        label = np.exp(-0.5 * ((np.arange(bins) - at) / 6) ** 2)
        expected += stats.entropy(label, np.exp(logits[0, landmark, axis].double().numpy()))
    found = head.data_term(logits, FACE, FACE, squared)
    assert float(found) == pytest.approx(expected, rel=1e-4)
    far = torch.full((1, 5, 2), 3.0)
    assert head.data_term(logits, far, far, squared).isfinite().all()


def test_the_flow_is_a_density() -> None:
    torch.manual_seed(0)
    flow = Flow(layers=6, width=16).double().requires_grad_(False)
    for coupling in flow.couplings:
        torch.nn.init.normal_(coupling[-1].weight, std=0.3)
    line = torch.linspace(-12, 12, 241, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line)
    density = flow(grid).exp()
    assert float(density.sum()) * (24 / 240) ** 2 == pytest.approx(1, abs=1e-3)
    normal = stats.multivariate_normal([0, 0]).pdf(grid.numpy())
    assert np.abs(density.numpy() - normal).max() > 0.05


def test_the_likelihood_is_the_published_one() -> None:
    """The density of an untrained flow without weights is the standard normal one."""
    head = head_of("rle")
    for coupling in head.flow.couplings:
        torch.nn.init.zeros_(coupling[-1].weight)
    deviations = torch.rand(2, 5, 2) * 0.5 + 0.1
    output = Likely(torch.randn(2, 5, 2) * 0.1, deviations)
    points = head.decode(output, SHAPE)
    torch.testing.assert_close(points, SHAPE + output.offsets)
    true = FACE.expand(2, -1, -1)
    residuals = ((true - points) / deviations).double().numpy()
    expected = (
        -stats.laplace.logpdf(residuals).sum(axis=(1, 2))
        - stats.norm.logpdf(residuals).sum(axis=(1, 2))
        + np.log(deviations.double().numpy()).sum(axis=(1, 2))
    )
    found = head.data_term(output, points, true, squared)
    assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-5)
    expected = 1 - deviations.mean(dim=2)
    torch.testing.assert_close(head.confidence(output), expected)


def test_the_share_of_lambda_is_measured_on_the_matrix_of_the_likelihood() -> None:
    spec, network = network_of("rle", 5)
    objective = build_objective(spec.loss, network, REGISTRY, 16 * SIDE)
    prediction = network(torch.randn(2, 3, 16 * SIDE, 16 * SIDE))
    objective(prediction, torch.rand(2, 5, 2) - 0.5)["data"].backward()
    W_fc = network.get_parameter("rle.weight")
    assert W_fc.grad is not None
    expected = 2 * spec.loss.lambda_ * float(W_fc.detach().norm()) / float(W_fc.grad.norm())
    shares = objective.gradient_shares(prediction, None)
    assert shares["lambda"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["soft-argmax", "heatmap"])
def test_what_upsamples_is_decayed_as_convolutions_are(name: str) -> None:
    spec, network = network_of(name, 5)
    objective = build_objective(spec.loss, network, REGISTRY, 16 * SIDE)
    (decayed,) = [g["params"] for g in objective.parameter_groups() if g["weight_decay"] > 0]
    kernels = {id(p) for p in network.parameters() if p.ndim == 4}
    assert {id(p) for p in decayed} == kernels


@pytest.mark.parametrize("name", [n for n in HEADS if n not in ("soft-argmax-js", "regression")])
def test_what_a_point_is_read_from_is_not_rounded_in_bf16(name: str) -> None:
    """Neighbouring cells differ by less than the 8 binary digits of bf16."""
    head = head_of(name)
    shape = (2, 8) if REGISTRY.get(Head, name).takes == "vector" else (2, 8, SIDE, SIDE)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        output = head(torch.randn(shape))
    for tensor in [output] if isinstance(output, Tensor) else output:
        assert tensor.dtype == torch.float32
        assert not torch.equal(tensor, tensor.bfloat16().float())


def test_a_heatmap_of_less_than_three_cells_is_refused() -> None:
    with pytest.raises(OdnbenchError, match=r"at least 3×3 cells, got 2×2; raise its option ups"):
        Heatmap(8, 1, 5, width=4, upsamplings=1, sigma=1.5)
