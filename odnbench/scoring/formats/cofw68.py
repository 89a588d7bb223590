"""COFW68's text: four lines for each face, its number, 68 x, 68 y, 68 occlusion states.

Pixels are counted from 1.
"""

import numpy as np

from odnbench.errors import OdnbenchError, one_line
from odnbench.scoring.formats.content import Content


def read_cofw68(text: str) -> Content:
    """What the text holds. Raises OdnbenchError that tells the face of a fault."""
    lines = [words for line in text.splitlines() if (words := line.split())]
    if len(lines) % 4:
        raise OdnbenchError(
            f"expected four lines per face, got {len(lines)} lines, the first of "
            f"{len(lines[0])} words"
        )
    faces, landmarks, occluded = [], [], []
    for index in range(0, len(lines), 4):
        number, x, y, states = lines[index : index + 4]
        where = f"face {index // 4 + 1} of the file"
        if len(number) != 1 or not len(x) == len(y) == len(states):
            raise OdnbenchError(
                f"{where}: expected a number, and as many x as y and occlusion states, got "
                f"{len(number)}, {len(x)}, {len(y)}, {len(states)} words"
            )
        try:
            faces.append(f"{int(number[0]):04d}")
            x_px, y_px, flags = (np.array(words, np.float64) for words in (x, y, states))
        except ValueError as error:
            raise OdnbenchError(f"{where}: expected numbers: {one_line(error)}") from error
        landmarks.append(np.stack([x_px, y_px], axis=-1) - 1)  # MATLAB counts pixels from 1
        occluded.append(flags > 0.5)
    return Content(faces, landmarks, occluded, first_pixel=1)
