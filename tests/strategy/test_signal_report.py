"""The tables of a run of signals."""

from __future__ import annotations

from tests.strategy.conftest import Desk, wave


def test_the_tables_show_every_symbol_with_its_signal_and_reason(breaking_out: Desk) -> None:
    buys, symbols = breaking_out.run().render_tables()
    assert "| SOL/USDT | breakout" in buys
    assert "14.285" in buys
    assert "🚀 BUY: close (105) is above high of 20 candles before" in symbols
    assert "hold: close (101) is not above high of 20 candles before" in symbols
    assert "03-02 11:00" in symbols


def test_the_table_of_many_symbols_names_every_one_buys_and_silent_ones_first(desk: Desk) -> None:
    desk.symbols = tuple(f"S{number}/USDT" for number in range(60))
    for symbol in desk.symbols[:-1]:
        desk.store_closes(symbol, wave(100, 150))
    desk.store_closes("S58/USDT", [*wave(100, 149), 106.0])
    _, symbols = desk.run().render_tables()
    table, _, more = symbols.partition("\n\n")
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:5]] == ["S58/USDT", "S59/USDT", "S0/USDT"]
    assert len(table.splitlines()) == 2 + 50
    assert more.startswith("And 10 on hold: S48/USDT (101), ")
    for symbol in desk.symbols:
        assert f" {symbol} " in symbols, symbol


def test_symbols_that_are_silent_all_have_a_row_with_the_reason(desk: Desk) -> None:
    desk.symbols = tuple(f"S{number}/USDT" for number in range(60))
    desk.query("DELETE FROM candles")
    (symbols,) = desk.run().render_tables()
    assert sum("none of the last" in line for line in symbols.splitlines()) == 60


def test_buys_beyond_the_rows_of_the_table_are_named_with_their_sizes(breaking_out: Desk) -> None:
    (line,) = breaking_out.run().buys
    lines = tuple(line.model_copy(update={"symbol": f"S{number}/USDT"}) for number in range(52))
    buys, _ = breaking_out.run().model_copy(update={"buys": lines}).render_tables()
    assert buys.endswith("And BUY: S50/USDT breakout demo: 14.285; S51/USDT breakout demo: 14.285")
