"""A trained network as it predicts outside of its trial."""

import dataclasses

import pytest
from helpers import REGISTRY

from odnbench.engine.predictor import TrainedPredictor
from odnbench.plan.conversion import replace_at
from odnbench.sweep.plan import Plan


@pytest.mark.parametrize(
    ("split", "rendered", "flips"),
    [("300w/train", False, False), ("300w/train", True, True), ("cofw68/test", False, True)],
)
def test_a_flip_test_is_left_out_where_an_offset_was_learnt(
    finished: Plan, monkeypatch: pytest.MonkeyPatch, split: str, rendered: bool, flips: bool
) -> None:
    """Rendered annotations have none, and of most data sets none is known."""
    folder = finished.folder(finished.trials[1])
    trial = folder.trial
    spec = replace_at(replace_at(trial.spec, "data.train", split), "data.flip_test", True)
    coverage = tuple(dataclasses.replace(one, rendered=rendered) for one in trial.coverage)
    changed = dataclasses.replace(trial, spec=spec, coverage=coverage)
    assert spec.augment.annotation_offset
    monkeypatch.setattr(type(folder), "trial", changed)
    predictor = TrainedPredictor.load(folder, REGISTRY)
    assert (predictor.flip_test is not None) == flips
    assert bool(predictor.notes) != flips
