"""The trials of a report, scored anew under other protocols."""

import numpy as np
import pytest

from odnbench.errors import OdnbenchError
from odnbench.plan.pipelines import load_pipeline, resolve
from odnbench.plan.protocols import Protocol
from odnbench.reports.read import read_report
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


def test_a_protocol_of_visible_points_needs_a_data_set_that_knows_them(finished: Plan) -> None:
    report = read_report(finished.file, finished.registry)
    visible = finished.registry.get(Protocol, "cofw68-pupil-visible")
    assert list(rescore(report, [visible], finished.registry)) == []
    with pytest.raises(OdnbenchError, match="300w does not say which points are occluded"):
        resolve(
            load_pipeline("ablation"), finished.registry,
            overrides=["data.protocol=cofw68-pupil-visible"],
        )  # fmt: skip
