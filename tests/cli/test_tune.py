"""`odnbench tune`: a search that ends in a decision, on tiny rendered faces."""

import json
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import pytest
from helpers import TINY, Run
from mlflow.tracking import MlflowClient

from odnbench.results.folder import PRUNED, TrialFolder
from odnbench.results.searches import SearchRecord
from odnbench.tracking.entries import TRIAL_TAG

SMALL = [text for each in TINY for text in ("-s", each)]
TUNE = ["tune", "--executor", "inline", "--seed", "3", *SMALL]
# One of the values of learning_rate lets a training diverge.
DIVERGING = """title = "Learning rates"
[parameters]
learning_rate = { choices = [1e-3, 2e-3, 1e30] }
"""
SHORT = """title = "Two weights"
parameters = { alpha = {}, lambda = {} }
"""


@pytest.fixture
def quick(
    user_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    cache: Path,
    without_mlflow: None,
) -> None:
    """Faces are prepared, and MLflow is away, which saves seconds."""
    monkeypatch.setitem(user_environment, "ODNBENCH_CACHE", str(cache))


def record_of(folder: Path, name: str = "tune") -> SearchRecord:
    return SearchRecord.load(folder / "runs" / name)


def test_a_search_ends_with_a_decision_and_its_winner_can_be_run(
    odnbench: Run, tmp_path: Path, cache: Path, user_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch, empty_store: Path,
) -> None:  # fmt: skip
    store = shutil.copy(empty_store, tmp_path / "store.db")
    monkeypatch.setitem(user_environment, "MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    monkeypatch.setitem(user_environment, "ODNBENCH_CACHE", str(cache))
    done = odnbench(*TUNE, "-s", "epochs=4", "--trials", "6", "--best", "2", "--confirm", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    record = record_of(tmp_path)
    assert len(record.points) == 6
    assert record.candidates[0].number == 0
    assert [len(candidate.trials) for candidate in record.candidates] == [2, 2, 2]
    searched = {identity for point in record.points for identity in point.trials}
    again = {identity for candidate in record.candidates for identity in candidate.trials}
    assert not searched & again  # they have other seeds
    for identity in again:
        assert TrialFolder(tmp_path / "runs" / "tune" / identity).finished
    assert "defaults" in done.stdout and "fresh seeds" in done.stdout
    winner = tmp_path / "runs" / "tune" / "winner.toml"
    number = {tuple(point.point.items()): point.number for point in record.points}
    best = min(record.candidates, key=lambda candidate: mean_nme(tmp_path, candidate.trials))
    assert number[tuple(tomllib_flat(winner).items())] == best.number

    reported = odnbench("report")
    assert reported.returncode == 0, reported.stderr
    text = (tmp_path / "reports" / "out" / "tune.md").read_text()
    assert "(defaults)" in text and "tree-structured Parzen estimator" in text
    run = odnbench(
        "run", "ablation", "--executor", "inline", "--settings", str(winner), *SMALL,
        "-s", "variant=odn",
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr

    client = MlflowClient(f"sqlite:///{store}")
    (experiment,) = (one for one in client.search_experiments() if "tune" in one.name)
    runs = client.search_runs([experiment.experiment_id], max_results=100)
    assert len(runs) == 1 + len(searched) + len(again)
    assert {run.data.tags["study"] for run in runs} == {"tune"}
    pruned = [run for run in runs if run.data.tags.get("pruned") == "true"]
    assert len(pruned) == sum(point.state == "pruned" for point in record.points) > 0
    assert all(run.info.status in ("FINISHED", "KILLED") for run in runs)
    # The network that can be served is no lucky one of the search, but one of its winner.
    (network,) = client.search_logged_models([experiment.experiment_id])
    (its_run,) = (run for run in runs if run.info.run_id == network.source_run_id)
    assert its_run.data.tags[TRIAL_TAG] == best.trials[0]


def mean_nme(folder: Path, trials: Sequence[str]) -> float:
    """Of finished trials, on validation faces and in percent."""
    return fmean(
        TrialFolder(folder / "runs" / "tune" / trial).result.validation_nme_percent
        for trial in trials
    )


def tomllib_flat(path: Path) -> dict[str, object]:
    """Dotted key → value."""
    tables = tomllib.loads(path.read_text())
    return {
        f"{table}.{key}": value for table, keys in tables.items() for key, value in keys.items()
    }


@pytest.mark.usefixtures("quick")
def test_the_same_command_trains_nothing_again(odnbench: Run, tmp_path: Path) -> None:
    command = [*TUNE, "--pruner", "none", "--trials", "3", "--best", "1", "--confirm", "2"]
    first = odnbench(*command)
    assert first.returncode == 0, first.stdout + first.stderr
    marks = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/tune/*/done")}
    second = odnbench(*command)
    assert second.returncode == 0
    assert marks == {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/tune/*/done")}
    assert len(marks) == 3 + 2 * 2
    status = odnbench("status")
    assert status.returncode == 0
    assert "search: 3 of 3 points begun: 3 complete" in status.stdout
    again = record_of(tmp_path).candidates
    assert len(again) == 2
    more = odnbench(*[*command[:-6], "--trials", "5", "--confirm", "0"])
    assert more.returncode == 0
    assert len(record_of(tmp_path).points) == 5
    assert record_of(tmp_path).candidates == again  # what was trained again stays known


@pytest.mark.usefixtures("quick")
def test_what_is_damaged_of_a_search_is_told_and_mended(odnbench: Run, tmp_path: Path) -> None:
    command = [*TUNE, "--pruner", "none", "--trials", "3", "--confirm", "0"]
    assert odnbench(*command).returncode == 0
    whole = record_of(tmp_path)
    runs = tmp_path / "runs" / "tune"
    predictions = runs / whole.points[1].trials[0] / "predictions.parquet"
    numbers = predictions.read_bytes()
    predictions.write_bytes(numbers[: len(numbers) // 2])
    (runs / "search.json").write_bytes((runs / "search.json").read_bytes()[:200])
    fault = f"{runs / 'search.json'}: cannot be read as a search"
    told = fault.removeprefix(f"{tmp_path}/")
    status = odnbench("status")
    assert status.returncode == 1 and told in status.stdout
    assert odnbench("report").returncode == 0
    assert told in (tmp_path / "reports" / "out" / "tune.md").read_text()
    forecast = odnbench(*command, "--dry-run")
    assert forecast.returncode == 0 and told in forecast.stdout
    mended = odnbench(*command)
    assert mended.returncode == 0, mended.stderr
    assert told in mended.stdout
    assert record_of(tmp_path) == whole
    assert predictions.read_bytes() == numbers


@pytest.mark.usefixtures("quick")
def test_a_point_that_fails_ends_nothing_else(
    odnbench: Run,
    tmp_path: Path,
    user_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    empty_store: Path,
) -> None:
    store = shutil.copy(empty_store, tmp_path / "store.db")
    monkeypatch.setitem(user_environment, "MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    (tmp_path / "rates.toml").write_text(DIVERGING)
    command = [
        *TUNE, "--space", "rates.toml", "-s", "optimizer=sgd", "-s", "schedule=constant",
        "-s", "learning_rate=1e-3", "--trials", "6", "--confirm", "2", "--pruner", "none",
    ]  # fmt: skip
    done = odnbench(*command)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    points = record_of(tmp_path).points
    assert Counter(point.state for point in points).keys() == {"complete", "failed"}
    for point in points:
        failed = point.point["train.learning_rate"] == 1e30
        assert (point.state == "failed") == failed
        assert ("the data term is" in point.reason) == failed
    assert "fresh seeds" in done.stdout  # it decides by the points that have not failed
    failed = sum(point.state == "failed" for point in points)
    assert f"{failed} point{'s have' if failed > 1 else ' has'} failed" in done.stdout
    assert "goes on with what is missing" not in done.stdout
    client = MlflowClient(f"sqlite:///{store}")
    (experiment,) = (one for one in client.search_experiments() if "tune" in one.name)
    runs = client.search_runs([experiment.experiment_id], max_results=100)
    assert {run.info.status for run in runs} <= {"FINISHED", "FAILED", "KILLED"}
    assert len({run.data.tags.get("mlflow.parentRunId") for run in runs}) == 2  # all have ended
    again = odnbench(*command)
    assert again.returncode == 1
    assert record_of(tmp_path).points == points
    report = odnbench("report")
    assert report.returncode == 0, report.stderr
    assert "the data term is" in (tmp_path / "reports" / "out" / "tune.md").read_text()


@pytest.mark.usefixtures("quick")
def test_a_search_is_brought_to_a_uri_and_gone_on_with_from_there(
    odnbench: Run,
    tmp_path: Path,
    user_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = tmp_path / "remote"
    command = [*TUNE, "--confirm", "1", "--best", "1", "--storage", place.as_uri()]
    done = odnbench(*command, "--trials", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (place / "tune" / ".lease").exists()
    before = SearchRecord.load(place / "tune").points
    assert len(before) == 2
    for point in before:
        for identity in point.trials:
            assert TrialFolder(place / "tune" / identity).finished or point.state == "pruned"
    monkeypatch.setitem(user_environment, "ODNBENCH_CACHE", str(tmp_path / "another machine"))
    done = odnbench(*command, "--trials", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    points = SearchRecord.load(place / "tune").points
    assert points[:2] == before and len(points) == 3


@pytest.mark.usefixtures("quick")
def test_a_search_leaves_the_results_of_a_run_where_they_are(odnbench: Run, tmp_path: Path) -> None:
    tiny = ["--executor", "inline", *SMALL, "-s", "variant=odn"]
    assert odnbench("run", "ablation", *tiny).returncode == 0
    before = {path: path.read_bytes() for path in tmp_path.glob("runs/ablation/*.json")}
    search = ["tune", "ablation", *tiny, "--space", "weights", "--trials", "1", "--confirm", "0"]
    done = odnbench(*search)
    assert done.returncode == 2
    assert "holds the results of `odnbench run ablation`" in done.stderr
    assert before == {path: path.read_bytes() for path in tmp_path.glob("runs/ablation/*.json")}
    assert odnbench(*search, "--name", "other").returncode == 0
    assert odnbench("run", "ablation", *tiny).returncode == 0


@pytest.mark.usefixtures("quick")
def test_a_search_by_the_test_faces_is_refused(odnbench: Run, tmp_path: Path) -> None:
    done = odnbench(*TUNE, "--select", "test", "--trials", "2")
    assert done.returncode == 2
    assert "choose by the test faces" in " ".join(done.stderr.split())
    assert not (tmp_path / "runs" / "tune").exists()


@pytest.mark.usefixtures("quick")
def test_a_search_goes_on_as_it_was_begun_or_not_at_all(odnbench: Run, tmp_path: Path) -> None:
    assert odnbench(*TUNE, "--trials", "2", "--confirm", "0").returncode == 0
    before = {path: path.read_bytes() for path in tmp_path.glob("runs/tune/*.json")}
    for changed, differs in {
        ("-s", "seed=1"): "seed was 0, is 1",
        ("--pruner", "none"): "pruner",
        ("--search", "random"): "sampler",
        ("-s", "rendered_train=30"): "data.rendered_train was 24, is 30",
        ("--space", "architecture"): "space.name",
        ("--seed", "4"): "settings.seed was 3, is 4",
    }.items():
        done = odnbench(*TUNE, *changed, "--trials", "2")
        assert done.returncode == 2, changed
        assert differs in done.stderr and "--name NAME" in done.stderr
    assert before == {path: path.read_bytes() for path in tmp_path.glob("runs/tune/*.json")}
    other = odnbench(*TUNE, "-s", "seed=1", "--trials", "2", "--confirm", "0", "--name", "tune-1")
    assert other.returncode == 0, other.stderr
    assert record_of(tmp_path, "tune-1").points != record_of(tmp_path).points
    run = odnbench("run", "tune", *SMALL)
    assert run.returncode == 2
    assert "holds a search" in run.stderr
    assert before == {path: path.read_bytes() for path in tmp_path.glob("runs/tune/*.json")}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("parameters = []", "names nothing to search"),
        ("trials = 0", "trials must be at least 1"),
        ("trials = -3", "trials must be at least 1"),
        ('parameters = ["eta", "eta"]', "'eta' is named twice"),
        ('parameters = ["eta", "loss.eta"]', "is named twice"),
        ('parameters = ["etta"]', "did you mean"),
        ('space = "weigths"', "did you mean"),
        ('space = "nowhere.toml"', "nowhere.toml"),
    ],
)
def test_a_search_table_that_cannot_be_searched(
    odnbench: Run, tmp_path: Path, table: str, message: str
) -> None:
    (tmp_path / "mine.toml").write_text(
        f'title = "Mine"\nreference = "odn"\ncolumns = ["300w/common"]\n[search]\n{table}\n'
    )
    done = odnbench("tune", "mine.toml", *SMALL)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("parameters = {}", "has no parameters"),
        ("parameters = { eta = { low = 1, high = 0 } }", "low must be below high"),
        ("parameters = { eta = { low = 1 } }", "needs both 'low' and 'high'"),
        ("parameters = { eta = { low = 0, high = 1, scale = 'log' } }", "above 0"),
        ("parameters = { epochs = { low = 1.5, high = 3 } }", "expected a whole number"),
        ("parameters = { optimizer = { choices = ['adam', 'adm'] } }", "adm"),
        ("parameters = { optimizer = {} }", "needs 'choices'"),
        ("parameters = { geometry = { choices = ['gm', 'dm'] } }", "is for the slot"),
        ("parameters = { seed = { low = 0, high = 9 } }", "cannot be searched"),
        ("parameters = { batch_size = { choices = [4, 16] } }", "the space does not have"),
        ("parameters = { eta = { when = { geometry = ['gm'] } } }", "stands before it"),
        ("parameters = { learning_rate = { low = -1, high = 1 } }", "learning_rate"),
        ("parameters = { alpha = {}, 'loss.alpha' = {} }", "is named twice"),
        ("parameters = { alpha = { lowest = 1 } }", "lowest"),
    ],
)
def test_a_space_that_cannot_be_searched(
    odnbench: Run, tmp_path: Path, space: str, message: str
) -> None:
    (tmp_path / "space.toml").write_text(f'title = "Mine"\n{space}\n')
    done = odnbench("tune", "--space", "space.toml", *SMALL)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-s", "variant=brnet"), "beta has nothing to act on in variant brnet"),
        (("-s", "variant=odn,brnet"), "one combination"),
        (("-s", "variant=mean-shape"), "is not trained"),
        (("--time-budget", "soon"), "--time-budget: expected a time"),
        (("--time-budget", "0h"), "--time-budget: expected a time"),
        (("--objective", "nme", "--objective", "ms", "--pruner", "median"), "--pruner none"),
        (("--search", "cmaes", "--objective", "nme", "--objective", "ms"), "one objective"),
        (("--search", "grid", "--trials", "5"), "the grid has 3126 points"),
        (("--prune-from", "1.5"), "prune_from must be between 0 and 1"),
        (("--name", "../up"), "the name of a pipeline"),
        (("--study", "nowhere"), "no address of a database"),
        (("--study", "sqlite:////nowhere/at/all.db"), "cannot be kept at"),
    ],
)
@pytest.mark.usefixtures("quick")
def test_a_search_that_cannot_be_made_is_told_in_a_line(
    odnbench: Run, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    small = [text for text in SMALL if "mean-shape" not in arguments[-1] or "epochs" not in text]
    if "variant=mean-shape" in arguments:
        small = [*small[:-1]]
    done = odnbench("tune", "--executor", "inline", *small, *arguments)
    assert done.returncode == 2, done.stdout
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("runs/*/*/trial.json"))


@pytest.mark.usefixtures("quick")
def test_modules_are_searched_with_the_weights_that_act_where_they_stand(
    odnbench: Run, tmp_path: Path
) -> None:
    done = odnbench(
        *TUNE, "--space", "architecture", "--search", "random", "--trials", "6", "--confirm", "2",
        "--best", "1",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for point in record_of(tmp_path).points:
        with_map = point.point["model.distillation"] in ("dm", "dm-normalised")
        assert ("loss.eta" in point.point) == with_map
        assert ("loss.beta" in point.point) == (point.point["model.low_rank"] == "lm")


@pytest.mark.usefixtures("quick")
def test_several_objectives_give_a_front(odnbench: Run, tmp_path: Path) -> None:
    done = odnbench(
        *TUNE, "--space", "architecture", "--search", "nsga2", "--objective", "nme",
        "--objective", "params", "--trials", "5", "--confirm", "2", "--best", "1",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    record = record_of(tmp_path)
    for point in record.points:
        folder = TrialFolder(tmp_path / "runs" / "tune" / point.trials[0])
        assert point.values == (
            folder.result.validation_nme_percent, folder.result.parameters / 1e6,
        )  # fmt: skip
    assert odnbench("report").returncode == 0
    assert "Pareto" in (tmp_path / "reports" / "out" / "tune.md").read_text()


@pytest.mark.usefixtures("quick")
def test_repeats_have_seeds_of_their_own_and_their_mean_counts(
    odnbench: Run, tmp_path: Path
) -> None:
    (tmp_path / "short.toml").write_text(SHORT)
    done = odnbench(
        *TUNE, "--space", "short.toml", "--repeats", "2", "--pruner", "none", "--trials", "2",
        "--confirm", "2", "--best", "1",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    record = record_of(tmp_path)
    for point in record.points:
        folders = [TrialFolder(tmp_path / "runs" / "tune" / trial) for trial in point.trials]
        assert [folder.trial.spec.seed for folder in folders] == [0, 1]
        errors = [folder.result.validation_nme_percent for folder in folders]
        assert point.values[0] == pytest.approx(sum(errors) / 2)
    fresh = TrialFolder(tmp_path / "runs" / "tune" / record.candidates[0].trials[0])
    assert fresh.trial.spec.seed == 2


@pytest.mark.usefixtures("quick")
def test_after_its_time_a_search_begins_nothing_and_decides(odnbench: Run, tmp_path: Path) -> None:
    done = odnbench(
        *TUNE, "--trials", "1000", "--time-budget", "3s", "--confirm", "2", "--best", "1"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    record = record_of(tmp_path)
    assert 0 < len(record.points) < 200
    assert record.candidates or len(record.best) < 2


@pytest.mark.usefixtures("quick")
def test_a_torn_journal_is_named_and_costs_what_follows(odnbench: Run, tmp_path: Path) -> None:
    assert odnbench(*TUNE, "--trials", "3", "--confirm", "0").returncode == 0
    journal = tmp_path / "runs" / "tune" / "study.journal"
    points = record_of(tmp_path).points
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]) + lines[-1][: len(lines[-1]) // 2])
    done = odnbench(*TUNE, "--trials", "3", "--confirm", "0")
    assert done.returncode == 0, done.stderr
    assert f"study.journal: line {len(lines)} cannot be read as a study" in done.stdout
    assert record_of(tmp_path).points == points


def test_a_dry_run_tells_the_time_with_and_without_pruning(odnbench: Run, tmp_path: Path) -> None:
    done = odnbench("tune", "--dry-run", *SMALL, "--trials", "7")
    assert done.returncode == 0, done.stderr
    assert "7 that search, 20 that confirm the best 3 points and the defaults" in done.stdout
    assert "without pruning" in done.stdout and "of the epochs" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_a_search_that_is_killed_three_times_comes_to_the_points_of_an_undisturbed_one(
    tmp_path: Path, user_environment: dict[str, str]
) -> None:
    command = [
        sys.executable, "-m", "odnbench", *TUNE, "-s", "epochs=6", "-s", "rendered_train=48",
        "--trials", "9", "--prune-from", "0.3", "--confirm", "2", "--best", "1",
    ]  # fmt: skip
    folders = [tmp_path / name for name in ("undisturbed", "killed")]
    for folder in folders:
        folder.mkdir()
    subprocess.run(command, cwd=folders[0], env=user_environment, check=True, capture_output=True)
    expected = record_of(folders[0])
    runs = folders[1] / "runs" / "tune"
    for kills in range(3):
        process = subprocess.Popen(
            command, cwd=folders[1], env=user_environment, stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 120
        while len(list(runs.glob("*/trial.json"))) < 3 * kills + 2:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, cwd=folders[1], env=user_environment, check=True, capture_output=True)
    found = record_of(folders[1])
    assert found.points == expected.points
    assert found.candidates == expected.candidates
    assert len(found.points) == 9
    assert "pruned" in {point.state for point in found.points}
    names = [json.loads(path.read_text())["state"] for path in runs.glob("*/status.json")]
    assert set(names) <= {"done", "stopped"}
    for point in found.points:
        if point.state == "pruned":
            assert TrialFolder(runs / point.trials[0]).status == ("stopped", PRUNED)
