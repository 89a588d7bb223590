"""Fixtures of the tests of what people's files, machines and habits break."""

import ctypes
from collections.abc import Iterator

import pytest

READS_ALL = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH of capabilities(7)


@pytest.fixture
def rights_count() -> Iterator[None]:
    """Files that nobody may read cannot be read, although tests may run as root."""

    class Header(ctypes.Structure):
        _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))

    class Sets(ctypes.Structure):  # effective, permitted and inheritable capabilities, twice
        _fields_ = (("words", ctypes.c_uint32 * 6),)

    libc, header, sets = ctypes.CDLL(None), Header(0x20080522, 0), Sets()
    if libc.capget(ctypes.byref(header), ctypes.byref(sets)):
        pytest.skip("capabilities cannot be given up on this machine")
    effective = sets.words[0]
    sets.words[0] &= ~READS_ALL
    libc.capset(ctypes.byref(header), ctypes.byref(sets))
    yield
    sets.words[0] = effective
    libc.capset(ctypes.byref(header), ctypes.byref(sets))
