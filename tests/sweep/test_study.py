"""The study of a search: what it proposes, what it learns, and what it keeps on disk."""

import dataclasses
import itertools
import json
from collections import Counter
from pathlib import Path

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend
from searches import (
    EPOCHS,
    FAMILIES,
    PLANE,
    branin,
    curve,
    design,
    families,
    opened,
    run,
    train,
)

from odnbench.errors import OdnbenchError
from odnbench.plan.spaces import Parameter, Space
from odnbench.results.plans import STUDY
from odnbench.results.searches import REDUCTION, SAMPLERS, SearchSettings
from odnbench.sweep.study import grid


def kept(folder: Path) -> list[optuna.trial.FrozenTrial]:
    """What Optuna itself reads from the file."""
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(folder / STUDY)))
    return optuna.load_study(study_name="made", storage=storage).trials


def test_the_first_point_are_the_defaults_and_there_are_as_many_as_were_asked_for(
    tmp_path: Path,
) -> None:
    settings = SearchSettings(pruner="none")
    with opened(tmp_path, design(settings=settings, trials=7)) as study:
        run(study, branin)
        points = study.points
    assert [point.number for point in points] == list(range(7))
    assert points[0].point == {"x": 0.0, "y": 0.0}
    assert points[0].values == (branin(points[0].point),)
    with opened(tmp_path, design(settings=settings, trials=9)) as study:  # it may grow
        run(study, branin)
        assert study.points[:7] == points
        assert len(study.points) == 9


def test_a_stopped_point_is_pruned_with_its_epochs_and_a_failed_one_says_why(
    tmp_path: Path,
) -> None:
    """A value that a stopped trial had come to is not one of a whole trial."""
    with opened(tmp_path, design(trials=12)) as study:
        failing = [study.ask(), study.ask()]
        assert failing[0] is not None and failing[1] is not None
        study.fail(failing[0], "the data term is nan")
        study.complete(failing[1], [float("nan")])
        run(study, branin)
        points = study.points
    states = Counter(point.state for point in points)
    assert states["failed"] == 2 and states["pruned"] and states["complete"]
    assert [point.reason for point in points[:2]] == [
        "the data term is nan", "its objectives are [nan]",
    ]  # fmt: skip
    for point in points[2:]:
        expected = curve(branin(point.point))[: len(point.steps)]
        assert list(point.steps.values()) == pytest.approx(expected)
        assert (len(point.steps) == EPOCHS) == (point.state == "complete")
        assert bool(point.values) == (point.state == "complete")
    by_optuna = Counter(trial.state.name for trial in kept(tmp_path))
    assert by_optuna["FAIL"] == 2 and by_optuna["COMPLETE"] == states["complete"]
    # A pruned point that went on is a trial of its own for Optuna.
    promoted = sum(point.promoted for point in points)
    assert by_optuna["PRUNED"] == states["pruned"] + promoted


def test_no_point_is_stopped_before_the_share_of_its_epochs(tmp_path: Path) -> None:
    settings = SearchSettings(pruner="successive-halving", prune_from=0.5)
    with opened(tmp_path, design(settings=settings, trials=12)) as study:
        run(study, branin)
        lengths = {len(point.steps) for point in study.points}
    assert lengths == {5, EPOCHS}  # a half of nine, rounded up


def test_a_pruned_point_goes_on_when_it_has_turned_out_to_be_among_the_best(
    tmp_path: Path,
) -> None:
    """The second value is worse than the first; four worse ones make it one of the best third."""
    values = iter([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    told: dict[int, float] = {}
    asked_again = []
    with opened(tmp_path, design(trials=6)) as study:
        while (asked := study.ask()) is not None:
            first = asked.number not in told and asked.number < 6
            value = next(values) if first else told[1]
            if not first:
                asked_again.append(asked)
            told[asked.number] = value
            train(study, asked, lambda point, value=value: value)  # type: ignore[misc]
        points = study.points
    assert len(asked_again) == 1
    assert asked_again[0].point == points[1].point
    assert points[1].promoted and points[1].state == "complete"
    assert list(points[1].steps.values()) == pytest.approx(curve(2.0))
    assert [point.state for point in points] == ["complete", "complete", *["pruned"] * 4]
    rung = sorted(point.steps["3"] for point in points)
    going_on = [point.steps["3"] for point in points if point.state == "complete"]
    assert going_on == rung[: len(rung) // REDUCTION]


@pytest.mark.parametrize("sampler", sorted(set(SAMPLERS) - {"grid"}))
def test_points_do_not_depend_on_the_process_that_asks(tmp_path: Path, sampler: str) -> None:
    """A process that is killed leaves its trial to the next one, as it was."""
    of = design(settings=SearchSettings(sampler=sampler, prune_from=1 / 3), trials=14)
    with opened(tmp_path / "undisturbed", of) as study:
        run(study, branin)
        expected = study.points
    for count in itertools.count():
        with opened(tmp_path / "killed", of) as study:
            run(study, branin, count % 3)
            asked = study.ask()
            if asked is None:
                break
            study.begin(asked, f"trial-{asked.number}-0")
            study.report(asked, curve(branin(asked.point))[: count % 4])
    with opened(tmp_path / "killed", of) as study:
        assert study.points == expected
    trials = kept(tmp_path / "killed")
    assert [t.number for t in trials] == list(range(len(trials)))
    assert len(trials) == len(kept(tmp_path / "undisturbed"))


def test_another_seed_proposes_other_points(tmp_path: Path) -> None:
    found = []
    for seed in (0, 1):
        settings = SearchSettings(sampler="random", seed=seed)
        with opened(tmp_path / str(seed), design(settings=settings)) as study:
            run(study, branin)
            found.append([point.point for point in study.points[1:]])
    assert not any(point in found[1] for point in found[0])


def test_a_conditional_parameter_is_drawn_where_its_condition_holds(tmp_path: Path) -> None:
    with opened(tmp_path, design(FAMILIES, trials=25)) as study:
        run(study, families)
        points = study.points
    assert {point.point["family"] for point in points} == {"near", "far"}
    for point in points:
        assert ("rate" in point.point) == (point.point["family"] == "far")


def test_a_logarithmic_range_with_zero_comes_to_zero(tmp_path: Path) -> None:
    """Zero has a fifth of the room: one decade beside four."""
    space = Space("s", "", {"w": Parameter(low=1e-7, high=1e-3, scale="log", zero=True)})
    settings = SearchSettings(sampler="random", pruner="none")
    with opened(tmp_path, design(space, settings, trials=200, defaults={"w": 0.0})) as study:
        run(study, lambda point: float(point["w"]))
        weights = [point.point["w"] for point in study.points]
    assert weights[0] == 0
    assert 20 < sum(weight == 0 for weight in weights) < 65
    assert all(1e-7 <= weight <= 1e-3 for weight in weights if weight)


def test_whole_numbers_and_choices_keep_their_types(tmp_path: Path) -> None:
    space = Space(
        "s",
        "",
        {
            "n": Parameter(low=2, high=64, scale="log", whole=True),
            "flag": Parameter(choices=(True, False)),
        },
    )
    with opened(tmp_path, design(space, defaults={"n": 8, "flag": True})) as study:
        run(study, lambda point: float(point["n"]))
        points = [point.point for point in study.points]
    assert points[0] == {"n": 8, "flag": True}
    assert {type(point["n"]) for point in points} == {int}
    assert {type(point["flag"]) for point in points} == {bool}


def test_a_grid_has_each_combination_once() -> None:
    space = Space(
        "s",
        "",
        {
            "family": Parameter(choices=("near", "far")),
            "rate": Parameter(
                low=1e-3, high=1.0, scale="log", zero=True, when={"family": ("far",)}
            ),
            "n": Parameter(low=1, high=3, whole=True),
        },
    )
    points = grid(space)
    rates = [0.0, 1e-3, 1e-2, 1e-1, 1.0]
    expected = [{"family": "near", "n": n} for n in (1, 2, 3)]
    expected += [{"family": "far", "rate": rate, "n": n} for rate in rates for n in (1, 2, 3)]
    assert len(points) == len(expected)
    for found, point in zip(points, expected, strict=True):
        assert found.pop("family") == point.pop("family")
        assert found == pytest.approx(point)


def test_repeats_are_trained_one_after_the_other_and_their_mean_counts(tmp_path: Path) -> None:
    settings = SearchSettings(repeats=3, pruner="none")
    asked_for = []
    with opened(tmp_path, design(settings=settings, trials=4)) as study:
        while (asked := study.ask()) is not None:
            asked_for.append((asked.number, asked.repeat))
            train(study, asked, lambda point, repeat=asked.repeat: 1.0 + repeat)  # type: ignore[misc]
        points = study.points
    assert asked_for == [(number, repeat) for number in range(4) for repeat in range(3)]
    for point in points:
        assert point.values == (2.0,)
        assert point.steps == {"1": 1.0, "2": 1.5, "3": 2.0}
        assert len(point.trials) == 3


@pytest.mark.parametrize("repeats", [1, 3])
def test_a_point_whose_driver_was_killed_before_it_told_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repeats: int
) -> None:
    """No further repeat of it is trained."""
    settings = SearchSettings(repeats=repeats, pruner="none")
    of = design(settings=settings, trials=2)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(optuna.Study, "tell", killed)
        with opened(tmp_path, of) as study:
            run(study, branin)
    with opened(tmp_path, of) as study:
        run(study, branin)
        points = study.points
    assert [len(point.trials) for point in points] == [repeats, repeats]
    assert [point.values for point in points] == [
        (pytest.approx(branin(point.point)),) for point in points
    ]


def test_a_bad_point_is_stopped_between_its_repeats(tmp_path: Path) -> None:
    settings = SearchSettings(repeats=3, prune_from=0.0)
    with opened(tmp_path, design(settings=settings, trials=12)) as study:
        run(study, branin)
        points = study.points
    assert {point.state for point in points} == {"complete", "pruned"}
    assert {len(point.trials) for point in points if point.state == "complete"} == {3}
    assert {len(point.trials) for point in points if point.state == "pruned"} <= {1, 2}


def test_several_objectives_are_kept_together(tmp_path: Path) -> None:
    settings = SearchSettings("nsga2", "none", objectives=("nme", "params"))
    with opened(tmp_path, design(settings=settings, trials=8)) as study:
        while (asked := study.ask()) is not None:
            study.complete(asked, [branin(asked.point), asked.point["x"]])
        for point in study.points:
            assert point.values == (branin(point.point), point.point["x"])
    with (
        pytest.raises(
            OdnbenchError, match=r"pruner median judges points by their NME.*--pruner none"
        ),
        opened(tmp_path, design(settings=SearchSettings(pruner="median", objectives=("a", "b")))),
    ):
        pass


def test_a_search_that_was_begun_otherwise_is_refused_with_what_differs(tmp_path: Path) -> None:
    with opened(tmp_path, design()):
        pass
    before = (tmp_path / STUDY).read_bytes()
    others = {
        "train.epochs was 9, is 12": design(**{"train.epochs": 12}),
        'sampler was "optuna", is "gp"': design(settings=SearchSettings("gp", prune_from=1 / 3)),
        "seed was 0, is 1": design(seed=1),
        "parameters.y.high was 15.0, is 20.0": design(
            Space("plane", "", {**PLANE.parameters, "y": Parameter(low=0.0, high=20.0)}),
            defaults={"x": 0.0, "y": 0.0},
        ),
    }
    for message, other in others.items():
        with pytest.raises(OdnbenchError) as caught, opened(tmp_path, other):
            pass
        assert message in str(caught.value)
        assert "--name NAME" in str(caught.value)
    assert (tmp_path / STUDY).read_bytes() == before


def test_a_search_goes_on_where_a_file_of_the_same_content_lies_elsewhere(tmp_path: Path) -> None:
    """What a file holds decides the plan's id."""
    with opened(tmp_path, design(**{"model.pretrained": "/home/a/weights.npz"})):
        pass
    moved = design(**{"model.pretrained": "/home/b/weights.npz"})
    with opened(tmp_path, moved):
        pass
    with (
        pytest.raises(OdnbenchError, match=r"pretrained was .*/home/a"),
        opened(tmp_path, dataclasses.replace(moved, plan="another")),
    ):
        pass


def test_a_study_of_an_earlier_version_is_refused_by_name(tmp_path: Path) -> None:
    """Earlier versions told a stopped trial as complete."""
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(tmp_path / STUDY)))
    optuna.create_study(storage=storage, study_name="optuna-0123456789abcdef")
    message = r"study of an earlier version.*optuna-0123456789abcdef"
    with pytest.raises(OdnbenchError, match=message), opened(tmp_path):
        pass


def test_a_line_that_was_not_written_to_its_end_costs_itself(tmp_path: Path) -> None:
    with opened(tmp_path) as study:
        run(study, branin, 5)
        expected = study.points
    whole = (tmp_path / STUDY).read_bytes()
    (tmp_path / STUDY).write_bytes(whole + b'{"op_code":5,"wor')
    with opened(tmp_path) as study:
        assert study.points == expected
        run(study, branin)
        assert len(study.points) == 12
    assert all(json.loads(line) for line in (tmp_path / STUDY).read_bytes().splitlines())


def test_two_drivers_share_a_study(tmp_path: Path) -> None:
    """They take turns here; no point comes twice, and none is too many."""
    of = design(settings=SearchSettings("random", "none"), trials=9)
    seen = []
    with opened(tmp_path, of) as one, opened(tmp_path, of) as other:
        for study in itertools.cycle((one, other)):
            asked = study.ask()
            if asked is None:
                break
            seen.append(asked)
            train(study, asked, branin)
        points = one.points
        assert points == other.points
    assert [asked.number for asked in seen] == list(range(9))
    assert {point.state for point in points} == {"complete"}
    assert len({tuple(point.point.values()) for point in points}) == 9


def test_the_trial_of_a_living_driver_is_left_to_it(tmp_path: Path) -> None:
    with opened(tmp_path) as one:
        held = one.ask()
        assert held is not None
        with opened(tmp_path) as other:
            asked = other.ask()
            assert asked is not None and asked.number != held.number
            other.complete(asked, [1.0])
            assert other.is_idle and other.is_shared
        train(one, held, branin)
        assert [point.state for point in one.points] == ["complete", "complete"]


def test_what_two_drivers_ask_for_at_once_is_not_one_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = design(trials=2)
    with opened(tmp_path, of) as one, opened(tmp_path, of) as other:
        assert one.ask() is not None
        ask = other._study.ask

        def too_late() -> optuna.Trial:  # between the look at the points and the new one
            assert one.ask() is not None
            return ask()

        monkeypatch.setattr(other._study, "ask", too_late)
        assert other.ask() is None
        assert len(one.points) == len(other.points) == 2
    assert [trial.state.name for trial in kept(tmp_path)] == ["RUNNING", "RUNNING", "FAIL"]


@pytest.mark.parametrize("lines", range(1, 6))
def test_a_study_that_was_not_made_to_its_end_is_made_to_its_end(
    tmp_path: Path, lines: int
) -> None:
    """Its maker was killed after some of the lines of the journal, before it asked for a point."""
    of = design(trials=4, settings=SearchSettings("random", "none"))
    with opened(tmp_path / "whole", of) as study:
        run(study, branin)
        expected = study.points
    journal = (tmp_path / "whole" / STUDY).read_bytes().splitlines(keepends=True)
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / STUDY).write_bytes(b"".join(journal[:lines]))
    with opened(tmp_path / "cut", of) as study:
        run(study, branin)
        assert study.points == expected


def test_a_weights_importance_is_that_of_the_function(tmp_path: Path) -> None:
    settings = SearchSettings("random", "none")
    with opened(tmp_path, design(settings=settings, trials=60)) as study:
        run(study, lambda point: 10 * point["x"] + 0.01 * point["y"], 5)
        assert study.importances() == ()  # of five points
        run(study, lambda point: 10 * point["x"] + 0.01 * point["y"])
        found = study.importances()
    assert [importance.key for importance in found] == ["x", "y"]
    assert min(found[0].values) > 0.9
    assert len(found[0].values) == 5
