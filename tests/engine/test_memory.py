"""A worker returns what its trials have freed."""

import ctypes
import threading
from pathlib import Path

import pytest
from helpers import plan_in

from odnbench.engine.memory import return_freed_memory
from odnbench.sweep.inline import run_inline

_STATUS = Path("/proc/self/status")
_MEGABYTE = 1_000_000


def anonymous_bytes() -> int:
    """The memory of this process that no file stands behind."""
    fields = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) * 1024


def fill_and_free() -> list[bytearray]:
    """Takes and frees 200 MB in small blocks, and returns one that lies behind them all."""
    blocks = [bytearray(4000) for _ in range(50_000)]
    return blocks[-1:]


needs_glibc = pytest.mark.skipif(
    not _STATUS.is_file() or not hasattr(ctypes.CDLL(None), "malloc_trim"),
    reason="needs Linux with glibc",
)


@needs_glibc
def test_memory_that_a_thread_has_freed_is_returned() -> None:
    return_freed_memory()
    before = anonymous_bytes()
    kept: list[bytearray] = []
    thread = threading.Thread(target=lambda: kept.extend(fill_and_free()))
    thread.start()
    thread.join()
    assert anonymous_bytes() - before > 150 * _MEGABYTE  # glibc keeps it
    return_freed_memory()
    assert anonymous_bytes() - before < 50 * _MEGABYTE
    assert kept


@needs_glibc
def test_a_trial_returns_what_it_has_freed(tmp_path: Path, cache: Path) -> None:
    plan = plan_in(tmp_path, cache, "variant=cut", "seed=0,1")
    first, second = plan.trials
    run_inline(plan, [first], [])  # what a trial leaves for the next one is not counted
    before = anonymous_bytes()
    kept = fill_and_free()
    run_inline(plan, [second], [])
    assert anonymous_bytes() - before < 100 * _MEGABYTE  # half of what was freed
    assert kept
