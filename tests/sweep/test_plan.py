"""Plans and executors, over tiny rendered faces."""

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from helpers import TINY, plan_in

from odnbench.engine.fit import shapes_of
from odnbench.engine.training import build_network
from odnbench.errors import OdnbenchError
from odnbench.plan.entries import Backbone
from odnbench.plan.pipelines import load_pipeline, resolve
from odnbench.plan.reference import FIRST_OF_SEVERAL, NOT_COMPARED, Reference
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Coverage
from odnbench.sweep.inline import run_inline
from odnbench.sweep.plan import Places, Plan, make_plan
from odnbench.sweep.run import run


def test_a_plan_without_data_says_that_faces_are_rendered(tmp_path: Path, cache: Path) -> None:
    plan = plan_in(tmp_path, cache)
    assert len(plan.trials) == 11  # ten variants and the mean shape
    assert any("300w is not on this machine" in note for note in plan.notes)
    assert all(trial.rendered for trial in plan.trials)
    assert {str(c) for c in plan.trials[0].coverage} == {"rendered, 24 faces", "rendered, 6 faces"}


def test_a_plan_that_has_changed_says_so_and_reuses_what_it_can(
    finished: Plan, cache: Path
) -> None:
    storage = finished.storage
    assert not plan_in(storage, cache, "variant=mean-shape,brnet,odn").change
    other = plan_in(storage, cache, "variant=brnet,odn", "seed=0,1")
    assert "2 of its 3 trials are in this one, 2 are new" in other.change
    assert [plan_in(storage, cache, "variant=odn").folder(t).finished for t in other.trials] == [
        True, False, True, False,
    ]  # fmt: skip


def test_the_content_id_follows_the_numbers_and_nothing_else(tmp_path: Path, cache: Path) -> None:
    def identity(*overrides: str, storage: Path = tmp_path) -> str:
        return plan_in(storage, cache, "variant=odn", *overrides).trials[0].id

    assert identity() == identity(storage=tmp_path / "elsewhere")
    assert identity() != identity("loss.beta=1e-5")
    assert identity() != identity("seed=1")
    assert identity() != identity("data.rendered_test=7")


def test_a_plan_keeps_what_its_first_row_is_as_the_reference(tmp_path: Path, cache: Path) -> None:
    pipeline = load_pipeline("ingredients")
    plan = make_plan(pipeline, Registry.load(), Places(tmp_path, cache), overrides=TINY)
    assert isinstance(plan.pipeline.reference, Mapping)
    reference = Reference(plan.pipeline.reference, plan.registry)
    rows = reference.rows([trial.spec for trial in plan.trials])
    assert rows == [plan.trials[0].spec]
    assert not [note for note in plan.notes if note.startswith(NOT_COMPARED)]


def test_a_plan_says_which_of_several_rows_others_are_compared_with(
    tmp_path: Path, cache: Path
) -> None:
    plan = plan_in(tmp_path, cache, "variant=cut,odn", "eta=0,1e-3")
    (told,) = [note for note in plan.notes if note.startswith(FIRST_OF_SEVERAL)]
    assert told == (
        f'{FIRST_OF_SEVERAL}of the rows with variant = "odn", that with variant = "odn", '
        '"loss.eta" = 0.0'
    )
    assert plan.pipeline.reference == {"variant": "odn", "loss.eta": 0.0}


def test_a_plan_tells_how_many_faces_a_share_is(tmp_path: Path, cache: Path) -> None:
    plan = plan_in(tmp_path, cache, "variant=odn", "train_fraction=0.5,1")
    told = [note for note in plan.notes if note.startswith("data.train_fraction")]
    assert told == [
        "data.train_fraction 0.5: 11 of the 22 faces of 300w/train that are not validated on are "
        "trained on"
    ]
    assert plan_in(tmp_path, cache, "variant=odn").trials[0].id == plan.trials[1].id


def test_a_plan_tells_which_weights_act_on_nothing(tmp_path: Path, cache: Path) -> None:
    def told(*overrides: str) -> list[str]:
        return plan_in(tmp_path, cache, *overrides).idle_weights

    assert told("variant=cut,gm", "zeta=1", "occluders=0.5", "beta=0.1") == [
        f"loss.{name} has nothing to act on in cut, gm" for name in ("beta", "zeta")
    ]
    assert not told("variant=cut,dm", "zeta=1", "occluders=0.5")
    assert not told("variant=cut")
    assert not told("variant=odn", "distillation=dm,none", "eta=0.1")


def test_a_weights_file_is_found_from_any_folder(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray's workers do not stand in the folder in which the command was given."""
    monkeypatch.chdir(tmp_path)
    registry = Registry.load()
    slim = registry.build(Backbone, "resnet18-slim", attach="layer4", pretrained="none")
    np.savez("start.npz", **{name: own.numpy() for name, own in slim.state_dict().items()})
    overrides = ("variant=brnet", "model.pretrained=start.npz", "train.epochs=1")
    plan = plan_in(tmp_path / "runs", cache, *overrides)
    assert plan.trials[0].spec.model.pretrained == str(tmp_path / "start.npz")
    monkeypatch.chdir(cache)
    assert run(plan, run_inline, []).complete


def test_a_teacher_is_found_from_any_folder_and_told(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, finished: Plan
) -> None:
    teacher = finished.folder(finished.trials[1])
    monkeypatch.chdir(teacher.path.parent)
    overrides = ("variant=brnet", f"teacher={teacher.path.name}", "train.epochs=1")
    plan = plan_in(tmp_path / "runs", cache, *overrides)
    assert plan.trials[0].spec.train.teacher == str(teacher.path)
    assert plan.weights_files == {str(teacher.path / "trial.json"), str(teacher.checkpoint)}
    assert f"teacher {teacher.path.name} (BRNet): trained on the same faces" in plan.notes
    other = plan_in(tmp_path / "runs", cache, *overrides, "data.rendered_test=7")
    assert any("it may have seen test faces" in note for note in other.notes)
    monkeypatch.chdir(cache)
    assert run(plan, run_inline, []).complete


def test_weights_behind_a_url_have_the_id_of_the_same_file(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry.load()
    slim = registry.build(Backbone, "resnet18-slim", attach="layer4", pretrained="none")
    file = tmp_path / "start.npz"
    np.savez(file, **{name: own.numpy() for name, own in slim.state_dict().items()})
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    asked = []

    def urlopen(url: str, **_: object) -> BinaryIO:
        asked.append(url)
        return file.open("rb")

    monkeypatch.setattr("odnbench.files.download.urlopen", urlopen)
    url = f"https://host/start.npz#sha256={sha256.upper()}"
    plans = [
        plan_in(tmp_path / "runs", cache, "variant=brnet", f"pretrained={pretrained}")
        for pretrained in (url, url, str(file))
    ]
    assert asked == ["https://host/start.npz"]
    assert len({plan.trials[0].id for plan in plans}) == 1
    kept = str(cache / "weights" / sha256 / "start.npz")
    assert plans[0].trials[0].spec.model.pretrained == kept
    assert plans[0].weights_files == {kept}  # which go to the workers


def test_a_url_without_checksum_is_refused(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(OdnbenchError, match=r"as https://host/a.npz#sha256=HEX with 64 hex digits"):
        plan_in(tmp_path, cache, "variant=brnet", "pretrained=https://host/a.npz")


def test_trials_that_differ_in_a_weight_are_told_apart_by_their_titles(
    tmp_path: Path, cache: Path
) -> None:
    pipeline = dataclasses.replace(
        load_pipeline("ablation"), axes={"variant": ["odn"], "loss.eta": [0.0, 1e-6]}
    )
    plan = make_plan(pipeline, Registry.load(), Places(tmp_path, cache), overrides=TINY)
    assert len({trial.title for trial in plan.trials}) == 2


def test_what_no_column_shows_is_told(tmp_path: Path, cache: Path) -> None:
    plan = plan_in(tmp_path, cache, "variant=brnet", "data.test=300w/common,300w/private")
    assert "300w/private is tested on, but no column of the report shows it" in plan.notes


def test_a_column_is_rendered_where_its_own_faces_are(finished: Plan) -> None:
    trial = finished.trials[0]
    real = Coverage("cofw68/test", 507, 507, False)
    mixed = dataclasses.replace(trial, coverage=(*trial.coverage, real))
    assert mixed.rendered
    assert mixed.tested_on_rendered("300w/common")
    assert not mixed.tested_on_rendered("cofw68/test")


def test_a_plan_says_where_sizes_keep_modules_from_working(tmp_path: Path, cache: Path) -> None:
    small = plan_in(tmp_path, cache, "variant=brnet,cut,odn")  # 32 px: Z is 2×2
    assert {limit[:25]: variants for limit, variants in small.limits.items()} == {
        "the feature map Z is 2×2,": ["cut", "odn"],  # BRNet averages its map to a vector
        "the structural matrix M i": ["odn"],
    }
    assert any("64×128, not tall" in limit for limit in small.limits)
    assert not plan_in(tmp_path, cache, "variant=brnet,cut,odn", "input_size=96").limits


def test_a_finished_trial_keeps_its_limits(finished: Plan, cache: Path) -> None:
    again = plan_in(finished.storage, cache, "variant=mean-shape,brnet,odn")
    assert not again.footprints and again.limits == finished.limits != {}


def test_the_shipped_settings_leave_the_modules_room() -> None:
    """Whatever variant is trained, rendered faces and real ones on two cores have no limit."""
    registry = Registry.load()
    for settings in ("laptop", "two-cores", ""):
        specs = resolve(
            load_pipeline("ablation"), registry, overrides=["pretrained=none"], settings=settings
        )
        for spec in specs:
            assert not shapes_of(build_network(spec, registry, 68)).limits, spec.variant
