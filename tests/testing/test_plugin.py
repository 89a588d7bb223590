"""The package of docs/extending.md beside the wheel: entries of nine families, added without a
change to odnbench.

Both are built and installed in an environment of their own; torch and the other libraries are those
of the environment that runs the tests.
"""

import csv
import json
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from extending import write_examples

import odnbench

ROOT = Path(odnbench.__file__).parents[1]
TINY = ["input_size=64", "batch_size=8", "epochs=2", "pretrained=none"]
OF_PLUGIN = [
    "variant=odn", "backbone=plain", "attach=stride-16", "head=plain-soft-argmax",
    "low_rank=none", "attention=channel-gate", "criterion=log-cosh", "vignette=0.5",
]  # fmt: skip
Command = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment that holds the wheels of odnbench and of the plug-in."""
    wheels, folder = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("environment")
    plugin = tmp_path_factory.mktemp("plugin")
    write_examples(plugin)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels)]
    for project in (ROOT, plugin):
        subprocess.run([*build, str(project)], check=True, capture_output=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--no-deps", "--no-index"]
    subprocess.run([*install, *map(str, wheels.glob("*.whl"))], check=True, capture_output=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (site_packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder to work in."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def command(installed: Path, work: Path, user_environment: dict[str, str]) -> Command:
    """Runs a program of the environment, the console command unless told otherwise."""
    environment = {k: v for k, v in user_environment.items() if k != "PYTHONPATH"}

    def run(*arguments: str, program: str = "odnbench") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(installed / "bin" / program), *arguments],
            cwd=work,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def run_of(command: Command) -> Command:
    """Runs the ablation at its smallest, on rendered faces in the layout of 300W."""
    assert command("data", "render", "data", "--faces", "8", "--size", "96").returncode == 0

    def run(chosen: list[str], *options: str) -> "subprocess.CompletedProcess[str]":
        settings = [word for setting in [*TINY, *chosen] for word in ("-s", setting)]
        arguments = ["run", "ablation", "--executor", "inline", "--data-root", "data", *settings]
        return command(*arguments, *options)

    return run


@pytest.fixture(scope="module")
def trained(run_of: Command, work: Path) -> Path:
    """The folder of a finished trial that consists of what the plug-in brings."""
    done = run_of(OF_PLUGIN)
    assert done.returncode == 0, done.stderr
    (marker,) = work.glob("runs/ablation/*/done")
    return marker.parent


def test_what_a_plugin_brings_is_listed_with_its_name(command: Command) -> None:
    listed = command("registry", "list").stdout.splitlines()
    brought = [line.split()[:2] for line in listed if line.rstrip().endswith("plug-in mylab")]
    assert brought == [
        ["backbones", "plain"], ["slots", "attention"], ["modules", "channel-gate"],
        ["heads", "plain-soft-argmax"], ["criteria", "log-cosh"], ["augmentations", "vignette"],
        ["datasets", "shots"], ["metrics", "worst"], ["formats", "plain-csv"],
    ]  # fmt: skip


def test_a_plugin_that_keeps_its_contracts_is_told_so(command: Command) -> None:
    done = command("registry", "check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.rpartition(": ")[2] for line in done.stdout.splitlines()] == ["ok"] * 9


def test_a_trial_is_made_of_what_a_plugin_brings(trained: Path) -> None:
    spec = json.loads((trained / "trial.json").read_text())["trial"]["spec"]
    model = spec["model"]
    assert model["attention"] == "channel-gate"
    assert (model["backbone"], model["head"]) == ("plain", "plain-soft-argmax")
    assert (spec["loss"]["criterion"], spec["augment"]["vignette"]) == ("log-cosh", 0.5)


def test_the_metric_of_a_plugin_is_in_the_report(command: Command, trained: Path) -> None:
    done = command("report", "ablation", "--out", "reports")
    assert done.returncode == 0, done.stderr
    text = (trained.parents[2] / "reports" / "ablation.md").read_text()
    assert "P90" in text


def test_the_metric_of_a_plugin_is_in_scores(command: Command, trained: Path) -> None:
    path = trained / "predictions.parquet"
    arguments = ["score", str(path), "--dataset", "300w/common", "--data-root", "data"]
    table = command(*arguments)
    assert table.returncode == 0, table.stderr
    assert "P90 %" in table.stdout
    (record,) = json.loads(command(*arguments, "--json").stdout)
    faces = pq.read_table(path).to_pandas()
    faces = faces[faces["part"].isin(["300w/helen-test", "300w/lfpw-test"])]
    predicted, true = (np.stack(faces[name]).reshape(-1, 68, 2) for name in ("predicted", "true"))
    lengths = np.linalg.norm(true[:, 36] - true[:, 45], axis=1)
    errors = np.linalg.norm(predicted - true, axis=2).mean(axis=1) / lengths
    assert record["worst_percent"] == pytest.approx(100 * np.quantile(errors, 0.9))


def test_the_format_of_a_plugin_writes_the_report(command: Command, trained: Path) -> None:
    done = command("report", "ablation", "--format", "plain-csv", "--out", "reports")
    assert done.returncode == 0, done.stderr
    path = done.stdout.partition("  (trials")[0]
    with (trained.parents[2] / path).open() as file:
        rows = list(csv.DictReader(file))
    assert {row["metric"] for row in rows} >= {"nme", "worst"}
    assert {row["column"] for row in rows} >= {"300w/common", "300w/challenging"}


IDS = """
from odnbench.plan.ids import trial_id
from odnbench.plan.pipelines import load_pipeline, resolve
from odnbench.plan.registry import Registry
registry = Registry.load()
for overrides in {overrides}:
    (spec,) = resolve(load_pipeline("ablation"), registry, overrides=overrides)
    print(trial_id(spec, registry, "faces"))
"""


def test_an_edited_plugin_gives_new_ids_to_the_trials_that_use_it(
    command: Command, run_of: Command, trained: Path, installed: Path
) -> None:
    without_plugin = ["variant=brnet", "backbone=resnet18"]
    script = IDS.format(overrides=[[*TINY, *OF_PLUGIN], [*TINY, *without_plugin]])
    with_plugin, without = command("-c", script, program="python").stdout.split()
    (code,) = installed.glob("lib/python*/site-packages/mylab/modules.py")
    code.write_text(code.read_text().replace("nn.ReLU()", "nn.SiLU()"))
    edited, same = command("-c", script, program="python").stdout.split()
    assert edited != with_plugin
    assert same == without
    assert trained.is_dir()
    assert "1 to run, 0 finished" in run_of(OF_PLUGIN, "--dry-run").stdout
