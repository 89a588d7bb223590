"""One trial, on pictures of noise: what it learns, keeps and writes."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import FACES, REGISTRY, random_faces, trial_of
from safetensors.torch import load_file
from torch import Tensor

from odnbench.datasets.sources import split_validation
from odnbench.engine import training
from odnbench.engine.checkpoint import Progress, ProgressFile, load_checkpoint
from odnbench.engine.evaluate import mean_nme_percent, occlusion_of, predict
from odnbench.engine.fit import TrialFailed, fit
from odnbench.engine.training import Batches, Training, build_network, on_device
from odnbench.errors import OdnbenchError
from odnbench.metrics.nme import nme_per_face
from odnbench.networks.base import LandmarkNetwork, Prediction
from odnbench.plan.conversion import get_at
from odnbench.results.folder import TrialFolder
from odnbench.results.records import Epoch


def run(path: Path, variant: str = "odn", *overrides: str) -> TrialFolder:
    folder = TrialFolder(path)
    fit(trial_of(variant, overrides), FACES, REGISTRY, folder)
    return folder


@pytest.mark.slow
def test_training_lowers_the_loss(tmp_path: Path) -> None:
    still = ("rotation_deg=0", "augment.scale=0", "translation=0", "flip=0")
    epochs = run(tmp_path / "a", "brnet", "epochs=30", "learning_rate=2e-3", *still).epochs
    assert epochs[-1].data_term < 0.2 * epochs[0].data_term


@pytest.mark.parametrize(
    ("precision", "optimizer"),
    [
        ("float32", "adam"),
        ("bf16", "sgd"),
        pytest.param("float32", "sgd", marks=pytest.mark.slow),
        pytest.param("bf16", "adam", marks=pytest.mark.slow),
    ],
)
def test_the_same_seed_gives_the_same_bits(tmp_path: Path, precision: str, optimizer: str) -> None:
    overrides = (f"precision={precision}", f"optimizer={optimizer}", "learning_rate=1e-3")
    a, b = (run(tmp_path / name, "odn", *overrides) for name in "ab")
    np.testing.assert_array_equal(a.predictions.predicted, b.predictions.predicted)
    for first, second in zip(a.epochs, b.epochs, strict=True):
        assert dataclasses.replace(first, seconds=0) == dataclasses.replace(second, seconds=0)
    other = run(tmp_path / "c", "odn", *overrides, "seed=1")
    assert (other.predictions.predicted != a.predictions.predicted).any()


class Killed(BaseException):
    """Stands for what ends a process."""


@pytest.mark.parametrize(
    ("schedule", "optimizer"),
    [
        ("one-cycle", "adam"),
        *(
            pytest.param(*setting, marks=pytest.mark.slow)
            for setting in (
                ("one-cycle", "sgd"), ("cosine", "adam"), ("cosine", "sgd"),
                ("constant", "adam"), ("constant", "sgd"),
            )
        ),
    ],
)  # fmt: skip
def test_a_killed_trial_goes_on_to_the_same_bits(
    tmp_path: Path, schedule: str, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = ["epochs=5", f"optimizer={optimizer}", f"schedule={schedule}", "learning_rate=3e-3"]
    kill_twice(tmp_path, overrides, monkeypatch)


def test_a_killed_trial_with_all_of_the_recipe_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = run(tmp_path / "teacher", "cut", "epochs=1")
    overrides = [
        "epochs=5", "schedule=cosine", "warmup_epochs=1.5", "ema=0.99", "clip=0.5",
        "backbone_rate=0.5", "flip_test=true", f"teacher={teacher.path}",
    ]  # fmt: skip
    kill_twice(tmp_path, overrides, monkeypatch)


def kill_twice(tmp_path: Path, overrides: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial that is killed after epochs 1 and 3, beside one that is not."""
    monkeypatch.setattr(ProgressFile, "due", True)
    trial, broken = trial_of("odn", overrides), TrialFolder(tmp_path / "broken")
    whole = run(tmp_path / "whole", "odn", *overrides)
    told: list[int] = []

    def on_epoch(epoch: Epoch) -> None:
        told.append(epoch.epoch)
        if epoch.epoch in (1, 3) and told.count(epoch.epoch) == 1:
            raise Killed

    for _ in range(2):
        with pytest.raises(Killed):
            fit(trial, FACES, REGISTRY, broken, on_epoch)
        assert not broken.finished
        torch.rand(3)  # a new process has another generator
    fit(trial, FACES, REGISTRY, broken, on_epoch)
    assert sorted(set(told)) == told[-5:] == [1, 2, 3, 4, 5]  # nothing was trained twice
    np.testing.assert_array_equal(broken.predictions.predicted, whole.predictions.predicted)
    for a, b in zip(broken.epochs, whole.epochs, strict=True):
        assert dataclasses.replace(a, seconds=0) == dataclasses.replace(b, seconds=0)
    assert broken.checkpoint.read_bytes() == whole.checkpoint.read_bytes()
    assert not broken.progress.exists()


def test_the_average_of_the_weights_is_validated_and_kept(tmp_path: Path) -> None:
    """Where it decays slowly, it stays near the first weights, beside a network that has left."""
    overrides = ("epochs=1", "schedule=constant", "learning_rate=1e-2", "precision=float32")
    trial = trial_of("odn", [*overrides, "ema=0.999"])
    folder = TrialFolder(tmp_path / "a")
    fit(trial, FACES, REGISTRY, folder)
    rows, validation_rows = split_validation(FACES.train, 0.1)
    training = Training.of(trial, FACES.train, rows, REGISTRY, torch.device("cpu"))
    average = {k: v.clone() for k, v in training.network.state_dict().items()}
    training.network.train()
    for step, batch in enumerate(training.batches.epoch(training.generator), 1):
        training.step(batch)
        decay = (1 + step) / (10 + step)
        for name, now in training.network.state_dict().items():
            counted = not now.is_floating_point()
            average[name] = now if counted else decay * average[name] + (1 - decay) * now
    kept = load_file(folder.checkpoint)
    for name, tensor in average.items():
        torch.testing.assert_close(kept[name], tensor, rtol=1e-4, atol=1e-6, msg=name)
    sigma = np.linalg.svd(average["low_rank.M"].numpy(), compute_uv=False)
    np.testing.assert_allclose(folder.result.spectrum, sigma, rtol=1e-4)
    network = build_network(trial.spec, REGISTRY, 68)
    load_checkpoint(network, folder.checkpoint)
    for faces, nme in ((FACES.train[validation_rows], folder.epochs[0].validation_nme_percent),):
        images = on_device(faces.images, torch.device("cpu"))
        found = predict(network, faces, images, 32, bf16=False).points
        expected = mean_nme_percent(found, faces, trial.protocol, trial.scheme)
        assert nme == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("damage", [b"", b"no progress", None], ids=["empty", "foreign", "cut"])
def test_progress_that_cannot_be_read_is_begun_anew(tmp_path: Path, damage: bytes | None) -> None:
    def killed(epoch: Epoch) -> None:
        raise Killed

    folder = TrialFolder(tmp_path / "a")
    with pytest.raises(Killed):
        fit(trial_of(), FACES, REGISTRY, folder, killed)
    saved = folder.progress.read_bytes()
    folder.progress.write_bytes(saved[: len(saved) // 2] if damage is None else damage)
    fit(trial_of(), FACES, REGISTRY, folder)
    assert [epoch.epoch for epoch in folder.epochs] == [1, 2, 3]


def test_damaged_progress_is_none(tmp_path: Path) -> None:
    path = tmp_path / "progress.pt"
    ProgressFile(path).save(Progress(epoch=1, best_state={"weight": torch.ones(50)}))
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(whole)
        for position in rng.integers(len(whole), size=8):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged)
        found = ProgressFile(path).load()  # must not raise; a change of weights goes unseen
        assert found is None or isinstance(found, Progress)


def test_progress_beyond_the_epochs_that_are_kept_is_begun_anew(tmp_path: Path) -> None:
    def killed(epoch: Epoch) -> None:
        raise Killed

    folder = TrialFolder(tmp_path / "a")
    with pytest.raises(Killed):
        fit(trial_of(), FACES, REGISTRY, folder, killed)
    (folder.path / "metrics.jsonl").write_text("")
    (folder.path / ".metrics.jsonl.123").write_text("left behind")
    fit(trial_of(), FACES, REGISTRY, folder)
    assert [epoch.epoch for epoch in folder.epochs] == [1, 2, 3]
    assert not list(folder.path.glob(".*"))


def test_pictures_that_stay_on_the_host_train_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU whose memory they do not fit: batches are copied one at a time."""
    trial, device = trial_of(), torch.device("cpu")
    rows = np.arange(24)[::2]
    here = Batches.of(FACES.train, rows, trial, REGISTRY, device)
    sent: list[torch.device] = []
    monkeypatch.setattr(training, "move", lambda tensor, to: sent.append(to) or tensor.clone())
    there = list(Batches.of(FACES.train, rows, trial, REGISTRY, device).epoch(torch.Generator()))
    monkeypatch.undo()
    assert len(there) == len(here) == 1 and len(sent) == 5
    for a, b in zip(here.epoch(torch.Generator()), there, strict=True):
        assert torch.equal(a.inputs, b.inputs) and torch.equal(a.targets, b.targets)


def test_pictures_are_not_copied_and_not_written_to() -> None:
    images = FACES.train.images.copy()
    images.flags.writeable = False  # as of a mapped file, or of Ray's object store
    tensor = on_device(images, torch.device("cpu"))
    assert tensor.data_ptr() == images.ctypes.data


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
    images = on_device(FACES.test.images, torch.device("cpu"))
    again = predict(network, FACES.test, images, size=32, bf16=False).points
    np.testing.assert_array_equal(again, folder.predictions.predicted)
    with pytest.raises(OdnbenchError, match="not a checkpoint of this network"):
        load_checkpoint(build_network(trial_of("dm").spec, REGISTRY, 68), folder.checkpoint)


@pytest.mark.parametrize("share", [1.0, 0.4])
def test_the_mean_shape_trial_has_the_error_of_the_mean_shape(tmp_path: Path, share: float) -> None:
    folder = run(tmp_path / "a", "mean-shape", f"train_fraction={share}")
    rows, _ = split_validation(FACES.train, trial_of().spec.data.validation_fraction, share)
    assert len(rows) == round(share * 22)
    by_hand = FACES.test.to_image(np.repeat(FACES.train[rows].points_crop.mean(0)[None], 6, axis=0))
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
    with pytest.raises(TrialFailed, match=r"epoch 1: (loss|the data term) is (nan|inf)"):
        run(tmp_path / "a", "odn", "optimizer=sgd", "learning_rate=1e30", "schedule=constant")
    assert not TrialFolder(tmp_path / "a").finished


def test_a_trial_folder_holds_everything_and_is_done_last(tmp_path: Path) -> None:
    folder = run(tmp_path / "a")
    names = {path.name for path in folder.path.iterdir()}
    assert names == {
        "README.md",
        "trial.json",
        "status.json",
        "metrics.jsonl",
        "predictions.parquet",
        "predictions-pasted.parquet",
        "result.json",
        "checkpoint.safetensors",
        "examples.jpg",
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


def test_the_confidence_of_a_head_is_kept_with_its_predictions(tmp_path: Path) -> None:
    told = run(tmp_path / "a", "cut", "head=local").predictions.confidence
    assert told is not None and told.shape == (6, 68)
    assert ((told >= 0) & (told <= 1)).all() and len(np.unique(told)) > 68
    assert run(tmp_path / "b", "cut").predictions.confidence is None


def test_a_criterion_in_pixels_trains(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", "odn", "criterion=wing", "unit=pixels")
    assert folder.finished


def test_validation_and_test_faces_are_never_trained_on(tmp_path: Path) -> None:
    """Other pictures and points of theirs leave the weights of the last epoch as they were."""
    _, of_validation = split_validation(FACES.train, 0.1)
    images, points = FACES.train.images.copy(), FACES.train.points.copy()
    images[of_validation] = 255 - images[of_validation]
    points[of_validation] += 5.0
    other = dataclasses.replace(
        FACES,
        train=dataclasses.replace(FACES.train, images=images, points=points),
        test=random_faces(6, seed=9, name="other"),
    )
    trial, states = trial_of("odn", ["select=last"]), []
    for name, faces in (("a", FACES), ("b", other)):
        folder = TrialFolder(tmp_path / name)
        fit(trial, faces, REGISTRY, folder)
        states.append(load_file(folder.checkpoint))
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize("fraction", [0.05, 0.3, 0.5])
def test_the_split_into_training_and_validation_is_disjoint_and_complete(fraction: float) -> None:
    rows, validation_rows = split_validation(FACES.train, fraction)
    assert len(validation_rows) == max(1, round(24 * fraction))
    assert sorted([*rows, *validation_rows]) == list(range(24))


def test_a_prediction_that_is_not_a_number_is_not_averaged_away() -> None:
    """NaN of a face must reach fit, which then fails the trial."""
    trial, predicted = trial_of(), FACES.test.points.copy()
    predicted[2] = np.nan
    assert not np.isfinite(mean_nme_percent(predicted, FACES.test, trial.protocol, trial.scheme))


def test_too_few_faces_to_train_on_are_told_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(OdnbenchError, match="validation_fraction"):
        run(tmp_path / "a", "odn", "validation_fraction=0.99")


@pytest.mark.slow
def test_the_weights_that_are_kept_are_those_of_the_best_epoch(tmp_path: Path) -> None:
    overrides = ["epochs=6", "schedule=constant", "learning_rate=3e-2", "precision=float32"]
    validation = FACES.train[split_validation(FACES.train, 0.1)[1]]
    earlier = 0  # trials whose best epoch is not the last one
    for seed in range(4):
        trial = trial_of("odn", [*overrides, f"seed={seed}"])
        folder = TrialFolder(tmp_path / str(seed))
        fit(trial, FACES, REGISTRY, folder)
        earlier += folder.result.best_epoch < 6
        network = build_network(trial.spec, REGISTRY, 68)
        load_checkpoint(network, folder.checkpoint)
        images = on_device(validation.images, torch.device("cpu"))
        predicted = predict(network, validation, images, size=32, bf16=False).points
        nme = mean_nme_percent(predicted, validation, trial.protocol, trial.scheme)
        assert nme == pytest.approx(folder.result.validation_nme_percent, rel=1e-4)
    assert earlier


@pytest.mark.parametrize("weight", ["alpha", "gamma", "lambda", "beta"])
def test_a_heavy_penalty_shrinks_what_it_weighs(tmp_path: Path, weight: str) -> None:
    overrides = [f"loss.{weight}=1e3", "epochs=4", "learning_rate=1e-2", "schedule=constant"]
    epochs = run(tmp_path / "a", "odn", *overrides).epochs
    values = [get_at(epoch, weight) for epoch in epochs]
    assert values[-1] < 0.7 * values[0]


def test_batch_norms_see_every_training_batch_and_no_other(tmp_path: Path) -> None:
    state = load_file(run(tmp_path / "a", "odn", "select=last").checkpoint)
    counts = {int(v) for name, v in state.items() if name.endswith("num_batches_tracked")}
    assert counts == {3 * (22 // 8)}  # epochs × batches: 24 faces, 2 of them for validation


def test_occlusion_is_one_less_the_map_at_the_true_landmarks(tmp_path: Path) -> None:
    class LeftHalf(LandmarkNetwork):
        """Trusts the left half of the crop alone."""

        def forward(self, images: Tensor) -> Prediction:
            P = torch.zeros(len(images), 1, 2, 2)
            P[..., 0] = 1.0
            return Prediction(self.mean_shape.expand(len(images), -1, -1), P)

    masks = np.zeros((len(FACES.test), 64, 64), np.uint8)
    masks[:, :, 32:] = 255  # the right half is covered
    faces = dataclasses.replace(FACES.test, masks=masks)
    images = on_device(faces.images, torch.device("cpu"))
    found = predict(LeftHalf(68), faces, images, 32, bf16=False)
    assert found.occlusion_map is not None
    occlusion = occlusion_of(found.occlusion_map, faces, 32)
    assert occlusion.covered is not None
    x = faces.points_crop[..., 0] - (faces.images.shape[1] - 32) / 2  # pixels of the input
    expected = np.clip((x + 0.5) / 16 - 0.5, 0, 1)  # from the left cell's centre to the right one's
    np.testing.assert_allclose(occlusion.landmarks, expected, atol=1e-5)
    np.testing.assert_array_equal(occlusion.cells, [[0.0, 1.0, 0.0, 1.0]] * len(faces))
    np.testing.assert_allclose(occlusion.covered, occlusion.cells, atol=0.02)


def test_a_trial_keeps_what_its_modules_say(tmp_path: Path) -> None:
    odn, plain = run(tmp_path / "odn"), run(tmp_path / "brnet", "brnet")
    assert odn.predictions.occlusion is not None
    assert odn.predictions.occlusion.landmarks.shape == odn.predictions.occluded.shape
    assert odn.predictions.occlusion.cells.shape == (len(FACES.test), 1)
    assert odn.predictions.occlusion.covered is None  # these faces have no masks
    assert plain.predictions.occlusion is None
    sigma = np.array(odn.result.spectrum)
    assert (np.diff(sigma) <= 0).all() and len(sigma) > 1
    ranks = [epoch.effective_rank for epoch in odn.epochs]
    assert all(rank is not None and 1 <= rank <= len(sigma) for rank in ranks)
    assert plain.result.spectrum == () and plain.epochs[0].effective_rank is None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # torch.compile's own use
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_network_trains_like_the_plain_one(tmp_path: Path) -> None:
    overrides = ("precision=float32", "epochs=2")
    plain = run(tmp_path / "plain", "odn", *overrides)
    compiled = run(tmp_path / "compiled", "odn", *overrides, "compile=default")
    assert compiled.trial.spec.train.compile == "default"
    for a, b in zip(plain.epochs, compiled.epochs, strict=True):
        assert a.data_term == pytest.approx(b.data_term, rel=1e-3)
        assert a.gradient_shares.keys() == b.gradient_shares.keys()
        assert a.gradient_shares["eta"] == pytest.approx(b.gradient_shares["eta"], rel=0.05)


def test_a_trial_records_what_its_terms_do_and_how_large_its_maps_are(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", "odn", "attach=stride-16", "input_size=32")
    for epoch in folder.epochs:
        assert epoch.gradient_shares.keys() == {"alpha", "beta", "gamma", "lambda", "eta"}
        assert all(0 < share < 1 for share in epoch.gradient_shares.values())
    shapes, network = folder.result.shapes, build_network(folder.trial.spec, REGISTRY, 68)
    load_checkpoint(network, folder.checkpoint)
    M, W_fc = network.get_parameter("low_rank.M"), network.get_parameter("regression.weight")
    assert shapes is not None
    assert shapes.feature_map == (2, 2) and shapes.structural_matrix == tuple(M.shape)
    expected = np.linalg.svd((M @ W_fc.T).detach().double().numpy(), compute_uv=False)
    np.testing.assert_allclose(folder.result.product_spectrum, expected, rtol=1e-5, atol=1e-8)


def test_test_faces_are_predicted_with_occluders_where_the_spec_asks_for_it(tmp_path: Path) -> None:
    asked, not_asked = (
        run(tmp_path / answer, "odn", f"pasted_test={answer}") for answer in ("true", "false")
    )
    assert not_asked.pasted is None and asked.pasted is not None
    clean, pasted = asked.predictions, asked.pasted
    np.testing.assert_array_equal(clean.predicted, not_asked.predictions.predicted)
    np.testing.assert_array_equal(clean.true, pasted.true)
    assert (clean.predicted != pasted.predicted).any()
    assert pasted.occluded[clean.occluded].all() and pasted.occluded.sum() > clean.occluded.sum()
    assert pasted.occlusion is not None and pasted.occlusion.covered is not None


def test_the_schedule_leaves_momentum_as_stated() -> None:
    rows = np.arange(24)
    for optimizer, key, value in (("adam", "betas", (0.9, 0.999)), ("sgd", "momentum", 0.9)):
        trial = trial_of("cut", [f"optimizer={optimizer}"])
        train = Training.of(trial, FACES.train, rows, REGISTRY, torch.device("cpu"))
        for batch in train.batches.epoch(train.generator):
            train.step(batch)
            assert all(group[key] == value for group in train.optimizer.param_groups)


@pytest.mark.slow
def test_supervision_teaches_the_map_where_occluders_were_pasted(tmp_path: Path) -> None:
    few = ("low_rank=none", "geometry=none", "attach=stride-16", "epochs=30", "learning_rate=1e-2")
    overrides = (*few, "occluders=1", "zeta=50")
    epochs = run(tmp_path / "a", "odn", *overrides).epochs
    assert epochs[-1].penalties["zeta"] < 0.7 * epochs[0].penalties["zeta"]
