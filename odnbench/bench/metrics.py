"""Benchmark of errors, intervals and tests, each compared with a plain loop of the same result."""

# S seeds, N faces, L landmarks, B draws

import resource
import sys

import numpy as np

from odnbench.arrays import Floats
from odnbench.bench.timing import Benchmark, in_turns, machine
from odnbench.metrics.ced import area_under_ced, ced, failure_rate
from odnbench.metrics.contrasts import contrast
from odnbench.metrics.intervals import mean_interval
from odnbench.metrics.nme import nme_per_face
from odnbench.metrics.significance import permutation_p
from odnbench.plan.protocols import Protocol, Scheme
from odnbench.plan.registry import Registry

SEEDS, FACES, DRAWS = 5, 689, 10_000  # the 300W test set
_CED_PERCENT = np.linspace(0, 25, 500)
_KIB_PER_UNIT = 1 if sys.platform == "linux" else 1 / 1024  # of ru_maxrss


def bench_metrics(registry: Registry, *, count: int, repeats: int) -> Benchmark:
    """Times errors, FR, AUC and CED of `count` faces × 68 points, and interval and test of
    5 seeds × 689 faces with 10 000 draws.
    """
    protocol = registry.get(Protocol, "300w-paper")
    scheme = registry.get(Scheme, protocol.scheme)
    rng = np.random.default_rng(0)
    true = rng.uniform(0, 200, (count, scheme.points, 2))
    predicted = rng.standard_normal(true.shape)
    predicted += true
    errors = rng.lognormal(-3, 0.4, (SEEDS, FACES))
    others = errors * rng.lognormal(0, 0.1, (SEEDS, FACES))
    first, second = scheme.eye_corners

    def summaries(nme: Floats) -> tuple[float, float, Floats]:
        return failure_rate(nme, 0.08), area_under_ced(nme, 0.08), ced(nme, _CED_PERCENT / 100)

    def ours() -> None:
        summaries(nme_per_face(predicted, true, protocol, scheme))

    def loop() -> None:
        nme = np.empty(count)
        for i in range(count):
            length = np.linalg.norm(true[i, first] - true[i, second])
            nme[i] = np.linalg.norm(predicted[i] - true[i], axis=1).mean() / length
        summaries(nme)

    def bootstrap_loop() -> None:
        means = np.empty(DRAWS)
        for b in range(DRAWS):
            drawn = errors[rng.integers(SEEDS, size=SEEDS)][:, rng.integers(FACES, size=FACES)]
            means[b] = drawn.mean()
        np.quantile(means, [0.025, 0.975])

    def permutation_loop() -> None:
        difference = (errors - others).mean(axis=0)
        means = np.empty(DRAWS)
        for b in range(DRAWS):
            means[b] = (difference * rng.choice([-1, 1], FACES)).mean()
        (np.abs(means) >= abs(difference.mean())).mean()

    difference = contrast([1.0, -1.0], {"errors": errors, "others": others})
    timings = (
        *in_turns({"errors": ours}, repeats),
        *in_turns({"errors, loop": loop}, 1, warm_up=False),
        *in_turns(
            {
                "interval": lambda: mean_interval(errors, resamples=DRAWS),
                "interval, loop": bootstrap_loop,
                "permutation": lambda: permutation_p(difference, permutations=DRAWS),
                "permutation, loop": permutation_loop,
            },
            repeats,
        ),
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB_PER_UNIT / 1024
    facts = {"faces": count, "draws": DRAWS, "peak_memory_mb": peak}
    ours_first = ("errors", "interval", "permutation")
    baselines = {name: f"{name}, loop" for name in ours_first}
    return Benchmark("metrics", machine(), timings, baselines, facts)
