"""What a plan will cost: time, core-hours, GPU-hours and bytes on disk.

    forecast(plan, Slot(cpus=1), slots=2).seconds

Each network of the plan is trained for a moment on this machine, and the time of all trials is
computed from the time of a step. Nothing is written. Two things are left out: the few seconds that
Ray and its workers take to start, and how much slower trials are that run side by side.
"""

import heapq
import itertools
import os
import time
from dataclasses import dataclass
from typing import Any

import torch

from odnbench.engine.check import Footprint, check_trials, in_threads, kind_of
from odnbench.engine.probe import Probe, probe
from odnbench.plan.trials import Trial
from odnbench.results.searches import REDUCTION, SearchSettings
from odnbench.sweep.plan import Plan

# How long a network is trained to measure its steps.
_SECONDS = 0.4


@dataclass(frozen=True)
class Slot:
    """The part of a machine that one trial gets while it runs."""

    # Cores.
    cpus: float = 1.0
    # GPUs, or a share of one. None: a whole GPU on a machine that has one. When the plan runs, Ray
    # may put several trials on that GPU (on_ray/gpu_share.py), so that less time is needed.
    gpus: float | None = None

    @property
    def threads(self) -> int:
        """The number of torch's threads on the CPU."""
        return max(1, int(self.cpus))

    @property
    def gpu_share(self) -> float:
        """The number of GPUs, or the share of one, that a trial takes on this machine."""
        return float(torch.cuda.is_available()) if self.gpus is None else self.gpus

    @property
    def here(self) -> int:
        """How many slots this machine has: as many trials can run side by side."""
        cores = os.cpu_count() or 1
        count = int(cores // self.cpus) if self.cpus else cores
        if self.gpu_share:
            count = min(count, int(torch.cuda.device_count() // self.gpu_share))
        return max(1, count)


@dataclass(frozen=True)
class Kind:
    """Trials that train the same network with the same settings, so that a step costs the same."""

    # Title of the first of these trials.
    title: str
    footprint: Footprint
    probe: Probe
    # How long the first of these trials will take.
    trial_seconds: float

    @property
    def trained(self) -> bool:
        """Whether the network has anything to train; the mean shape has not."""
        return self.footprint.training_bytes > 0


@dataclass(frozen=True)
class Forecast:
    """What the trials of a plan that are not finished will cost on machines like this one."""

    kinds: tuple[Kind, ...]
    # The number of trials that are finished, which are reused.
    finished: int
    # How long each trial that is to run will take.
    trial_seconds: tuple[float, ...]
    # Bytes on disk of the trial with the largest checkpoint and predictions.
    trial_bytes: int
    slot: Slot
    # How many trials run side by side; None: not known.
    slots: int | None
    # How long the measuring has taken.
    measured_seconds: float
    # How long each finished trial takes that is to predict disturbed test faces.
    predicting_seconds: tuple[float, ...] = ()
    # Bytes on disk of these predictions.
    predicting_bytes: int = 0

    @property
    def seconds(self) -> float:
        """The time from the start of the first trial to the end of the last, where each trial takes
        the slot that is free first. If the number of slots is not known, it is taken to be one.
        """
        # A heap of the times at which the slots become free.
        every = [*self.predicting_seconds, *self.trial_seconds]
        ends = [0.0] * max(1, min(self.slots or 1, len(every)))
        for seconds in every:
            heapq.heapreplace(ends, ends[0] + seconds)
        return max(ends)

    @property
    def core_hours(self) -> float:
        """Core-hours of all trials that are to run."""
        return self._slot_seconds * self.slot.cpus / 3600

    @property
    def gpu_hours(self) -> float:
        """GPU-hours of all trials that are to run; 0 if trials take no GPU."""
        return self._slot_seconds * self.slot.gpu_share / 3600

    @property
    def bytes(self) -> int:
        """An upper bound of the bytes on disk of all that is to run."""
        return self.trial_bytes * len(self.trial_seconds) + self.predicting_bytes

    @property
    def _slot_seconds(self) -> float:
        return sum(self.trial_seconds) + sum(self.predicting_seconds)


@dataclass(frozen=True)
class Searched:
    """The trials around the one trial of a plan that a search is still to train.

    pruned: of how many the pruner judges; share: of their epochs, which it is expected to leave of
    them, from 0 to 1. whole: of how many all epochs are trained. finished: how many have ended.
    """

    pruned: int
    share: float
    whole: int
    finished: int


def expected_share(settings: SearchSettings, steps: int) -> float | None:
    """The share of `steps` epochs, or repeats, that a point takes in the mean, where a third of the
    points goes on at each rung of successive halving; None for a pruner that says less of it.
    """
    if settings.pruner == "none":
        return 1.0
    if settings.pruner != "successive-halving" or not steps:
        return None
    ends, going_on, taken = [settings.first_step(steps)], 1.0, 0.0
    while ends[-1] * REDUCTION < steps:
        ends.append(ends[-1] * REDUCTION)
    for begin, end in itertools.pairwise([0, *ends, steps]):
        taken += going_on * (end - begin)
        going_on /= REDUCTION
    return taken / steps


def forecast(
    plan: Plan, slot: Slot, *, slots: int | None, searched: Searched | None = None
) -> Forecast:
    """Measures each network that is still to be trained, on the threads that `slot` gives a trial.

    slots: how many trials run side by side; None: not known.
    searched: None for a plan that is run as it is.
    """
    predicting = plan.unpredicted
    if searched is None:
        to_run = plan.unfinished
        finished = len(plan.trials) - len(to_run)
        shares = [1.0] * len(to_run)
    else:
        finished = searched.finished
        to_run = [plan.trials[0]] * (searched.pruned + searched.whole)
        shares = [searched.share] * searched.pruned + [1.0] * searched.whole
    started = time.perf_counter()
    kinds: dict[tuple[Any, ...], Kind] = {}
    with in_threads(slot.threads):
        for trial in to_run:
            if kind_of(trial) not in kinds:
                kinds[kind_of(trial)] = _measure(plan, trial)
    return Forecast(
        kinds=tuple(kinds.values()),
        finished=finished,
        predicting_seconds=tuple(_predicting_seconds(plan, trial) for trial in predicting),
        trial_seconds=tuple(
            share * _trial_seconds(plan, trial, kinds[kind_of(trial)].probe)
            for trial, share in zip(to_run, shares, strict=True)
        ),
        trial_bytes=max((_disk_bytes(plan, t, kinds[kind_of(t)]) for t in to_run), default=0),
        predicting_bytes=sum(
            len(plan.lacks(trial)) * _predictions_bytes(plan, trial) for trial in predicting
        ),
        slot=slot,
        slots=slots,
        measured_seconds=time.perf_counter() - started,
    )


def _measure(plan: Plan, trial: Trial) -> Kind:
    """The kind of `trial`, measured on the faces of `trial`."""
    footprint = plan.footprints.get(trial.id)
    # A plan has no footprint of a trial that is finished; the first of a search may be.
    if footprint is None:
        footprint = check_trials([trial], plan.registry)[trial.id]
    faces = plan.faces[trial.faces]
    measured = probe(trial, faces, plan.registry, _SECONDS)
    return Kind(trial.title, footprint, measured, _trial_seconds(plan, trial, measured))


def _trial_seconds(plan: Plan, trial: Trial, measured: Probe) -> float:
    """How long `trial` takes as a whole."""
    return measured.trial_seconds(trial, plan.faces[trial.faces], len(plan.pipeline.disturbed))


def _predicting_seconds(plan: Plan, trial: Trial) -> float:
    """How long a finished trial takes to predict the disturbed test faces that it lacks, at the
    speed at which it has predicted them undisturbed.
    """
    face_ms = plan.folder(trial).result.predict_ms or 0.0
    return len(plan.lacks(trial)) * len(plan.faces[trial.faces].test) * face_ms / 1000


def _disk_bytes(plan: Plan, trial: Trial, kind: Kind) -> int:
    """Bytes on disk of the checkpoint and the predictions of `trial`."""
    times = 1 + trial.spec.data.pasted_test + len(plan.pipeline.disturbed)
    # A parameter is a float32.
    return 4 * kind.footprint.parameters + times * _predictions_bytes(plan, trial)


def _predictions_bytes(plan: Plan, trial: Trial) -> int:
    """Bytes on disk of a file of predictions.

    Their float64 numbers are taken as they are, since compression hardly shrinks them.
    """
    per_point = 8 * 2 * 2 + 8 + 1  # predicted x and y, true x and y, occlusion, flag
    per_face = trial.scheme.points * per_point + 8 * 4
    return len(plan.faces[trial.faces].test) * per_face
