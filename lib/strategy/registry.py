"""The strategies there are. Adding one is its file and its line here."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Mapping

from lib.strategy.breakout import Breakout
from lib.strategy.index_momentum import IndexMomentum
from lib.strategy.mean_reversion import MeanReversion
from lib.strategy.strategy import Strategy
from lib.strategy.trend_following import TrendFollowing

BUILT_IN: tuple[type[Strategy], ...] = (
    TrendFollowing,
    MeanReversion,
    Breakout,
    IndexMomentum,
)
STRATEGIES: Mapping[str, type[Strategy]] = {strategy.name: strategy for strategy in BUILT_IN}


def calc_code_version(strategy: type[Strategy]) -> str:
    """Return twelve hex digits that change when the strategy's own file does."""
    source = inspect.getsource(sys.modules[strategy.__module__])
    return hashlib.sha256(source.encode()).hexdigest()[:12]
