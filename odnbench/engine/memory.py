"""Memory of this process that nothing uses any more."""

import ctypes
import gc
from contextlib import suppress


def return_freed_memory() -> None:
    """Returns what this process has freed to the machine, where its C library is glibc.

    glibc keeps freed memory for later, apart for each of several arenas of threads. A worker that
    trains one trial after the other in new threads would come to hold several times what a trial
    needs.
    """
    gc.collect()
    with suppress(AttributeError, OSError):  # another C library, or none to be found
        ctypes.CDLL(None).malloc_trim(0)
