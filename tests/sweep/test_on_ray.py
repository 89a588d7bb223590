"""Ray: what a trial gets of a GPU."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import plan_in

from odnbench.sweep.run import run


@pytest.fixture
def counted_gpu() -> Iterator[None]:
    """A Ray of this machine that counts one GPU; trials compute on the CPU all the same."""
    import ray

    ray.init(address="local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.usefixtures("counted_gpu")
def test_trials_share_a_gpu_as_measuring_says(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from odnbench.sweep import on_ray

    plan = plan_in(tmp_path, cache, "variant=brnet", "seed=0,1,2")
    tried: list[int] = []
    chosen: list[float] = []

    def choose(throughput: object, most: int) -> int:
        assert callable(throughput)
        tried.append(most)
        assert throughput(1) > 0 and throughput(2) > 0  # steps per second, of two at once as well
        chosen.append(2)
        return 2

    monkeypatch.setattr(on_ray, "trials_per_gpu", choose)
    share = on_ray._gpu_share(plan, on_ray.Resources())
    assert share == 0.5
    assert tried == [2]  # two cores, for three trials
    outcome = run(plan, on_ray.run_on_ray, [])
    assert outcome.complete
    assert len(tried) == 2

    one = plan_in(tmp_path / "one", cache, "variant=brnet")
    assert on_ray._gpu_share(one, on_ray.Resources()) == 1.0
