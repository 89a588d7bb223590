"""The trials of a pipeline as a table of pandas: `odnbench.trials`."""

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from odnbench.plan.conversion import to_mapping
from odnbench.plan.paths import path_of
from odnbench.plan.pipelines import load_pipeline
from odnbench.plan.registry import Registry
from odnbench.sweep.plan import Places, make_plan

if TYPE_CHECKING:
    import pandas as pd


def trials(
    pipeline: str,
    *overrides: str,
    storage: str | Path = "runs",
    cache: str | Path = "odnbench-cache",
    data_root: str | Path | None = None,
    registry: Iterable[str | Path] = (),
) -> "pd.DataFrame":
    """The trials that `odnbench run PIPELINE -s OVERRIDE …` would carry out, a row each.

    data_root: as --data-root of that command; where None, no data set is looked for, whatever
    $ODNBENCH_DATA and the configuration file say, and rendered faces stand in. What the command
    would print of the faces is a warning here.

    Columns: `trial` (content id), `title`, `finished`, and each key of the spec by its dotted name,
    as `model.backbone`. The faces are prepared in `cache`; nothing is trained. Raises OdnbenchError
    for whatever is wrong with names, values, files or networks.
    """
    import pandas as pd

    root = None if data_root is None else path_of(data_root)
    places = Places(path_of(storage), path_of(cache), root)
    plan = make_plan(load_pipeline(pipeline), Registry.load(registry), places, overrides=overrides)
    for note in plan.notes:
        warnings.warn(note, stacklevel=2)
    open_ids = {trial.id for trial in plan.unfinished}
    begins = [
        {"trial": trial.id, "title": trial.title, "finished": trial.id not in open_ids}
        for trial in plan.trials
    ]
    specs = pd.json_normalize([to_mapping(trial.spec) for trial in plan.trials])
    return pd.concat([pd.DataFrame(begins), specs], axis=1)
