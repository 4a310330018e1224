"""A store's session, called from coroutines: one thread, one call at a time, and changes stored together.

While one commit runs, the changes that arrive wait and go into the next one: a cycle of 500 series costs a handful of
transactions, and a lone change is stored at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import ParamSpec, TypeVar

from lib.errors import FksError
from lib.market.stores import SeriesChange, SyncSession, SyncStore
from lib.ports import Written

P = ParamSpec("P")
T = TypeVar("T")
Waiting = tuple[SeriesChange, "asyncio.Future[Written]"]


@asynccontextmanager
async def open_desk(store: SyncStore) -> AsyncIterator[WritingDesk]:
    """Open a session in a thread of its own; close it when the call that may still run in it has ended."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, "market-data") as thread:
        opening = store.open_session()
        session = await loop.run_in_executor(thread, opening.__enter__)
        desk = WritingDesk(session, thread)
        try:
            yield desk
        finally:
            desk.stop()
            await asyncio.shield(loop.run_in_executor(thread, opening.__exit__, None, None, None))


class WritingDesk:
    """Where coroutines hand in what is to be stored.

    Attributes:
        session: The session; its methods are called through `call`.
    """

    def __init__(self, session: SyncSession, thread: ThreadPoolExecutor) -> None:
        self.session = session
        self._thread = thread
        self._waiting: list[Waiting] = []
        self._writer: asyncio.Task[None] | None = None

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one of the session's methods in its thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: function(*args, **kwargs))

    def stop(self) -> None:
        """Begin no further commit; one that runs is finished by its thread."""
        if self._writer is not None:
            self._writer.cancel()

    async def save(self, change: SeriesChange) -> Written:
        """Store the change together with others that wait; return when it is committed, or raise."""
        stored: asyncio.Future[Written] = asyncio.get_running_loop().create_future()
        self._waiting.append((change, stored))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        return await stored

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await self._commit(batch)
            except FksError as error:
                _fail(batch, error)
            except Exception:  # noqa: BLE001 one change breaks a rule of the database: alone, each of the others goes through
                for one in batch:
                    await self._commit_alone(one)

    async def _commit_alone(self, one: Waiting) -> None:
        try:
            await self._commit([one])
        except Exception as error:  # noqa: BLE001 handed to who waits for it
            _fail([one], error)

    async def _commit(self, batch: Sequence[Waiting]) -> None:
        written = await self.call(self.session.save, [change for change, _ in batch])
        for change, stored in batch:
            if not stored.done():
                stored.set_result(written[change.series])


def _fail(batch: Sequence[Waiting], error: Exception) -> None:
    for _, stored in batch:
        if not stored.done():
            stored.set_exception(error)
