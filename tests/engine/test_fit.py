"""One trial, on pictures of noise: what it learns, keeps and writes."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import random_faces

from odnbench.datasets.sources import Faces, split_validation
from odnbench.engine.checkpoint import load_checkpoint
from odnbench.engine.evaluate import predict
from odnbench.engine.fit import TrialFailed, build_network, fit, on_device
from odnbench.errors import OdnbenchError
from odnbench.metrics.nme import nme_per_face
from odnbench.pipelines import load_pipeline, resolve
from odnbench.registry import Registry
from odnbench.specs import Coverage, Protocol, Scheme, Trial
from odnbench.trials import TrialFolder

REGISTRY = Registry.load()
TINY = ("backbone=resnet18-slim", "pretrained=none", "input_size=32", "batch_size=8", "epochs=3")
FACES = Faces(
    train=random_faces(24, name="train"),
    test=random_faces(6, seed=1, name="test"),
    coverage=(Coverage("300w/train", 24, 3148, True),),
    notes=(),
)


def trial_of(variant: str = "odn", overrides: Sequence[str] = ()) -> Trial:
    (spec,) = resolve(
        load_pipeline("ablation"), REGISTRY, overrides=[*TINY, f"variant={variant}", *overrides]
    )
    return Trial(
        id="id",
        pipeline="test",
        title=variant,
        spec=spec,
        protocol=REGISTRY.get(Protocol, spec.data.protocol),
        scheme=REGISTRY.get(Scheme, "68"),
        coverage=FACES.coverage,
        faces=FACES.fingerprint,
    )


def run(path: Path, variant: str = "odn", *overrides: str) -> TrialFolder:
    folder = TrialFolder(path)
    fit(trial_of(variant, overrides), FACES, REGISTRY, folder)
    return folder


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    still = ("rotation_deg=0", "augment.scale=0", "translation=0", "flip=0")
    epochs = run(tmp_path / "a", "brnet", "epochs=30", "learning_rate=2e-3", *still).epochs
    assert epochs[-1].data_term < 0.2 * epochs[0].data_term


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_the_same_seed_gives_the_same_bits(tmp_path: Path, precision: str, optimizer: str) -> None:
    overrides = (f"precision={precision}", f"optimizer={optimizer}", "learning_rate=1e-3")
    a, b = (run(tmp_path / name, "odn", *overrides) for name in "ab")
    np.testing.assert_array_equal(a.predictions.predicted, b.predictions.predicted)
    for first, second in zip(a.epochs, b.epochs, strict=True):
        assert dataclasses.replace(first, seconds=0) == dataclasses.replace(second, seconds=0)
    other = run(tmp_path / "c", "odn", *overrides, "seed=1")
    assert (other.predictions.predicted != a.predictions.predicted).any()


def test_the_epoch_with_the_lowest_validation_error_is_kept(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", "odn", "epochs=6", "schedule=constant", "learning_rate=2e-2")
    errors = [epoch.validation_nme_percent for epoch in folder.epochs]
    assert folder.result.best_epoch == 1 + int(np.argmin(errors))
    assert folder.result.validation_nme_percent == min(errors)


def test_the_last_epoch_is_kept_where_asked_for(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", "odn", "select=last", "schedule=constant", "learning_rate=2e-2")
    assert folder.result.best_epoch == 3


def test_a_checkpoint_gives_the_predictions_on_disk_again(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", "gm-lm", "precision=float32")
    network = build_network(trial_of("gm-lm").spec, REGISTRY, 68)
    load_checkpoint(network, folder.checkpoint)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = on_device(FACES.test, torch.device("cpu"))
    again = predict(network, FACES.test, images, size=32, bf16=False)
    np.testing.assert_array_equal(again, folder.predictions.predicted)
    with pytest.raises(OdnbenchError, match="not a checkpoint of this network"):
        load_checkpoint(build_network(trial_of("dm").spec, REGISTRY, 68), folder.checkpoint)


def test_the_mean_shape_trial_has_the_error_of_the_mean_shape(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", "mean-shape")
    train, _ = split_validation(FACES.train, trial_of().spec.data.validation_fraction)
    by_hand = FACES.test.to_image(np.repeat(train.points_crop.mean(0)[None], 6, axis=0))
    found = folder.predictions
    np.testing.assert_allclose(found.predicted, by_hand, atol=1e-4)
    protocol, scheme = trial_of().protocol, trial_of().scheme
    np.testing.assert_allclose(
        nme_per_face(found.predicted, found.true, protocol, scheme),
        nme_per_face(by_hand, FACES.test.points, protocol, scheme),
        atol=1e-5,
    )
    assert folder.result.parameters == 0


def test_a_loss_that_is_not_finite_fails_the_trial_with_the_epoch(tmp_path: Path) -> None:
    with pytest.raises(TrialFailed, match=r"epoch 1: loss is (nan|inf)"):
        run(tmp_path / "a", "odn", "optimizer=sgd", "learning_rate=1e30", "schedule=constant")
    assert not TrialFolder(tmp_path / "a").finished


def test_a_trial_folder_holds_everything_and_is_done_last(tmp_path: Path) -> None:
    folder = run(tmp_path / "a")
    names = {path.name for path in folder.path.iterdir()}
    assert names == {
        "trial.json",
        "status.json",
        "metrics.jsonl",
        "predictions.parquet",
        "result.json",
        "checkpoint.safetensors",
        "done",
    }
    times = {name: (folder.path / name).stat().st_mtime_ns for name in names}
    assert times["done"] == max(times.values())
    assert folder.trial == trial_of()
    assert folder.status == ("done", "")
    found = folder.predictions
    np.testing.assert_array_equal(found.true, FACES.test.points)
    np.testing.assert_array_equal(found.occluded, FACES.test.occluded)
    assert found.ids == FACES.test.ids


def test_a_line_that_a_kill_cut_off_is_left_out(tmp_path: Path) -> None:
    folder = run(tmp_path / "a")
    with (folder.path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 4, "lo')
    assert [epoch.epoch for epoch in folder.epochs] == [1, 2, 3]


def test_a_criterion_in_pixels_trains(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", "odn", "criterion=wing", "unit=pixels")
    assert folder.finished
