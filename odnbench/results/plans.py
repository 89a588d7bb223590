"""A pipeline's folder: its plans, and whether a sweep is at work in it.

`<storage>/<pipeline>/` holds a folder per trial, the last plan (plan.json), and every plan in a
file of its own (plan-ID.json), so that all plans can be delivered to MLflow later.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from filelock import FileLock, Timeout

from odnbench.errors import OdnbenchError
from odnbench.files.whole import write_whole
from odnbench.plan.conversion import from_mapping, to_mapping
from odnbench.plan.pipelines import Pipeline
from odnbench.results.folder import SHOWN, TrialFolder
from odnbench.results.reading import read_json
from odnbench.results.records import Standing

PLAN = "plan.json"
STUDY = "study.journal"  # the Optuna study of a search
_LOCK = ".lock"
_JOINING_SECONDS = 5.0  # in which others that join at the same time have joined
_DRIVER = ".driver-{}.lock"  # of a process that works on a search, by its name


@dataclass(frozen=True)
class PlanRecord:
    """A plan as the pipeline's folder keeps it."""

    id: str
    pipeline: Pipeline
    trials: tuple[str, ...]  # content ids
    titles: tuple[str, ...]  # of the trials, in the same order
    notes: tuple[str, ...]  # what readers of the numbers must know, a sentence each
    saved_at: str

    @classmethod
    def load(cls, path: Path) -> "PlanRecord":
        """Reads a plan.json; OdnbenchError where it is damaged."""
        try:
            return from_mapping(cls, read_json(path, "a plan"), str(path))
        except OdnbenchError as error:
            copies = (f"copy {copy.name} over it" for copy in _readable_copies(path))
            cure = next(copies, "remove it")
            raise OdnbenchError(
                f"{error}; the command that wrote it writes it anew, or {cure}"
            ) from error

    def save(self, folder: Path) -> None:
        """Writes the plan into the pipeline's folder, as plan.json and as the plan's own file."""
        text = json.dumps(to_mapping(self), indent=1, ensure_ascii=False) + "\n"
        folder.mkdir(parents=True, exist_ok=True)
        for path in (own_file(folder, self.id), folder / PLAN):
            write_whole(path, text.encode())

    def standing(
        self, folder: TrialFolder, work: "Work", read: Collection[str] = SHOWN
    ) -> Standing:
        """Where the trial of `folder` stands in this plan. work: of the pipeline's folder. read:
        see `TrialFolder.damage`.
        """
        standing = work.standing(folder, read)
        if standing.state == "done" and (lacking := folder.lacks(self.pipeline.disturbed)):
            missing = ", ".join(map(str, lacking))
            reason = f"test faces not yet predicted with {missing}; the same command does that"
            return Standing("trained", reason)
        return standing

    def folders(self, folder: Path) -> list[tuple[TrialFolder, str]]:
        """The folder and the title of each trial; `folder` is the pipeline's."""
        return [
            (TrialFolder(folder / identity), title)
            for identity, title in zip(self.trials, self.titles, strict=True)
        ]


def own_file(folder: Path, plan_id: str) -> Path:
    """The file in the pipeline's folder that no later plan overwrites."""
    return folder / f"plan-{plan_id}.json"


def all_plans(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Plan id → file, of every plan in the pipeline's folder; and what is wrong with the files that
    cannot be read.
    """
    plans, faults = {}, []
    for path in sorted(folder.glob("plan*.json")):
        try:
            plans[PlanRecord.load(path).id] = path
        except OdnbenchError as error:
            faults.append(str(error))
    return plans, faults


def _readable_copies(path: Path) -> Iterator[Path]:
    """The plans beside `path`, a plan.json, that can be read; the last written one first."""
    if path.name == PLAN:
        copies = path.parent.glob(own_file(path.parent, "*").name)
        for copy in sorted(copies, key=lambda file: file.stat().st_mtime, reverse=True):
            with suppress(OdnbenchError):
                PlanRecord.load(copy)
                yield copy


def is_kept_beside_trials(name: str) -> bool:
    """Whether the file `name` of a pipeline's folder is a result: a plan, or a search's study,
    record or winner.
    """
    return not name.startswith(".") and name.endswith((".json", ".journal", ".toml"))


def all_plan_files(storage: Path) -> list[Path]:
    """The plan.json files below `storage` and the plans' own files beside them, sorted.

    Folders may appear and go while it looks: another command may be at work in `storage`.
    """
    # Path.glob of Python before 3.13 raises where a folder goes.
    return sorted(storage / name for name in glob("*/plan*.json", root_dir=storage))  # noqa: PTH207


def plan_files(storage: Path, pipelines: Sequence[str], shown: str = "") -> list[Path]:
    """The plan.json files below `storage`, of `pipelines` or, if none is named, of all.

    shown: the storage's name in errors. Raises OdnbenchError where there is no plan.
    """
    shown = shown or str(storage)
    # Where plan.json is lost, the plans' own files are left, and PlanRecord.load names them.
    known = {path.parent.name: path.with_name(PLAN) for path in all_plan_files(storage)}
    if not known:
        raise OdnbenchError(f"no results below {shown}; run `odnbench run ablation` first")
    if absent := [name for name in pipelines if name not in known]:
        raise OdnbenchError(
            f"no results of '{absent[0]}' below {shown}; there are results of {', '.join(known)}"
        )
    return [path for name, path in known.items() if not pipelines or name in pipelines]


@contextmanager
def alone_in(folder: Path, *, wait_seconds: float = 0) -> Iterator[None]:
    """Holds the lock of a pipeline's folder; OdnbenchError if another sweep holds the lock for
    longer than `wait_seconds`; -1: waits for ever.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=wait_seconds)
    except Timeout:
        raise OdnbenchError(
            f"another sweep is at work in {folder} (`odnbench status` shows it); "
            "wait for it, or give this one another --storage"
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def at_work_as(folder: Path, name: str) -> Iterator[None]:
    """Holds a lock of this process's own in the folder of a search, on which others may work too.

    The lock's file of a process that was killed stays, and tells the others so. Raises
    OdnbenchError if a sweep that is no search holds the folder's lock.
    """
    with alone_in(folder, wait_seconds=_JOINING_SECONDS):
        lock = FileLock(folder / _DRIVER.format(name))
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
        (folder / _DRIVER.format(name)).unlink(missing_ok=True)


def is_driver_at_work(folder: Path, name: str) -> bool | None:
    """Whether the process of that name works on the search in `folder`; None where the folder does
    not tell, since the process has another one.
    """
    path = folder / _DRIVER.format(name)
    return _is_held(path) if path.is_file() else None


@dataclass(frozen=True)
class Work:
    """What a sweep is at work on in a pipeline's folder, as far as the lock and plan.json tell."""

    running: bool
    trials: frozenset[str] | None = None  # content ids; None: they are not known
    began: float = 0.0  # Unix time in s; 0 where it is not known

    @classmethod
    def in_folder(cls, folder: Path, *, elsewhere: bool = False) -> "Work":
        """The work in a pipeline's `folder`. elsewhere: whether a sweep on another machine is at
        work there.
        """
        if not is_at_work(folder):
            return cls(elsewhere)
        file = folder / PLAN
        with suppress(OdnbenchError, FileNotFoundError):
            record = PlanRecord.load(file)
            # Any sweep but a search writes its plan once, when it begins; a search writes it with
            # every trial.
            began = file.stat().st_mtime if record.pipeline.search is None else 0.0
            return cls(True, frozenset(record.trials), began)
        return cls(True)

    def standing(self, folder: TrialFolder, read: Collection[str] = SHOWN) -> Standing:
        """Where the trial of `folder` stands. read: see `TrialFolder.damage`."""
        ours = self.has(folder.path.name)
        return folder.standing(at_work=ours, began=self.began if ours else 0.0, read=read)

    def has(self, trial: str) -> bool:
        """Whether the trial with this content id is in the work."""
        return self.running and (self.trials is None or trial in self.trials)


def is_at_work(folder: Path) -> bool:
    """Whether a sweep is at work in a pipeline's folder.

    True as well where the lock may not be opened, since a sweep of another user may hold the lock.
    """
    return any(map(_is_held, [folder / _LOCK, *folder.glob(_DRIVER.format("*"))]))


def _is_held(path: Path) -> bool:
    """Whether another process holds the lock `path`, or may hold it."""
    if not path.is_file():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except OSError:  # the lock is held (Timeout), or may not be opened
        return True
    lock.release()
    return False
