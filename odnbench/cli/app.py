"""The command line. Every command is a few lines that call the library; heavy imports wait for a
command.

Exit status: 0 all done, 1 a trial failed or was interrupted, 2 a mistake in names, values or files.
"""

import dataclasses
import errno
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from rich.console import Console
from rich.table import Table

from odnbench import __version__
from odnbench.cli.bench import bench_app
from odnbench.cli.data import data_app
from odnbench.cli.score import rescore_command, score_command
from odnbench.cli.status import print_forecast, status_command
from odnbench.cli.terminal import (
    DataRoot,
    Plugins,
    Storage,
    cache_folder,
    console,
    data_root_of,
    plain,
    plans_of,
    results_in,
)
from odnbench.errors import OdnbenchError

if TYPE_CHECKING:
    from odnbench.reports.report import Report
    from odnbench.storage.place import Storage as ResultStorage
    from odnbench.sweep.plan import Executor, Plan
    from odnbench.tracking.runs import MlflowMirror

app = typer.Typer(
    help="Benchmarks and ablations for occlusion-robust facial landmark detection.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
registry_app = typer.Typer(
    help="What can be combined: backbones, modules, variants, …", no_args_is_help=True
)
app.add_typer(registry_app, name="registry")
app.add_typer(data_app, name="data")
app.add_typer(bench_app, name="bench")
app.command("score")(score_command)
app.command("rescore")(rescore_command)
app.command("status")(status_command)


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


class Format(StrEnum):
    """Formats of a report."""

    markdown = "markdown"


@dataclass(frozen=True)
class SweepOptions:
    """The options that `run` and `tune` share; each field is an option of the command line."""

    overrides: Annotated[
        list[str],
        typer.Option("--set", "-s", metavar="KEY=VALUE", help="Change a field of every trial."),
    ] = dataclasses.field(default_factory=list)
    settings: Annotated[
        str, typer.Option(help="Settings of pipelines/settings/, or a TOML file.")
    ] = ""
    data_root: DataRoot = None
    require_data: Annotated[bool, typer.Option(help="Fail rather than take rendered faces.")] = (
        False
    )
    allow_partial: Annotated[
        bool, typer.Option(help="Go on where faces of a data set are missing.")
    ] = False
    storage: Storage = "runs"
    select: Annotated[
        str, typer.Option(help="Epoch to keep: best on validation, last, or best on test.")
    ] = ""
    cpus: Annotated[float, typer.Option(help="Processor cores per trial.", min=0.0)] = 1.0
    gpus: Annotated[
        float | None,
        typer.Option(
            help="GPUs per trial, a fraction to share one. Default: measured where there is one.",
            min=0.0,
        ),
    ] = None
    address: Annotated[str | None, typer.Option(help="A running Ray cluster, or 'auto'.")] = None
    plugins: Plugins = dataclasses.field(default_factory=list)
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and what it costs, and stop.")
    ] = False


def takes_sweep_options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives `command(…, options: SweepOptions)` an option on the command line for each field."""
    hints = get_type_hints(SweepOptions, include_extras=True)
    shared = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default if field.default is not dataclasses.MISSING else [],
            annotation=hints[field.name],
        )
        for field in dataclasses.fields(SweepOptions)
    ]
    own = [
        p
        for p in inspect.signature(command, eval_str=True).parameters.values()
        if p.name != "options"
    ]

    def wrapper(**arguments: Any) -> None:
        options = SweepOptions(
            **{parameter.name: arguments.pop(parameter.name) for parameter in shared}
        )
        command(**arguments, options=options)

    own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    wrapper.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    wrapper.__doc__ = command.__doc__
    return wrapper


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        console.print(f"odnbench {__version__}")
        raise typer.Exit


@app.command("run")
@takes_sweep_options
def run_command(
    pipeline: Annotated[str, typer.Argument(help="A pipeline of pipelines/, or a TOML file.")],
    options: SweepOptions,
    executor: Annotated[
        ExecutorName, typer.Option(help="Ray, or this process, one trial after the other.")
    ] = ExecutorName.ray,
) -> None:
    """Run every trial of a pipeline and log it to MLflow."""
    storage = results_in(options.storage)
    plan = _plan(pipeline, options, storage)
    if options.dry_run:
        slots = 1 if executor is ExecutorName.inline else None
        print_forecast(plan, options.cpus, options.gpus, slots=slots, address=options.address)
        return
    if executor is ExecutorName.inline:
        from odnbench.sweep.plan import run_inline

        _carry_out(plan, storage, partial(run_inline, threads=max(1, int(options.cpus))))
        return
    with _needs("ray", "install ray[tune], or use --executor inline"):
        from odnbench.sweep.on_ray import Resources, run_on_ray

    resources = Resources(options.cpus, options.gpus, options.address)
    _carry_out(plan, storage, partial(run_on_ray, resources=resources))


@app.command("tune")
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
    storage = results_in(options.storage)
    plan = _plan(pipeline, options, storage)
    if wanted := plan.pipeline.search:
        console.print(
            f"  search     {search}, {trials or wanted.trials} trials over "
            f"{', '.join(wanted.parameters)}; early stopping: {scheduler}",
            soft_wrap=True,
        )
    if options.dry_run:
        print_forecast(
            plan,
            options.cpus,
            options.gpus,
            address=options.address,
            search_trials=(trials or wanted.trials) if wanted else None,
            at_most=scheduler is not SchedulerName.none,
        )
        return
    with _needs("ray", "install ray[tune]"):
        from odnbench.sweep.on_ray import Resources, search_on_ray

    resources = Resources(options.cpus, options.gpus, options.address)
    executor = partial(
        search_on_ray,
        resources=resources,
        algorithm=search.value,
        total=trials,
        scheduler=scheduler.value,
    )
    _carry_out(plan, storage, executor, searching=True)


@app.command("report")
def report_command(
    pipelines: Annotated[
        list[str] | None, typer.Argument(help="Pipelines; default: all with results.")
    ] = None,
    format: Annotated[Format, typer.Option(help="Format of the report.")] = Format.markdown,
    storage: Storage = "runs",
    out: Annotated[Path, typer.Option(help="Folder of the reports.")] = Path("reports/rendered"),
    others: Annotated[
        list[Path] | None,
        typer.Option("--with", help="Predictions of another tool, as a row and a CED curve."),
    ] = None,
    plugins: Plugins = [],  # noqa: B006  typer copies it
) -> None:
    """Render tables and figures of what was run."""
    from odnbench.plan.registry import Registry
    from odnbench.reports.markdown import write_markdown
    from odnbench.reports.read import read_report
    from odnbench.scoring.prediction_files import read_prediction_files

    registry = Registry.load(plugins)
    foreign = read_prediction_files(others or [])
    plans = plans_of(results_in(storage), pipelines)
    for plan_file in plans:
        try:
            report = read_report(plan_file, registry, foreign)
        except OdnbenchError as error:
            if not foreign or len(plans) == 1:
                raise
            console.print(f"{plan_file}: without --with: {plain(str(error))}", soft_wrap=True)
            report = read_report(plan_file, registry)
        if not report.rows:
            console.print(f"{plan_file}: none of its trials is finished yet", soft_wrap=True)
            continue
        path = write_markdown(report, out)
        console.print(
            f"{path}  (trials: {len(report.trials)}, without numbers: {len(report.missing)})",
            soft_wrap=True,
        )


@app.command("sync")
def sync_command(
    pipelines: Annotated[
        list[str] | None, typer.Argument(help="Pipelines; default: all with results.")
    ] = None,
    storage: Storage = "runs",
    plugins: Plugins = [],  # noqa: B006
) -> None:
    """Bring results on disk into MLflow; what is there already stays as it is."""
    with _needs("mlflow", "install it to log to it"):
        from odnbench.tracking.runs import sync
    from odnbench.plan.registry import Registry

    registry = Registry.load(plugins)
    for plan_file in plans_of(results_in(storage), pipelines):
        delivered = sync(plan_file.parent, registry, tell=_tell)
        console.print(f"{plan_file.parent.name}: {delivered}", soft_wrap=True)


@app.command("ui")
def ui_command(
    port: Annotated[
        int, typer.Option(help="Port on this machine's loopback.", min=1, max=65535)
    ] = 5000,
) -> None:
    """Open MLflow's page of the runs of this folder."""
    with _needs("mlflow", "install it to see its page"):
        from odnbench.tracking.runs import ui_command

    raise typer.Exit(subprocess.run(ui_command(port), check=False).returncode)


@registry_app.command("list")
def registry_list(
    family: Annotated[str | None, typer.Argument(help="A family; default: all.")] = None,
    plugins: Plugins = [],  # noqa: B006
) -> None:
    """List what is registered."""
    from odnbench.errors import unknown
    from odnbench.plan.registry import FAMILIES, Registry

    if family is not None and family not in FAMILIES:
        raise unknown("family", family, FAMILIES)
    registry = Registry.load(plugins)
    table = Table("family", "name", "title", box=None)
    if registry.added:
        table.add_column("from")
    entry: Any
    for name, kind in FAMILIES.items():
        for entry in registry.all(kind).values() if family in (None, name) else ():
            source = registry.origins[name, entry.name].source
            table.add_row(name, entry.name, plain(getattr(entry, "title", "")), plain(source))
    console.print(table)


@registry_app.command("show")
def registry_show(
    family: Annotated[str, typer.Argument(help="A family: backbones, modules, …")],
    name: Annotated[str, typer.Argument(help="An entry of it.")],
    plugins: Plugins = [],  # noqa: B006
) -> None:
    """Show one entry."""
    from odnbench.errors import unknown
    from odnbench.plan.conversion import to_mapping
    from odnbench.plan.registry import FAMILIES, Registry

    if family not in FAMILIES:
        raise unknown("family", family, FAMILIES)
    entry: Any = Registry.load(plugins).get(FAMILIES[family], name)
    console.print_json(data=to_mapping(entry))


@registry_app.command("check")
def registry_check(
    plugins: Plugins = [],  # noqa: B006
) -> None:
    """Try what plug-ins and --registry folders add, or without them what is shipped, on tiny
    inputs.

    The exit status is 0 where every entry is what its family asks for, 1 where one is not.
    """
    from odnbench.plan.registry import Registry
    from odnbench.testing import check_added

    faults = 0
    for finding in check_added(Registry.load(plugins), plugins):
        faults += bool(finding.fault)
        result = f"[red]fault:[/] {plain(finding.fault)}" if finding.fault else "ok"
        remark = f" ({plain(finding.remark)})" if finding.remark else ""
        console.print(f"{finding.family} {plain(finding.name)}: {result}{remark}", soft_wrap=True)
    if faults:
        raise typer.Exit(1)


def main() -> None:
    """Entry point of the console script: a user's mistake is told in a line, a bug shows its
    traceback.
    """
    try:
        app()
    except OdnbenchError as error:
        _print_error(str(error))
        sys.exit(2)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _print_error(f"{error}; with more room the same command goes on with what is missing")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _print_error(text: str) -> None:
    console_of_errors = Console(stderr=True, highlight=False)
    console_of_errors.print(f"[bold red]error:[/] {plain(text)}", soft_wrap=True)


def _plan(pipeline: str, options: SweepOptions, storage: "ResultStorage") -> "Plan":
    """Makes the plan and prints it."""
    from odnbench.plan.pipelines import load_pipeline
    from odnbench.plan.registry import Registry
    from odnbench.sweep.plan import Places, make_plan

    chosen = load_pipeline(pipeline)
    with console.status(f"bringing results from {plain(str(storage))}"):
        storage.pull([chosen.name])
    overrides = [
        *options.overrides,
        *([f"train.select={options.select}"] if options.select else []),
    ]
    with console.status("preparing faces"):
        plan = make_plan(
            chosen,
            Registry.load(options.plugins),
            Places(storage.folder, cache_folder(), data_root_of(options.data_root)),
            overrides=overrides,
            settings=options.settings,
            require_data=options.require_data,
            allow_partial=options.allow_partial,
            here=options.address is None,
        )
    first = plan.trials[0]
    spec = first.spec
    count = "1 trial" if len(plan.trials) == 1 else f"{len(plan.trials)} trials"
    console.print(f"[bold]{chosen.title}[/] ({chosen.name}): {count}", soft_wrap=True)
    for note in [*plan.notes, *filter(None, [plan.change])]:
        console.print(f"  [yellow]•[/] {plain(note)}", soft_wrap=True)
    covered = "; ".join(f"{c.split} {c}" for c in first.coverage)
    console.print(f"  faces      {covered}", soft_wrap=True)
    console.print(
        f"  protocol   {first.protocol.name}: {first.protocol.describe()}; {first.box.describe()}",
        soft_wrap=True,
    )
    train = plan.trials[-1].spec.train  # the first may be the mean shape, which is not trained
    console.print(
        f"  training   {spec.model.backbone} (weights: {spec.model.pretrained}), "
        f"{spec.data.input_size} px, {train.epochs} epochs, batch {train.batch_size}, "
        f"{train.optimizer} {train.learning_rate:g}",
        soft_wrap=True,
    )
    gpus = (
        "a share of a GPU where there is one" if options.gpus is None else f"{options.gpus:g} GPUs"
    )
    console.print(f"  resources  per trial: {options.cpus:g} CPU cores, {gpus}", soft_wrap=True)
    where = f"{storage}, by way of " if storage.uri else ""
    console.print(f"  results    {plain(where)}{storage.folder / chosen.name}", soft_wrap=True)
    return plan


def _carry_out(
    plan: "Plan", storage: "ResultStorage", executor: "Executor", *, searching: bool = False
) -> None:
    """Runs the plan under the progress table and MLflow, prints the numbers, and exits by them."""
    from odnbench.cli.progress import ProgressTable
    from odnbench.reports.read import read_report
    from odnbench.storage.place import StorageMirror
    from odnbench.sweep.plan import run, search

    label = "rendered" if plan.trials[0].rendered else "real"
    mirror = _mirror(plan)
    try:
        copies = StorageMirror(storage, plan.pipeline.name, _tell)
        observers = [copies, *([mirror] if mirror else [])]
        with copies, ProgressTable(console, label) as table:
            outcome = (search if searching else run)(plan, executor, [table, *observers])
        _print_numbers(read_report(plan.file, plan.registry))
    finally:
        if mirror:
            with console.status("bringing the runs to MLflow"):
                mirror.close()
    if not outcome.complete:
        console.print("not complete: the same command goes on with what is missing")
    if not (outcome.complete and copies.complete):
        raise typer.Exit(1)
    console.print("next: odnbench report --format markdown, or odnbench ui")


def _mirror(plan: "Plan") -> "MlflowMirror | None":
    """The mirror of `plan` in MLflow, or None, said aloud, where MLflow is not installed."""
    try:
        from odnbench.tracking.runs import MlflowMirror
    except ModuleNotFoundError as error:
        if not _is_about(error, "mlflow"):
            raise
        console.print("mlflow is not installed: results are kept on disk and not logged")
        return None
    return MlflowMirror(plan.own_file, plan.registry, tell=_tell)


def _tell(text: str) -> None:
    console.print(plain(text), soft_wrap=True)


def _print_numbers(report: "Report") -> None:
    """The test errors as a table, and what has none."""
    from odnbench.reports.texts import counted, with_interval

    summary = Table("", "parameters", title="Test NME in percent", title_justify="left", box=None)
    for column, coverage in report.columns.items():
        summary.add_column(f"{column}\n({coverage})", justify="right")
    for row in report.rows:
        numbers = (with_interval(row.number("nme", column)) for column in report.columns)
        summary.add_row(row.title, counted(row.parameters), *numbers)
    console.print(summary if report.rows else "no trial has finished")
    for missing in report.missing:
        console.print(
            f"no numbers: {missing.title}: {plain(str(missing.standing))}", soft_wrap=True
        )


def _is_about(error: ModuleNotFoundError, library: str) -> bool:
    return (error.name or "").partition(".")[0] == library


@contextmanager
def _needs(library: str, cure: str) -> Iterator[None]:
    """Tells how to get along where `library` is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if not _is_about(error, library):
            raise
        raise OdnbenchError(f"{library} is not installed; {cure}") from error
