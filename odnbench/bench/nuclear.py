"""Benchmark of the nuclear norm's subgradient, compared with autograd through torch.linalg."""

import torch
from torch import Tensor

from odnbench.bench.timing import Benchmark, Timing, in_turns, machine_of
from odnbench.engine.training import own_device
from odnbench.losses.nuclear import add_nuclear_subgradient

# (d, k): the registry's variants with LM at 224 px and below, and others
SIZES = ((8192, 256), (2048, 256), (512, 256), (128, 256), (8192, 512), (512, 64), (32, 16))
BAD = "badly scaled"


def bench_nuclear(*, repeats: int) -> Benchmark:
    """Times the addition of the subgradient to a gradient.

    M is as it is initialised, or badly scaled: its singular values span three decades. Among the
    facts are the deviations from the SVD's subgradient, in the spectral norm.
    """
    device = own_device()
    generator = torch.Generator().manual_seed(0)
    timings: list[Timing] = []
    baselines, facts = {}, {}
    for d, k in SIZES:
        M = torch.randn(d, k, generator=generator) * d**-0.5
        for name, matrix in ((f"{d}×{k}", M), (f"{d}×{k} {BAD}", _badly_scaled(M))):
            M = matrix.to(device).requires_grad_()
            gradient = torch.zeros_like(M)

            def ours(M: Tensor = M, gradient: Tensor = gradient) -> None:
                add_nuclear_subgradient(gradient, M, 1e-6)
                if M.is_cuda:
                    torch.cuda.synchronize()

            def autograd(M: Tensor = M) -> None:
                M.grad = None
                torch.linalg.matrix_norm(M, "nuc").backward()
                if M.is_cuda:
                    torch.cuda.synchronize()

            baseline = f"{name}, torch.linalg"
            timings += in_turns({name: ours, baseline: autograd}, repeats)
            baselines[name] = baseline
            U, _, Vh = torch.linalg.svd(M.detach().double(), full_matrices=False)
            subgradient = torch.zeros_like(M)
            add_nuclear_subgradient(subgradient, M, 1.0)
            error = torch.linalg.matrix_norm(subgradient.double() - U @ Vh, 2)
            facts[f"deviation {name}"] = float(error)
    return Benchmark("nuclear", machine_of(device), tuple(timings), baselines, facts)


def _badly_scaled(M: Tensor) -> Tensor:
    """M with singular values from 1 down to 0.001."""
    U, sigma, Vh = torch.linalg.svd(M, full_matrices=False)
    scaled: Tensor = U * torch.logspace(0, -3, len(sigma)) @ Vh
    return scaled
