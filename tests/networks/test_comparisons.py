"""Modules to compare DM and LM with, against their published formulas."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from odnbench.errors import OdnbenchError
from odnbench.networks.modules.factorised import FactorisedModule
from odnbench.networks.modules.low_rank import LowRankModule
from odnbench.plan.entries import Module
from odnbench.plan.registry import Registry

REGISTRY = Registry.load()
ATTENTION = ("se", "cbam", "spatial-attention")


def built(name: str, in_channels: int = 64) -> nn.Module:
    torch.manual_seed(0)
    module: nn.Module = REGISTRY.build(Module, name, in_channels=in_channels)
    return module.eval()


def two_layers(layers: nn.Module, x: Tensor) -> Tensor:
    """W₂ ReLU(W₁ x + b₁) + b₂ for each row x."""
    W1, b1, W2, b2 = layers.parameters()
    return (W2 @ (W1 @ x.T + b1[:, None]).clamp_min(0) + b2[:, None]).T


@pytest.mark.parametrize("name", ATTENTION)
def test_known_attention_weighs_the_pathway_that_dm_weighs(name: str) -> None:
    module, dm = built(name), built("dm")
    shapes = {n: p.shape for n, p in module.named_parameters() if n.startswith("pathway_c")}
    assert shapes == {n: p.shape for n, p in dm.named_parameters() if n.startswith("pathway_c")}
    Z = torch.randn(2, 64, 5, 5)
    C, weighed = module.pathway_c(Z), module(Z)
    assert weighed.shape == (2, 32, 5, 5)
    assert (weighed[C > 0] / C[C > 0] < 1).all() and not weighed[C == 0].any()


def test_squeeze_and_excitation_weighs_each_channel_by_all_means() -> None:
    module = built("se")
    Z = torch.randn(2, 64, 5, 5)
    C = module.pathway_c(Z)
    assert next(module.excitation.parameters()).shape == (2, 32)  # a reduction of 16
    weights = 1 / (1 + torch.exp(-two_layers(module.excitation, C.flatten(2).mean(dim=2))))
    torch.testing.assert_close(module(Z), torch.einsum("bchw,bc->bchw", C, weights))


def positions(weight: Tensor, C: Tensor) -> Tensor:
    """The weight of each position, by hand: 7×7 cells of mean and maximum over the channels."""
    maps = torch.stack([C.mean(dim=1), C.max(dim=1).values], dim=1)
    windows = functional.pad(maps, (3, 3, 3, 3)).unfold(2, 7, 1).unfold(3, 7, 1)
    return torch.einsum("bchwij,cij->bhw", windows, weight[0]).sigmoid()[:, None]


def test_spatial_attention_weighs_each_position_by_its_neighbourhood() -> None:
    module = built("spatial-attention")
    Z = torch.randn(2, 64, 9, 9)
    C = module.pathway_c(Z)
    expected = C * positions(module.positions.weight, C)
    torch.testing.assert_close(module(Z), expected, atol=1e-5, rtol=1e-5)


def test_cbam_weighs_channels_by_mean_and_maximum_and_then_positions() -> None:
    module = built("cbam")
    Z = torch.randn(2, 64, 9, 9)
    C = module.pathway_c(Z)
    pooled = C.flatten(2).mean(dim=2), C.flatten(2).max(dim=2).values
    weights = sum(two_layers(module.channels, values) for values in pooled).sigmoid()
    F = torch.einsum("bchw,bc->bchw", C, weights)
    expected = F * positions(module.positions.weight, F)
    torch.testing.assert_close(module(Z), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["se", "cbam"])
def test_a_narrow_pathway_keeps_one_hidden_neuron(name: str) -> None:
    module = built(name, in_channels=8)
    assert module(torch.randn(1, 8, 3, 3)).isfinite().all()


def test_a_factorised_matrix_has_its_rank_by_construction() -> None:
    module = FactorisedModule(in_features=40, landmarks=10, rank=3)
    assert module.M.shape == (40, 16)  # 16 is the largest power of two in 20
    assert int(torch.linalg.matrix_rank(module.M)) == 3
    assert FactorisedModule(in_features=40, landmarks=10).A.shape == (40, 4)


def test_the_first_weights_of_both_have_one_variance() -> None:
    torch.manual_seed(0)
    factorised, plain = FactorisedModule(400, 68).M, LowRankModule(400, 68).M
    assert float(factorised.detach().var()) == pytest.approx(1 / 400, rel=0.1)
    assert float(plain.detach().var()) == pytest.approx(1 / 400, rel=0.1)


@pytest.mark.parametrize("rank", [0, 16, 20])
def test_a_rank_that_restricts_nothing_is_refused(rank: int) -> None:
    with pytest.raises(OdnbenchError, match="rank must be at least 1 and below 16"):
        FactorisedModule(in_features=40, landmarks=10, rank=rank)


def test_a_plain_layer_starts_where_lm_does() -> None:
    modules = []
    for name in ("lm", "lm-linear", "lm-log-det", "lm-schatten"):
        torch.manual_seed(0)
        modules.append(REGISTRY.build(Module, name, in_features=12, landmarks=5))
    assert all(torch.equal(module.M, modules[0].M) for module in modules)


def test_an_option_of_no_penalty_is_refused() -> None:
    with pytest.raises(OdnbenchError, match="the penalty 'none' has no options, got rnak"):
        LowRankModule(64, 68, penalty="none", rnak=7)
