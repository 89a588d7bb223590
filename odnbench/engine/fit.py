"""One trial: trains a network on prepared faces, picks an epoch, predicts the test faces.

Plain PyTorch, to be called from a notebook as from a Ray worker. All that later epochs depend on is
saved in the trial's folder, so that a killed trial goes on from there to the same numbers.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from odnbench.arrays import Floats
from odnbench.datasets.faces import FaceSet
from odnbench.datasets.pictures import write_picture
from odnbench.datasets.sources import TrialFaces
from odnbench.engine.card import card_of
from odnbench.engine.checkpoint import Progress, ProgressFile, save_checkpoint
from odnbench.engine.cost import cost_of
from odnbench.engine.evaluate import (
    FlipTest,
    mean_nme_percent,
    occlusion_of,
    predict,
    predictions_of,
    with_occluders,
)
from odnbench.engine.examples import draw_examples
from odnbench.engine.training import Training, on_device, own_device
from odnbench.losses.nuclear import singular_values
from odnbench.metrics.rank import effective_rank, stable_rank
from odnbench.networks.base import LandmarkNetwork
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Trial
from odnbench.results.folder import TrialFolder
from odnbench.results.predictions import Predictions
from odnbench.results.records import Epoch, Result
from odnbench.results.shapes import Shapes


class TrialFailed(Exception):  # noqa: N818  it is the trial that failed, not the program
    """The numbers of a trial are not usable, for the reason given."""


def fit(
    trial: Trial,
    faces: TrialFaces,
    registry: Registry,
    folder: TrialFolder,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    weights: Path | None = None,
    teacher: Path | None = None,
) -> Result:
    """Trains, selects and predicts; writes the trial's folder.

    Goes on from the progress that the folder holds. on_epoch is called after each epoch that is
    trained, and may raise to stop the trial. weights, teacher: paths of the spec's weights file and
    of its teacher's folder on this machine, if they differ from the spec's. Raises TrialFailed
    where the loss is not finite.
    """
    started = time.perf_counter()
    file = ProgressFile(folder.progress)
    progress = file.load() or Progress()
    if len(folder.epochs) < progress.epoch:  # epochs were lost from metrics.jsonl: begin anew
        progress = Progress()
    folder.start(trial, epochs=progress.epoch)
    spec, size = trial.spec, trial.spec.data.input_size
    device = own_device()
    rows, validation_rows = faces.split(spec.data)
    training = Training.of(trial, faces.train, rows, registry, device, weights, teacher)
    network, bf16, flip_test = training.kept, training.bf16, FlipTest.of(trial, registry)
    judged = faces.test if spec.train.select == "test" else faces.train[validation_rows]
    judged_images = on_device(judged.images, device)

    def judge() -> float:
        """NME of the network as it is now, in percent, on the faces that choose the epoch."""
        found = predict(network, judged, judged_images, size, bf16, flip_test).points
        return mean_nme_percent(found, judged, trial.protocol, trial.scheme)

    if progress.epoch:
        training.load_state_dict(progress.training)
    best_nme, best_epoch = progress.best_nme, progress.best_epoch
    best_state = progress.best_state or network.state_dict()
    for epoch in range(progress.epoch + 1, spec.train.epochs + 1):
        measured = _train_epoch(training, epoch, judge)
        nme = measured.validation_nme_percent
        if nme < best_nme or spec.train.select == "last":
            best_nme, best_epoch = nme, epoch
            best_state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        folder.append(measured)
        if file.due:
            seconds = progress.seconds + time.perf_counter() - started
            state = training.state_dict()
            file.save(Progress(epoch, seconds, best_epoch, best_nme, best_state, state))
        on_epoch(measured)

    network.load_state_dict(best_state)
    if not best_epoch:  # no epoch was trained
        best_nme = judge()
    save_checkpoint(network.state_dict(), folder.checkpoint)
    test_images = judged_images if judged is faces.test else on_device(faces.test.images, device)
    began = time.perf_counter()
    predictions = predict_test(network, faces.test, test_images, size, bf16, flip_test)
    predict_ms = 1000 * (time.perf_counter() - began) / len(faces.test)
    examples = draw_examples(
        network, faces.test, test_images, predictions.predicted, size, flip_test
    )
    write_picture(examples, folder.examples)
    pasted = _pasted(network, faces.test, size, bf16, flip_test) if spec.data.pasted_test else None
    seconds = progress.seconds + time.perf_counter() - started
    passes = 1 if flip_test is None else 2
    result = _result(training, spec.train.epochs, best_epoch, best_nme, seconds, predict_ms, passes)
    folder.write_card(card_of(trial, result, predictions, registry))
    folder.finish(result, predictions, pasted)
    return result


def _train_epoch(training: Training, epoch: int, judge: Callable[[], float]) -> Epoch:
    """Trains one epoch, the `epoch`-th, and measures it.

    judge: gives the NME on the faces that choose the epoch, in percent. Raises TrialFailed where
    the loss or that NME is not finite.
    """
    started = time.perf_counter()
    terms, shares = training.epoch()
    if not np.isfinite(list(terms.values())).all():
        others = ", ".join(f"{k} {v}" for k, v in terms.items() if k != "data")
        raise TrialFailed(f"epoch {epoch}: the data term is {terms['data']}, {others}")
    sigma = spectrum(training.network)
    penalties = training.objective.penalties(sigma)
    loss = sum(terms.values()) + sum(penalties.values())
    nme = judge()
    if not np.isfinite([loss, nme]).all():
        raise TrialFailed(f"epoch {epoch}: loss is {loss}, validation NME is {nme} %")
    return Epoch(
        epoch=epoch,
        loss=loss,
        data_term=terms.pop("data"),
        penalties={**penalties, **terms},
        learning_rate=float(training.schedule.get_last_lr()[0]),
        validation_nme_percent=nme,
        seconds=time.perf_counter() - started,
        effective_rank=None if sigma is None else effective_rank(sigma),
        stable_rank=None if sigma is None else stable_rank(sigma),
        gradient_shares=shares,
    )


def _result(
    training: Training,
    epochs: int,
    best_epoch: int,
    best_nme: float,
    seconds: float,
    predict_ms: float,
    passes: int,
) -> Result:
    """The result of a trial of `epochs` epochs, whose network has the selected weights and predicts
    a face in so many passes.
    """
    network = training.kept
    M, W_fc = network.structural_matrix, network.regression_matrix
    seen = epochs * len(training.batches) * training.batches.size
    sigma = spectrum(network)
    product = None if M is None or W_fc is None else singular_values(M @ W_fc.T)
    bf16, device = training.bf16, network.mean_shape.device.type
    if not network.runs_in_torch:
        bf16, device = False, "cpu"
    return Result(
        parameters=network.parameter_count,
        best_epoch=best_epoch,
        validation_nme_percent=best_nme,
        seconds=seconds,
        images_per_second=seen / seconds,
        precision="bf16" if bf16 else "float32",
        device=torch.cuda.get_device_name() if device == "cuda" else "cpu",
        torch=torch.__version__,
        spectrum=() if sigma is None else tuple(sigma.tolist()),
        product_spectrum=() if product is None else tuple(product.tolist()),
        shapes=shapes_of(network),
        predict_ms=predict_ms,
        cost=cost_of(network, training.batches.input_size, training.bf16, passes),
    )


def predict_test(
    network: LandmarkNetwork,
    test: FaceSet,
    images: Tensor,
    size: int,
    bf16: bool,
    flip_test: FlipTest | None,
) -> Predictions:
    """The predictions for `test`; raises TrialFailed where one is not finite."""
    predicted, P, confidence = predict(network, test, images, size, bf16, flip_test)
    if not np.isfinite(predicted).all():
        raise TrialFailed("a prediction for a test face is not finite")
    occlusion = None if P is None else occlusion_of(P, test, size)
    flipped = flip_test is not None
    return predictions_of(test, predicted, occlusion, confidence, flip_test=flipped)


def _pasted(
    network: LandmarkNetwork, test: FaceSet, size: int, bf16: bool, flip_test: FlipTest | None
) -> Predictions:
    """The predictions for `test` with occluders pasted on the pictures."""
    faces = with_occluders(test, size)
    images = on_device(faces.images, network.mean_shape.device)
    return predict_test(network, faces, images, size, bf16, flip_test)


def shapes_of(network: LandmarkNetwork) -> Shapes:
    """The sizes inside `network` that decide whether its modules can work."""
    M = network.structural_matrix
    matrix = None if M is None else (M.shape[0], M.shape[1])
    return Shapes(len(network.mean_shape), network.feature_map, matrix)


def spectrum(network: LandmarkNetwork) -> Floats | None:
    """(k,) singular values of the structural matrix M, where the network has one."""
    M = network.structural_matrix
    if M is None:
        return None
    sigma: Floats = singular_values(M).cpu().numpy()
    return sigma
