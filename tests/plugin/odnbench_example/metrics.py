"""A metric of the hard faces."""

import numpy as np

from odnbench.metrics.summaries import FaceErrors


def worst_percent(errors: FaceErrors, quantile: float) -> float:
    """The NME that the share `quantile` of all faces does not exceed, in percent."""
    return float(np.quantile(errors.nme, quantile)) * 100
