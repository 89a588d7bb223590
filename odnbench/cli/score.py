"""`odnbench score` and `odnbench rescore`: numbers of anybody's predictions, under any protocol."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from odnbench.cli.options import DataRootOption, RegistryOption, StorageOption
from odnbench.cli.terminal import (
    console,
    data_root_of,
    load_registry,
    plain,
    plans_of,
    results_in,
    say,
)
from odnbench.errors import OdnbenchError, one_line

if TYPE_CHECKING:
    from odnbench.plan.registry import Registry
    from odnbench.scoring.score import Compared, ScoredFile
    from odnbench.scoring.scores import Value

DigitsOption = Annotated[int, typer.Option(help="Digits after the point.", min=0, max=12)]


def score_command(
    files: Annotated[
        list[Path],
        typer.Argument(help="Predictions: .parquet, .csv, .json (SPIGA, COCO), .txt (COFW68)."),
    ],
    dataset: Annotated[
        list[str], typer.Option(help="Split to score on, as 300w/common; may be repeated.")
    ],
    protocol: Annotated[
        list[str] | None, typer.Option(help="Protocol; may be repeated. Default: the usual one.")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="File with the ground truth, in one of these formats.")
    ] = None,
    reference: Annotated[
        str, typer.Option(help="File (by its name) that the others are compared with.")
    ] = "",
    breakdown: Annotated[
        bool, typer.Option(help="Errors by component, occlusion and yaw as well.")
    ] = False,
    allow_partial: Annotated[
        bool, typer.Option(help="Leave out faces that cannot be scored, and say which.")
    ] = False,
    digits: DigitsOption = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print all numbers as JSON.")] = False,
    data_root: DataRootOption = None,
    registry_folders: RegistryOption = None,
) -> None:
    """Score predictions of any tool: NME, failures, area under the CED, intervals, tests."""
    from odnbench.plan.protocols import Protocol
    from odnbench.scoring.prediction_files import read_prediction_file, read_prediction_files
    from odnbench.scoring.score import compare_files, score_files
    from odnbench.scoring.truth import truth_in_file, truth_of

    registry = load_registry(registry_folders)
    told: Callable[[str], None] = (lambda _: None) if as_json else say  # JSON holds it all
    splits = {
        name: registry.split(name) for name in (whole_split(d, registry, told) for d in dataset)
    }
    predictions = read_prediction_files(files, allow_partial=allow_partial)
    annotations = (
        read_prediction_file(truth, truth=True, allow_partial=allow_partial) if truth else None
    )
    true_notes = annotations.notes if annotations else ()
    for note in true_notes:
        told(f"{one_line(truth)}: {note}")
    records = []
    for name, (entry, members) in splits.items():
        if members.rule:
            told(f"{name}: {members.rule}")
        target = (
            truth_in_file(name, registry, annotations, allow_partial=allow_partial)
            if annotations
            else truth_of(name, registry, data_root_of(data_root))
        )
        for chosen in protocol or [registry.protocol_of(entry).name]:
            rule = registry.get(Protocol, chosen)
            scored = score_files(predictions, target, rule, registry, allow_partial=allow_partial)
            compared = compare_files(scored, reference) if reference else ()
            if reference and not compared and len(scored) > 1:
                told(f"{name}: no test against {reference}: too few faces are in all files")
            records += [_record(one, compared, true_notes) for one in scored]
            if not as_json:
                print_scores(scored, compared, digits)
                if breakdown:
                    _print_groups(scored, digits)
    if as_json:
        print(json.dumps(_finite(records), indent=1, allow_nan=False))


def rescore_command(
    run: Annotated[str, typer.Argument(help="A pipeline with results.")],
    all_protocols: Annotated[
        bool, typer.Option("--all-protocols", help="Every protocol of the same points.")
    ] = False,
    protocol: Annotated[
        list[str] | None, typer.Option(help="Protocol to score under; may be repeated.")
    ] = None,
    storage: StorageOption = "runs",
    digits: DigitsOption = 2,
    registry_folders: RegistryOption = None,
) -> None:
    """Score the trials of a run under other protocols: does the ranking depend on them?"""
    from odnbench.reports.read import read_report
    from odnbench.reports.rescoring import protocols_for, rescore

    registry = load_registry(registry_folders)
    (plan_file,) = plans_of(results_in(storage), [run])
    report = read_report(plan_file, registry)
    if not report.rows:
        raise OdnbenchError(f"{run}: none of its trials is finished yet")
    for rescored in rescore(
        report, protocols_for(report, registry, protocol, all_protocols), registry
    ):
        table = Table(
            "", title=f"{rescored.column}: NME in percent (rank)", title_justify="left", box=None
        )
        for chosen in rescored.protocols:
            table.add_column(chosen.name, justify="right")
        for row, nmes, ranks in zip(
            rescored.rows, rescored.nme_percent, rescored.ranks, strict=True
        ):
            cells = (f"{nme:.{digits}f} ({rank})" for nme, rank in zip(nmes, ranks, strict=True))
            table.add_row(plain(row), *cells)
        console.print(table)
        for note in rescored.notes:
            say(plain(note))
        say(rescored.verdict)


def whole_split(dataset: str, registry: "Registry", tell: Callable[[str], None]) -> str:
    """The name of a split: `dataset` as it is, or with the split that the data set has alone."""
    from odnbench.plan.entries import Dataset

    if "/" in dataset:
        return dataset
    entry = registry.get(Dataset, dataset)
    splits = list(dict.fromkeys([*entry.splits, *entry.parts]))
    if len(splits) != 1:
        return dataset  # whose error lists them
    tell(f"{dataset}: scored on {dataset}/{splits[0]}, its only split")
    return f"{dataset}/{splits[0]}"


def print_scores(scored: "list[ScoredFile]", compared: "Compared", digits: int) -> None:
    """Prints a line for each file: faces, every metric, the interval of the NME, and, where they
    are known, occlusion flags and the comparison with the reference. Then what readers must know.
    """
    first = scored[0].score
    split, protocol = ((plain(t), "bold") for t in (first.column, first.protocol.name))
    console.print(
        Text.assemble(split, " under ", protocol, f": {first.protocol.describe()}"), soft_wrap=True
    )
    table = Table("", box=None)
    headings = ["faces"]
    for value in scored[0].values:
        at = "" if value.threshold_percent is None else f"@{value.threshold_percent:g}"
        headings.append(f"{value.metric.title}{at} {value.metric.unit}".rstrip())
        headings += ["95 % interval"] if value.metric.name == "nme" else []
    with_flags = any(
        one.paired.predicted_occluded is not None
        and one.paired.occluded is not None
        and one.paired.occluded.any()
        for one in scored
    )
    headings += ["occlusion precision / recall %"] if with_flags else []
    headings += ["against the reference"] if compared else []
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    verdicts = {c.variant: f"{c.text} (p {c.p_holm:.4f})" for c in compared}
    for one in scored:
        interval = one.score.interval
        ends = (100 * interval.low, 100 * interval.high) if interval else None
        cells = [str(one.score.coverage)]
        for value in one.values:
            cells.append(f"{value.value:.{digits}f}")
            if value.metric.name == "nme":
                cells.append(" – ".join(f"{end:.{digits}f}" for end in ends) if ends else "–")
        if with_flags:
            flags = one.flags
            calls_any = flags is not None and flags.called_percent > 0
            cells.append(
                f"{flags.precision_percent:.2f} / {flags.recall_percent:.2f}"
                if flags and calls_any
                else "–"
            )
        if compared:
            cells.append(verdicts.get(one.name, "reference"))
        table.add_row(one.name, *cells)
    console.print(table)
    for one in scored:
        for note in one.notes:
            say(f"{one.name}: {note}")


def _print_groups(scored: "list[ScoredFile]", digits: int) -> None:
    """Prints the mean error in percent and the number of points of each group of points, with one
    column per file.
    """
    table = Table("by", "", box=None)
    for one in scored:
        table.add_column(f"{one.name}\nmean distance % (points)", justify="right")
    by_file = [{(g.by, g.name): g for g in one.groups} for one in scored]
    for key in dict.fromkeys(key for groups in by_file for key in groups):
        found = [groups.get(key) for groups in by_file]
        table.add_row(
            *key, *(f"{100 * g.nme:.{digits}f} ({g.points})" if g else "–" for g in found)
        )
    console.print(table)


def _record(one: "ScoredFile", compared: "Compared", true_notes: tuple[str, ...]) -> dict[str, Any]:
    """All numbers of one file, ready for JSON."""
    from odnbench.plan.conversion import to_mapping

    score, interval = one.score, one.score.interval
    verdict = next((c for c in compared if c.variant == one.name), None)
    return {
        "file": one.name,
        "split": score.column,
        "faces": len(score.face_ids),
        "coverage": str(score.coverage),
        "protocol": to_mapping(score.protocol),
        **_values(one.values),
        "interval_percent": [100 * interval.low, 100 * interval.high] if interval else None,
        "occlusion": to_mapping(one.flags),
        "groups": to_mapping(one.groups),
        "comparison": to_mapping(verdict),
        "left_out": {face: f"{face}{why}" for face, why in one.paired.left_out.items()},
        "notes": [*one.notes, *(f"ground truth: {note}" for note in true_notes)],
    }


def _values(values: "tuple[Value, ...]") -> dict[str, Any]:
    """Metric → number, or threshold → number where the metric has thresholds."""
    found: dict[str, Any] = {}
    for value in values:
        if value.threshold_percent is None:
            found[value.metric.key] = value.value
        else:
            found.setdefault(value.metric.key, {})[f"{value.threshold_percent:g}"] = value.value
    return found


def _finite(value: Any) -> Any:
    """`value` with null for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
