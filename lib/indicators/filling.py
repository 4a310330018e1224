"""New memory for many series, and the threads that fill it.

What a refresh of 1,500 series takes is half computing and half new memory: the system clears each page before it hands
it out. So pages are large, each is cleared once, and its outputs are written while it is still in the cache.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise

import numpy as np

from lib.market.matrix import FloatMatrix

LARGE = 100_000  # cells from which threads pay
PART = 25_000  # cells that a thread takes at a time, so that one that is held up keeps little back
HUGE_PAGE = 2**21 // 8  # cells of one on x86; where it is another size nothing is lost


def make_room(symbols: int, outputs: int, bars: int) -> FloatMatrix:
    """Return new memory; where it is large it covers whole huge pages, of which the system hands out each at one go."""
    cells = symbols * outputs * bars
    if symbols * bars < LARGE:
        return np.empty((symbols, outputs, bars))
    room = np.empty((cells // HUGE_PAGE + 2) * HUGE_PAGE)
    address: int = room.__array_interface__["data"][0]
    begin = -(address // room.itemsize) % HUGE_PAGE
    return room[begin : begin + cells].reshape(symbols, outputs, bars)


def fill_parts(fill: Callable[[int, int], None], symbols: int, bars: int) -> None:
    """Call `fill` for all symbols, part by part and in several threads where that pays.

    The calling thread works as well, and whoever is free takes the next part: where the other processors are busy with
    other work, it does most of it. Two threads begin at the two ends: in parts side by side both would clear the same
    huge page, one of them in vain.
    """
    if symbols * bars < LARGE or symbols == 1:
        fill(0, symbols)
        return
    parts = min(symbols, symbols * bars // PART)
    waiting = deque(pairwise(symbols * part // parts for part in range(parts + 1)))
    own, *others = _find_processors()[:parts]
    with ThreadPoolExecutor(max(1, len(others))) as pool, _on_processor(own):
        jobs = [
            pool.submit(_work_on, processor, fill, waiting.popleft if number % 2 else waiting.pop)
            for number, processor in enumerate(others)
        ]
        _work(fill, waiting.popleft)
        for job in jobs:
            job.result()


def _find_processors() -> list[int]:
    """Return the processors that this thread may use; where the system does not say, one number for each."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


@contextmanager
def _on_processor(processor: int) -> Iterator[None]:
    """Keep the calling thread on one processor: left alone, threads this short often share one to their end."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {processor})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _work_on(processor: int, fill: Callable[[int, int], None], take: Callable[[], tuple[int, int]]) -> None:
    with _on_processor(processor):
        _work(fill, take)


def _work(fill: Callable[[int, int], None], take: Callable[[], tuple[int, int]]) -> None:
    """Fill what `take` hands out, until there is nothing left."""
    while True:
        try:
            begin, end = take()
        except IndexError:  # the deque is empty; to ask before would race with the other threads
            return
        fill(begin, end)
