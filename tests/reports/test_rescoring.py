"""The trials of a report, scored anew under other protocols."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from helpers import REGISTRY
from made_results import Faces, Made, report_of, spread_errors

from odnbench.errors import OdnbenchError
from odnbench.plan.pipelines import load_pipeline, resolve
from odnbench.plan.protocols import Protocol
from odnbench.reports.read import read_report
from odnbench.reports.report import Report
from odnbench.reports.rescoring import protocols_for, rescore
from odnbench.sweep.plan import Plan


def test_rescoring_ranks_the_variants_under_each_protocol(finished: Plan) -> None:
    report = read_report(finished.file, finished.registry)
    protocols = protocols_for(report, finished.registry, None, everything=True)
    assert {"300w-paper", "300w-pupil", "300w-eq10"} <= {p.name for p in protocols}
    assert {p.box for p in protocols} == {report.protocol.box}
    for rescored in rescore(report, protocols, finished.registry):
        own = [p.name for p in rescored.protocols].index("300w-paper")
        for row, nme in zip(report.rows, rescored.nme_percent, strict=True):
            mean = np.mean([s.nme_percent for s in row.scores_of(rescored.column)])
            assert nme[own] == pytest.approx(mean)
        assert sorted(ranks[own] for ranks in rescored.ranks) == [1, 2, 3]
    with pytest.raises(OdnbenchError, match="protocol 'wflw' has 98 points, the run 68"):
        protocols_for(report, finished.registry, ["wflw"], everything=False)


PROTOCOLS = [REGISTRY.get(Protocol, name) for name in ("300w-paper", "300w-pupil")]


def with_larger_crops(report: Report, variant: str) -> Report:
    """`report`, as if the row of `variant` had been predicted from larger crops."""
    rows = []
    for row in report.rows:
        (first, *others) = row.trials
        if row.variant == variant:
            box = dataclasses.replace(first.trial.box, factor=2.0)
            trial = dataclasses.replace(first.trial, box=box)
            first = dataclasses.replace(first, trial=trial)
        rows.append(dataclasses.replace(row, trials=(first, *others)))
    return dataclasses.replace(report, rows=tuple(rows))


def test_rows_that_were_tested_on_unlike_faces_or_crops_are_not_ranked(tmp_path: Path) -> None:
    own, low = Faces(spread_errors(0.05)), Faces(spread_errors(0.01))
    made = [
        *(Made("odn", own, seed) for seed in range(2)), Made("dm", Faces(spread_errors(0.04))),
        Made("brnet", low, rendered=False), Made("gm", Faces(spread_errors(0.01, 30))),
        Made("lm", low),
    ]  # fmt: skip
    report = with_larger_crops(report_of(tmp_path, *made), "lm")
    titles = {row.variant: row.title for row in report.rows}
    (rescored,) = rescore(report, PROTOCOLS, REGISTRY)
    assert rescored.rows == (titles["odn"], titles["dm"])
    assert rescored.ranks == [[2, 2], [1, 1]]
    crops = "square crop, 2 × the landmarks' tight box", report.box.describe()
    assert rescored.notes == [
        f"{titles['brnet']} is not ranked: real faces, not rendered ones",
        f"{titles['gm']} is not ranked: 30 faces, not the 40 of {titles['odn']}",
        f"{titles['lm']} is not ranked: {crops[0]}, not {crops[1]}",
        f"seeds: {titles['odn']} 2, {titles['dm']} 1",
    ]


def test_a_row_under_another_protocol_is_ranked(tmp_path: Path) -> None:
    made = [
        Made("odn", Faces(spread_errors(0.05))),
        Made("dm", Faces(spread_errors(0.04)), protocol=PROTOCOLS[1]),
    ]
    (rescored,) = rescore(report_of(tmp_path, *made), PROTOCOLS, REGISTRY)
    assert (rescored.ranks, rescored.notes) == ([[2, 2], [1, 1]], [])


def test_a_protocol_of_visible_points_needs_a_data_set_that_knows_them(finished: Plan) -> None:
    report = read_report(finished.file, finished.registry)
    visible = finished.registry.get(Protocol, "cofw68-pupil-visible")
    assert list(rescore(report, [visible], finished.registry)) == []
    with pytest.raises(OdnbenchError, match="300w does not say which points are occluded"):
        resolve(
            load_pipeline("ablation"), finished.registry,
            overrides=["data.protocol=cofw68-pupil-visible"],
        )  # fmt: skip
