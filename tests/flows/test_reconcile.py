"""`reconcile`, as a person starts it: what others trade is imported and told once, and so is a halt set in the UI."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from prefect.variables import Variable

from flows.market import critical_path
from flows.on_demand import reconcile, withdraw_order
from lib.execution.halt import FREE_EVENT, HALTED_EVENT, SWITCH, VARIABLE
from tests.platforms import World
from tests.prefect_servers import PrefectServer, wait_until
from tests.runs import id_of, read_artifacts, read_run, send_pending
from tests.simulator.signed_client import signed_client

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]


async def test_what_others_trade_is_imported_and_told_once_and_so_is_a_halt_set_in_the_ui(
    prefect_world: World, prefect_server: PrefectServer
) -> None:
    began_at = datetime.now(UTC)
    await critical_path(return_state=True)
    first = await reconcile(return_state=True)
    assert first.name == "Completed", first.message
    assert "agree with the exchange" in (await read_artifacts(id_of(first)))["reconcile"]

    [[before]] = prefect_world.query("SELECT quantity FROM positions WHERE symbol = 'SOL/USDT' AND closed_at IS NULL")
    with signed_client(prefect_world.simulator) as hand:
        hand.post("/order", symbol="SOLUSDT", side="SELL", type="MARKET", quantity="1", newClientOrderId="web_1")
    await Variable.aset(VARIABLE, "the exchange looks odd", overwrite=True)
    try:
        for _ in range(2):
            state = await reconcile(return_state=True)
            assert state.name == "Completed", state.message
    finally:
        prefect_server.api.delete_variable(VARIABLE)
    assert "1 trading halt" in (await read_run(id_of(state))).name
    [[after]] = prefect_world.query("SELECT quantity FROM positions WHERE symbol = 'SOL/USDT' AND closed_at IS NULL")
    assert before - after == 1
    told = prefect_world.webhooks.contents
    assert [content.count("Order placed by hand on demo") for content in told if "web_1" in content] == [1]
    (halt,) = [content for content in told if "Trading is HALTED: the exchange looks odd" in content]
    assert "Somebody set the variable trading_halted in the Prefect UI" in halt
    await send_pending()

    def switched() -> set[str]:
        wanted = {"resource": {"id": [SWITCH]}, "occurred": {"since": began_at.isoformat()}}
        return {event["event"] for event in prefect_server.api.ask("/events/filter", {"filter": wanted})["events"]}

    wait_until("the server knows of the halt", lambda: switched() == {HALTED_EVENT, FREE_EVENT})


async def test_an_order_that_was_never_sent_is_withdrawn_and_the_reason_is_kept(prefect_world: World) -> None:
    await critical_path(return_state=True)
    prefect_world.query(
        "INSERT INTO order_intents (account, client_order_id, symbol, side, kind, quantity, reference_price, "
        "time_in_force, why, created_at) "
        "VALUES ('demo', 'fks-1', 'SOL/USDT', 'sell', 'market', 1, 100, 'gtc', 'a test', now())"
    )
    prefect_world.query(
        "INSERT INTO orders (account, client_order_id, state, reason, refusal, changed_at) "
        "VALUES ('demo', 'fks-1', 'new', '', '', now())"
    )
    state = await withdraw_order("demo", "fks-1", "nobody wants it", return_state=True)
    assert state.name == "Completed", state.message
    assert "Withdrawn by hand: nobody wants it" in (await read_artifacts(id_of(state)))["withdraw-order"]
    assert prefect_world.query("SELECT state FROM orders") == [("rejected",)]
    again = await withdraw_order("demo", "fks-1", "nobody wants it", return_state=True)
    assert "is rejected already" in (await read_artifacts(id_of(again)))["withdraw-order"]
