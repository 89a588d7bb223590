"""Work on a stream of items in threads.

Decoding and resizing of pictures release Python's global lock, so they run at the same time.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import cv2

T = TypeVar("T")
R = TypeVar("R")
_AHEAD = 4


def in_order(
    work: Callable[[T], R],
    items: Iterable[T],
    *,
    threads: int = 0,
    ahead: int = _AHEAD,
    begin: Callable[[], object] = lambda: None,
) -> Iterator[R]:
    """The results of `work` on each item, in the order of `items`. Few items are in memory at once.

    threads: how many; 0: one for each core. ahead: items per thread that may be in memory before
    the first of them is taken. begin: what each thread calls first. OpenCV's own threads are off
    meanwhile, because the threads here already use every core.
    """
    threads = threads or os.cpu_count() or 1
    opencv_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    waiting: deque[Future[R]] = deque()
    try:
        with ThreadPoolExecutor(threads, initializer=begin) as pool:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > ahead * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    finally:
        cv2.setNumThreads(opencv_threads)
