"""Which parameters made a difference in a search, and what each pair of their values came to."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lib.research.search import Search

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Influence:
    """One parameter that was tried.

    Attributes:
        name: Which.
        values: Those that were tried, rising.
        share: Of the variance of the Sharpe ratios, what the means of its values explain; 0 to 1.
    """

    name: str
    values: tuple[float, ...]
    share: float


@dataclass(frozen=True)
class Grid:
    """What two parameters came to together.

    Attributes:
        across: The most influential one, along the columns.
        up: The second one, along the rows.
        sharpes: Mean of the Sharpe ratios of the combinations with these values, shape (rows, columns); NaN where none
            was tried.
        best: Row and column of the combination that was chosen.
        in_force: Row and column of the parameters in force; None where one of them is not among the values.
    """

    across: Influence
    up: Influence
    sharpes: Floats = field(repr=False)
    best: tuple[int, int]
    in_force: tuple[int, int] | None


def rank_influences(search: Search) -> list[Influence]:
    """Return the parameters of which several values were tried, the most influential first.

    Influence is the main effect: the variance between the means of a parameter's values, by that of all combinations.
    A parameter whose effect depends on others may have more than it shows.
    """
    known = np.isfinite(search.sharpes)
    sharpes = search.sharpes[known]
    tried = [one.model_dump() for one, is_known in zip(search.tried, known, strict=True) if is_known]
    total = float(sharpes.var()) if len(sharpes) else 0.0
    found = []
    for name in type(search.tried[0]).calc_search_space():
        given = np.array([float(one[name]) for one in tried])
        values, places = np.unique(given, return_inverse=True)
        if len(values) < 2:
            continue
        counts = np.bincount(places)
        means = np.bincount(places, sharpes) / counts
        between = float((counts * (means - sharpes.mean()) ** 2).sum() / len(sharpes))
        found.append(Influence(name, tuple(values.tolist()), between / total if total > 0 else 0.0))
    return sorted(found, key=lambda one: -one.share)


def make_grid(search: Search) -> Grid | None:
    """Return the grid of the two most influential parameters; None where fewer than two were tried."""
    ranked = rank_influences(search)
    if len(ranked) < 2:
        return None
    across, up = ranked[:2]
    total, count = (np.zeros((len(up.values), len(across.values))) for _ in range(2))
    for strategy, sharpe in zip(search.tried, search.sharpes, strict=True):
        place = _place(strategy.model_dump(), across, up)
        if place is not None and np.isfinite(sharpe):
            total[place] += sharpe
            count[place] += 1
    sharpes = np.full(total.shape, np.nan)
    np.divide(total, count, out=sharpes, where=count > 0)
    best = _place(search.tried[search.best].model_dump(), across, up)
    if best is None:
        return None
    return Grid(across, up, sharpes, best, _place(search.tried[0].model_dump(), across, up))


def _place(parameters: dict[str, float], across: Influence, up: Influence) -> tuple[int, int] | None:
    column, row = float(parameters[across.name]), float(parameters[up.name])
    if column not in across.values or row not in up.values:
        return None
    return up.values.index(row), across.values.index(column)
