"""Results behind a URI: what is pushed and pulled, and what holds when either is broken off."""

import dataclasses
import itertools
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import Run, plan_in
from made_results import page_of

from odnbench.errors import OdnbenchError
from odnbench.plan.trials import Trial
from odnbench.reports.read import read_report
from odnbench.results.folder import TrialFolder
from odnbench.results.observers import Observer
from odnbench.results.plans import plan_files
from odnbench.results.records import Epoch, State
from odnbench.results.status import read_status
from odnbench.storage import mirror
from odnbench.storage.mirror import StorageMirror
from odnbench.storage.place import ResultStore, open_storage
from odnbench.sweep.inline import run_inline
from odnbench.sweep.plan import Plan
from odnbench.sweep.run import Outcome, run

FILES = (
    "README.md", "checkpoint.safetensors", "done", "examples.jpg", "metrics.jsonl",
    "predictions-pasted.parquet", "predictions.parquet", "result.json", "status.json", "trial.json",
)  # fmt: skip


class Machine:
    """A machine with a cache of its own: it has nothing in common with others but the URI."""

    def __init__(self, folder: Path, uri: str, faces: Path):
        self.folder, self.faces = folder, faces
        self.told: list[str] = []
        self.storage = open_storage(uri, folder)

    def plan(self, *overrides: str) -> Plan:
        return plan_in(self.storage.folder, self.faces, *overrides)

    def sweep(self, plan: Plan, *observers: Observer) -> tuple[Outcome, bool]:
        """How it ended, and whether all is pushed."""
        with StorageMirror(self.storage, "ablation", self.told.append) as copies:
            outcome = run(plan, run_inline, [copies, *observers])
        return outcome, copies.complete


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """The folder behind the URI."""
    return tmp_path / "remote"


@pytest.fixture
def machine(tmp_path: Path, remote: Path, cache: Path) -> Callable[[str], Machine]:
    return lambda name: Machine(tmp_path / name, remote.as_uri(), cache)


class Events(Observer):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def epoch_ended(self, trial: Trial, epoch: Epoch) -> None:
        self.seen.append(f"{trial.spec.variant} {epoch.epoch}")

    def ended(self, trial: Trial, folder: TrialFolder, state: State, reason: str) -> None:
        self.seen.append(f"{trial.spec.variant} {reason or state}")


class Interrupt(Observer):
    def __init__(self, variant: str, epoch: int):
        self.at = variant, epoch

    def epoch_ended(self, trial: Trial, epoch: Epoch) -> None:
        if (trial.spec.variant, epoch.epoch) == self.at:
            raise KeyboardInterrupt


class Flaky:
    """A file system of which every call that `fails` says so raises."""

    def __init__(self, remote: Any, fails: Callable[[str, str], bool]):
        self.remote, self.fails, self.type_name = remote, fails, remote.type_name

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            if self.fails(name, str(arguments[0])):
                raise OSError("the line is dead")
            return getattr(self.remote, name)(*arguments, **options)

        return call


def flaky(machine: Machine, fails: Callable[[str, str], bool]) -> None:
    good = machine.storage
    machine.storage = ResultStore(good.folder, good.uri, Flaky(good.remote, fails), good.base)


def names(folder: Path) -> list[str]:
    """What is there, besides the locks of MLflow's store."""
    found = (path.name for path in folder.iterdir())
    return sorted(name for name in found if not name.startswith(".mlflow"))


def assert_same_bits(ours: Path, theirs: Path) -> None:
    for name in ("predictions.parquet", "checkpoint.safetensors"):
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name
    losses = [[epoch.loss for epoch in TrialFolder(f).epochs] for f in (ours, theirs)]
    assert losses[0] == losses[1]


def test_a_folder_is_worked_on_where_it_is(tmp_path: Path, cache: Path) -> None:
    storage = open_storage(str(tmp_path / "runs"), tmp_path / "cache")
    assert storage == ResultStore(tmp_path / "runs")
    storage.pull()
    plan = plan_in(storage.folder, cache, "variant=mean-shape")
    with StorageMirror(storage, "ablation") as copies:
        assert run(plan, run_inline, [copies]).complete
    assert copies.complete
    assert names(tmp_path) == ["runs"]


@pytest.mark.slow
def test_another_machine_reports_and_reuses_what_is_behind_the_uri(
    machine: Callable[[str], Machine], remote: Path
) -> None:
    first, second = machine("first"), machine("second")
    plan = first.plan("variant=mean-shape,odn")
    outcome, pushed = first.sweep(plan)
    assert outcome.complete and pushed
    for trial in plan.trials:
        assert names(remote / "ablation" / trial.id) == [*FILES]
    top = names(remote / "ablation")
    assert top == sorted([*(t.id for t in plan.trials), plan.file.name, plan.own_file.name])

    second.storage.pull()
    (plan_file,) = plan_files(second.storage.folder, [])
    report, original = (
        page_of(read_report(file, plan.registry)) for file in (plan_file, plan.file)
    )
    assert report == original

    third, events = machine("third"), Events()
    assert third.sweep(third.plan("variant=mean-shape,odn"), events)[0].complete
    assert events.seen == ["mean-shape reused", "odn reused"]
    for trial in plan.trials:
        assert_same_bits(third.plan().folder(trial).path, plan.folder(trial).path)


def test_a_finished_trial_is_transferred_once(machine: Callable[[str], Machine]) -> None:
    first, second = machine("first"), machine("second")
    first.sweep(first.plan("variant=odn"))
    second.storage.pull()
    touched: list[str] = []
    for one in (first, second):

        def note(call: str, path: str) -> bool:
            if "open" in call:
                touched.append(path)
            return False

        flaky(one, note)
        one.storage.pull(progress=True)
        one.sweep(one.plan("variant=odn"))
        assert any(".lease" in path for path in touched)
        assert not any(name in path for path in touched for name in FILES)
        touched.clear()


def test_what_is_added_to_a_finished_trial_travels_both_ways(
    machine: Callable[[str], Machine], remote: Path
) -> None:
    first, second = machine("first"), machine("second")
    first.sweep(first.plan("variant=mean-shape"))

    def plan(one: Machine, *levels: float) -> Plan:
        found = one.plan("variant=mean-shape")
        pipeline = dataclasses.replace(found.pipeline, disturbances={"scale": (0.0, *levels)})
        return dataclasses.replace(found, pipeline=pipeline)

    def added(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.glob("ablation/*/disturbed-*")}

    second.storage.pull()
    assert second.sweep(plan(second, 0.1))[1]
    assert len(added(remote)) == 1
    first.storage.pull()
    assert added(first.storage.folder) == added(remote)
    # Each adds a level of its own before it knows of the other's.
    assert run(plan(second, 0.1, 0.2), run_inline, []).complete
    assert first.sweep(plan(first, 0.05, 0.1))[1]
    second.storage.pull()
    assert second.sweep(plan(second, 0.1, 0.2))[1]
    first.storage.pull()
    assert len(added(remote)) == 3
    assert added(first.storage.folder) == added(second.storage.folder) == added(remote)


@pytest.mark.slow
def test_an_unfinished_trial_goes_on_elsewhere_to_the_same_bits(
    machine: Callable[[str], Machine], tmp_path: Path, cache: Path, remote: Path
) -> None:
    overrides = ("variant=odn", "train.epochs=6")
    whole = plan_in(tmp_path / "whole", cache, *overrides)
    run(whole, run_inline, [])
    (trial,) = whole.trials

    first, second, events = machine("first"), machine("second"), Events()
    outcome, pushed = first.sweep(first.plan(*overrides), Interrupt("odn", 3))
    assert (outcome.complete, pushed) == (False, True)
    there = TrialFolder(remote / "ablation" / trial.id)
    assert there.progress.is_file() and not there.finished
    begun = there.epochs[0].seconds

    assert second.sweep(second.plan(*overrides), events)[0].complete
    assert len(events.seen) < 7  # it did not begin anew
    assert there.epochs[0].seconds == begun
    assert names(there.path) == [*FILES]
    assert_same_bits(there.path, whole.folder(trial).path)

    first.storage.pull()  # its own copy is older
    assert_same_bits(first.plan().folder(trial).path, whole.folder(trial).path)
    assert names(first.plan().folder(trial).path) == [*FILES]


def test_what_could_not_be_pushed_is_not_overwritten_by_what_is_older(
    machine: Callable[[str], Machine],
) -> None:
    one = machine("one")
    plan = one.plan("variant=odn", "train.epochs=6")
    folder = plan.folder(plan.trials[0])
    one.sweep(plan, Interrupt("odn", 2))
    good = one.storage
    run(plan, run_inline, [Interrupt("odn", 4)])  # as if nothing of this arrived
    before = [epoch.seconds for epoch in folder.epochs]
    good.pull(progress=True)
    assert [epoch.seconds for epoch in folder.epochs] == before


@pytest.mark.slow
def test_the_marker_arrives_last_wherever_a_push_is_broken_off(
    machine: Callable[[str], Machine], remote: Path
) -> None:
    one = machine("one")
    plan = one.plan("variant=odn")
    (trial,) = plan.trials
    run(plan, run_inline, [])
    good = one.storage
    for allowed in range(1, 200):
        shutil.rmtree(remote, ignore_errors=True)
        one.told.clear()
        calls = itertools.count()
        one.storage = good
        flaky(one, lambda call, path, calls=calls, allowed=allowed: next(calls) >= allowed)
        try:
            pushed = one.sweep(plan)[1]
        except OdnbenchError:  # at the beginning
            assert not (remote / "ablation" / trial.id).exists()
            continue
        there = remote / "ablation" / trial.id
        assert not (there / "done").exists() or names(there) == [*FILES]
        if pushed:
            break
        assert "the line is dead" in one.told[-1]
        assert f"Results lie in {plan.file.parent}; the same command pushes them" in one.told[-1]
    assert allowed > len(FILES)
    assert names(there) == [*FILES]


def test_half_a_finished_trial_is_not_taken_for_one_where_a_pull_is_broken_off(
    machine: Callable[[str], Machine],
) -> None:
    first, second = machine("first"), machine("second")
    plan = first.plan("variant=odn")
    first.sweep(plan)
    good = second.storage
    folder = second.plan("variant=odn").folder(plan.trials[0])
    for name in FILES:
        second.storage = good
        flaky(second, lambda call, path, name=name: "open" in call and path.endswith(f"/{name}"))
        with pytest.raises(OdnbenchError, match="the line is dead"):
            second.storage.pull()
        assert not folder.finished
    good.pull()
    assert names(folder.path) == [*FILES]


@pytest.mark.slow
def test_a_lost_connection_is_told_once_and_does_not_stop_the_sweep(
    machine: Callable[[str], Machine], remote: Path
) -> None:
    one, lost = machine("one"), [False]
    flaky(one, lambda call, path: lost[0])
    plan = one.plan("variant=brnet,odn")

    class Cut(Observer):
        def started(self, trial: Trial) -> None:
            lost[0] = True

        def epoch_ended(self, trial: Trial, epoch: Epoch) -> None:
            time.sleep(0.1)  # for the pushing thread

        def ended(self, trial: Trial, folder: TrialFolder, state: State, reason: str) -> None:
            lost[0] = trial.spec.variant == "brnet"

    outcome, pushed = one.sweep(plan, Cut())
    assert outcome.complete and pushed
    assert len([text for text in one.told if "the line is dead" in text]) == 1
    assert "all results are there" in one.told[-1]
    assert all(names(remote / "ablation" / trial.id) == [*FILES] for trial in plan.trials)


def test_a_failed_trial_leaves_nothing_there_that_it_does_not_have_here(
    machine: Callable[[str], Machine], remote: Path
) -> None:
    one = machine("one")
    plan = one.plan("variant=odn", "train.epochs=4")
    (trial,) = plan.trials
    one.sweep(plan, Interrupt("odn", 2))
    there = remote / "ablation" / trial.id
    assert (there / "progress.pt").is_file()
    plan.folder(trial).forget_progress()
    plan.folder(trial).set_status("failed", "for a reason")
    with StorageMirror(one.storage, "ablation"):
        pass
    assert not (there / "progress.pt").exists()
    assert TrialFolder(there).status == ("failed", "for a reason")


def test_two_machines_do_not_sweep_into_one_place_at_once(
    machine: Callable[[str], Machine], remote: Path
) -> None:
    first, second = machine("first"), machine("second")
    lease = remote / "ablation" / ".lease"
    with StorageMirror(first.storage, "ablation"):
        assert second.storage.sweeping_elsewhere("ablation")
        with pytest.raises(OdnbenchError, match=r"another sweep is at work in file://.*--storage"):
            second.sweep(second.plan("variant=mean-shape"))
        assert json.loads(lease.read_text())["folder"].startswith(str(first.folder))
    assert not lease.exists()
    assert second.sweep(second.plan("variant=mean-shape"))[1]


def test_the_lease_of_a_machine_that_died_ends(
    machine: Callable[[str], Machine], remote: Path
) -> None:
    first, second = machine("first"), machine("second")
    killed = StorageMirror(first.storage, "ablation")
    killed.__enter__()
    with pytest.raises(OdnbenchError, match="if it was killed: 2 minutes"):
        second.sweep(second.plan("variant=mean-shape"))
    now = time.time()
    os.utime(remote / "ablation" / ".lease", (now - 121, now - 121))
    assert second.sweep(second.plan("variant=mean-shape"))[1]


def test_results_that_another_machine_sweeps_into_are_left_to_it(
    machine: Callable[[str], Machine], remote: Path, odnbench: Run
) -> None:
    first = machine("first")
    first.sweep(first.plan("variant=mean-shape"))
    command = ("sync", "--storage", remote.as_uri())
    with StorageMirror(first.storage, "ablation"):
        done = odnbench(*command)
        assert done.returncode == 0, done.stderr
        assert "another machine sweeps into" in done.stdout and "delivered" not in done.stdout
    assert "trials delivered: 1" in odnbench(*command).stdout


def test_a_machine_that_was_away_leaves_the_place_to_the_one_that_has_gone_on(
    machine: Callable[[str], Machine], remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = machine("first"), machine("second")
    lease, said = remote / "ablation" / ".lease", list[str]()
    with StorageMirror(first.storage, "ablation", said.append) as away:
        now = time.time()
        os.utime(lease, (now - 121, now - 121))  # its network was cut
        with StorageMirror(second.storage, "ablation"):
            held = lease.read_text()
            plan = first.plan("variant=mean-shape")
            assert run(plan, run_inline, [away]).complete
            away.__exit__(None, None, None)
            assert lease.read_text() == held
            assert not list(remote.glob("ablation/*/trial.json"))
    assert not away.complete
    assert len(said) == 1 and "has gone on in" in said[0] and str(first.folder) in said[0]
    assert second.sweep(second.plan("variant=mean-shape"))[1]


def test_the_lease_is_kept_while_much_is_copied(
    machine: Callable[[str], Machine], remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "RENEWAL_SECONDS", 0.02)
    one, lease = machine("one"), remote / "ablation" / ".lease"
    taken: list[int] = []

    def pull_long(*_: object, **__: object) -> None:
        taken.append(lease.stat().st_mtime_ns)
        deadline = time.monotonic() + 60
        while lease.stat().st_mtime_ns == taken[0]:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    monkeypatch.setattr(type(one.storage), "pull", pull_long)
    with StorageMirror(one.storage, "ablation"):
        pass
    assert taken and not lease.exists()


@pytest.mark.slow
def test_a_sweep_elsewhere_is_seen_in_the_status(machine: Callable[[str], Machine]) -> None:
    first, second = machine("first"), machine("second")
    plan = first.plan("variant=odn", "train.epochs=4")
    first.sweep(plan, Interrupt("odn", 2))
    plan.folder(plan.trials[0]).set_status("running")
    with StorageMirror(first.storage, "ablation"):
        pass
    second.storage.pull()
    assert not (second.plan().folder(plan.trials[0]).progress).exists()  # only to go on
    file = second.storage.folder / "ablation" / "plan.json"
    assert [trial.state for trial in read_status(file).trials] == ["interrupted"]
    assert [t.state for t in read_status(file, elsewhere=True).trials] == ["running"]
    second.storage.pull(progress=True)
    assert second.plan().folder(plan.trials[0]).progress.exists()


def test_names_of_files_in_the_store_lead_nowhere_else(
    machine: Callable[[str], Machine], remote: Path
) -> None:
    one = machine("one")
    for name in ("x/.hidden", "x/y/deep", "notes.txt"):
        (remote / "ablation" / name).parent.mkdir(parents=True, exist_ok=True)
        (remote / "ablation" / name).touch()
    one.storage.pull()
    assert [path for path in one.folder.rglob("*") if path.name[0] != "." and path.is_file()] == []


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("s4://bucket/runs", "Unrecognized filesystem type.*give a folder, or a URI"),
        ("s3://", "it names no bucket"),
        ("s3://me:secret@", "it names no bucket"),
        ("s4://me:a/secret@bucket/runs", "s4://bucket/runs.*give a folder, or a URI"),
        ("s4://me:a@secret@bucket/runs", "s4://bucket/runs.*give a folder, or a URI"),
        ("s4://bucket/runs?sv=1&sig=secret", r"s4://bucket/runs\?sv=1&sig=…: Unrecognized"),
        ("s4://bucket/runs?AWS_Secret_Key=secret&x=1", "Key=…&x=1: Unrecognized"),
        ("file://host/runs", "Unsupported hostname"),
        pytest.param(
            "s3://me:secret@bucket/runs?endpoint_override=127.0.0.1:9&scheme=http&region=x",
            "s3://bucket/runs.* cannot be used: .*; credentials are taken from the environment",
            marks=pytest.mark.slow,  # it is tried for a while
        ),
    ],
)
def test_a_uri_that_cannot_be_used_is_told_in_a_line(tmp_path: Path, uri: str, told: str) -> None:
    with pytest.raises(OdnbenchError, match=told) as error:
        open_storage(uri, tmp_path)
    assert "secret" not in str(error.value) and "\n" not in str(error.value)


def test_a_store_that_cannot_be_written_is_told_before_anything_is_trained(
    machine: Callable[[str], Machine],
) -> None:
    one = machine("one")
    flaky(one, lambda call, path: call == "open_output_stream")
    plan = one.plan("variant=odn")
    with pytest.raises(OdnbenchError, match="cannot be used: the line is dead"):
        one.sweep(plan)
    assert not plan.folder(plan.trials[0]).path.exists()


@pytest.mark.slow
def test_the_commands_take_a_uri(odnbench: Run, tmp_path: Path) -> None:
    uri = (tmp_path / "remote").as_uri()
    tiny = ["-s", "variant=mean-shape", "-s", "rendered_train=24", "-s", "rendered_test=6"]
    nothing = odnbench("report", "--storage", uri)
    assert nothing.returncode == 2
    assert f"no results below {uri}" in nothing.stderr
    done = odnbench("run", "ablation", *tiny, "--executor", "inline", "--storage", uri)
    assert done.returncode == 0, done.stderr
    assert f"results    {uri}, by way of " in done.stdout
    for command in ("report", "status", "sync"):
        done = odnbench(command, "--storage", uri)
        assert done.returncode == 0, done.stderr
    assert names(tmp_path) == ["mlflow.db", "mlruns", "remote", "reports"]
