"""The truth that predictions of a trial hold."""

from dataclasses import replace

from odnbench.plan.trials import Coverage
from odnbench.scoring.truth import truth_in_predictions
from odnbench.sweep.plan import Plan


def test_what_an_annotation_does_not_flag_counts_as_unknown_not_as_visible(finished: Plan) -> None:
    trial = finished.trials[0]
    predictions = finished.folder(trial).predictions
    rendered = truth_in_predictions("300w/common", predictions, trial, finished.registry)
    assert rendered is not None and rendered.occluded is not None
    real = tuple(
        Coverage(one.split, one.faces, one.faces, rendered=False) for one in trial.coverage
    )
    trial = replace(trial, coverage=real)
    truth = truth_in_predictions("300w/common", predictions, trial, finished.registry)
    assert truth is not None and truth.occluded is None
