"""How long tasks may take: the classes that people know each task by."""

from __future__ import annotations

from enum import StrEnum


class Speed(StrEnum):
    """`FAST`: under 5 s, `MEDIUM`: 5 to 15 s (both by settings), `SLOW`: as long as it takes, or waits for people."""

    FAST = "fast"
    MEDIUM = "medium"
    SLOW = "slow"


FAST = frozenset(
    {
        "analyze_risk",
        "check_stop_loss",
        "classify_break",
        "reconcile_orders",
        "reject_unanswered_plans",
        "set_stop_loss",
        "set_strategy_state",
        "sync_account_balance",
        "update_positions",
    }
)
MEDIUM = frozenset(
    {
        "calculate_metrics",
        "check_health",
        "fetch_news",
        "generate_report",
        "generate_signals",
        "optimize_portfolio",
        "send_notifications",
        "sync_market_data",
        "trade_on_paper",
        "update_indicators",
    }
)


def speed_of(task: str) -> Speed:
    """Return the class of a task; what searches, archives, or sends orders is slow."""
    if task in FAST:
        return Speed.FAST
    return Speed.MEDIUM if task in MEDIUM else Speed.SLOW
