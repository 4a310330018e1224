"""HIGH risk is detected: one alert with the rules, nothing more while it lasts, and one that it is over."""

from __future__ import annotations

from decimal import Decimal

from deployments.demo.stage import RISK, Books, Stage
from deployments.demo.tables import number, render_alert, render_risks
from lib.adapters.database.account_states import DatabaseStates
from lib.adapters.database.overview import StoredRisk, load_risks
from lib.errors import EnvironmentRefused
from lib.notifications.messages import Message, MessageType
from lib.risk.rules import RiskLevel, format_percent

SYMBOL = "BTC/USDT"
EXPOSURE = Decimal("0.95")  # of equity, after the purchase; prices move until the risk is measured


def play_high_risk(stage: Stage) -> None:
    """Buy by hand more than the limits allow, and sell it again once the alert is there."""
    stage.run_chain(RISK)
    before = _read(stage)[-1]
    stage.expect("Risk is not HIGH, and nobody is told", _describe(before), holds=_is_quiet(before, stage.read_books()))

    bought = stage.by_hand.buy(SYMBOL, _find_quantity(stage))
    stage.note(f"Somebody buys by hand on the exchange: {number(bought.quantity)} {SYMBOL}, order {bought.order_id}.")
    stage.run_chain()
    stage.run_chain(RISK)
    told = _find_alerts(stage)
    stage.show(*(render_alert(message) for message in told))
    _expect_alert(stage, _read(stage)[-1], told)

    stage.note("Nothing changes, and the chain runs again.")
    stage.run_chain(RISK)
    stage.expect(
        "No second alert while it lasts", f"{len(_find_alerts(stage))} alert", holds=_find_alerts(stage) == told
    )

    sold = stage.by_hand.sell_all(SYMBOL)
    stage.note(f"Somebody sells by hand on the exchange: {number(sold.quantity)} {SYMBOL}, order {sold.order_id}.")
    stage.run_chain()
    stage.run_chain(RISK)
    after = _find_alerts(stage)
    stage.show(*(render_alert(message) for message in after[len(told) :]), render_risks(_read(stage)))
    _expect_all_clear(stage, _read(stage)[-1], after[len(told) :])


def _read(stage: Stage) -> list[StoredRisk]:
    return load_risks(stage.engine, stage.account)


def _find_alerts(stage: Stage) -> tuple[Message, ...]:
    return stage.read_books().find_messages(MessageType.RISK)


def _describe(risk: StoredRisk) -> str:
    return f"{risk.level}, exposure {format_percent(risk.exposure_ratio or Decimal(0))} of equity"


def _is_quiet(risk: StoredRisk, books: Books) -> bool:
    return risk.level != RiskLevel.HIGH and not books.find_messages(MessageType.RISK)


def _find_quantity(stage: Stage) -> Decimal:
    """Return what to buy for the exposure that the play wants."""
    state = DatabaseStates(stage.engine).load_state(stage.account)
    missing = EXPOSURE * state.equity - state.market_value if state else Decimal(0)
    if missing <= 0:
        raise EnvironmentRefused(f"Expected an exposure below {EXPOSURE} of equity. The play cannot go on.")
    return missing / stage.read_price(SYMBOL)


def _expect_alert(stage: Stage, risk: StoredRisk, told: tuple[Message, ...]) -> None:
    stage.expect("Risk is HIGH", _describe(risk), holds=risk.level == RiskLevel.HIGH)
    stage.expect(
        "One alert is recorded, with the rule",
        f"{len(told)} alert: {told[0].title if told else ''}",
        holds=len(told) == 1 and "exposure" in told[0].title,
    )


def _expect_all_clear(stage: Stage, risk: StoredRisk, told: tuple[Message, ...]) -> None:
    stage.expect("Risk is not HIGH any more", _describe(risk), holds=risk.level != RiskLevel.HIGH)
    stage.expect("One message says that it is over", f"{len(told)} message", holds=len(told) == 1)
