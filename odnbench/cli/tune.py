"""`odnbench tune`: searches a space around a pipeline's trial, and confirms what it has found."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from odnbench.cli.forecast import print_search_forecast
from odnbench.cli.run import (
    ExecutorName,
    SweepOptions,
    carry_out,
    executor_of,
    plan_of,
    print_plan,
    resources_of,
    spreads_options,
)
from odnbench.cli.terminal import needs, plain, results_in, say
from odnbench.errors import OdnbenchError

if TYPE_CHECKING:
    from odnbench.reports.report import Report
    from odnbench.results.observers import Observer
    from odnbench.results.searches import SearchSettings
    from odnbench.sweep.plan import Plan
    from odnbench.sweep.resources import Resources
    from odnbench.sweep.run import Outcome
    from odnbench.sweep.search import Searching
    from odnbench.sweep.study import Design

_TIME = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")


class SearchName(StrEnum):
    """What proposes points."""

    optuna = "optuna"
    random = "random"
    grid = "grid"
    cmaes = "cmaes"
    gp = "gp"
    nsga2 = "nsga2"


class PrunerName(StrEnum):
    """What stops points early."""

    successive_halving = "successive-halving"
    hyperband = "hyperband"
    median = "median"
    none = "none"


class ObjectiveName(StrEnum):
    """What is to be small."""

    nme = "nme"
    ms = "ms"
    params = "params"
    madds = "madds"


@dataclass(frozen=True)
class SearchOptions:
    """The options of a search; each field is an option of the command line."""

    search: Annotated[SearchName, typer.Option(help="How points are proposed; optuna: TPE.")] = (
        SearchName.optuna
    )
    space: Annotated[str, typer.Option(help="A space of registry/spaces.toml, or a TOML file.")] = (
        ""
    )
    trials: Annotated[
        int | None, typer.Option(help="Points in all, those of earlier runs counted in.", min=1)
    ] = None
    time_budget: Annotated[
        str, typer.Option(metavar="2h30m", help="Begin no new point after that time.")
    ] = ""
    pruner: Annotated[
        PrunerName | None,
        typer.Option(help="Which points are stopped early. Default: successive-halving."),
    ] = None
    prune_from: Annotated[
        float | None,
        typer.Option(
            help="Share of the epochs before which no point is stopped. Default: 0.5 for the "
            "one-cycle schedule, else 0.25."
        ),
    ] = None
    objective: Annotated[
        list[ObjectiveName] | None,
        typer.Option(help="What is to be small; several give a Pareto front. Default: nme."),
    ] = None
    repeats: Annotated[int, typer.Option(help="Seeds per point, whose mean counts.", min=1)] = 1
    confirm: Annotated[
        int, typer.Option(help="Fresh seeds that confirm the best points; 0: none.", min=0)
    ] = 5
    best: Annotated[int, typer.Option(help="Points that are confirmed.", min=1)] = 3
    seed: Annotated[int, typer.Option(help="Of the search; that of trials is -s seed=…", min=0)] = 0
    name: Annotated[str, typer.Option(help="Of the search; default: the pipeline's.")] = ""
    study: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="Database of the study, as postgresql://…; default: a journal among the results.",
        ),
    ] = ""


@spreads_options
def tune_command(
    how: SearchOptions,
    options: SweepOptions,
    pipeline: Annotated[
        str, typer.Argument(help="A pipeline of pipelines/, or a TOML file.")
    ] = "tune",
) -> None:
    """Search loss weights, recipe or architecture, and decide by fresh seeds what was found."""
    from odnbench.plan.pipelines import check_name, load_pipeline

    budget = _seconds(how.time_budget)
    resources, storage = resources_of(options), results_in(options.storage)
    chosen = load_pipeline(pipeline)
    if how.name:
        check_name(how.name)
    from odnbench.sweep.search import Confirmation, Searching, design_of, search, searched_pipeline

    chosen = searched_pipeline(chosen, how.space, how.name)
    plan = plan_of(chosen, options, resources, storage)
    _check_no_run(plan)
    design = design_of(plan, _settings(how, plan), how.trials)
    print_plan(plan, options, storage)
    _print_design(design)
    confirmation = Confirmation(how.best if how.confirm else 0, how.confirm)
    if options.dry_run:
        print_search_forecast(plan, design, confirmation, resources, slots=options.slots)
        return
    run_plan, run_search = executor_of(options, resources), _search_executor(options, resources)
    from odnbench.sweep.study import open_study, shown

    folder = plan.file.parent
    faults: list[str] = []

    # The study is open inside of the sweep alone: while it is, this process is at work in the
    # folder, and the copies at a URI and MLflow leave what is at work alone.
    def sweep(observers: "Sequence[Observer]") -> "Outcome":
        with open_study(design, folder, how.study) as study:
            where = shown(how.study, folder)
            deadline = None if budget is None else time.monotonic() + budget
            searching = Searching(plan, design, study, where=where, deadline=deadline)
            outcome = search(searching, run_search, run_plan, observers, confirmation)
            faults.append(study.fault)
        return outcome

    carry_out(plan, storage, sweep, lambda report: _print_decision(report, folder, "".join(faults)))


def _check_no_run(plan: "Plan") -> None:
    """Raises OdnbenchError where a plan that `run` has carried out would lose its place."""
    from odnbench.results.searches import SEARCH

    folder = plan.file.parent
    if plan.file.is_file() and not (folder / SEARCH).is_file():
        raise OdnbenchError(
            f"{folder} holds the results of `odnbench run {plan.pipeline.name}`, whose place in "
            "reports this search would take; give the search a --name"
        )


def _search_executor(
    options: SweepOptions, resources: "Resources"
) -> "Callable[[Searching, Sequence[Observer]], None]":
    """What trains the points of a search."""
    if options.executor is ExecutorName.inline:
        from odnbench.sweep.inline import search_inline

        return partial(search_inline, threads=options.threads)
    with needs("ray", "install ray[tune], or use --executor inline"):
        from odnbench.sweep.on_ray import search_on_ray

    return partial(search_on_ray, resources=resources, tell=say)


def _settings(how: SearchOptions, plan: "Plan") -> "SearchSettings":
    """The settings of a search, with defaults that depend on other options and on the plan."""
    from odnbench.results.searches import SearchSettings

    objectives = tuple(dict.fromkeys(how.objective or [ObjectiveName.nme]))
    pruner, prune_from = how.pruner, how.prune_from
    if pruner is None:
        only_nme = objectives == (ObjectiveName.nme,)
        pruner = PrunerName.successive_halving if only_nme else PrunerName.none
    if prune_from is None:
        prune_from = _prune_from(plan) if how.repeats == 1 else 0.0
    names = tuple(objective.value for objective in objectives)
    return SearchSettings(how.search.value, pruner.value, prune_from, names, how.repeats, how.seed)


def _prune_from(plan: "Plan") -> float:
    """The share of a trial's epochs before which it is not stopped by default.

    Until the learning rate of a one-cycle schedule comes down, points look alike: over 22 random
    points of the loss weights, 12 epochs on rendered faces, the rank correlation of the smallest
    validation NME so far with that at the end was 0.01 at a quarter, 0.54 at half of the epochs.
    """
    return 0.5 if plan.trials[0].spec.train.schedule == "one-cycle" else 0.25


def _seconds(text: str) -> float | None:
    """The seconds of a time budget as "2h30m"; None for none."""
    if not text:
        return None
    found = _TIME.fullmatch(text.strip().lower())
    hours, minutes, seconds = (float(part or 0) for part in (found.groups() if found else (0,) * 3))
    length = 3600 * hours + 60 * minutes + seconds
    if not 0 < length < 1e9:
        raise OdnbenchError(f"--time-budget: expected a time as 2h, 45m or 1h30m, got {text!r}")
    return length


def _print_design(design: "Design") -> None:
    """Prints what is searched, and how."""
    from odnbench.results.searches import PRUNERS, SAMPLERS

    settings = design.settings
    names = ", ".join(key.rpartition(".")[2] for key in design.space.parameters)
    say(f"  search     {design.trials} points over {plain(names)} ({plain(design.space.name)})")
    pruner = PRUNERS[settings.pruner]
    if settings.pruner != "none":
        first, what = (
            settings.first_step(design.steps),
            "repeat" if settings.repeats > 1 else "epoch",
        )
        pruner += f" from {what} {first} of {design.steps} on"
    repeats = f"; {settings.repeats} seeds per point" if settings.repeats > 1 else ""
    sampler = f"{SAMPLERS[settings.sampler]}, seed {settings.seed}"
    say(f"             {sampler}; pruner: {pruner}{repeats}")


def _print_decision(report: "Report", folder: Path, fault: str) -> None:
    """Prints what the search has found, and writes the winner's point as settings for `run`.

    fault: why the search has stopped before its end; "": it has not.
    """
    from odnbench.reports.decision import decision
    from odnbench.results.searches import write_winner

    if fault:
        say(plain(f"the search has stopped: {fault}"))
    sentences = decision(report)
    for sentence in sentences:
        say(plain(sentence))
    decided = report.search.decision if report.search is not None else None
    if decided is not None and decided.winner is not None:
        # The point with the lowest validation NME over fresh seeds, which may be the defaults.
        file = write_winner(folder, decided.confirmed[0].point, sentences)
        say(f"its settings: {file}; try odnbench run ablation --settings {file}")
