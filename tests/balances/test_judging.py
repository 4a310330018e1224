"""How a difference becomes a break, step by step."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from lib.balances.breaks import Break, BreakState, Difference, Judgement, judge_breaks
from lib.balances.causes import guess_causes

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SETTLE = timedelta(minutes=10)


def differ(amount: str, asset: str = "SOL", value: str | None = None) -> Difference:
    return Difference(asset, Decimal(10), 10 + Decimal(amount), None if value is None else Decimal(value))


def judge(*differences: Difference, before: Judgement | None = None, minutes: int = 0, unsure: str = "") -> Judgement:
    known = {one.asset: one for one in before.active} if before else {}
    now = NOON + timedelta(minutes=minutes)
    return judge_breaks("demo", known, differences, uncertain={unsure}, now=now, settle=SETTLE)


def states(judgement: Judgement) -> list[tuple[str, BreakState]]:
    return [(one.asset, one.state) for one in judgement.active]


def test_a_difference_opens_only_after_the_settling_time() -> None:
    first = judge(differ("1"))
    soon = judge(differ("1"), before=first, minutes=9)
    later = judge(differ("2"), before=soon, minutes=10)
    assert states(first) == states(soon) == [("SOL", BreakState.SUSPECTED)]
    (one,) = later.active
    assert (one.state, one.first_seen_at, one.opened_at) == (BreakState.OPEN, NOON, NOON + SETTLE)
    assert one.difference.amount == 2


def test_a_suspicion_of_the_other_direction_begins_anew() -> None:
    first = judge(differ("1"))
    turned = judge(differ("-1"), before=first, minutes=15)
    assert turned.vanished == first.active
    (one,) = turned.active
    assert (one.state, one.first_seen_at) == (BreakState.SUSPECTED, NOON + timedelta(minutes=15))


def test_an_open_break_stays_itself_whatever_its_amount_becomes() -> None:
    opened = judge(differ("1"), before=judge(differ("1")), minutes=15)
    turned = judge(differ("-3"), before=opened, minutes=30)
    (one,) = turned.active
    assert (one.state, one.opened_at) == (BreakState.OPEN, NOON + timedelta(minutes=15))
    assert (turned.vanished, turned.resolved) == ((), ())


def test_what_is_gone_is_resolved_or_forgotten() -> None:
    suspected = judge(differ("1"), differ("2", "BTC"))
    assert judge(differ("2", "BTC"), before=suspected, minutes=15).vanished == suspected.active[1:]
    opened = judge(differ("1"), differ("2", "BTC"), before=suspected, minutes=15)
    gone = judge(before=opened, minutes=30)
    assert [(one.asset, one.state, one.closed_at) for one in gone.resolved] == [
        (asset, BreakState.RESOLVED, NOON + timedelta(minutes=30)) for asset in ("BTC", "SOL")
    ]
    assert (gone.active, gone.vanished) == ((), ())


def test_what_cannot_be_compared_stays_as_it_is() -> None:
    suspected = judge(differ("1"))
    assert judge(before=suspected, minutes=30, unsure="SOL").active == suspected.active
    assert judge(differ("5"), before=suspected, minutes=30, unsure="SOL").active == suspected.active
    assert judge(differ("5"), unsure="SOL").active == ()


def guess(*differences: Difference, history_known: bool = True) -> list[str]:
    breaks = [Break("demo", one, NOON, NOON, BreakState.OPEN, "") for one in differences]
    return [one.why for one in guess_causes(breaks, history_known=history_known)]


def test_two_that_cancel_out_look_like_a_trade() -> None:
    lost, gained = guess(differ("-10", "SOL", "-1000"), differ("0.02", "BTC", "960"))
    assert "SOL turned into BTC" in lost
    assert "SOL turned into BTC" in gained


def test_the_nearest_value_is_taken_for_the_other_side() -> None:
    first, *_ = guess(differ("-10", "SOL", "-1000"), differ("2", "BNB", "1200"), differ("0.02", "BTC", "990"))
    assert "turned into BTC" in first


def test_values_that_do_not_cancel_out_are_no_trade() -> None:
    lost, gained = guess(differ("-10", "SOL", "-1000"), differ("0.02", "BTC", "900"))
    assert "to another wallet" in lost
    assert "airdrop" in gained
    assert guess(differ("-10", "SOL"), differ("0.02", "BTC", "900"))[0] == lost


def test_deposits_and_withdrawals_are_named_only_where_the_exchange_does_not_tell_them() -> None:
    (more,) = guess(differ("5"), history_known=False)
    (less,) = guess(replace(differ("-5")), history_known=False)
    assert "a deposit" in more
    assert "a withdrawal" in less
    assert "a deposit" not in guess(differ("5"))[0]
