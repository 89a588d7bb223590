"""Options that no machine can meet are told in a line, with status 2, before anything starts."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import Run

CORES = os.cpu_count() or 1
TINY = [
    "-s", "input_size=32", "-s", "rendered_train=24", "-s", "rendered_test=6", "-s", "batch_size=8",
    "-s", "epochs=2", "-s", "variant=odn",
]  # fmt: skip
NUMBER = "must be a finite number of at least 0.0001"
SHARE = "must be 0, a share of one GPU, or a whole number of them"
ADDRESS = "--address must be HOST:PORT, auto, or local for this machine"


@pytest.mark.parametrize("command", [["run", "ablation"], ["tune"]], ids=["run", "tune"])
@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]], ids=["", "dry-run"])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--cpus", "0"], f"--cpus {NUMBER}, got 0; give 1"),
        (["--cpus", "inf"], f"--cpus {NUMBER}, got inf"),
        (["--cpus", "1e400"], f"--cpus {NUMBER}, got inf"),
        (["--cpus", "nan"], f"--cpus {NUMBER}, got nan"),
        (["--cpus", "-1"], f"--cpus {NUMBER}, got -1"),
        (["--cpus", "1e-9"], f"--cpus {NUMBER}, got 1e-09"),
        (["--gpus", "inf"], f"--gpus {SHARE}, got inf"),
        (["--gpus", "nan"], f"--gpus {SHARE}, got nan"),
        (["--gpus", "-0.5"], f"--gpus {SHARE}, got -0.5"),
        (["--gpus", "1.5"], f"--gpus {SHARE}, got 1.5"),
        (["--address", ""], f"{ADDRESS}, got ''"),
        (["--address", "garbage"], f"{ADDRESS}, got 'garbage'"),
        (["--address", "127.0.0.1"], f"{ADDRESS}, got '127.0.0.1'"),
        (["--address", "127.0.0.1:0"], f"{ADDRESS}, got '127.0.0.1:0'"),
        (["--address", "127.0.0.1:99999"], f"{ADDRESS}, got '127.0.0.1:99999'"),
        (["--address", "ray://127.0.0.1:10001"], "not by way of a Ray Client"),
        (["--address", "http://127.0.0.1:8265"], "not by way of a Ray Client"),
        (["--address", "a host:6379"], f"{ADDRESS}, got 'a host:6379'"),
        (["--address", "nowhere.invalid:6379"], "no Ray cluster answers there"),
        (["--cpus", str(CORES + 1)], f"this machine has {CORES} cores; give at most {CORES}"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_option_is_told_before_anything_starts(
    odnbench: Run,
    tmp_path: Path,
    command: list[str],
    dry_run: list[str],
    options: list[str],
    told: str,
) -> None:
    done = odnbench(*command, *options, *dry_run, *TINY)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_more_gpus_than_there_are_are_told(odnbench: Run, tmp_path: Path) -> None:
    import torch

    there = torch.cuda.device_count()
    done = odnbench("run", "ablation", "--gpus", f"{there + 1}", "--dry-run", *TINY)
    assert done.returncode == 2
    assert f"--gpus {there + 1}: this machine has {there} GPUs" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.fixture(params=["dead", "silent", "http"])
def port(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A port at which no Ray answers: nothing listens, what listens is silent, or it is a web
    server.
    """
    from odnbench.sweep import address

    monkeypatch.setattr(address, "_SECONDS", 0.5)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if request.param != "dead":
            server.listen()
        if request.param == "http":
            threading.Thread(target=_answer, args=(server,), daemon=True).start()
        yield server.getsockname()[1]


def _answer(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_cluster_that_does_not_answer_is_told_at_once(
    odnbench: Run, tmp_path: Path, port: int
) -> None:
    done = odnbench("run", "ablation", "--address", f"127.0.0.1:{port}", *TINY)
    assert done.returncode == 2
    assert f"--address 127.0.0.1:{port}: no Ray cluster answers there: " in done.stderr
    assert "docs/cluster.md says how to start one" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_this_machine_may_be_named(odnbench: Run) -> None:
    done = odnbench("run", "ablation", "--address", "local", "--dry-run", *TINY)
    assert done.returncode == 0, done.stderr
    assert "side by side" in done.stdout


@pytest.mark.slow
def test_what_no_node_of_a_cluster_has_is_told_before_trials_start(
    tmp_path: Path, cache: Path
) -> None:
    import ray
    from helpers import plan_in

    from odnbench.errors import OdnbenchError
    from odnbench.sweep.on_ray import Resources, run_on_ray
    from odnbench.sweep.run import run

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        plan = plan_in(tmp_path, cache, "variant=odn")
        for resources, told in (
            (Resources(cpus=3), "--cpus 3: the largest node of the Ray cluster has 2 cores"),
            (Resources(gpus=1), "the largest node of the Ray cluster has 0 GPUs; leave --gpus out"),
        ):
            with pytest.raises(OdnbenchError, match=told):
                run(plan, lambda *given, r=resources: run_on_ray(*given, resources=r), [])
    finally:
        ray.shutdown()


@pytest.mark.slow
@pytest.mark.usefixtures("without_mlflow")
def test_a_worker_that_is_ended_for_memory_is_told_as_that(
    odnbench: Run, user_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(user_environment, "RAY_memory_usage_threshold", "0.001")
    monkeypatch.setitem(user_environment, "RAY_memory_monitor_refresh_ms", "50")
    done = odnbench("run", "ablation", *TINY)
    assert done.returncode == 1
    assert "its worker was lost 3 times: Ray ended it because the machine was" in done.stdout
    assert "run fewer side by side (a larger --cpus), or lower train.batch_size" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
