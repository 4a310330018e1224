"""Imports that go on failing, and what people are told of it."""

from __future__ import annotations

import pytest

from lib.errors import AllItemsFailed, ExchangeUnavailable
from tests.portfolio.conftest import Desk
from tests.portfolio.samples import at


async def fail(desk: Desk, times: int) -> None:
    """Run so often, five minutes apart, each with another error that may pass."""
    for number in range(times):
        desk.clock.pass_time(minutes=5)
        desk.exchange.refusing["balances"] = ExchangeUnavailable(f"The exchange does not answer (request {number}).")
        await desk.update()


async def test_an_import_that_may_pass_by_itself_is_told_after_a_quarter_of_an_hour_and_once_a_day(desk: Desk) -> None:
    desk.exchange.trade("buy", "1", "100")
    await desk.update()
    await fail(desk, times=2)
    assert desk.messages() == []
    await fail(desk, times=72)
    (told,) = desk.messages()
    assert (told.severity, told.title) == ("urgent", "⚠️ Not imported: demo fills")
    assert told.body.startswith("Not imported since 2024-10-04 00:00 UTC; each run tries again. The last try: The exch")
    assert told.created_at == at(15)
    await fail(desk, times=24 * 12 - 70)
    assert len(desk.messages()) == 2


async def test_an_account_that_was_never_imported_is_told_by_when_it_was_registered(desk: Desk) -> None:
    desk.exchange.refusing["balances"] = ExchangeUnavailable("The exchange does not answer.")
    with pytest.raises(AllItemsFailed):
        await desk.update()
    assert desk.messages() == []
    desk.clock.pass_time(minutes=20)
    with pytest.raises(AllItemsFailed):
        await desk.update()
    assert [message.title for message in desk.messages()] == ["⚠️ Not imported: demo fills"]


async def test_a_symbol_that_alone_fails_is_told_by_its_first_failure(desk: Desk) -> None:
    desk.exchange.trade("buy", "1", "100")
    await desk.update()
    desk.clock.pass_time(minutes=70)  # asked hourly, so it was well an hour ago
    desk.exchange.refusing["SOL/USDT"] = ExchangeUnavailable("The exchange does not answer.")
    for _ in range(3):
        await desk.update()
        assert desk.messages() == []
        desk.clock.pass_time(minutes=5)
    await desk.update()
    (told,) = desk.messages()
    assert told.title == "⚠️ Not imported: demo SOL/USDT fills"
    assert "Not imported since 2024-10-04 01:10 UTC" in told.body
