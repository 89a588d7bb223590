"""Short names for the types of NumPy arrays. Their shapes stand in comments where they are used."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Flags = NDArray[np.bool_]
Rows = NDArray[np.intp]  # indices along the first axis of another array
