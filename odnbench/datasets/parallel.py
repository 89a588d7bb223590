"""Work on a stream of faces in threads: decoding and resizing leave Python's lock."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import cv2

T = TypeVar("T")
R = TypeVar("R")
_AHEAD = 4  # items per thread that may wait for their turn


def in_order(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """`work` of each item, in the order of `items`, of which few are in memory at a time.

    OpenCV's own threads are off meanwhile: these are enough, and more of them only wait.
    """
    threads = os.cpu_count() or 1
    opencv_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    waiting: deque[Future[R]] = deque()
    try:
        with ThreadPoolExecutor(threads) as pool:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > _AHEAD * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    finally:
        cv2.setNumThreads(opencv_threads)
