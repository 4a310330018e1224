"""What `check_parity` finds, and how it is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict
from tabulate import tabulate

from lib.results import Item, Status, TaskResult, render_count
from lib.strategy.stores import Action, Signal, SignalKey

MAX_ROWS = 100


class Finding(StrEnum):
    """What comparing a signal with its recomputation says.

    `CORRECTED`: it differs, and the exchange has changed the candle or an earlier one of the day since. `LATE`: a
    strategy that reads the whole market decided before the candle of another symbol was there. `DIFFERENT`: nothing
    that is stored explains it. `UNKNOWN`: it cannot be recomputed. `MISSED`: a BUY that no run gave. `SILENT`: a HOLD
    that no run gave.
    """

    EQUAL = "equal"
    CORRECTED = "candle corrected"
    LATE = "candles came late"
    DIFFERENT = "different"
    UNKNOWN = "cannot be compared"
    MISSED = "BUY never given"
    SILENT = "HOLD never given"


@dataclass(frozen=True)
class Difference:
    """One field of a signal, as stored and as recomputed, ready to read; `amount` is by how much."""

    field: str
    stored: str
    again: str
    amount: str = ""


@dataclass(frozen=True)
class Comparison:
    """A signal beside its recomputation.

    Attributes:
        key: Which.
        finding: What the comparison says.
        stored: None where no run gave it.
        again: None where it cannot be recomputed.
        differences: Field by field.
        why: What explains it, for people; empty where nothing does or has to.
    """

    key: SignalKey
    finding: Finding
    stored: Signal | None
    again: Signal | None
    differences: tuple[Difference, ...] = ()
    why: str = ""

    @property
    def is_told(self) -> bool:
        """Whether people are told: of what nothing explains, and of a BUY that is one no more or in another way.

        A BUY that no run gave is told by `generate_signals`, as missed.
        """
        if self.finding is Finding.DIFFERENT:
            return True
        is_buy = any(one is not None and one.action is Action.BUY for one in (self.stored, self.again))
        return is_buy and self.finding in (Finding.CORRECTED, Finding.LATE)


class ParityLine(BaseModel):
    """How one strategy's signals of a timeframe compare; counts."""

    model_config = ConfigDict(frozen=True)

    strategy: str
    timeframe: str
    versions: str
    findings: dict[Finding, int]


class DifferenceLine(BaseModel):
    """One field that differs, or a signal that is not there."""

    model_config = ConfigDict(frozen=True)

    candle: str
    symbol: str
    strategy: str
    finding: str
    field: str = ""
    stored: str = ""
    again: str = ""
    amount: str = ""
    why: str = ""


class ParityResult(TaskResult):
    """The result of `check_parity`.

    Attributes:
        lines: Each strategy and timeframe.
        differences: What is not equal, the newest candles last.
    """

    lines: tuple[ParityLine, ...] = ()
    differences: tuple[DifferenceLine, ...] = ()

    def render_tables(self) -> list[str]:
        """Markdown of the counts, and of every difference."""
        if not self.lines:
            return []
        heads = ("strategy", "timeframe", "parameters", "signals", *(finding.value for finding in Finding))
        rows = [
            (
                one.strategy,
                one.timeframe,
                one.versions,
                sum(one.findings.values()),
                *(one.findings.get(finding, 0) or "" for finding in Finding),
            )
            for one in self.lines
        ]
        tables = [tabulate(rows, headers=heads, tablefmt="pipe", disable_numparse=True)]
        if self.differences:
            tables.append(_render_differences(self.differences))
        return tables


def _render_differences(differences: Sequence[DifferenceLine]) -> str:
    heads = ("candle (UTC)", "symbol", "strategy", "what", "field", "given", "recomputed", "difference", "why")
    rows = [tuple(one.model_dump().values()) for one in differences[:MAX_ROWS]]
    table = tabulate(rows, headers=heads, tablefmt="pipe", disable_numparse=True)
    more = len(differences) - MAX_ROWS
    return f"{table}\n\nAnd {more} more." if more > 0 else table


def build_lines(comparisons: Iterable[Comparison]) -> tuple[ParityLine, ...]:
    """Return a line for each strategy and timeframe."""
    groups: dict[tuple[str, str], list[Comparison]] = {}
    for one in comparisons:
        groups.setdefault((one.key.strategy, one.key.timeframe), []).append(one)
    return tuple(
        ParityLine(
            strategy=strategy,
            timeframe=timeframe,
            versions=", ".join(str(version) for version in sorted(_list_versions(found))),
            findings=dict(Counter(one.finding for one in found)),
        )
        for (strategy, timeframe), found in sorted(groups.items())
    )


def _list_versions(comparisons: Iterable[Comparison]) -> set[int]:
    return {signal.version for one in comparisons if (signal := one.stored or one.again) is not None}


def build_differences(comparisons: Iterable[Comparison]) -> tuple[DifferenceLine, ...]:
    """Return a row for each field that differs, and for each signal that is missing or cannot be compared."""
    shown = [one for one in comparisons if one.finding not in (Finding.EQUAL, Finding.SILENT)]
    return tuple(
        DifferenceLine(
            candle=f"{one.key.opened_at:%m-%d %H:%M} {one.key.timeframe}",
            symbol=one.key.symbol,
            strategy=one.key.strategy,
            finding=one.finding.value,
            field=difference.field,
            stored=difference.stored,
            again=difference.again,
            amount=difference.amount,
            why=one.why,
        )
        for one in sorted(shown, key=lambda one: (one.key.opened_at, one.key))
        for difference in one.differences or (Difference("", "", ""),)
    )


def build_items(comparisons: Sequence[Comparison]) -> list[Item]:
    """Return an item for each strategy; partial where people are told of a difference or a BUY is missing."""
    items = []
    for name in sorted({one.key.strategy for one in comparisons}):
        found = [one for one in comparisons if one.key.strategy == name]
        counts = Counter(one.finding for one in found)
        is_fine = not counts[Finding.MISSED] and not any(one.is_told for one in found)
        words = [f"{count:,} {finding}" for finding in Finding if (count := counts[finding])]
        detail = f"{render_count(len(found), 'signals')}: {', '.join(words)}"
        items.append(Item(name=name, status=Status.OK if is_fine else Status.PARTIAL, detail=detail))
    return items
