"""What the control API did to the market, kept in one small file so that a restart continues the same world."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

FILE_NAME = "market.json"
ALL = "*"  # stands for every symbol


@dataclass
class MarketState:
    """The changes since the world began.

    Attributes:
        seed: Seed of the world they belong to; None where a recording is replayed.
        clock_ms: Driven time; None while the clock is the machine's.
        segments: By symbol, the records of `segments.Segment`.
        halts: By symbol, spans [start, end) without trading; the end is None while it lasts.
        delisted: Symbols the exchange no longer knows.
        missing: By symbol (`ALL` for all), spans [start, end) the exchange never had candles of.
        late_ms: By symbol, how long after its close a candle appears.
    """

    seed: int | None
    clock_ms: int | None = None
    segments: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    halts: dict[str, list[tuple[int, int | None]]] = field(default_factory=dict)
    delisted: list[str] = field(default_factory=list)
    missing: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    late_ms: dict[str, int] = field(default_factory=dict)


class StateFile:
    """Keeps a `MarketState` on disk; each save replaces the file as a whole."""

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / FILE_NAME if folder else None

    def load(self, seed: int | None) -> MarketState:
        """Return the kept state, or a fresh one.

        Raises:
            ValueError: When the kept state belongs to another seed, or cannot be read.
        """
        if self._path is None or not self._path.exists():
            return MarketState(seed)
        try:
            state = MarketState(**orjson.loads(self._path.read_bytes()))
        except (orjson.JSONDecodeError, TypeError) as error:
            raise ValueError(
                f"{self._path} is not a simulator's state ({error}). Move it away to start anew."
            ) from error
        if state.seed != seed:
            raise ValueError(
                f"{self._path} belongs to the world of seed {state.seed}, not {seed}. "
                "Use that seed, or another state folder."
            )
        return state

    def save(self, state: MarketState) -> None:
        """Write the state durably; without a folder it lives in memory only."""
        if self._path is None:
            return
        beside = self._path.with_suffix(".new")
        with beside.open("wb") as file:
            file.write(orjson.dumps(asdict(state), option=orjson.OPT_INDENT_2))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
