"""docs/cluster/slurm.sbatch, with stand-ins for Slurm's commands that start processes here."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pages import DOCS, blocks, parse

from odnbench.results.plans import PlanRecord

SCRIPT = DOCS / "cluster" / "slurm.sbatch"
PAGE = (DOCS / "cluster.md").read_text(encoding="utf-8")
# Stand-ins: what writes down how it was called, and an `srun` that starts its command once.
RECORD = 'echo "$(basename "$0") $*" >> "$CALLS"'
SRUN = 'while [ "${1#--}" != "$1" ]; do shift; done; exec "$@"'


class Slurm:
    """A job of the script, as Slurm starts it: in the folder of the user, with its variables."""

    def __init__(self, folder: Path, environment: dict[str, str]):
        self.folder, self.calls = folder, folder / "calls"
        self.programs = folder / "venv" / "bin"
        self.programs.mkdir(parents=True)
        (self.programs / "activate").write_text(f'PATH="{self.programs}:$PATH"\n')
        self.environment = environment | {
            "ODNBENCH_VENV": str(folder / "venv"),
            "CALLS": str(self.calls),
            "SLURM_JOB_ID": "42",
            "SLURMD_NODENAME": "node1",
        }
        self.program("scontrol", RECORD)

    def program(self, name: str, text: str) -> None:
        (self.programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.programs / name).chmod(0o755)

    def start(self, nodes: int, *arguments: str) -> "subprocess.Popen[str]":
        with (self.folder / "log").open("a") as log:
            return subprocess.Popen(
                ["bash", str(SCRIPT), *arguments],
                cwd=self.folder,
                env=self.environment | {"SLURM_JOB_NUM_NODES": str(nodes)},
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    def called(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def slurm(tmp_path: Path, user_environment: dict[str, str]) -> Slurm:
    return Slurm(tmp_path, user_environment)


def test_the_script_is_sound() -> None:
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)
    if shellcheck := shutil.which("shellcheck"):
        subprocess.run([shellcheck, str(SCRIPT)], check=True)


def test_ray_is_started_on_every_machine_with_the_ports_of_the_page(slurm: Slurm) -> None:
    ray = pytest.importorskip("ray.scripts.scripts", reason="Ray is not installed").cli
    slurm.program("ray", RECORD)
    slurm.program("odnbench", f"sleep 0.2; {RECORD}")
    slurm.program("srun", f"{RECORD}\n{SRUN}")
    assert slurm.start(3, "run", "ablation", "-s", "seed=0,1").wait(timeout=60) == 0
    calls = slurm.called()
    assert "odnbench run ablation -s seed=0,1 --address auto" in calls
    assert calls[-1] == "ray stop"
    (srun,) = (call for call in calls if call.startswith("srun "))
    assert "--nodes=2 --ntasks=2 --exclude=node1" in srun
    head, worker = (parse(ray, call) for call in calls if call.startswith("ray start"))
    assert head["head"] and worker["block"]
    assert worker["address"] == f"{head['node_ip_address']}:{head['port']}"
    by_hand: list[dict[str, Any]] = [
        parse(ray, line[line.index("ray start") :])
        for block in blocks(PAGE, "console")
        for line in block.replace("\\\n", " ").splitlines()
        if "ray start" in line
    ]
    for name in (name for name in by_hand[0] if name.endswith("_port")):
        assert head[name] == worker[name] or name == "port"
        assert head[name] == by_hand[0][name], name


@pytest.mark.parametrize(
    ("number", "requeued"), [(signal.SIGUSR1, True), (signal.SIGTERM, False)], ids=["USR1", "TERM"]
)
def test_the_job_requeues_itself_when_its_time_is_over_and_leaves_preemption_to_slurm(
    slurm: Slurm, number: signal.Signals, requeued: bool
) -> None:
    end = "sleep 0.5; exit"
    slurm.program(
        "odnbench",
        f"trap '{end} 138' USR1; trap '{end} 143' TERM; touch ready; while :; do sleep 0.1; done",
    )
    job = slurm.start(1, "run", "ablation")
    wait_for(lambda: (slurm.folder / "ready").exists(), job)
    job.send_signal(number)
    assert job.wait(timeout=60) == 128 + number  # that of the sweep, once it has ended
    assert slurm.called() == (["scontrol requeue 42"] if requeued else [])


def wait_for(condition: Any, job: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 200
    while not condition():
        assert job.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_a_requeued_job_ends_with_all_trials_and_a_report(slurm: Slurm) -> None:
    slurm.program("odnbench", f'exec "{sys.executable}" -m odnbench "$@"')
    sweep = ["run", "ablation", "--executor", "inline", "-s", "variant=brnet,odn"]
    for setting in ("input_size=32", "rendered_train=64", "rendered_test=8", "epochs=60"):
        sweep += ["-s", setting]
    job = slurm.start(1, *sweep)
    kept = slurm.folder / "runs" / "ablation"
    wait_for(lambda: list(kept.glob("*/progress.pt")), job)
    os.kill(job.pid, signal.SIGUSR1)
    log = slurm.folder / "log"
    assert job.wait(timeout=200) == 138, log.read_text()
    assert slurm.called() == ["scontrol requeue 42"]
    assert slurm.start(1, *sweep).wait(timeout=400) == 0, log.read_text()
    record = PlanRecord.load(kept / "plan.json")
    folders = [folder for folder, _ in record.folders(kept)]
    assert len(folders) == 2 and all(folder.status == ("done", "") for folder in folders)
    assert slurm.start(1, "report", "--format", "markdown").wait(timeout=200) == 0
    report = (slurm.folder / "reports" / "out" / "ablation.md").read_text()
    assert all(title in report for title in ("BRNet", "(ODN)")) and "interrupted" not in report
