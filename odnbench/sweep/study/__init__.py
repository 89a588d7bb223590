"""The Optuna study of a search: the only package that imports optuna.

    with open_study(design, folder, storage="") as study:
        while (asked := study.ask()) is not None:
            ...                                # an epoch with asked.point, asked.repeat
            if study.report(asked, epochs):    # its pruner says that it is to stop
                continue
            study.complete(asked, objectives)

The study lies on disk or in a database, so that a search goes on where it was, and several drivers
can work on one search. A search does not depend on which process asks: the n-th point is drawn from
the seed of the search and n, and a point whose driver was killed is asked again as it was.
"""

from odnbench.sweep.study.samplers import grid
from odnbench.sweep.study.storage import open_study, shown
from odnbench.sweep.study.study import Asked, Design, Study

__all__ = ["Asked", "Design", "Study", "grid", "open_study", "shown"]
