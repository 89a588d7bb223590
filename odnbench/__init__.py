"""odnbench: benchmarks and ablations for occlusion-robust facial landmark detection.

For notebooks: `odnbench.trials(…)` and `odnbench.numbers(…)`, plans and results as tables of
pandas, and `odnbench.load(…)`, a trained network.
"""

import os
from importlib import import_module
from typing import Any

# Before OpenCV is imported. A header of a few bytes may declare 2^30 pixels, its own limit, which
# cost it 8 GB and most of a minute; no picture of these data sets has more than 2^26.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 26))

__version__ = "0.1.0"

# Imported on first use, as targets of the registry are.
_TARGETS = {
    "load": "odnbench.engine.loaded",
    "numbers": "odnbench.reports.frames",
    "trials": "odnbench.sweep.frames",
}


def __getattr__(name: str) -> Any:
    if name not in _TARGETS:
        raise AttributeError(f"module 'odnbench' has no attribute '{name}'")
    return getattr(import_module(_TARGETS[name]), name)
