"""What sums up the errors of a set of faces: the functions behind registry/metrics.toml."""

# N faces

from typing import Protocol

import numpy as np

from odnbench.arrays import Floats
from odnbench.metrics.ced import area_under_ced, failure_rate


class FaceErrors(Protocol):
    """The errors of N faces under a protocol, as fractions of its normaliser."""

    @property
    def nme(self) -> Floats:
        """(N,) of each face."""

    @property
    def terms(self) -> Floats:
        """(N,) numbers whose mean is the NME of the set, as the protocol averages."""


def mean_percent(errors: FaceErrors) -> float:
    """NME of the set, in percent."""
    return float(errors.terms.mean()) * 100


def median_percent(errors: FaceErrors) -> float:
    """Median over faces, in percent."""
    return float(np.median(errors.nme)) * 100


def failures_percent(errors: FaceErrors, threshold_percent: float) -> float:
    """FR@t: the percentage of faces with an NME above the threshold."""
    return failure_rate(errors.nme, threshold_percent / 100) * 100


def area_percent(errors: FaceErrors, threshold_percent: float) -> float:
    """AUC@t: the area under the CED up to the threshold, in percent of the largest."""
    return area_under_ced(errors.nme, threshold_percent / 100) * 100
