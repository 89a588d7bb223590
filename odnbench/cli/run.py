"""`odnbench run` and `odnbench tune`: the options that they share, the plan, and what is printed
while and after it is carried out.
"""

import dataclasses
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from rich.table import Table
from rich.text import Text

from odnbench.cli.forecast import print_forecast
from odnbench.cli.options import DataRootOption, RegistryOption, StorageOption
from odnbench.cli.places import check_home, check_writable
from odnbench.cli.signals import interruption
from odnbench.cli.terminal import (
    cache_folder,
    console,
    data_root_of,
    is_about,
    load_registry,
    needs,
    plain,
    results_in,
    say,
)

if TYPE_CHECKING:
    from odnbench.reports.report import Report
    from odnbench.storage.place import ResultStore
    from odnbench.sweep.plan import Plan
    from odnbench.sweep.resources import Resources
    from odnbench.sweep.run import Executor
    from odnbench.tracking.mirror import MlflowMirror


class ExecutorName(StrEnum):
    """Who runs the trials."""

    ray = "ray"
    inline = "inline"


class SearchName(StrEnum):
    """How new loss weights are proposed."""

    optuna = "optuna"
    random = "random"


class SchedulerName(StrEnum):
    """Whether bad trials are stopped early."""

    asha = "asha"
    none = "none"


@dataclass(frozen=True)
class SweepOptions:
    """The options that `run` and `tune` share; each field is an option of the command line."""

    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", metavar="KEY=VALUE", help="Change a field of every trial."),
    ] = None
    settings: Annotated[
        str, typer.Option(help="Settings of pipelines/settings/, or a TOML file.")
    ] = ""
    data_root: DataRootOption = None
    require_data: Annotated[bool, typer.Option(help="Fail rather than take rendered faces.")] = (
        False
    )
    allow_partial: Annotated[
        bool, typer.Option(help="Go on where faces of a data set are missing.")
    ] = False
    storage: StorageOption = "runs"
    select: Annotated[
        str, typer.Option(help="Epoch to keep: best on validation, last, or best on test.")
    ] = ""
    cpus: Annotated[float, typer.Option(help="Processor cores per trial.")] = 1.0
    gpus: Annotated[
        float | None,
        typer.Option(
            help="GPUs per trial, a fraction to share one. Default: measured where there is one."
        ),
    ] = None
    address: Annotated[
        str | None, typer.Option(help="A running Ray cluster: HOST:PORT, or auto.")
    ] = None
    registry_folders: RegistryOption = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and what it costs, and stop.")
    ] = False


def takes_sweep_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replaces the parameter `options: SweepOptions` of a command by one parameter for each field
    of SweepOptions, which Typer then offers as an option. Every field must have a default.
    """
    types = get_type_hints(SweepOptions, include_extras=True)
    shared = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=types[field.name],
        )
        for field in dataclasses.fields(SweepOptions)
    ]
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in inspect.signature(command, eval_str=True).parameters.values()
        if parameter.name != "options"
    ]

    def wrapper(**arguments: Any) -> None:
        options = {parameter.name: arguments.pop(parameter.name) for parameter in shared}
        command(**arguments, options=SweepOptions(**options))

    wrapper.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    wrapper.__doc__ = command.__doc__
    return wrapper


@takes_sweep_options
def run_command(
    pipeline: Annotated[str, typer.Argument(help="A pipeline of pipelines/, or a TOML file.")],
    options: SweepOptions,
    executor: Annotated[
        ExecutorName, typer.Option(help="Ray, or this process, one trial after the other.")
    ] = ExecutorName.ray,
) -> None:
    """Run every trial of a pipeline and log it to MLflow."""
    resources, storage = _resources(options), results_in(options.storage)
    plan = _make_plan(pipeline, options, resources, storage)
    _print_plan(plan, options, storage)
    if options.dry_run:
        slots = 1 if executor is ExecutorName.inline else None
        print_forecast(plan, resources, slots=slots)
        return
    if executor is ExecutorName.inline:
        from odnbench.sweep.inline import run_inline

        _carry_out(plan, storage, partial(run_inline, threads=max(1, int(options.cpus))))
        return
    with needs("ray", "install ray[tune], or use --executor inline"):
        from odnbench.sweep.on_ray import run_on_ray

    _carry_out(plan, storage, partial(run_on_ray, resources=resources, tell=say))


@takes_sweep_options
def tune_command(
    options: SweepOptions,
    pipeline: Annotated[str, typer.Argument(help="A pipeline with a [search] table.")] = "tune",
    search: Annotated[
        SearchName, typer.Option(help="How weights are proposed.")
    ] = SearchName.optuna,
    trials: Annotated[
        int | None, typer.Option(help="Trials in all, those of earlier runs counted in.", min=1)
    ] = None,
    scheduler: Annotated[SchedulerName, typer.Option(help="Early stopping.")] = SchedulerName.asha,
) -> None:
    """Search the loss weights of Eq. (3), from the paper's on."""
    resources, storage = _resources(options), results_in(options.storage)
    plan = _make_plan(pipeline, options, resources, storage)
    _print_plan(plan, options, storage)
    if wanted := plan.pipeline.search:
        say(
            f"  search     {search}, {trials or wanted.trials} trials over "
            f"{', '.join(wanted.parameters)}; early stopping: {scheduler}"
        )
    if options.dry_run:
        print_forecast(
            plan,
            resources,
            search_trials=(trials or wanted.trials) if wanted else None,
            at_most=scheduler is not SchedulerName.none,
        )
        return
    with needs("ray", "install ray[tune]"):
        from odnbench.sweep.on_ray import search_on_ray

    executor = partial(
        search_on_ray,
        resources=resources,
        algorithm=search.value,
        total=trials,
        scheduler=scheduler.value,
        tell=say,
    )
    _carry_out(plan, storage, executor, searching=True)


def _resources(options: SweepOptions) -> "Resources":
    """What the options give each trial; OdnbenchError for what cannot be had."""
    from odnbench.sweep.address import check_address
    from odnbench.sweep.environment import openmp_threads
    from odnbench.sweep.resources import Resources

    check_home()
    address = None if options.address == "local" else options.address
    resources = Resources(options.cpus, options.gpus, address)
    openmp_threads()
    if address is not None:
        check_address(address)
    return resources


def _make_plan(
    pipeline: str, options: SweepOptions, resources: "Resources", storage: "ResultStore"
) -> "Plan":
    """The plan of `pipeline` with its faces prepared. What `storage` holds of the pipeline is
    copied to this machine first, so that finished trials are reused.
    """
    from odnbench.plan.pipelines import load_pipeline

    chosen = load_pipeline(pipeline)
    from odnbench.results.folder import PASTED
    from odnbench.sweep.plan import Places, make_plan  # after the name is checked: it imports torch

    resources.check_machine()
    check_writable(
        storage.folder,
        "ODNBENCH_CACHE" if storage.uri else "--storage",
        # The longest name, while it is written.
        f"{chosen.name}/{os.getpid():016}/.{PASTED}.{10**7}",
    )
    if not options.dry_run:
        _check_mlflow(chosen.name)
    with console.status(f"bringing results from {plain(str(storage))}"):
        storage.pull([chosen.name])
    overrides = list(options.overrides or ())
    if options.select:
        overrides.append(f"train.select={options.select}")
    with console.status("preparing faces"):
        return make_plan(
            chosen,
            load_registry(options.registry_folders),
            Places(storage.folder, cache_folder(), data_root_of(options.data_root)),
            overrides=overrides,
            settings=options.settings,
            require_data=options.require_data,
            allow_partial=options.allow_partial,
            here=resources.address is None,
        )


def _print_plan(plan: "Plan", options: SweepOptions, storage: "ResultStore") -> None:
    """Prints what will be run, on which faces, with which resources, and where results go."""
    first, pipeline = plan.trials[0], plan.pipeline
    spec = first.spec
    count = "1 trial" if len(plan.trials) == 1 else f"{len(plan.trials)} trials"
    console.print(
        Text.assemble((plain(pipeline.title), "bold"), f" ({plain(pipeline.name)}): {count}"),
        soft_wrap=True,
    )
    limits = [f"{', '.join(variants)}: {limit}" for limit, variants in plan.limits.items()]
    for note in [*plan.notes, *limits, *filter(None, [plan.change]), *plan.faults]:
        console.print(Text.assemble("  ", ("•", "yellow"), f" {plain(note)}"), soft_wrap=True)
    covered = "; ".join(f"{coverage.split} {coverage}" for coverage in first.coverage)
    say(f"  faces      {covered}")
    protocol = first.protocol
    say(f"  protocol   {protocol.name}: {protocol.describe()}; {first.box.describe()}")
    train = plan.trials[-1].spec.train  # the first may be the mean shape, which is not trained
    say(
        f"  training   {spec.model.backbone} (weights: {spec.model.pretrained}), "
        f"{spec.data.input_size} px, {train.epochs} epochs, batch {train.batch_size}, "
        f"{train.optimizer} {train.learning_rate:g}"
    )
    gpus = (
        "a share of a GPU where there is one" if options.gpus is None else f"{options.gpus:g} GPUs"
    )
    say(f"  resources  per trial: {options.cpus:g} CPU cores, {gpus}")
    where = f"{storage}, by way of " if storage.uri else ""
    say(f"  results    {where}{storage.folder / pipeline.name}")


def _carry_out(
    plan: "Plan", storage: "ResultStore", executor: "Executor", *, searching: bool = False
) -> None:
    """Runs the plan with the progress table, the copies at a URI and MLflow as observers, and
    prints the numbers. Exits with status 1 where a trial or a copy is missing afterwards.
    """
    from odnbench.cli.progress import ProgressTable
    from odnbench.reports.read import read_report
    from odnbench.storage.mirror import StorageMirror
    from odnbench.sweep.run import run, search

    label = "rendered" if plan.trials[0].rendered else "real"
    mirror = _mirror(plan)
    try:
        copies = StorageMirror(storage, plan.pipeline.name, say)
        observers = [copies, *([mirror] if mirror else [])]
        with copies, ProgressTable(console, label) as table:
            outcome = (search if searching else run)(plan, executor, [table, *observers])
        _print_numbers(read_report(plan.file, plan.registry))
    finally:
        if mirror:
            with console.status("bringing the runs to MLflow"):
                mirror.close()
    complete = outcome.complete and not interruption.number
    if not complete:
        console.print("not complete: the same command goes on with what is missing")
    if not (complete and copies.complete):
        raise typer.Exit(1)
    console.print("next: odnbench report --format markdown, or odnbench ui")


def _check_mlflow(pipeline: str) -> None:
    """Raises OdnbenchError where the runs of `pipeline` could never be logged to MLflow."""
    try:
        from odnbench.tracking.address import check_address
        from odnbench.tracking.client import tracking_uri
    except ModuleNotFoundError as error:
        if not is_about(error, "mlflow"):
            raise
        return  # `_mirror` tells of it
    check_address(tracking_uri(), pipeline)


def _mirror(plan: "Plan") -> "MlflowMirror | None":
    """The mirror of `plan` in MLflow; None where MLflow is not installed, which is printed."""
    try:
        from odnbench.tracking.mirror import MlflowMirror
    except ModuleNotFoundError as error:
        if not is_about(error, "mlflow"):
            raise
        console.print("mlflow is not installed: results are kept on disk and not logged")
        return None
    return MlflowMirror(plan.own_file, plan.registry, tell=say)


def _print_numbers(report: "Report") -> None:
    """Prints the test errors as a table, and each trial without numbers with its reason."""
    from odnbench.reports.texts import counted, with_interval

    summary = Table("", "parameters", title="Test NME in percent", title_justify="left", box=None)
    for column, coverage in report.columns.items():
        summary.add_column(f"{column}\n({coverage})", justify="right")
    for row in report.rows:
        errors = (with_interval(row.number("nme", column)) for column in report.columns)
        summary.add_row(plain(row.title), counted(row.parameters), *errors)
    console.print(summary if report.rows else "no trial has finished")
    for missing in report.missing:
        say(plain(f"no numbers: {missing.title}: {missing.standing}"))
