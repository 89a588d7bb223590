"""What is damaged in a pipeline's folder, as after a power cut, and what the next sweep makes of
it.

The sweep mends all of it: a sentence each is for the user, who would else wonder at the numbers.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from odnbench.engine.checkpoint import ProgressFile
from odnbench.errors import OdnbenchError
from odnbench.results.folder import TrialFolder
from odnbench.results.plans import PLAN, STUDY, PlanRecord, own_file
from odnbench.results.searches import SEARCH, SearchRecord
from odnbench.sweep.journal import first_fault


def of_unfinished(folder: TrialFolder, title: str) -> Iterator[str]:
    """What is damaged in the folder of a trial that is not finished."""
    if fault := folder.fault_of_epochs:
        yield f"{title}: {fault}; what is lost of it is trained again"
    if ProgressFile(folder.progress).is_torn:
        yield f"{title}: {folder.progress}: cannot be read as progress; its training begins anew"


def beside_trials(folder: Path, plan_id: str) -> Iterator[str]:
    """What is damaged of the files beside the trials in a pipeline's `folder`, for a sweep that
    carries out the plan `plan_id`.
    """
    loads: dict[Path, Callable[[], object]] = {
        file: partial(PlanRecord.load, file) for file in (folder / PLAN, own_file(folder, plan_id))
    }
    loads[folder / SEARCH] = partial(SearchRecord.load, folder)
    for file, load in loads.items():
        try:
            if file.is_file():
                load()
        except OdnbenchError as error:
            yield f"{str(error).partition(';')[0]}; it is written anew"
    if fault := first_fault(folder / STUDY):
        yield f"{fault}; the search goes on from what stands before it"
