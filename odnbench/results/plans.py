"""A pipeline's folder: its plans, and whether a sweep is at work in it.

`<storage>/<pipeline>/` holds a folder per trial, the last plan (plan.json), and every plan under a
name of its own, so that MLflow can be given all of them.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from odnbench.errors import OdnbenchError
from odnbench.files import write_whole
from odnbench.plan.conversion import from_mapping, to_mapping
from odnbench.plan.pipelines import Pipeline
from odnbench.results.folder import TrialFolder

PLAN = "plan.json"
STUDY = "study.journal"  # of a search
_LOCK = ".lock"


@dataclass(frozen=True)
class PlanRecord:
    """A plan in a storage folder; plan.json is the last one of its pipeline."""

    id: str
    pipeline: Pipeline
    trials: tuple[str, ...]
    titles: tuple[str, ...]
    notes: tuple[str, ...]
    saved_at: str

    @classmethod
    def load(cls, path: Path) -> "PlanRecord":
        """Reads a plan.json."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise OdnbenchError(f"{path}: cannot be read as a plan: {error}") from error
        return from_mapping(cls, values, str(path))

    def save(self, folder: Path) -> None:
        """Writes the plan into the pipeline's folder, as its last one and under its own name."""
        text = json.dumps(to_mapping(self), indent=1, ensure_ascii=False) + "\n"
        folder.mkdir(parents=True, exist_ok=True)
        for path in (own_file(folder, self.id), folder / PLAN):
            write_whole(path, text.encode())

    def folders(self, folder: Path) -> list[tuple[TrialFolder, str]]:
        """The folder and the title of each of its trials, below the pipeline's folder."""
        return [
            (TrialFolder(folder / identity), title)
            for identity, title in zip(self.trials, self.titles, strict=True)
        ]


def own_file(folder: Path, plan_id: str) -> Path:
    """The file of a plan in the pipeline's folder that no later plan takes."""
    return folder / f"plan-{plan_id}.json"


def all_plans(folder: Path) -> dict[str, Path]:
    """Id of each plan in the pipeline's folder → its file."""
    return {PlanRecord.load(path).id: path for path in sorted(folder.glob("plan*.json"))}


def is_kept_beside_trials(name: str) -> bool:
    """Whether a file of a pipeline's folder belongs to its results: plans, and a search's study."""
    return not name.startswith(".") and name.endswith((".json", ".journal"))


def plan_files(storage: Path, pipelines: Sequence[str], shown: str = "") -> list[Path]:
    """The plans below `storage`, of `pipelines` or of all; OdnbenchError where there are none.

    shown: what to call the storage in errors.
    """
    shown = shown or str(storage)
    known = {path.parent.name: path for path in sorted(storage.glob(f"*/{PLAN}"))}
    if not known:
        raise OdnbenchError(f"no results below {shown}; run `odnbench run ablation` first")
    if absent := [name for name in pipelines if name not in known]:
        raise OdnbenchError(
            f"no results of '{absent[0]}' below {shown}; there are results of {', '.join(known)}"
        )
    return [path for name, path in known.items() if not pipelines or name in pipelines]


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Holds the lock of a pipeline's folder; OdnbenchError if another sweep does."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise OdnbenchError(
            f"another sweep is at work in {folder} (`odnbench status` shows it); "
            "wait for it, or give this one another --storage"
        ) from None
    try:
        yield
    finally:
        lock.release()


def is_at_work(folder: Path) -> bool:
    """Whether a sweep is at work in `folder`, that of a pipeline in a storage folder; True as well
    where its lock may not be touched, so that it cannot be known.
    """
    path = folder / _LOCK
    if not path.is_file():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except OSError:  # it is held (Timeout), or not ours to open
        return True
    lock.release()
    return False
