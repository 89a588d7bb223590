"""Environment variables that are read as numbers."""

import os

from odnbench.errors import OdnbenchError


def openmp_threads() -> int | None:
    """The number of threads in OMP_NUM_THREADS; None where the variable is unset or empty.

    OpenMP takes a list there, a number for each level of nesting; the first one counts. Raises
    OdnbenchError for anything else.
    """
    text = os.environ.get("OMP_NUM_THREADS", "").strip()
    if not text:
        return None
    numbers = [number.strip() for number in text.split(",")]
    if not all(number.isdecimal() and int(number) > 0 for number in numbers):
        raise OdnbenchError(
            "OMP_NUM_THREADS must be a positive whole number, or a list of them as 4,2, got "
            f"'{text}'; unset it, or set it to the number of cores of a trial"
        )
    return int(numbers[0])
