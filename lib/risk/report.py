"""What `analyze_risk` reports."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from tabulate import tabulate

from lib.results import TaskResult
from lib.risk.correlation import CorrelationTable
from lib.risk.messages import describe_loss
from lib.risk.rules import FiredRule, Rule, describe_rule, format_limit, format_percent
from lib.risk.stores import RiskSnapshot
from lib.risk.value_at_risk import ValueAtRisk
from lib.units import format_money

MAX_HOLDINGS = 20
MAX_ASSUMED = 5
MAX_CORRELATED = 10  # columns that fit on a page
UNKNOWN = "not enough data"


class RiskResult(TaskResult):
    """The result of `analyze_risk`.

    Attributes:
        risks: The risk of each account.
    """

    risks: tuple[RiskSnapshot, ...] = ()

    def render_tables(self) -> list[str]:
        """Markdown of each account's rules, what it may lose, its positions and their correlation."""
        return [table for risk in self.risks for table in _render_account(risk) if table]


def _render_account(risk: RiskSnapshot) -> list[str]:
    table = risk.measures.correlations
    return [
        _table(
            _list_rules(risk), f"{risk.state.account}: {risk.assessment.level}", "now", "MEDIUM above", "HIGH above", ""
        ),
        _table(_list_losses(risk), "what may be lost", "of equity", ""),
        _table(_list_holdings(risk), "holding", "worth", "of equity"),
        _render_correlations(table, list(risk.assessment.shares)) if table else "",
    ]


def _list_rules(risk: RiskSnapshot) -> Sequence[tuple[str, ...]]:
    """A row a rule, whether it fired or not; the largest position stands for all."""
    assessment, limits = risk.assessment, risk.limits
    by_rule: dict[Rule, FiredRule] = {one.rule: one for one in reversed(assessment.fired)}
    symbol, share = next(iter(assessment.shares.items()), ("none", Decimal(0)))
    rows: list[tuple[Rule, str, Decimal | None, str, str]] = [
        (
            Rule.EXPOSURE,
            "exposure",
            assessment.exposure_ratio,
            format_limit(limits.medium_exposure),
            format_limit(limits.high_exposure),
        ),
        (
            Rule.LOSS,
            "unrealized loss",
            assessment.loss_ratio,
            format_limit(limits.medium_loss),
            format_limit(limits.high_loss),
        ),
        (Rule.POSITION, f"largest position ({symbol})", share, "", format_limit(limits.high_position)),
    ]
    shown = [
        (name, _percent(value), medium, high, f"{by_rule[rule].level}" if rule in by_rule else "")
        for rule, name, value, medium, high in rows
    ]
    others = [one for one in assessment.fired if one.rule in (Rule.UNPRICED, Rule.NO_EQUITY)]
    return shown + [(describe_rule(one, risk.state.quote_asset), "", "", "", one.level.value) for one in others]


def _list_losses(risk: RiskSnapshot) -> Sequence[tuple[str, ...]]:
    measures = risk.measures
    rows: list[tuple[str, ...]] = []
    if risk.state.total_values:
        rows += _list_tails(risk, measures.value_at_risk)
    if measures.drawdown is None:
        return [*rows, ("drawdown from peak", UNKNOWN, "")]
    drawdown = measures.drawdown
    return [
        *rows,
        ("drawdown from peak", _signed(drawdown.ratio), f"peak at {drawdown.peak_at:%Y-%m-%d %H:%M} UTC"),
        ("deepest drawdown", _signed(drawdown.worst_ratio), ""),
    ]


def _list_tails(risk: RiskSnapshot, tails: ValueAtRisk | None) -> Sequence[tuple[str, ...]]:
    if tails is None:
        return [("value at risk, one day", UNKNOWN, "")]
    history = f"history of {tails.days} days"
    if tails.assumed:
        more = f" and {len(tails.assumed) - MAX_ASSUMED} more" if len(tails.assumed) > MAX_ASSUMED else ""
        names = f"{', '.join(tails.assumed[:MAX_ASSUMED])}{more}"
        history += f"; {names}: too short a history, taken to move as the others"
    rows = [
        (f"{name} at {level} %, one day", describe_loss(loss, risk.state), history)
        for level, tail in ((95, tails.tail_95), (99, tails.tail_99))
        for name, loss in (("value at risk", tail.value_at_risk), ("expected shortfall", tail.expected_shortfall))
    ]
    return [*rows, (f"worst day, {tails.worst_day:%Y-%m-%d}", describe_loss(tails.worst_loss, risk.state), history)]


def _list_holdings(risk: RiskSnapshot) -> Sequence[tuple[str, ...]]:
    state, shares = risk.state, risk.assessment.shares
    by_value = sorted(state.total_values.items(), key=lambda item: (-item[1], item[0]))
    worth = [*by_value[:MAX_HOLDINGS]]
    if rest := by_value[MAX_HOLDINGS:]:
        worth.append((f"{len(rest)} smaller holdings", sum((value for _, value in rest), Decimal(0))))
    worth.append((f"cash ({state.quote_asset})", state.cash_free + state.cash_locked))
    rows = [
        (name, format_money(value, state.quote_asset), _percent(shares.get(name) or _share(value, state.equity)))
        for name, value in worth
    ]
    unpriced = (*risk.assessment.unpriced_positions, *risk.assessment.unpriced_assets)
    return rows + [(name, "no price", "unknown") for name in unpriced]


def _render_correlations(table: CorrelationTable, by_value: Sequence[str]) -> str:
    """A triangle of the largest holdings, then the pair that moves most alike."""
    if table.highest is None or table.average is None:
        return ""
    shown = [symbol for symbol in by_value if symbol in table.symbols][:MAX_CORRELATED]
    rows = [
        (first, *(_correlation(table.find(first, second)) for second in shown[:place]), *[""] * (len(shown) - place))
        for place, first in enumerate(shown)
    ]
    highest = table.highest
    words = (
        f"Daily returns: {highest.first} and {highest.second} move most alike ({highest.correlation:+.2f} over "
        f"{highest.days} days); the average of {len(table.pairs)} pairs is {table.average:+.2f}."
    )
    return f"{_table(rows, 'correlation', *shown)}\n\n{words}"


def _table(rows: Sequence[tuple[str, ...]], *headers: str) -> str:
    return tabulate(rows, headers=headers, tablefmt="pipe", disable_numparse=True) if rows else ""


def _share(value: Decimal, equity: Decimal) -> Decimal | None:
    return value / equity if equity > 0 else None


def _percent(ratio: Decimal | None) -> str:
    return format_percent(ratio) if ratio is not None else "unknown"


def _signed(ratio: Decimal) -> str:
    return f"{100 * ratio:.2f} %"


def _correlation(value: float | None) -> str:
    return f"{value:+.2f}" if value is not None else "-"
