"""A trained network as it predicts outside of its trial."""

import dataclasses

import pytest
from helpers import REGISTRY

from odnbench.engine.predictor import TrainedPredictor
from odnbench.plan.conversion import replace_at
from odnbench.sweep.plan import Plan


def test_the_data_set_that_was_trained_on_need_not_be_known(
    finished: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished.folder(finished.trials[1])
    spec = replace_at(folder.trial.spec, "data.train", "of-a-lab/train")
    monkeypatch.setattr(type(folder), "trial", dataclasses.replace(folder.trial, spec=spec))
    assert TrainedPredictor.load(folder, REGISTRY).notes == ()


@pytest.mark.parametrize(
    ("split", "rendered", "flips"),
    [
        ("300w/train", False, False),
        ("300w/train", True, True),
        ("cofw68/test", False, True),
        ("of-a-lab/train", False, False),  # which may have one
    ],
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
