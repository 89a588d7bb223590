"""The kinds of NumPy arrays that the package passes around; comments beside them give shapes."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Flags = NDArray[np.bool_]
Floats32 = NDArray[np.float32]
Rows = NDArray[np.intp]  # indices along the first axis of another array
