"""Finding strategies that know the future: what they say of a candle must not change when later ones come."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from lib.errors import StrategyRefused
from lib.market.matrix import CandleMatrix
from lib.research.deciding import decide
from lib.research.windows import DECIDED, cut_candles
from lib.strategy.strategy import Decisions, Strategy

EVEN_ENDS, ENDS_OF_A_KIND = 6, 4  # prefixes that end evenly spread, at entries, and at exits
TOLERANCE = 1e-9  # of floats, relative: a strategy of its own code may add up in another order
Show = Callable[[int, int, str], None]


def check_no_look_ahead(
    strategy: Strategy, candles: CandleMatrix, decisions: Decisions, show: Show | None = None
) -> None:
    """Let the strategy decide on prefixes of the candles, and compare with what it said when it knew all of them.

    The lines that its conditions compare are looked at as well as entries and exits: they show knowledge of the future
    at nearly every candle, also when it changes no decision here.

    Args:
        strategy: The suspect.
        candles: All.
        decisions: On all of them.
        show: Told ``(done, total, what)``.

    Raises:
        StrategyRefused: It looks ahead.
    """
    ends = choose_ends(decisions, strategy.lookback)
    whole = dict(_list_values(decisions))
    for number, end in enumerate(ends):
        if show is not None:
            show(number, len(ends), "looking for knowledge of the future")
        prefix = decide(strategy, cut_candles(candles, 0, end))
        for name, values in _list_values(prefix):
            place = find_difference(whole[name][:, :end], values)
            if place is not None:
                row, bar = place
                raise StrategyRefused(
                    f"Strategy {strategy.name} looks ahead: at the candle of {candles.opened_at[bar]} of "
                    f"{candles.symbols[row]} its {name} is {values[row, bar]} with the candles up to "
                    f"{candles.opened_at[end - 1]}, and {whole[name][row, bar]} with later ones. Mend its code: "
                    "nothing may depend on what comes after a candle."
                )


def choose_ends(decisions: Decisions, least: int) -> list[int]:
    """Return how many bars the prefixes have: some evenly spread, and some that end with a decision.

    Live signals are decided on more than `least`; so are prefixes.
    """
    bars = decisions.entries.shape[1]
    ends = set(np.linspace(least + 1, bars - 1, EVEN_ENDS).round().astype(int).tolist())
    for decided in (decisions.entries, decisions.exits):
        places = least + np.flatnonzero(decided[:, least:].any(axis=0))
        chosen = places[np.linspace(0, len(places) - 1, ENDS_OF_A_KIND).round().astype(int)] if len(places) else places
        ends |= {int(place) + 1 for place in chosen}
    return sorted(end for end in ends if least < end < bars)


def find_difference(whole: NDArray[np.generic], prefix: NDArray[np.generic]) -> tuple[int, int] | None:
    """Return the first place (row, bar) where two matrices of one shape differ, NaN being like NaN."""
    if whole.dtype == np.bool_:
        same = whole == prefix
    else:
        same = np.isclose(whole, prefix, rtol=TOLERANCE, atol=0.0, equal_nan=True)
    if same.all():
        return None
    bar = int(np.flatnonzero(~same.all(axis=0))[0])
    return int(np.flatnonzero(~same[:, bar])[0]), bar


def _list_values(decisions: Decisions) -> Iterator[tuple[str, NDArray[np.generic]]]:
    for name in DECIDED:
        yield name, getattr(decisions, name)
    for kind, conditions in (("entry", decisions.entry_conditions), ("exit", decisions.exit_conditions)):
        for number, condition in enumerate(conditions, start=1):
            for line in (condition.left, condition.right):
                yield f"{line.name} ({kind} condition {number})", line.values
