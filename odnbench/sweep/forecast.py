"""What carrying out a plan will cost: networks are measured here for a moment, nothing is written.

    forecast(plan, Slot(cpus=1), slots=2).seconds

The time that Ray and its workers take to start, a few seconds, is not in it, nor what trials side
by side take from each other.
"""

import heapq
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from odnbench.engine.check import Footprint, check_trials, in_threads, kind_of
from odnbench.engine.probe import Probe, probe
from odnbench.plan.specs import Trial
from odnbench.sweep.plan import Plan
from odnbench.sweep.run import SearchRecord

_SECONDS = 0.4  # for which a network is trained to measure it


@dataclass(frozen=True)
class Slot:
    """What a trial gets of a machine while it runs. gpus None: one, where there is any; that trials
    may share it, as measuring says when they run, is not foretold.
    """

    cpus: float = 1.0
    gpus: float | None = None

    @property
    def threads(self) -> int:
        """Of torch."""
        return max(1, int(self.cpus))

    @property
    def gpu_share(self) -> float:
        """GPUs that it takes on this machine."""
        return float(torch.cuda.is_available()) if self.gpus is None else self.gpus

    @property
    def here(self) -> int:
        """How many of them this machine has."""
        cores = os.cpu_count() or 1
        count = int(cores // self.cpus) if self.cpus else cores
        if self.gpu_share:
            count = min(count, int(torch.cuda.device_count() // self.gpu_share))
        return max(1, count)


@dataclass(frozen=True)
class Kind:
    """Trials that train the same network alike, and so cost the same."""

    title: str  # of the first of them
    footprint: Footprint
    probe: Probe
    trial_seconds: float  # of the first of them

    @property
    def trained(self) -> bool:
        """Whether there is anything to train."""
        return self.footprint.training_bytes > 0


@dataclass(frozen=True)
class Forecast:
    """What is left of a plan, and what it costs on machines like this one."""

    kinds: tuple[Kind, ...]
    finished: int  # trials that are reused
    trial_seconds: tuple[float, ...]  # of each trial that is to run
    trial_bytes: int  # largest one's checkpoint and predictions on disk
    slot: Slot
    slots: int | None  # trials side by side; None: not known
    measured_seconds: float  # that measuring took

    @property
    def seconds(self) -> float:
        """From the start of the first trial to the end of the last; in one slot if their number is
        not known.
        """
        ends = [0.0] * max(1, min(self.slots or 1, len(self.trial_seconds)))
        for seconds in self.trial_seconds:
            heapq.heapreplace(ends, ends[0] + seconds)
        return max(ends)

    @property
    def core_hours(self) -> float:
        """Of all trials that are to run."""
        return sum(self.trial_seconds) * self.slot.cpus / 3600

    @property
    def gpu_hours(self) -> float:
        """Of all trials that are to run; 0 where they take no GPU."""
        return sum(self.trial_seconds) * self.slot.gpu_share / 3600

    @property
    def bytes(self) -> int:
        """On disk, of all trials that are to run, at most."""
        return self.trial_bytes * len(self.trial_seconds)


def forecast(
    plan: Plan, slot: Slot, *, slots: int | None, search_trials: int | None = None
) -> Forecast:
    """Measures each network that is still to be trained, with the threads that a trial gets.

    slots: trials that run side by side; None: not known. search_trials: in all, of a search around
    the plan's one trial.
    """
    if search_trials is None:
        to_run = [trial for trial in plan.trials if not plan.folder(trial).finished]
        finished = len(plan.trials) - len(to_run)
    else:
        finished = min(_searched(plan), search_trials)
        to_run = [plan.trials[0]] * (search_trials - finished)
    started = time.perf_counter()
    with in_threads(slot.threads):
        kinds = {kind_of(trial): _measure(plan, trial) for trial in _one_of_each(to_run)}
    return Forecast(
        kinds=tuple(kinds.values()),
        finished=finished,
        trial_seconds=tuple(
            kinds[kind_of(t)].probe.trial_seconds(t, plan.faces[t.faces]) for t in to_run
        ),
        trial_bytes=max((_disk_bytes(plan, t, kinds[kind_of(t)]) for t in to_run), default=0),
        slot=slot,
        slots=slots,
        measured_seconds=time.perf_counter() - started,
    )


def _one_of_each(trials: Sequence[Trial]) -> list[Trial]:
    return list({kind_of(trial): trial for trial in reversed(trials)}.values())[::-1]


def _measure(plan: Plan, trial: Trial) -> Kind:
    footprint = plan.footprints.get(trial.id)
    if footprint is None:  # of a search whose first trial is finished
        footprint = check_trials([trial], plan.registry)[trial.id]
    faces = plan.faces[trial.faces]
    measured = probe(trial, faces, plan.registry, _SECONDS)
    return Kind(trial.title, footprint, measured, measured.trial_seconds(trial, faces))


def _searched(plan: Plan) -> int:
    """Trials of the plan's search that have ended, whole or early."""
    folders = [plan.folder(trial) for trial in SearchRecord(plan).trials]
    return sum(folder.finished or folder.status[0] == "stopped" for folder in folders)


def _disk_bytes(plan: Plan, trial: Trial, kind: Kind) -> int:
    """Of checkpoint and predictions; float64 are hardly made smaller by compression."""
    per_point = 8 * 2 * 2 + 8 + 1  # predicted, true, occlusion, flag
    per_face = trial.scheme.points * per_point + 8 * 4
    return 4 * kind.footprint.parameters + len(plan.faces[trial.faces].test) * per_face
