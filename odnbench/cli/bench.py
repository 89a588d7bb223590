"""`odnbench bench …`: speed and memory on this machine, as ratios, printed and kept as JSON.

--registry is taken where the user names an entry. The other benchmarks time fixed work, so that
their numbers can be compared from one machine to the next.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from odnbench.cli.commands import Commands
from odnbench.cli.options import DataRootOption, RegistryOption, SetOption
from odnbench.cli.places import check_writable
from odnbench.cli.terminal import console, data_root_of, load_registry, plain, say
from odnbench.plan.paths import path_of

if TYPE_CHECKING:
    from odnbench.bench.subject import Subject
    from odnbench.bench.timing import Benchmark
    from odnbench.plan.registry import Registry

bench_app = Commands(help="Speed and memory, measured here.", no_args_is_help=True)

RepeatsOption = Annotated[int, typer.Option(help="Repeats of each contender.", min=1)]


def _writable(out: Path) -> Path:
    """`out`, looked at before minutes are spent on measuring."""
    check_writable(path_of(out), "--out")
    return out


OutOption = Annotated[Path, typer.Option(help="Folder of the JSON file.", callback=_writable)]
VariantOption = Annotated[str, typer.Option(help="A variant of the registry.")]
BackboneOption = Annotated[str, typer.Option(help="A backbone of the registry.")]
SizeOption = Annotated[int, typer.Option(help="Side of the network's input in pixels.", min=32)]
BatchOption = Annotated[int, typer.Option(help="Images in a batch.", min=2)]
ThreadsOption = Annotated[
    int, typer.Option(help="Of torch on the CPU; 0: as many as cores.", min=0)
]


@bench_app.command("prepare")
def bench_prepare_command(
    dataset: Annotated[str, typer.Argument(help="Data set; rendered where it is absent.")] = "300w",
    size: Annotated[int, typer.Option(help="Side of a prepared picture in pixels.", min=32)] = 256,
    memory_faces: Annotated[
        int, typer.Option(help="Rendered faces prepared to measure memory.", min=1)
    ] = 1000,
    repeats: RepeatsOption = 5,
    data_root: DataRootOption = None,
    registry_folders: RegistryOption = None,
    out: OutOption = Path("bench"),
) -> None:
    """Preparing faces, beside a bare loop over cv2.imread and cv2.warpAffine."""
    from odnbench.bench.prepare import AGAIN, BARE, FIRST, KEPT, bench_prepare

    with tempfile.TemporaryDirectory() as folder:
        found = bench_prepare(
            load_registry(registry_folders),
            dataset,
            data_root_of(data_root),
            size=size,
            repeats=repeats,
            memory_faces=memory_faces,
            folder=Path(folder),
        )
    _show(found, out)
    facts, again = found.facts, next(t for t in found.timings if t.name == AGAIN)
    say(
        f"{facts['faces']:.0f} faces of {size} px: preparing takes {found.ratio(FIRST, BARE):.2f} "
        f"of the bare loop's time ({found.ratio(FIRST, KEPT):.2f} where that keeps its crops), the "
        f"second time {again.median:.2f} s; "
        f"{facts['memory_faces']:.0f} rendered faces take {facts['peak_memory_mb']:.0f} MB at most"
    )


@bench_app.command("metrics")
def bench_metrics_command(
    faces: Annotated[int, typer.Option(help="Faces of 68 points.", min=100)] = 1_000_000,
    repeats: RepeatsOption = 5,
    out: OutOption = Path("bench"),
) -> None:
    """Errors, intervals and tests, each beside the plain NumPy loop."""
    from odnbench.bench.metrics import bench_metrics

    found = bench_metrics(load_registry(None), count=faces, repeats=repeats)
    _show(found, out)
    console.print(f"peak memory {found.facts['peak_memory_mb']:.0f} MB")


@bench_app.command("train")
def bench_train_command(
    variant: VariantOption = "odn",
    backbone: BackboneOption = "resnet18",
    size: SizeOption = 224,
    batch: BatchOption = 32,
    steps: Annotated[int, typer.Option(help="Steps of a repeat.", min=1)] = 4,
    threads: ThreadsOption = 0,
    repeats: RepeatsOption = 5,
    overrides: SetOption = None,
    data_root: DataRootOption = None,
    registry_folders: RegistryOption = None,
    out: OutOption = Path("bench"),
) -> None:
    """Training steps, beside a bare loop on one batch and the field's habit."""
    registry = load_registry(registry_folders)
    named = [f"variant={variant}", f"backbone={backbone}", f"batch_size={batch}"]
    changes = [*named, *(overrides or [])]
    with _subject(changes, size, threads, data_root, registry) as subject:
        from odnbench.bench.train import AUGMENTED, BARE, FULL, HABIT, PLAIN, bench_train

        found = bench_train(subject, steps=steps, repeats=repeats)
        timed = _timed(subject, subject.trial.spec.train.batch_size)
    _show(found, out)
    facts = found.facts
    speeds = {timing.name: facts["images"] / timing.median for timing in found.timings}
    say(
        f"{timed}: {speeds[FULL]:.1f} images/s; "
        f"{speeds[FULL] / speeds[BARE]:.3f} of the bare loop's, "
        f"{speeds[FULL] / speeds[AUGMENTED]:.2f} × that with all effects, "
        f"{speeds[FULL] / speeds[PLAIN]:.2f} × plain float32's, "
        f"{speeds[FULL] / speeds[HABIT]:.2f} × the habit's; "
        f"{speeds[FULL] * facts['flops_per_image'] / facts['peak_flops_per_second']:.0%} "
        "of the speed of a large matrix product"
    )


@bench_app.command("nuclear")
def bench_nuclear_command(
    threads: ThreadsOption = 0, repeats: RepeatsOption = 9, out: OutOption = Path("bench")
) -> None:
    """The nuclear norm's subgradient, beside autograd through torch.linalg."""
    from odnbench.bench.nuclear import bench_nuclear

    _set_threads(threads)
    found = bench_nuclear(repeats=repeats)
    _show(found, out)
    worst = max(value for name, value in found.facts.items() if name.startswith("deviation"))
    console.print(f"largest deviation from the SVD's subgradient, spectral norm: {worst:.1e}")


@bench_app.command("augment")
def bench_augment_command(
    size: SizeOption = 224,
    batch: BatchOption = 32,
    threads: ThreadsOption = 0,
    repeats: RepeatsOption = 9,
    data_root: DataRootOption = None,
    out: OutOption = Path("bench"),
) -> None:
    """Augmenting a batch, beside cv2.warpAffine for each sample."""
    registry = load_registry(None)
    with _subject([f"batch_size={batch}"], size, threads, data_root, registry) as subject:
        from odnbench.bench.augment import bench_augment

        _show(bench_augment(subject, repeats=repeats), out)


@bench_app.command("evaluate")
def bench_evaluate_command(
    variant: VariantOption = "odn",
    backbone: BackboneOption = "resnet18",
    size: SizeOption = 224,
    threads: ThreadsOption = 0,
    repeats: RepeatsOption = 3,
    overrides: SetOption = None,
    data_root: DataRootOption = None,
    registry_folders: RegistryOption = None,
    out: OutOption = Path("bench"),
) -> None:
    """Predictions, beside one face at a time in float32."""
    registry = load_registry(registry_folders)
    changes = [f"variant={variant}", f"backbone={backbone}", *(overrides or [])]
    with _subject(changes, size, threads, data_root, registry) as subject:
        from odnbench.bench.evaluate import bench_evaluate

        _show(bench_evaluate(subject, repeats=repeats), out)


@bench_app.command("predict")
def bench_predict_command(
    variant: VariantOption = "odn",
    backbone: BackboneOption = "resnet18",
    size: SizeOption = 224,
    batch: BatchOption = 32,
    batches: Annotated[int, typer.Option(help="Batches of a repeat.", min=1)] = 4,
    threads: ThreadsOption = 0,
    repeats: RepeatsOption = 5,
    overrides: SetOption = None,
    data_root: DataRootOption = None,
    registry_folders: RegistryOption = None,
    out: OutOption = Path("bench"),
) -> None:
    """`odnbench predict` on picture files, beside the network alone."""
    registry = load_registry(registry_folders)
    changes = [f"variant={variant}", f"backbone={backbone}", *(overrides or [])]
    with _subject(changes, size, threads, data_root, registry) as subject:
        from odnbench.bench.predict import BARE, END_TO_END, bench_predict

        found = bench_predict(subject, batch_size=batch, batches=batches, repeats=repeats)
        timed = _timed(subject, batch)
    _show(found, out)
    speeds = {timing.name: found.facts["images"] / timing.median for timing in found.timings}
    say(
        f"{timed}: {speeds[END_TO_END]:.1f} images/s from files to points, "
        f"{speeds[END_TO_END] / speeds[BARE]:.2f} of the network's alone"
    )


@bench_app.command("startup")
def bench_startup_command(repeats: RepeatsOption = 5, out: OutOption = Path("bench")) -> None:
    """Commands that only show something, beside Python's own start."""
    from odnbench.bench.startup import bench_startup

    _show(bench_startup(repeats=repeats), out)


@bench_app.command("orchestration")
def bench_orchestration_command(
    trials: Annotated[
        list[int] | None, typer.Option(help="Trials of a sweep; default: 20, then 200.", min=3)
    ] = None,
    out: OutOption = Path("bench"),
) -> None:
    """What a trial costs beside its training: worker, files, MLflow."""
    from odnbench.bench.orchestration import bench_orchestration

    with tempfile.TemporaryDirectory() as folder:
        found = bench_orchestration(
            load_registry(None), trials or [20, 200], Path(folder), side_by_side=os.cpu_count() or 1
        )
    _show(found, out)
    for name, seconds in found.facts.items():
        say(f"{name.removesuffix(', s')}: {seconds:.2f} s")


@contextmanager
def _subject(
    changes: list[str],
    size: int,
    threads: int,
    data_root: Path | None,
    registry: "Registry",
) -> "Iterator[Subject]":
    """The full ODN on ResNet-18, with `changes` as -s takes them, and its faces, which are prepared
    in a folder that is removed when the context ends. size: side of the network's input in pixels.
    threads: of torch; 0 for as many as there are cores.
    """
    from odnbench.bench.subject import make_subject

    _set_threads(threads)
    overrides = [f"input_size={size}", *changes]
    with tempfile.TemporaryDirectory() as folder:
        with console.status("preparing faces"):
            subject = make_subject(registry, data_root_of(data_root), Path(folder), overrides)
        yield subject


def _timed(subject: "Subject", batch_size: int) -> str:
    """What was timed, after all settings."""
    spec = subject.trial.spec
    network = f"{spec.variant}, {spec.model.backbone}, {spec.model.head}"
    return f"{network}, {spec.data.input_size} px, batch {batch_size}"


def _set_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads or os.cpu_count() or 1)


def _show(found: "Benchmark", out: Path) -> None:
    """Prints medians and ratios, and writes the JSON file."""
    from odnbench.plan.conversion import to_mapping

    table = Table("", title=f"bench {found.name}: {found.machine}", title_justify="left", box=None)
    for heading in ("median s", "fastest s", "slowest s", "ratio"):
        table.add_column(heading, justify="right")
    table.add_column("to")
    ratios = {name: found.ratio(name) for name in found.baselines}
    for timing in found.timings:
        numbers = (timing.median, min(timing.seconds), max(timing.seconds))
        baseline = found.baselines.get(timing.name, "")
        ratio = f"{ratios[timing.name]:.3f}" if baseline else ""
        table.add_row(plain(timing.name), *(f"{n:.4f}" for n in numbers), ratio, plain(baseline))
    console.print(table)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{found.name}.json"
    written = to_mapping(found) | {"ratios": ratios}
    path.write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    say(f"written: {path}")
