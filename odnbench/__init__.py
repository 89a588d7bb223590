"""odnbench: benchmarks and ablations for occlusion-robust facial landmark detection."""

import os

# Before OpenCV is imported. A header of a few bytes may declare 2^30 pixels, its own limit, which
# cost it 8 GB and most of a minute; no picture of these data sets has more than 2^26.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 26))

__version__ = "0.1.0"
