"""`odnbench run`, and what it shares with `odnbench tune`: options, the plan, and what is printed
while and after it is carried out.
"""

import dataclasses
import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from rich.table import Table
from rich.text import Text

from odnbench.cli.forecast import print_forecast
from odnbench.cli.options import DataRootOption, RegistryOption, SetOption, StorageOption
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
from odnbench.errors import OdnbenchError

if TYPE_CHECKING:
    from odnbench.plan.pipelines import Pipeline
    from odnbench.reports.report import Report
    from odnbench.results.observers import Observer
    from odnbench.storage.place import ResultStore
    from odnbench.sweep.plan import Plan
    from odnbench.sweep.resources import Resources
    from odnbench.sweep.run import Executor, Outcome
    from odnbench.tracking.mirror import MlflowMirror


class ExecutorName(StrEnum):
    """Who runs the trials."""

    ray = "ray"
    inline = "inline"


@dataclass(frozen=True)
class SweepOptions:
    """The options that `run` and `tune` share; each field is an option of the command line."""

    overrides: SetOption = None
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
    executor: Annotated[
        ExecutorName, typer.Option(help="Ray, or this process, one trial after the other.")
    ] = ExecutorName.ray
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

    @property
    def threads(self) -> int:
        """The number of torch's threads on the CPU, for a trial in this process."""
        return max(1, int(self.cpus))

    @property
    def slots(self) -> int | None:
        """How many trials run side by side; None: as many as there is room for."""
        return 1 if self.executor is ExecutorName.inline else None


def spreads_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replaces each parameter of a command that is a dataclass by one parameter for each of its
    fields, which Typer then offers as an option. Every field must have a default.
    """
    own, spread = [], dict[str, tuple[type, list[str]]]()
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        kind = parameter.annotation
        if not dataclasses.is_dataclass(kind):
            own.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        assert isinstance(kind, type)
        types, fields = get_type_hints(kind, include_extras=True), dataclasses.fields(kind)
        spread[parameter.name] = kind, [field.name for field in fields]
        own += [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=types[field.name],
            )
            for field in fields
        ]

    def wrapper(**arguments: Any) -> None:
        gathered = {
            name: kind(**{field: arguments.pop(field) for field in fields})
            for name, (kind, fields) in spread.items()
        }
        command(**arguments, **gathered)

    wrapper.__signature__ = inspect.Signature(own)  # type: ignore[attr-defined]
    wrapper.__doc__ = command.__doc__
    return wrapper


@spreads_options
def run_command(
    pipeline: Annotated[str, typer.Argument(help="A pipeline of pipelines/, or a TOML file.")],
    options: SweepOptions,
) -> None:
    """Run every trial of a pipeline and log it to MLflow."""
    from odnbench.plan.pipelines import load_pipeline

    resources, storage = resources_of(options), results_in(options.storage)
    plan = plan_of(load_pipeline(pipeline), options, resources, storage)
    _check_no_search(plan)
    print_plan(plan, options, storage)
    if options.dry_run:
        print_forecast(plan, resources, slots=options.slots)
        return
    run_plan = executor_of(options, resources)
    from odnbench.sweep.run import run

    carry_out(plan, storage, lambda observers: run(plan, run_plan, observers))


def executor_of(options: SweepOptions, resources: "Resources") -> "Executor":
    """What trains the trials of a plan."""
    if options.executor is ExecutorName.inline:
        from odnbench.sweep.inline import run_inline

        return partial(run_inline, threads=options.threads)
    with needs("ray", "install ray[tune], or use --executor inline"):
        from odnbench.sweep.on_ray import run_on_ray

    return partial(run_on_ray, resources=resources, tell=say)


def _check_no_search(plan: "Plan") -> None:
    """Raises OdnbenchError where a search would lose its plan to this one."""
    from odnbench.results.searches import SEARCH

    folder = plan.file.parent
    if (folder / SEARCH).is_file():
        raise OdnbenchError(
            f"{folder} holds a search, whose place in reports this plan would take; go on with it "
            f"by `odnbench tune {plan.pipeline.name}`, or give another --storage"
        )


def resources_of(options: SweepOptions) -> "Resources":
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


def plan_of(
    chosen: "Pipeline", options: SweepOptions, resources: "Resources", storage: "ResultStore"
) -> "Plan":
    """The plan of a pipeline with its faces prepared. What `storage` holds of the pipeline is
    copied to this machine first, so that finished trials are reused.
    """
    from odnbench.results.folder import DISTURBED
    from odnbench.sweep.plan import Places, make_plan

    resources.check_machine()
    check_writable(
        storage.folder,
        "ODNBENCH_CACHE" if storage.uri else "--storage",
        # The longest name, while it is written.
        f"{chosen.name}/{os.getpid():016}/.{DISTURBED.format('x' * 40)}.{10**7}",
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


def print_plan(plan: "Plan", options: SweepOptions, storage: "ResultStore") -> None:
    """Prints what will be run, on which faces, with which resources, and where results go."""
    from odnbench.plan.protocols import FLIP_TEST
    from odnbench.plan.specs import later_settings

    first, pipeline = plan.trials[0], plan.pipeline
    spec = first.spec
    count = "1 trial" if len(plan.trials) == 1 else f"{len(plan.trials)} trials"
    console.print(
        Text.assemble((plain(pipeline.title), "bold"), f" ({plain(pipeline.name)}): {count}"),
        soft_wrap=True,
    )
    limits = [f"{', '.join(variants)}: {limit}" for limit, variants in plan.limits.items()]
    for note in [
        *plan.notes,
        *limits,
        *plan.idle_weights,
        *filter(None, [plan.change]),
        *plan.faults,
    ]:
        console.print(Text.assemble("  ", ("•", "yellow"), f" {plain(note)}"), soft_wrap=True)
    covered = "; ".join(f"{coverage.split} {coverage}" for coverage in first.coverage)
    say(f"  faces      {covered}")
    protocol = first.protocol
    flipped = sum(trial.spec.data.flip_test for trial in plan.trials)
    flip_test = f"; {FLIP_TEST}" if flipped else ""
    if 0 < flipped < len(plan.trials):
        flip_test += f" ({flipped} of the trials)"
    say(f"  protocol   {protocol.name}: {protocol.describe()}; {first.box.describe()}{flip_test}")
    train = plan.trials[-1].spec.train  # the first may be the mean shape, which is not trained
    say(
        f"  training   {spec.model.backbone} (weights: {spec.model.pretrained}), "
        f"{spec.data.input_size} px, {train.epochs} epochs, batch {train.batch_size}, "
        f"{train.optimizer} {train.learning_rate:g}"
        + "".join(f", {name} {value}" for name, value in later_settings(train).items())
    )
    for kind, levels in pipeline.disturbances.items():
        say(f"  disturbed  {kind}: {', '.join(f'{level:g}' for level in levels)}")
    gpus = (
        "a share of a GPU where there is one" if options.gpus is None else f"{options.gpus:g} GPUs"
    )
    say(f"  resources  per trial: {options.cpus:g} CPU cores, {gpus}")
    where = f"{storage}, by way of " if storage.uri else ""
    say(f"  results    {where}{storage.folder / pipeline.name}")


def carry_out(
    plan: "Plan",
    storage: "ResultStore",
    sweep: "Callable[[Sequence[Observer]], Outcome]",
    conclude: "Callable[[Report], None]" = lambda report: None,
) -> None:
    """Has `sweep` carry the plan out with the progress table, the copies at a URI and MLflow as
    observers, prints the numbers, and has `conclude` print what else they tell. Exits with status 1
    where a trial or a copy is missing afterwards.
    """
    from odnbench.cli.progress import ProgressTable
    from odnbench.reports.read import read_report
    from odnbench.storage.mirror import StorageMirror

    label = "rendered" if plan.trials[0].rendered else "real"
    mirror = _mirror(plan)
    try:
        copies = StorageMirror(storage, plan.pipeline.name, say)
        observers = [copies, *([mirror] if mirror else [])]
        with copies, ProgressTable(console, label) as table:
            outcome = sweep([table, *observers])
        report = read_report(plan.file, plan.registry)
        _print_numbers(report)
        conclude(report)
    finally:
        if mirror:
            with console.status("bringing the runs to MLflow"):
                mirror.close()
    complete = outcome.complete and not interruption.number
    if not complete:
        console.print(f"not complete: {outcome.remedy}")
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
    for row in report.rows:
        for column in report.columns:
            if unlike := report.unlike_of(row, column):
                say(plain(f"not comparable: {row.title}, {column}: {unlike}"))
    for missing in report.missing:
        say(plain(f"no numbers: {missing.title}: {missing.standing}"))
