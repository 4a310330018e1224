"""Memory and threads for many series."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import lib.indicators
from lib.indicators import filling
from lib.indicators.compiling import SOURCES


@pytest.mark.parametrize("symbols", [1, 2, 7, 1500])
def test_every_series_is_filled_once_whoever_takes_it(symbols: int) -> None:
    times = np.zeros(symbols, dtype=int)

    def fill(begin: int, end: int) -> None:
        times[begin:end] += 1

    filling.fill_parts(fill, symbols, 100_000)
    assert times.tolist() == [1] * symbols


def test_what_goes_wrong_in_any_thread_reaches_the_caller() -> None:
    def fill(begin: int, end: int) -> None:
        raise IndexError(begin)

    with pytest.raises(IndexError):
        filling.fill_parts(fill, 100, 100_000)


def test_room_for_many_series_begins_with_a_huge_page_and_is_one_piece() -> None:
    room = filling.make_room(400, 3, 300)
    assert room.shape == (400, 3, 300)
    assert room.flags.c_contiguous
    assert room.flags.writeable
    assert room.__array_interface__["data"][0] % 2**21 == 0


def test_room_for_few_series_is_no_larger_than_they_are() -> None:
    room = filling.make_room(2, 3, 300)
    assert room.shape == (2, 3, 300)
    assert room.base is None


def test_the_cache_is_named_after_every_file_with_kernels() -> None:
    folder = Path(lib.indicators.__path__[0])
    with_kernels = {path.name for path in folder.glob("*.py") if "@compiled" in path.read_text()}
    assert with_kernels | {"compiling.py"} == set(SOURCES)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not keep threads on processors")
def test_threads_have_a_processor_each_and_the_caller_is_free_again_also_after_an_error() -> None:
    allowed, seen = os.sched_getaffinity(0), []

    def fill(begin: int, end: int) -> None:
        seen.append(frozenset(os.sched_getaffinity(0)))
        if begin == 0:
            raise IndexError(begin)

    with pytest.raises(IndexError):
        filling.fill_parts(fill, 100, 100_000)
    assert all(len(processors) == 1 for processors in seen)
    assert os.sched_getaffinity(0) == allowed
