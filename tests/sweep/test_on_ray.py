"""Ray: what a trial gets of a GPU, and a search whose trials fail."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from helpers import plan_in

from odnbench.results.folder import TrialFolder
from odnbench.results.plans import PlanRecord
from odnbench.results.searches import SearchRecord, SearchSettings
from odnbench.sweep.plan import Plan
from odnbench.sweep.run import run
from odnbench.sweep.search import Confirmation, Searching, design_of, search
from odnbench.sweep.study import open_study


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
    from odnbench.sweep.on_ray import gpu_share, run_on_ray

    plan = plan_in(tmp_path, cache, "variant=brnet", "seed=0,1,2")
    tried: list[int] = []
    chosen: list[float] = []

    def choose(throughput: object, most: int) -> int:
        assert callable(throughput)
        if not tried:  # in steps per second, of two at once as well
            assert throughput(1) > 0 and throughput(2) > 0
        tried.append(most)
        chosen.append(2)
        return 2

    monkeypatch.setattr(gpu_share, "trials_per_gpu", choose)
    share = gpu_share.gpu_share(plan, cpus=1.0)
    assert share == 0.5
    assert tried == [2]  # two cores, for three trials
    outcome = run(plan, run_on_ray, [])
    assert outcome.complete
    assert len(tried) == 2

    one = plan_in(tmp_path / "one", cache, "variant=brnet")
    assert gpu_share.gpu_share(one, cpus=1.0) == 1.0
    untrained = plan_in(tmp_path / "one", cache, "variant=mean-shape", "flip_test=true,false")
    assert gpu_share.gpu_share(untrained, cpus=1.0) == 1.0


def test_a_worker_gets_the_files_of_a_teacher_by_their_content(
    tmp_path: Path, cache: Path, finished: Plan
) -> None:
    from odnbench.sweep.on_ray.worker import teacher_from

    source = finished.folder(finished.trials[1])
    plan = plan_in(tmp_path, cache, "variant=odn", f"teacher={source.path}")
    (trial,), (plain,) = plan.trials, plan_in(tmp_path, cache, "variant=odn").trials
    files = {path: Path(path).read_bytes() for path in plan.weights_files}
    there = teacher_from(files, trial, tmp_path / "worker")
    assert there == tmp_path / "worker"
    copied = TrialFolder(there)
    assert copied.trial == source.trial
    assert copied.checkpoint.read_bytes() == source.checkpoint.read_bytes()
    assert teacher_from(files, plain, tmp_path / "none") is None
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_a_trial_that_fails_does_not_end_the_search(tmp_path: Path, cache: Path) -> None:
    from odnbench.sweep.on_ray import Resources, run_on_ray, search_on_ray

    diverging = ("optimizer=sgd", "learning_rate=1e30", "schedule=constant")
    plan = plan_in(tmp_path, cache, *diverging, pipeline="tune")
    settings = SearchSettings(sampler="random")
    resources = Resources(gpus=0)
    with open_study(design_of(plan, settings, 2), plan.file.parent) as study:
        outcome = search(
            Searching(plan, design_of(plan, settings, 2), study),
            partial(search_on_ray, resources=resources),
            partial(run_on_ray, resources=resources),
            [],
            Confirmation(),
        )
    assert not outcome.complete
    assert list(outcome.states.values()) == ["failed", "failed"]
    record = SearchRecord.load(plan.file.parent)
    assert [point.state for point in record.points] == ["failed", "failed"]
    assert all("epoch 1: the data term is" in point.reason for point in record.points)
    for trial in PlanRecord.load(plan.file).trials:
        state, reason = TrialFolder(plan.file.parent / trial).status
        assert state == "failed"
        assert "epoch 1: the data term is" in reason
