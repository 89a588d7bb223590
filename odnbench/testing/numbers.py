"""Contracts of what is made of errors: metrics, formats of reports, published tables."""

# N faces

import dataclasses
import tempfile
from pathlib import Path

import numpy as np

from odnbench.arrays import Floats
from odnbench.errors import OdnbenchError, unknown
from odnbench.plan.entries import Format, Metric, Published, Variant
from odnbench.plan.protocols import Protocol
from odnbench.plan.registry import Registry, import_target
from odnbench.plan.trials import Coverage
from odnbench.reports.formats import write_report
from odnbench.reports.leaderboard_document import document_of_boards
from odnbench.reports.read import read_report
from odnbench.scoring.scores import Score, values_of
from odnbench.testing.results import write_results

_FACES = 24
_LARGER = 16.0  # a power of 2, so that a ratio of errors stays the same to the last bit


def check_metric(registry: Registry, name: str) -> str:
    """The metric is a finite number for random errors, for no error and for a single face, and not
    better for larger errors.
    """
    metric = registry.get(Metric, name)
    alone = dataclasses.replace(registry, entries={**registry.entries, "metrics": {name: metric}})
    protocol = next(iter(registry.all(Protocol).values()))
    errors = np.random.default_rng(0).uniform(0.005, 0.04, _FACES)
    cases = {
        "small errors": errors,
        "large errors": _LARGER * errors,
        "no error": np.zeros(_FACES),
        "a single face": errors[:1],
    }
    told = {}
    for case, nme in cases.items():
        values = [value.value for value in values_of(_score(nme, protocol), alone)]
        if not np.isfinite(values).all():
            raise OdnbenchError(f"it must be a finite number, got {values[0]} for {case}")
        told[case] = np.array(values)
    rises = told["large errors"] - told["small errors"]
    if (rises > 0 if metric.better == "higher" else rises < 0).any():
        raise OdnbenchError(
            f"better = '{metric.better}', but errors {_LARGER:g} times as large change it from "
            f"{told['small errors'][0]:g} to {told['large errors'][0]:g}; mend better, or the sign"
        )
    return ""


def _score(nme: Floats, protocol: Protocol) -> Score:
    count = len(nme)
    return Score(
        column="contract",
        coverage=Coverage("contract", count, count, rendered=False),
        protocol=protocol,
        face_ids=tuple(str(face) for face in range(count)),
        nme=nme,
        points=np.full(count, 5.0),
    )


def check_format(registry: Registry, name: str) -> str:
    """The format writes a small report into a folder, and returns the path of a file there; what it
    names as `document` makes text.
    """
    with tempfile.TemporaryDirectory() as temporary:
        report = read_report(write_results(Path(temporary) / "results", registry), registry)
        folder = Path(temporary) / "reports"
        path = write_report(report, name, folder, registry)
        if not isinstance(path, Path):
            raise OdnbenchError(
                f"its target must return the path of the file to open first, got {path!r}"
            )
        if not path.is_file() or not path.is_relative_to(folder):
            raise OdnbenchError(
                f"its target must return a file that it wrote into `folder`, got {path}"
            )
    if document := registry.get(Format, name).document:
        text = import_target(document)(document_of_boards((), registry))
        if not isinstance(text, str):
            raise OdnbenchError(f"its document must return text, got {text!r}")
    return ""


def check_published(registry: Registry, name: str) -> str:
    """Protocol, splits, columns and variants that the table names are there."""
    table = registry.get(Published, name)
    registry.get(Protocol, table.protocol)
    for column in table.columns:
        registry.split(f"{table.dataset}/{column}")
    for row in table.rows:
        if row.variant:
            registry.get(Variant, row.variant)
        for column in [*row.values, *row.failures, *row.auc]:
            if column not in table.columns:
                raise OdnbenchError(f"{row.method}: {unknown('column', column, table.columns)}")
    return ""
