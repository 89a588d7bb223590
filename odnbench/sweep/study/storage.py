"""Where a study lies, a journal file in the search's folder or a database, and how it is opened."""

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from odnbench.errors import OdnbenchError, one_line
from odnbench.plan.conversion import to_mapping
from odnbench.plan.spaces import Point
from odnbench.plan.specs import FILES
from odnbench.results.plans import STUDY
from odnbench.results.searches import OBJECTIVES
from odnbench.sweep.journal import cut_torn_end, mend
from odnbench.sweep.study.drivers import joined
from odnbench.sweep.study.samplers import check_settings, grid, pruner_of, sampler_of
from odnbench.sweep.study.study import Design, Study

optuna.logging.set_verbosity(optuna.logging.ERROR)

_DESIGN = "odnbench.design"  # attribute of the study: what it searches, as JSON


@contextmanager
def open_study(design: Design, folder: Path, url: str = "") -> Iterator[Study]:
    """The study of the search `design`: a new one, or the one that is there, as one more driver.

    folder: of the search. url: a database, as sqlite:///study.db or postgresql://…; "" for a
    journal file in the folder.

    Raises OdnbenchError where the storage cannot be opened, or holds another search of the name.
    """
    check_settings(design.settings)
    folder.mkdir(parents=True, exist_ok=True)
    with _storage(folder, url) as storage:
        with FileLock(folder / ".study.lock"):  # one maker of it
            study = _find(storage, design, folder, url)
        study.sampler = sampler_of(design.settings, design.trials)
        study.pruner = pruner_of(design.settings, design.steps)
        with joined(folder, study, far=bool(url)) as driver:
            yield Study(study, design, driver)


def shown(url: str, folder: Path) -> str:
    """Where the study lies, for people: without a password."""
    return make_url(url).render_as_string(hide_password=True) if url else str(folder / STUDY)


def _find(storage: BaseStorage, design: Design, folder: Path, url: str) -> optuna.Study:
    """The study of `design` in `storage`, made where there is none.

    One that was not made to its end, since its maker was killed, is made to its end.
    """
    names = optuna.get_all_study_names(storage)
    if names and design.name not in names and not url:
        raise OdnbenchError(
            f"{folder / STUDY} holds a study of an earlier version of odnbench ({names[0]}), "
            "which counts stopped trials as complete; it stays as it is, with its trials and "
            "report; begin anew with --name NAME, or another --storage"
        )
    wanted = [OBJECTIVES[name] for name in design.settings.objectives]
    if design.name in names:
        study = optuna.load_study(study_name=design.name, storage=storage)
    else:
        study = optuna.create_study(
            storage=storage,
            study_name=design.name,
            directions=["minimize"] * len(wanted),
            load_if_exists=True,  # a driver on another machine may have been faster
        )
    text, where = study.user_attrs.get(_DESIGN), shown(url, folder)
    if text is None and study.get_trials(deepcopy=False):
        raise OdnbenchError(
            f"{where} holds a study '{design.name}' that is not odnbench's; give --name NAME"
        )
    if text is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # names for optuna-dashboard
            study.set_metric_names([f"{one.title}, {one.unit}" for one in wanted])
        study.set_user_attr(_DESIGN, json.dumps(to_mapping(design), ensure_ascii=False))
    elif differing := _differences(json.loads(text), to_mapping(design)):
        raise OdnbenchError(
            f"search '{design.name}' in {where} was begun otherwise: {'; '.join(differing)}; go on "
            "with it as it was, or begin another one with --name NAME"
        )
    # These come before all others, so that they are missing from a study that was just begun alone.
    for point in _first_points(design)[len(study.get_trials(deepcopy=False)) :]:
        study.enqueue_trial(
            {key: design.space.parameters[key].drawn_for(value) for key, value in point.items()}
        )
    return study


def _first_points(design: Design) -> list[Point]:
    """The points that no sampler proposes: the defaults, and those of a grid."""
    points = [design.defaults]
    if design.settings.sampler == "grid":
        points += [point for point in grid(design.space) if point != design.defaults]
    return points[: design.trials]


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two designs, "KEY was A, is B"; their number of points may, and the
    places of files, whose contents the plan's id covers.
    """
    flat = [dict(_flat(one)) for one in (before, now)]
    covered = {f"spec.{name}" for name in FILES if before.get("plan") == now.get("plan")}
    keys = dict.fromkeys(key for one in flat for key in one if key not in covered)
    said = [
        f"{key} was {_text(flat[0].get(key))}, is {_text(flat[1].get(key))}"
        for key in keys
        if flat[0].get(key) != flat[1].get(key) and key != "trials"
    ]
    return [*said[:5], *([f"and {len(said) - 5} more"] if len(said) > 5 else [])]


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield from _flat(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", item


def _text(value: Any) -> str:
    return "not there" if value is None else json.dumps(value, ensure_ascii=False)


@contextmanager
def _storage(folder: Path, url: str) -> Iterator[BaseStorage]:
    """The storage at `url`, or the journal in `folder`."""
    if not url:
        journal = folder / STUDY
        lock = _SystemLock(journal)
        with lock.held:
            mend(journal)
        yield JournalStorage(JournalFileBackend(str(journal), lock_obj=lock))  # type: ignore[arg-type]
        return
    try:
        storage = RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
    except ArgumentError as error:
        raise OdnbenchError(
            f"--study {url!r} is no address of a database; write sqlite:///FILE or "
            "postgresql://USER:PASSWORD@HOST/NAME"
        ) from error
    except ImportError as error:
        raise OdnbenchError(
            f"--study: the driver of {make_url(url).drivername} is not installed: "
            f"{one_line(str(error.__cause__ or error))}; install it, or name another one, as "
            "postgresql+psycopg2://…"
        ) from error
    except (SQLAlchemyError, RuntimeError) as error:
        cause = getattr(error, "orig", None) or error.__cause__ or error
        raise OdnbenchError(
            f"--study: the study cannot be kept at {shown(url, folder)}: "
            f"{one_line(str(cause))[:300]}"
        ) from error
    try:
        yield storage
    finally:
        storage.engine.dispose()


class _SystemLock:
    """The lock of a journal, which the system gives back where its process is killed.

    Optuna's own locks are files that stay behind then, and keep the next process waiting. The end
    of a line that such a process has not written to its end is cut off.
    """

    def __init__(self, journal: Path):
        self._journal = journal
        self.held = FileLock(journal.with_name(f".{journal.name}.lock"))

    def acquire(self) -> bool:
        """See optuna.storages.journal.JournalFileOpenLock."""
        self.held.acquire()
        cut_torn_end(self._journal)
        return True

    def release(self) -> None:
        """See optuna.storages.journal.JournalFileOpenLock."""
        self.held.release()
