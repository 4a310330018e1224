"""The forms of the flows refuse what cannot be meant, in the form's own check and in the flow's."""

from __future__ import annotations

from typing import Any

import pytest
from prefect import Flow
from prefect.exceptions import ParameterTypeError, SignatureMismatchError
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import ValidationError, validate

from flows.market import critical_path
from flows.on_demand import (
    backfill_market_data,
    close_position,
    open_position,
    rebalance_portfolio,
    send_notification,
    set_stop_loss,
)

SOL = {"account": "demo", "symbol": "SOL/USDT"}


def check_form(flow: Flow[..., Any], parameters: dict[str, Any]) -> None:
    """Check as the server does when a run is created."""
    validate(parameters, parameter_schema(flow).model_dump_for_openapi(), raise_on_error=True)


@pytest.mark.parametrize(
    ("flow", "parameters", "refusal"),
    [
        (set_stop_loss, SOL | {"symbol": "btcusdt!"}, "field 'symbol'.*'btcusdt!' does not match"),
        (set_stop_loss, SOL | {"symbol": "SOLUSDT"}, "field 'symbol'"),
        (set_stop_loss, SOL | {"stop_loss": -1}, "field 'stop_loss'.*-1 is less than or equal to the minimum of 0"),
        (set_stop_loss, SOL | {"take_profit": 0}, "field 'take_profit'.*0 is less than or equal to the minimum of 0"),
        (set_stop_loss, SOL | {"stop_loss": "cheap"}, "field 'stop_loss'"),
        (set_stop_loss, SOL | {"account": ""}, "field 'account'"),
        (set_stop_loss, {"symbol": "SOL/USDT"}, "account"),
        (open_position, SOL | {"quantity": 0}, "field 'quantity'.*0 is less than or equal to the minimum of 0"),
        (close_position, SOL | {"share_pct": 101}, "field 'share_pct'.*101 is greater than the maximum of 100"),
        (backfill_market_data, {"start": "2026-01-01T00:00:00Z", "timeframes": ["7m"]}, "'7m' is not one of.*'1h'"),
        (backfill_market_data, {"start": "2026-01-01T00:00:00Z", "symbols": ["BTC USDT"]}, r"field 'symbols\[0\]'"),
        (backfill_market_data, {}, "start"),
        (rebalance_portfolio, {"account": "demo", "plan": 0}, "field 'plan'"),
        (rebalance_portfolio, {"account": "demo", "execute": "maybe"}, "field 'execute'"),
        (send_notification, {"type": "gossip", "message": "x"}, "'gossip' is not one of.*'operations'"),
        (send_notification, {"type": "operations", "message": ""}, "field 'message'"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_by_name(
    flow: Flow[..., Any], parameters: dict[str, Any], refusal: str
) -> None:
    with pytest.raises(ValidationError, match=refusal):
        check_form(flow, parameters)


@pytest.mark.parametrize(
    ("flow", "parameters", "refusal"),
    [
        (set_stop_loss, SOL | {"stop_loss": "-1"}, "stop_loss: Input should be greater than 0"),
        (set_stop_loss, SOL | {"stop_loss": "NaN"}, "stop_loss: Input should be a finite number"),
        (close_position, SOL | {"share_pct": "100.1"}, "share_pct: Input should be less than or equal to 100"),
        (backfill_market_data, {"start": "yesterday"}, "start: Input should be a valid datetime"),
        (set_stop_loss, SOL | {"stop_los": 5}, "stop_los"),
        (send_notification, {"type": "operations", "message": " \n "}, "message: String should have at least 1"),
    ],
)
def test_what_a_form_cannot_check_the_flow_does(flow: Flow[..., Any], parameters: dict[str, Any], refusal: str) -> None:
    with pytest.raises((ParameterTypeError, SignatureMismatchError), match=refusal):
        flow.validate_parameters(parameters)


@pytest.mark.parametrize(
    ("flow", "parameters"),
    [
        (critical_path, {"account": None}),
        (set_stop_loss, SOL | {"stop_loss": 120.5, "take_profit": 180}),
        (open_position, SOL | {"strategy": "breakout", "execute": True}),
        (close_position, SOL | {"share_pct": 50}),
        (backfill_market_data, {"start": "2026-01-01T00:00:00Z", "symbols": ["btc/usdt"], "timeframes": ["1h"]}),
        (send_notification, {"type": "operations", "message": "Maintenance tonight", "urgent": True}),
    ],
)
def test_what_is_meant_passes_both_checks(flow: Flow[..., Any], parameters: dict[str, Any]) -> None:
    check_form(flow, parameters)
    flow.validate_parameters(parameters)


def test_a_symbol_may_be_written_in_small_letters_and_a_price_keeps_its_digits() -> None:
    read = set_stop_loss.validate_parameters({"account": " demo ", "symbol": " sol/usdt ", "stop_loss": 0.1})
    assert (read["account"], read["symbol"], str(read["stop_loss"])) == ("demo", "SOL/USDT", "0.1")
