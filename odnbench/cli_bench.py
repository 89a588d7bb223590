"""`odnbench bench …`: speed and memory on this machine, as ratios, printed and kept as JSON."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from odnbench.terminal import DataRoot, console, data_root_of

if TYPE_CHECKING:
    from odnbench.bench.timing import Benchmark

bench_app = typer.Typer(help="Speed and memory, measured here.", no_args_is_help=True)

Repeats = Annotated[int, typer.Option(help="Repeats of each contender.", min=1)]
Out = Annotated[Path, typer.Option(help="Folder of the JSON file.")]


@bench_app.command("prepare")
def bench_prepare_command(
    dataset: Annotated[str, typer.Argument(help="Data set; rendered where it is absent.")] = "300w",
    size: Annotated[int, typer.Option(help="Side of a prepared picture in pixels.", min=32)] = 256,
    memory_faces: Annotated[
        int, typer.Option(help="Rendered faces prepared to measure memory.", min=1)
    ] = 1000,
    repeats: Repeats = 5,
    data_root: DataRoot = None,
    out: Out = Path("bench"),
) -> None:
    """Preparing faces, beside a bare loop over cv2.imread and cv2.warpAffine."""
    from odnbench.bench.prepare import AGAIN, BARE, FIRST, KEPT, bench_prepare
    from odnbench.registry import Registry

    with tempfile.TemporaryDirectory() as folder:
        found = bench_prepare(
            Registry.load(),
            dataset,
            data_root_of(data_root),
            size=size,
            repeats=repeats,
            memory_faces=memory_faces,
            folder=Path(folder),
        )
    _show(found, BARE, out)
    facts, again = found.facts, next(t for t in found.timings if t.name == AGAIN)
    console.print(
        f"{facts['faces']:.0f} faces of {size} px: preparing takes {found.ratio(FIRST, BARE):.2f} "
        f"of the bare loop's time ({found.ratio(FIRST, KEPT):.2f} where that keeps its crops), the "
        f"second time {again.median:.2f} s; "
        f"{facts['memory_faces']:.0f} rendered faces take {facts['peak_memory_mb']:.0f} MB at most",
        soft_wrap=True,
    )


@bench_app.command("metrics")
def bench_metrics_command(
    faces: Annotated[int, typer.Option(help="Faces of 68 points.", min=100)] = 1_000_000,
    repeats: Repeats = 5,
    out: Out = Path("bench"),
) -> None:
    """Errors, intervals and tests, each beside the plain NumPy loop."""
    from odnbench.bench.metrics import bench_metrics
    from odnbench.registry import Registry

    found = bench_metrics(Registry.load(), faces=faces, repeats=repeats)
    _show(found, "", out)
    console.print(f"peak memory {found.facts['peak_memory_mb']:.0f} MB")


def _show(found: "Benchmark", baseline: str, out: Path) -> None:
    """Prints medians and ratios, and writes the JSON file.

    baseline: the contender that all are measured against; "": each `x` against `x, loop`.
    """
    from odnbench.conversion import to_mapping

    table = Table("", title=f"bench {found.name}: {found.machine}", title_justify="left", box=None)
    for heading in ("median s", "fastest s", "slowest s", f"ratio to {baseline or 'the loop'}"):
        table.add_column(heading, justify="right")
    for timing in found.timings:
        numbers = (timing.median, min(timing.seconds), max(timing.seconds))
        against = baseline or f"{timing.name.removesuffix(', loop')}, loop"
        ratio = found.ratio(timing.name, against)
        table.add_row(timing.name, *(f"{n:.3f}" for n in (*numbers, ratio)))
    console.print(table)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{found.name}.json"
    path.write_text(json.dumps(to_mapping(found), indent=1) + "\n", encoding="utf-8")
    console.print(f"written: {path}")
