"""One trial: trains a network on prepared faces, picks an epoch, predicts the test faces.

Plain PyTorch, to be called from a notebook as from a Ray worker. The pictures lie on the device as
uint8; a step draws its transforms, resamples the batch once, and adds the closed-form gradients of
the penalties after the backward pass. Nothing inside an epoch waits for the device.
"""

# B images in a batch, N faces, L landmarks, S side of a prepared picture, s of the network's input

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from odnbench.datasets.augment import normalise, resample, sample_transforms, to_unit
from odnbench.datasets.faces import FaceSet, Floats
from odnbench.datasets.pictures import write_picture
from odnbench.datasets.sources import Faces, split_validation
from odnbench.engine.checkpoint import save_checkpoint
from odnbench.engine.evaluate import mean_nme_percent, occlusion_of, predict
from odnbench.engine.examples import draw_examples
from odnbench.losses.nuclear import singular_values
from odnbench.losses.objective import build_objective
from odnbench.metrics.rank import effective_rank, stable_rank
from odnbench.networks.base import LandmarkNetwork
from odnbench.registry import Registry, Variant, import_target
from odnbench.specs import AugmentSpec, TrainSpec, Trial, TrialSpec
from odnbench.trials import Epoch, Predictions, Result, TrialFolder


@dataclass(frozen=True)
class Batches:
    """The training faces on the device, and how they become batches."""

    images: Tensor  # (N, S, S, 3) uint8
    points: Tensor  # (N, L, 2), pixels of the prepared pictures
    flip: Tensor  # (L,)
    augment: AugmentSpec
    input_size: int
    size: int  # B

    @classmethod
    def of(cls, faces: FaceSet, trial: Trial, device: torch.device) -> "Batches":
        """Moves `faces` to `device`."""
        return cls(
            images=on_device(faces, device),
            points=torch.from_numpy(faces.points_crop).float().to(device),
            flip=torch.tensor(trial.scheme.flip, device=device),
            augment=trial.spec.augment,
            input_size=trial.spec.data.input_size,
            size=min(trial.spec.train.batch_size, len(faces)),
        )

    def __len__(self) -> int:
        """Batches in an epoch; faces that do not fill one wait for the next epoch's order."""
        return len(self.images) // self.size

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs (B, 3, s, s) and targets (B, L, 2) in [-1, 1], in a new order."""
        order = torch.randperm(len(self.images), generator=generator)
        device = self.images.device
        for indices in order[: len(self) * self.size].split(self.size):
            transforms, mirrored = sample_transforms(self.size, self.augment, generator)
            chosen = indices.to(device, non_blocking=True)
            inputs, targets = resample(
                self.images[chosen],
                self.points[chosen],
                transforms.to(device, non_blocking=True),
                mirrored.to(device, non_blocking=True),
                self.flip,
                self.input_size,
            )
            yield normalise(inputs).contiguous(memory_format=torch.channels_last), targets

    def mean_shape(self) -> Tensor:
        """(L, 2): mean of the points in [-1, 1] over the crop."""
        stored = self.images.shape[1]
        return to_unit(self.points, stored).mean(dim=0) * (stored / self.input_size)


class TrialFailed(Exception):  # noqa: N818  it is the trial that failed, not the program
    """The numbers of a trial are not usable, for the reason given."""


def fit(
    trial: Trial,
    faces: Faces,
    registry: Registry,
    folder: TrialFolder,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> Result:
    """Trains, selects and predicts; writes the trial's folder.

    on_epoch is called after each epoch, and may raise to stop the trial. Raises TrialFailed where
    the loss is not finite.
    """
    started = time.perf_counter()
    spec, size = trial.spec, trial.spec.data.input_size
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bf16 = use_bf16(spec.train.precision, device)
    torch.manual_seed(spec.seed)
    generator = torch.Generator().manual_seed(spec.seed)  # of batches and transforms
    folder.start(trial)

    train, validation = split_validation(faces.train, spec.data.validation_fraction)
    judged = faces.test if spec.train.select == "test" else validation
    judged_images = on_device(judged, device)
    batches = Batches.of(train, trial, device)

    network = build_network(spec, registry, trial.scheme.points)
    network.mean_shape.copy_(batches.mean_shape())
    network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    objective = build_objective(spec.loss, network, registry, size)
    optimizer, schedule = build_optimizer(network, spec.train, len(batches))

    best_nme, best_epoch = float("inf"), 0
    best_state = network.state_dict()
    for epoch in range(1, spec.train.epochs + 1):
        epoch_started = time.perf_counter()
        network.train()
        sums = torch.zeros(2, device=device)  # data term and η ‖P‖_1
        for inputs, targets in batches.epoch(generator):
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                prediction = network(inputs)
            terms = objective(prediction, targets)
            optimizer.zero_grad(set_to_none=True)
            (terms.data + terms.occlusion).backward()
            objective.add_penalty_gradients()
            optimizer.step()
            schedule.step()
            sums += torch.stack(terms).detach()
        data_term, eta = (sums / len(batches)).tolist()
        if not np.isfinite([data_term, eta]).all():
            raise TrialFailed(f"epoch {epoch}: the data term is {data_term}, η ‖P‖_1 is {eta}")
        penalties = objective.penalties()
        loss = data_term + eta + sum(penalties.values())
        predicted = predict(network, judged, judged_images, size, bf16).points
        nme = mean_nme_percent(predicted, judged, trial.protocol, trial.scheme)
        sigma = spectrum(network)
        if not np.isfinite([loss, nme]).all():
            raise TrialFailed(f"epoch {epoch}: loss is {loss}, validation NME is {nme} %")
        if nme < best_nme or spec.train.select == "last":
            best_nme, best_epoch = nme, epoch
            best_state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        measured = Epoch(
            epoch=epoch,
            loss=loss,
            data_term=data_term,
            eta=eta,
            **penalties,
            learning_rate=float(schedule.get_last_lr()[0]),
            validation_nme_percent=nme,
            seconds=time.perf_counter() - epoch_started,
            effective_rank=None if sigma is None else effective_rank(sigma),
            stable_rank=None if sigma is None else stable_rank(sigma),
        )
        folder.append(measured)
        on_epoch(measured)

    network.load_state_dict(best_state)
    if not best_epoch:  # nothing to train
        predicted = predict(network, judged, judged_images, size, bf16).points
        best_nme = mean_nme_percent(predicted, judged, trial.protocol, trial.scheme)
    test_images = on_device(faces.test, device)
    predicted, P = predict(network, faces.test, test_images, size, bf16)
    if not np.isfinite(predicted).all():
        raise TrialFailed("a prediction for a test face is not finite")
    write_picture(draw_examples(network, faces.test, test_images, predicted, size), folder.examples)
    save_checkpoint(network.state_dict(), folder.checkpoint)
    sigma = spectrum(network)
    seconds = time.perf_counter() - started
    result = Result(
        parameters=sum(p.numel() for p in network.parameters()),
        best_epoch=best_epoch,
        validation_nme_percent=best_nme,
        seconds=seconds,
        images_per_second=spec.train.epochs * len(batches) * batches.size / seconds,
        precision="bf16" if bf16 else "float32",
        device=torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        torch=torch.__version__,
        spectrum=() if sigma is None else tuple(sigma.tolist()),
    )
    occlusion = None if P is None else occlusion_of(P, faces.test, size)
    folder.finish(result, Predictions.of(faces.test, predicted, occlusion))
    return result


def spectrum(network: LandmarkNetwork) -> Floats | None:
    """(k,) singular values of the structural matrix M, where the network has one."""
    M = network.structural_matrix
    if M is None:
        return None
    sigma: Floats = singular_values(M).cpu().numpy()
    return sigma


def build_network(spec: TrialSpec, registry: Registry, landmarks: int) -> LandmarkNetwork:
    """The network of `spec`, with fresh or pretrained weights."""
    target = import_target(registry.get(Variant, spec.variant).network)
    network: LandmarkNetwork = target(
        model=spec.model, registry=registry, landmarks=landmarks, input_size=spec.data.input_size
    )
    return network


def build_optimizer(
    network: LandmarkNetwork, train: TrainSpec, steps_per_epoch: int
) -> tuple[torch.optim.Optimizer, LRScheduler]:
    """Optimiser and per-step schedule. Weight decay is left to the objective, which holds Eq.
    (3)'s.
    """
    parameters = list(network.parameters()) or [torch.nn.Parameter(torch.zeros(0))]
    total = max(1, train.epochs * steps_per_epoch)
    optimizer: torch.optim.Optimizer
    if train.optimizer == "sgd":
        optimizer = torch.optim.SGD(parameters, train.learning_rate, momentum=0.9, nesterov=True)
    else:
        optimizer = torch.optim.Adam(parameters, train.learning_rate)
    if train.schedule == "one-cycle":
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, train.learning_rate, total)
    if train.schedule == "cosine":
        return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)
    return optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


def use_bf16(precision: str, device: torch.device) -> bool:
    """Whether to compute in bf16: where asked for, and under "auto" where the processor has it."""
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))


def on_device(faces: FaceSet, device: torch.device) -> Tensor:
    """(N, S, S, 3) uint8: the pictures of `faces` on `device`."""
    return torch.from_numpy(np.array(faces.images)).to(device)
