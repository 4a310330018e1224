"""What is compiled ahead is all that a search needs."""

from __future__ import annotations

from lib.research import kernels, warm
from lib.research.rules import Sizing, TradingRules
from lib.research.sweep import sweep
from lib.strategy.registry import STRATEGIES
from tests.strategy.worlds import make_walk


def count_compiled() -> dict[str, int]:
    """Return how often each kernel of backtests is compiled in this process."""
    return {name: len(one.signatures) for name, one in vars(kernels).items() if hasattr(one, "signatures")}


def test_a_search_after_it_compiles_nothing() -> None:
    warm.warm_kernels()
    before = count_compiled()
    assert all(
        before[name] for name in ("trade_portfolio", "require_above", "allow_above", "find_signals", "try_levels")
    )
    gaps = make_walk(2, 1200, gaps=0.05)
    frozen = make_walk(1, 1200)
    frozen.close.flags.writeable = False
    for candles, kind in ((gaps, kind) for kind in STRATEGIES.values()):
        sweep([kind(), kind(stop_atr=3.0)], candles, "S1/USDT", 700, TradingRules(sizing=Sizing.FULL))
    sweep([STRATEGIES["breakout"]()], frozen, "S0/USDT", 0, TradingRules(cash=100))
    assert count_compiled() == before
