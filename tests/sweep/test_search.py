"""What a search asks of executors when it cannot go on."""

import dataclasses
import errno
import hashlib
import os
from pathlib import Path

import numpy as np
import optuna
import pytest
from helpers import plan_in

from odnbench.errors import OdnbenchError
from odnbench.plan.conversion import replace_at
from odnbench.plan.entries import Backbone
from odnbench.plan.registry import Registry
from odnbench.results.folder import PRUNED
from odnbench.results.searches import SearchRecord, SearchSettings
from odnbench.sweep.plan import Plan
from odnbench.sweep.points import trial_at
from odnbench.sweep.search import Confirmation, Searching, design_of, searched_pipeline
from odnbench.sweep.study import open_study

TWO_POINTS = """title = "Two points"
[parameters]
learning_rate = { choices = [1e-3, 2e-3] }
"""


def test_on_a_full_disk_nothing_more_begins_and_no_point_has_failed(
    tmp_path: Path, cache: Path
) -> None:
    """Of three points in a space of two, one waits for another one of the same values."""
    space = tmp_path / "space.toml"
    space.write_text(TWO_POINTS)
    plan = plan_in(tmp_path, cache, "learning_rate=1e-3", pipeline="tune")
    plan = dataclasses.replace(plan, pipeline=searched_pipeline(plan.pipeline, str(space), ""))
    design = design_of(plan, SearchSettings("random", "none"), trials=3)
    with open_study(design, plan.file.parent) as study:
        searching = Searching(plan, design, study)
        given = [found for _ in range(3) if (found := searching.next()) is not None]
        assert len(given) in (1, 2) and not searching.is_over
        for asked, trial in given:
            full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            searching.ended(asked, trial, "failed", f"OSError: {full}")
        assert searching.next() is None and searching.is_over
        assert "No space left on device" in study.fault
    record = SearchRecord.load(plan.file.parent)
    assert [point.state for point in record.points] == ["running"] * 3
    with open_study(design, plan.file.parent) as study:
        assert Searching(plan, design, study).next() == given[0]


def test_defaults_that_were_pruned_are_confirmed_against(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_in(tmp_path, cache, "epochs=3", pipeline="tune")
    plan = dataclasses.replace(plan, pipeline=searched_pipeline(plan.pipeline, "", ""))
    design = design_of(plan, SearchSettings("random"), trials=2)
    monkeypatch.setattr(optuna.Trial, "should_prune", lambda trial: trial.number == 0)
    with open_study(design, plan.file.parent) as study:
        searching = Searching(plan, design, study)
        for _ in range(2):
            found = searching.next()
            assert found is not None
            asked, trial = found
            if study.report(asked, [3.0]):
                searching.ended(asked, trial, "stopped", PRUNED)
            else:
                study.complete(asked, [2.0], [3.0, 2.5, 2.0])
        assert [point.state for point in study.points] == ["pruned", "complete"]
        again = searching.confirm(Confirmation(points=1, seeds=2))
        assert len(again) == len({trial.id for trial in again}) == 4
        record = searching.record()
    assert [candidate.number for candidate in record.candidates] == [0, 1]


def test_files_and_urls_among_the_choices_are_brought_to_every_worker(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, finished: Plan
) -> None:
    registry = Registry.load()
    file, remote, teacher = (
        tmp_path / "start.npz", tmp_path / "other.npz", finished.folder(finished.trials[1])
    )  # fmt: skip
    for path in (file, remote):
        slim = registry.build(Backbone, "resnet18-slim", attach="layer4", pretrained="none")
        np.savez(path, **{name: own.numpy() for name, own in slim.state_dict().items()})
    sha256 = hashlib.sha256(remote.read_bytes()).hexdigest()
    monkeypatch.setattr("odnbench.files.download.urlopen", lambda *_, **__: remote.open("rb"))
    space = tmp_path / "space.toml"
    space.write_text(f"""title = "Where training starts"
[parameters]
pretrained = {{ choices = ["none", "start.npz", "https://host/there.npz#sha256={sha256}"] }}
teacher = {{ choices = ["", "{teacher.path.name}"], when = {{ pretrained = ["start.npz"] }} }}
""")
    monkeypatch.chdir(tmp_path)
    (tmp_path / teacher.path.name).symlink_to(teacher.path)
    plan = plan_in(tmp_path, cache, "pretrained=start.npz", "variant=brnet", pipeline="tune")
    plan = dataclasses.replace(plan, pipeline=searched_pipeline(plan.pipeline, str(space), ""))
    design = design_of(plan, SearchSettings("grid", "none"))
    downloaded = cache / "weights" / sha256 / "there.npz"
    start = design.space.parameters["model.pretrained"].choices
    assert start == ("none", str(file), str(downloaded))
    assert design.defaults == {"model.pretrained": str(file), "train.teacher": ""}
    files = {teacher.path / "trial.json", teacher.checkpoint, file, downloaded}
    assert plan.weights_files == set(map(str, files))
    with open_study(design, plan.file.parent) as study:
        searching = Searching(plan, design, study)
        monkeypatch.chdir(cache)  # a worker stands in another folder
        trials = [found[1] for _ in range(4) if (found := searching.next()) is not None]
    assert {trial.spec.model.pretrained for trial in trials} == set(start)
    assert {trial.spec.train.teacher for trial in trials} == {"", str(teacher.path)}


def test_a_design_does_not_speak_of_what_came_later_unless_it_is_set(
    tmp_path: Path, cache: Path
) -> None:
    """So that a search goes on that was begun before there were such fields."""
    space = tmp_path / "space.toml"
    space.write_text(TWO_POINTS)
    spoken = []
    for name, overrides in (("plain", ()), ("averaged", ("ema=0.9",))):
        plan = plan_in(tmp_path / name, cache, "learning_rate=1e-3", *overrides, pipeline="tune")
        plan = dataclasses.replace(plan, pipeline=searched_pipeline(plan.pipeline, str(space), ""))
        spoken.append(design_of(plan, SearchSettings("random", "none"), trials=3).spec)
    plain, averaged = spoken
    assert averaged == {**plain, "train.ema": 0.9}
    assert not {"train.clip", "data.flip_test", "augment.strength", "train.ema"} & plain.keys()


def test_a_worker_need_not_have_the_files_that_an_id_covers(tmp_path: Path, cache: Path) -> None:
    plan = plan_in(tmp_path, cache, "variant=odn")
    elsewhere = replace_at(plan.trials[0].spec, "model.pretrained", str(tmp_path / "weights.npz"))
    base = dataclasses.replace(plan.trials[0], spec=elsewhere)
    point = {"train.learning_rate": 2e-3}
    assert trial_at(base, plan.registry, point, identity="known").id == "known"
    with pytest.raises(OdnbenchError, match="is not there"):
        trial_at(base, plan.registry, point)


@pytest.mark.parametrize("strength", [0.0, 0.5])
def test_the_defaults_of_a_space_that_names_an_effect_are_those_of_the_pipeline(
    tmp_path: Path, cache: Path, strength: float
) -> None:
    """Also where the pipeline gives all effects their amounts in one number."""
    space = tmp_path / "space.toml"
    space.write_text(
        'title = "Two effects"\nparameters = { blur = { low = 0.0, high = 1.0 }, '
        "shear_deg = { low = 0.0, high = 20.0 } }\n"
    )
    plan = plan_in(tmp_path, cache, f"strength={strength}", pipeline="tune")
    plan = dataclasses.replace(plan, pipeline=searched_pipeline(plan.pipeline, str(space), ""))
    design = design_of(plan, SearchSettings("random", "none"), trials=3)
    (base,) = plan.trials
    trial = trial_at(base, plan.registry, design.defaults)
    assert trial.id == base.id and trial.title.endswith(" (defaults)")
    other = trial_at(base, plan.registry, {**design.defaults, "augment.blur": 0.9})
    assert other.id != base.id and "(defaults)" not in other.title
